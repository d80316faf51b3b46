"""The units: in order for systemd, as well protected as the documents say, and JPH runs in them."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jph.config.model import build
from tests.helpers import bare_sender, eventually
from tests.network import Peer
from tests.tools.program import JPH, TOP, environment

UNITS = TOP / "systemd"
SERVICES = ("jph.service", "jph@.service")
CONFINED = Path(__file__).with_name("confined.py")
OPERATIONS = (TOP / "docs" / "operations.md").read_text()


def load(path):
    spec = importlib.util.spec_from_file_location("confined", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


confined = load(CONFINED)


def analyze(*arguments, folder):
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def installed(tmp_path):
    """Return a folder with the units, for which /opt/jph is a folder of the test."""
    program = tmp_path / "opt" / "bin" / "jph"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    folder = tmp_path / "units"
    folder.mkdir()
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/opt/jph/bin/jph", str(program))
        (folder / unit.name).write_text(text)
    return folder


def add_drop_in(folder, name):
    place = folder / f"{name}.d"
    place.mkdir()
    shutil.copy(UNITS / "raspberry-pi.conf", place)


@pytest.mark.parametrize("on_a_pi", [False, True])
def test_systemd_finds_nothing_wrong(installed, on_a_pi):
    if on_a_pi:
        for name in SERVICES:
            add_drop_in(installed, name)
    units = ["./jph.service", "./jph@LA.service", "./jph@\\x2dA.service", "./jph.target"]
    checked = analyze("verify", *units, folder=installed)
    own = [line for line in checked.stderr.splitlines() if "jph" in line]
    assert (own, checked.returncode) == ([], 0)


@pytest.mark.parametrize("name", ["jph.service", "jph@LA.service"])
@pytest.mark.parametrize("on_a_pi", [False, True])
def test_the_exposure_is_what_the_documents_say(installed, name, on_a_pi):
    if on_a_pi:
        add_drop_in(installed, name)
    security = analyze("security", "--offline=yes", f"./{name}", folder=installed)
    score = float(re.search(r"Overall exposure level for \S+: ([\d.]+)", security.stdout)[1])
    said = re.search(r"rates it ([\d.]+) of 10, with\s+and without the drop-in", OPERATIONS)
    assert abs(score - float(said[1])) <= 0.2


def test_both_services_differ_only_in_what_they_run():
    one, many = (confined.settings(UNITS / name) for name in ("jph@.service", "jph.service"))
    assert {name for name in one.keys() | many.keys() if one.get(name) != many.get(name)} == {
        "Description",
        "ExecStart",
    }
    # The colon keeps systemd from replacing a Codifier such as $A by a variable.
    assert one["ExecStart"] == [":/opt/jph/bin/jph run -- %I"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_ready_watched_started_again_and_waits_for_no_network(name):
    unit = confined.settings(UNITS / name)
    assert unit["Type"] == ["notify"]
    assert unit["RestartPreventExitStatus"] == ["78"]
    assert float(unit["WatchdogSec"][0]) >= 4  # signs of life come every second
    assert "time-sync.target" in unit["After"][0]
    assert not {"Requires", "Requisite", "BindsTo"} & unit.keys()
    assert "network-online.target" not in str(unit)
    assert unit["Environment"][:2] == ["JPH_CONFIG=/etc/jph/config.json", "JPH_HOME=%S/jph"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_process_that_was_killed_finds_its_journal_however_it_is_started_again(name):
    unit = confined.settings(UNITS / name)
    assert unit["RuntimeDirectory"] == ["jph"]
    assert unit["RuntimeDirectoryMode"] == ["0700"]
    assert unit["RuntimeDirectoryPreserve"] == ["yes"]


def test_the_program_that_confines_does_so():
    program = """
import ctypes, mmap, os, socket
for forbidden in (
    lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC),
    lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW),
    lambda: os.sched_setaffinity(0, {0}),
    lambda: os.chown("/tmp", 0, 0),
):
    try:
        print("allowed", forbidden())
    except PermissionError:
        print("forbidden")
"""
    command = [sys.executable, CONFINED, UNITS / "jph.service", sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.stderr) == ("forbidden\n" * 4, "")


def test_the_shipped_network_runs_confined(bus, fresh_home, free_tcp_port):
    document = json.loads((TOP / "static" / "config.json").read_text())
    document["Multicast"] = bus.multicast()
    path = fresh_home / "network.json"
    path.write_text(json.dumps(document))
    command = [sys.executable, CONFINED, UNITS / "jph.service", *JPH]
    with Peer(build(document)) as peer, open(fresh_home / "err", "w+") as err:
        process = subprocess.Popen(
            [*command, "up", "-u", path, "--port", str(free_tcp_port)],
            env=environment(fresh_home),
            cwd=fresh_home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=err,
        )
        try:
            waited = {"LA", "DF", "BM", "PM"}  # a file, a command, JSON of the pages, a proxy
            while waited:
                heard = peer.hear("data", lambda m: m["flag"] in "fij", 60)
                waited.discard(heard["source"])
            eventually(lambda: (fresh_home / "history.sqlite").exists(), 30)
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait(30)
        err.seek(0)
        said = err.read()
    assert "ERROR" not in said
    assert "not permitted" not in said


@pytest.mark.parametrize("name", SERVICES)
def test_code_of_other_people_is_locked_in_further(name):
    program = """
from jph.workers.functions import Function, Worker
source = "def run(path):\\n    return open(path).read()\\n"
worker = Worker()
print(worker.call_many(Function("f", source), [["/etc/passwd"]])[0].text)
worker.end()
"""
    command = [sys.executable, CONFINED, UNITS / name, sys.executable, "-c", program]
    environment = os.environ | {"PYTHONPATH": str(TOP)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.stderr == ""
    assert "PermissionError" in ended.stdout


def test_batches_are_received_confined(bus, tmp_path):
    """By recvmmsg through ctypes, which must not need memory that can be written and executed."""
    program = f"""
import os, select
from jph.bus.group import Group
from jph.bus.sockets import open_receiver
from jph.bus.recvmmsg import DatagramBatch

receiver = open_receiver(Group({bus.data[0]!r}, {bus.data[1]}, "127.0.0.1", ttl=0))
print("joined", flush=True)
slab, count = DatagramBatch(), 0
while count < 100 and select.select([receiver], [], [], 30)[0]:
    count += slab.fill(receiver.fileno())
print(count, slab.datagram(0)[:4])
"""
    process = subprocess.Popen(
        [sys.executable, CONFINED, UNITS / "jph.service", sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(TOP)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process, bare_sender() as sender:
        assert process.stdout.readline() == "joined\n"
        for _ in range(100):
            sender.sendto(b"abcdefgh", bus.data)
        assert process.stdout.readline() == "100 b'abcd'\n"
