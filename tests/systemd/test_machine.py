"""The units on a machine of their own, whose process 1 is systemd."""

import json
import os
import re

import pytest

from tests.docs.blocks import commands, fenced
from tests.helpers import eventually, naming
from tests.systemd.machine import Machine
from tests.tools.program import TOP

pytestmark = pytest.mark.systemd

UNIT = "jph.service"
PATIENCE_S = 60.0
# Shorter times than those of the unit, which test_units.py checks, and nothing else.
SHORTER = "[Service]\nWatchdogSec=4\nRestartSec=1\n"


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    """Return a booted machine; skip where one may not be made, such as by who is not root."""
    if os.geteuid() != 0:
        pytest.skip("only root makes such a machine")
    machine = Machine(tmp_path_factory.mktemp("machine"))
    configure(machine)
    for name in ("jph.service.d", "jph@.service.d"):
        (machine.units / name).mkdir(exist_ok=True)
        (machine.units / name / "shorter.conf").write_text(SHORTER)
    with machine:
        yield machine


def shipped():
    return json.loads((TOP / "static" / "config.json").read_text())


def configure(machine, document=None):
    (machine.etc / "config.json").write_text(json.dumps(document or shipped()))


@pytest.fixture
def started(machine):
    """Return the machine with jph.service running the shipped network."""
    configure(machine)
    said = machine.systemctl("restart", UNIT)
    assert said.returncode == 0, said.stderr + machine.journal(UNIT)
    yield machine
    machine.systemctl("stop", UNIT)


def state(machine, unit=UNIT):
    shown = machine.show(unit)
    return shown["ActiveState"], shown["SubState"]


def status(machine):
    return machine.show(UNIT).get("StatusText", "")


def test_the_service_is_ready_when_it_has_joined_and_says_how_it_is_doing(started):
    assert state(started) == ("active", "running")
    pinged = started.run("/opt/jph/bin/jph", "control", "-u", "/etc/jph/config.json", "ping")
    assert "LA" in pinged.stdout, pinged.stderr

    eventually(lambda: "/min sent" in status(started), PATIENCE_S)
    assert re.search(naming("127.0.0.1", "15 components", "none lost"), status(started))


def test_the_service_has_no_privileges_and_a_home_of_its_own(started):
    process = started.show(UNIT)["MainPID"]
    lines = started.run("cat", f"/proc/{process}/status").stdout.splitlines()
    facts = {name: text.split() for name, text in (line.split(":", 1) for line in lines)}
    assert "0" not in facts["Uid"]
    assert (facts["CapEff"], facts["NoNewPrivs"], facts["Seccomp"]) == (["0" * 16], ["1"], ["2"])
    home = started.run("stat", "-L", "-c", "%U %a", "/var/lib/jph")
    assert home.stdout == "jph 700\n"
    journal = started.journal(UNIT)
    assert "not permitted" not in journal
    assert "read-only" not in journal.lower()


def test_a_reload_keeps_the_process_and_takes_what_is_new(started):
    process = started.show(UNIT)["MainPID"]
    document = shipped()
    document["Sensors"].append({
        "Codifier": "ZA", "Name": "New", "Type": "Pipe", "SensorInterval": 1,
        "Sensor": {"Pipe": "/etc/jph/new.txt"},
    })  # fmt: skip
    (started.etc / "new.txt").write_text("21.5\n")
    configure(started, document)
    assert started.systemctl("reload", UNIT).returncode == 0
    eventually(lambda: "16 components" in status(started), PATIENCE_S)
    assert started.show(UNIT)["MainPID"] == process
    (started.etc / "config.json").write_text("{")
    started.systemctl("reload", UNIT)
    eventually(lambda: "stays as it was" in started.journal(UNIT), PATIENCE_S)
    assert state(started) == ("active", "running")
    assert started.show(UNIT)["MainPID"] == process


def test_a_wrong_configuration_is_not_tried_again(started):
    document = shipped()
    document["Sensors"][2]["SensorInterval"] = "often"
    configure(started, document)
    assert started.systemctl("restart", UNIT).returncode != 0
    shown = started.show(UNIT)
    assert (shown["ActiveState"], shown["ExecMainStatus"]) == ("failed", "78")
    assert shown["NRestarts"] == "0"
    assert "/etc/jph/config.json: Sensors[2].SensorInterval" in started.journal(UNIT)


@pytest.mark.parametrize(
    "signal, result", [("KILL", "status=9/KILL"), ("STOP", "Failed with result 'watchdog'")]
)
def test_a_service_that_is_killed_or_hangs_is_started_again(started, signal, result):
    process = started.show(UNIT)["MainPID"]
    started.run("kill", f"-{signal}", process)
    eventually(lambda: started.show(UNIT)["MainPID"] not in ("0", process), PATIENCE_S)
    eventually(lambda: state(started) == ("active", "running"), PATIENCE_S)
    assert result in started.journal(UNIT)


def test_the_service_waits_for_a_network_and_then_is_ready(started):
    document = shipped()
    for channel in ("Control-Channel", "Data-Channel"):
        document["Multicast"][channel]["Interface"] = "eth0"
    configure(started, document)
    started.systemctl("stop", UNIT)
    started.systemctl("start", "--no-block", UNIT)
    eventually(lambda: "eth0" in status(started), PATIENCE_S)
    assert state(started) == ("activating", "start")
    started.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
    started.run("ip", "link", "set", "other", "up")
    started.run("ip", "link", "set", "eth0", "up")
    started.run("ip", "address", "add", "192.0.2.5/24", "dev", "eth0")
    eventually(lambda: state(started) == ("active", "running"), PATIENCE_S)
    eventually(lambda: re.search(naming("eth0", "components"), status(started)), PATIENCE_S)


def test_one_component_runs_in_a_process_of_its_own_whatever_its_codifier(machine):
    document = shipped()
    document["Sensors"].append({
        "Codifier": "-A", "Name": "Odd", "Type": "Pipe", "SensorInterval": 1,
        "Sensor": {"Pipe": "/proc/loadavg"},
    })  # fmt: skip
    configure(machine, document)
    escaped = machine.run("systemd-escape", "--template=jph@.service", "--", "-A").stdout.strip()
    assert machine.systemctl("start", escaped).returncode == 0
    try:
        shown = machine.show(escaped)
        assert (shown["ActiveState"], shown["Result"]) == ("active", "success")
        assert re.search(naming("127.0.0.1", "1 component;"), shown["StatusText"])
    finally:
        machine.systemctl("stop", escaped)


def test_the_guide_of_a_pi_leads_to_the_pages_and_an_account(machine):
    guide = (TOP / "docs" / "raspberry-pi.md").read_text()
    document = json.loads(fenced(guide, "json"))
    for channel in document["Multicast"].values():
        channel |= {"Interface": "127.0.0.1", "TTL": 0}  # here is no eth0
    configure(machine, document)
    (machine.etc / "jph.env").write_text("JPH_HOST=pi1\n")
    pages = guide.split("## 7. ")[1].split("\n## ")[0]
    # The packages are there, and there is no network to install others from.
    typed = [one for one in commands(pages) if "/pip install " not in one]
    script = "\n".join([fenced(pages, "sh"), *typed]).replace("sudo ", "")
    try:
        said = machine.run("bash", "-ec", script, typed="correct horse battery\n")
        assert said.returncode == 0, said.stderr + machine.journal(UNIT)
        assert "anna can sign in" in said.stdout
        assert said.stderr == "jph: home /var/lib/private/jph (that of /etc/jph)\n"
        address = said.stdout.splitlines()[-1]
        assert re.fullmatch(r"http://\S+\.local:8080/", address)
        assert machine.run("stat", "-c", "%U", "/var/lib/jph/web.sqlite").stdout == "jph\n"
        program = (
            "from tests.web.client import Client; client = Client(8080); "
            "print(client.sign_in('anna', 'correct horse battery').status); "
            "print('Processor of pi1' in client.get('/').text)"
        )
        eventually(
            lambda: machine.run("/opt/jph/bin/python", "-c", program).stdout == "303\nTrue\n",
            PATIENCE_S,
        )
    finally:
        machine.systemctl("stop", UNIT)
        (machine.etc / "jph.env").unlink()


CHANGE = """
import json, sys
from tests.web.client import Client
client = Client(8080)
client.follow_link(sys.argv[1])
entry = {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": 8090}}
headers = {"Content-Type": "application/json", "X-CSRF-Token": client.token("/settings")}
edit = json.dumps({"base": 0, "codifier": "WB", "entry": entry})
print(client.ask("POST", "/settings/save", edit, headers).text)
"""


def test_a_change_on_the_pages_is_taken_back_although_the_process_was_killed(started):
    guide = (TOP / "docs" / "operations.md").read_text()
    moving = guide.split("**Changing the configuration on the pages.**")[1].split("\nA change")[0]
    eventually(lambda: started.run("test", "-e", "/var/lib/jph/web.sqlite").returncode == 0)
    holder = ("-m", "http.server", "8090", "--bind", "127.0.0.1")
    started.run("systemd-run", "--unit=holder", "/opt/jph/bin/python", *holder)
    try:
        script = "\n".join(commands(moving)).replace("sudo ", "")
        said = started.run("bash", "-ec", script)
        assert said.returncode == 0, said.stderr + started.journal(UNIT)
        before = started.run("cat", "/var/lib/jph/config.json").stdout
        link = re.findall(r"Sign in once with (\S+)", started.journal(UNIT))[-1]
        answer = started.run("/opt/jph/bin/python", "-c", CHANGE, link).stdout
        assert json.loads(answer)["number"], answer
        process = started.show(UNIT)["MainPID"]
        started.run("kill", "-KILL", process)
        eventually(lambda: started.show(UNIT)["MainPID"] not in ("0", process), PATIENCE_S)
        eventually(lambda: state(started) == ("active", "running"), PATIENCE_S)
        assert started.run("cat", "/var/lib/jph/config.json").stdout == before
        assert started.show(UNIT)["NRestarts"] == "1"
        assert "is taken back" in started.journal(UNIT)
    finally:
        started.systemctl("stop", UNIT, "holder")
        (started.etc / "jph.env").unlink()
        started.run("rm", "-f", "/var/lib/jph/config.json")


def test_the_drop_in_of_a_pi_lets_the_service_into_its_groups(machine):
    configure(machine)
    place = machine.units / "jph.service.d" / "raspberry-pi.conf"
    place.write_text((TOP / "systemd" / "raspberry-pi.conf").read_text())
    try:
        machine.systemctl("daemon-reload")
        machine.run("groupadd", "-f", "-r", "i2c")
        machine.run("groupadd", "-f", "-r", "gpio")
        said = machine.systemctl("restart", UNIT)
        assert said.returncode == 0, machine.journal(UNIT)
        process = machine.show(UNIT)["MainPID"]
        groups = machine.run("ps", "-o", "supgrp=", "-p", process).stdout
        assert {"i2c", "gpio"} <= set(groups.strip().split(","))
    finally:
        machine.systemctl("stop", UNIT)
        place.unlink()
        machine.systemctl("daemon-reload")


def test_a_service_whose_components_are_at_work_elsewhere_begins_when_they_end(machine):
    configure(machine)
    other = "jph@LA.service"
    assert machine.systemctl("start", other).returncode == 0
    try:
        assert machine.systemctl("start", UNIT).returncode != 0
        eventually(lambda: "status=75" in machine.journal(UNIT), PATIENCE_S)
        assert re.search(r"at work already: LA at 127\.0\.0\.1:", machine.journal(UNIT))
        assert state(machine, other) == ("active", "running")
        machine.systemctl("stop", other)
        eventually(lambda: state(machine) == ("active", "running"), PATIENCE_S)
    finally:
        machine.systemctl("stop", other)
        machine.systemctl("stop", UNIT)
