"""`jph control` against a running node, as a person types it."""

import json
import re
import struct
import subprocess
import threading

import pytest

from jph.config.model import build
from jph.node.building import build as make
from jph.node.node import Node
from jph.node.process import STATE
from jph.node.reload import Reloader
from jph.node.runner import Callbacks
from tests.helpers import eventually
from tests.network import Peer, running
from tests.tools.program import JPH, TOP, environment, jph


@pytest.fixture
def path(bus, tmp_path):
    document = bus.document(
        {
            "Codifier": "A1",
            "Type": "Pipe",
            "Name": "Inlet",
            "Symbol": "°C",
            "Sensor": {"Pipe": "/x"},
        },
        {
            "Codifier": "F1",
            "Type": "SetPoint",
            "Name": "Fan",
            "Symbol": "%",
            "Control": "enabled",
            "Sensor": {"Min": -5, "Max": 30},
        },
        {
            "Codifier": "S1",
            "Type": "JSON",
            "Name": "Away",
            "Control": "enabled",
            "SensorInterval": 60,
            "Sensor": {"URL": "http://127.0.0.1:9/", "Field": "x", "Proxy": [{"Codifier": "S2"}]},
        },
        {"Codifier": "S2", "Type": "Proxy", "Name": "Lamp", "Control": "enabled"},
        {"Codifier": "SC", "Type": "StateCache"},
        {"Codifier": "ZZ", "Type": "ControlProgram"},
    )
    place = tmp_path / "network.json"
    place.write_text(json.dumps(document))
    return place


@pytest.fixture
def config(path):
    return build(json.loads(path.read_text()))


@pytest.fixture
def node(path, config, tmp_path):
    """Run A1, which reads nothing, F1 and SC."""
    node = Node(config, tmp_path)
    Reloader(node, lambda: build(json.loads(path.read_text())))
    node.add(config.components["A1"], lambda channel: Callbacks(on_timer=lambda *_: STATE.GOOD))
    for codifier in ("F1", "SC"):
        node.add(config.components[codifier], make)
    with running(node):
        yield node


@pytest.fixture
def control(path, fresh_home):
    """Return what runs a command; where all answer, a busy machine may take long."""

    def run(*arguments):
        return jph(fresh_home, "control", "-u", str(path), *arguments)

    run.patient = lambda *arguments: run(*arguments, "--timeout", "20")
    return run


def test_ping_shows_round_trips_of_everyone(node, control):
    run = control.patient("ping", "A1", "F1", "SC")
    assert run.returncode == 0, run.stderr
    lines = sorted(run.stdout.splitlines())
    assert [line[:2] for line in lines] == ["A1", "F1", "SC"]
    assert all(re.search(r" \d+\.\d\d ms$", line) for line in lines)
    assert "Inlet" in lines[0]


@pytest.mark.parametrize(
    "command", ["ping", "ping A1", "halt A1", "start A1", "reload A1", "set F1 1"]
)
def test_a_network_of_which_nothing_runs_is_one_line(config, control, command):
    run = control(*command.split(), "--timeout", "0.2")
    assert (run.returncode, run.stdout) == (1, "")
    group = config.multicast.control
    assert re.fullmatch(
        rf"Error: nobody answers on {group.address}:{group.port}, .* jph up.*\n", run.stderr
    )


@pytest.mark.parametrize("command", ["ping S1", "halt S1", "start S1", "reload S1", "step S1 1"])
def test_a_command_names_the_components_that_do_not_answer(node, control, command):
    run = control(*command.split(), "--timeout", "0.2")
    assert run.returncode == 1
    assert run.stdout.split() == ["S1", "Away", "did", "not", "answer"]
    assert "1 of 1 did not answer" in run.stderr


def test_halt_and_start(node, control):
    run = control.patient("halt", "A1")
    assert (run.returncode, run.stdout.split()) == (0, ["A1", "Inlet", "is", "halted"])
    assert node.runners["A1"].channel.is_active is False
    assert node.runners["F1"].channel.is_active is True
    assert "halted" in control.patient("ping", "A1").stdout
    run = control("start", "@@", "--timeout", "3")
    assert sorted(run.stdout.splitlines())[0].split() == ["A1", "Inlet", "is", "active"]
    assert node.runners["A1"].channel.is_active is True


def test_the_collector_that_goes_on_says_so(node, control):
    run = control("halt", "SC")
    assert run.returncode == 1
    assert run.stdout.endswith("is still active: a StateCache cannot be halted\n")
    run = control("halt", "@@", "--timeout", "3")
    assert sorted(line[:2] for line in run.stdout.splitlines()) == ["A1", "F1", "S1"]
    assert run.stdout.count("is halted") == 2


def test_what_was_set_is_what_the_component_then_sends(node, control):
    for command, value in (("set F1 21.5", 21.5), ("step F1 -0.5", 21), ("set F1 -3", -3)):
        run = control.patient(*command.split())
        assert (run.returncode, run.stdout.split()[2:]) == (0, ["is", f"{value:g}", "%", "now"])


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        *(
            (f"set F1 {it}", "is no finite number")
            for it in ("nan", "-nan", "inf", "-inf", "1e999")
        ),
        ("step F1 NaN", "is no finite number"),
        ("set F1 warm", "is not a valid"),
        ("ping --timeout nan", "is no finite number"),
        ("ping --timeout 0", "is not in the range"),
        ("watch --seconds nan", "is no finite number"),
    ],
)
def test_what_is_no_number_is_refused_in_one_line(node, control, command, reason):
    run = control(*command.split())
    assert (run.returncode, run.stdout) == (1, "")
    assert re.fullmatch(rf"Error: .*{reason}.*\n", run.stderr)


def test_a_value_that_is_refused_comes_with_the_range(node, control):
    run = control("set", "F1", "99", "--timeout", "2")
    assert run.returncode == 1
    assert run.stdout.endswith("is 0 %, not 99 %; it takes -5 to 30\n")
    control("halt", "F1")
    run = control("set", "F1", "9")
    assert run.returncode == 1
    assert run.stdout.endswith("is halted; start it first\n")


def test_a_proxy_is_told_where_to_send_it(node, control):
    run = control("halt", "S2")
    assert run.returncode == 1
    assert "S2 is served by S1" in run.stderr


@pytest.mark.parametrize("command", ["set S2 1", "step S2 1"])
def test_a_proxy_takes_a_value_through_the_component_that_serves_it(
    config, control, tmp_path, command
):
    def lamps(channel):
        return Callbacks(
            on_command=lambda codifier, _, number: channel.send_data(number, codifier=codifier)
        )

    node = Node(config, tmp_path)
    node.add(config.components["S1"], lamps)
    with running(node):
        run = control.patient(*command.split())
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.split() == ["S2", "Lamp", "is", "1", "now"]


def test_a_proxy_whose_server_is_away_did_not_answer(node, control):
    run = control("set", "S2", "1", "--timeout", "0.2")
    assert run.returncode == 1
    assert "did not answer" in run.stdout


def test_a_component_that_does_not_reload_is_told_from_one_that_is_gone(node, control):
    node.on_reload = lambda runners: None
    run = control("reload", "A1", "--timeout", "0.1")
    assert run.returncode == 1
    assert run.stdout.endswith("runs, but has not reloaded; its log tells why\n")
    assert run.stderr == ""


def test_a_component_that_takes_no_values_is_sent_none(node, control):
    run = control("set", "A1", "1")
    assert run.returncode == 1
    assert '"Control": "enabled"' in run.stderr


def test_reload(node, control):
    run = control.patient("reload", "A1")
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("has reloaded\n")
    run = control("reload", "@@", "--timeout", "3")
    assert run.stdout.count("has reloaded") == 3  # also where nothing changed


def test_a_reload_just_after_another_one_takes_some_seconds_and_is_done(node, control):
    for _ in range(2):
        run = control.patient("reload", "A1")
        assert (run.returncode, "reloaded" in run.stdout) == (0, True), run.stdout + run.stderr


def test_an_unknown_codifier_is_one_clear_line(control):
    run = control("halt", "Q9")
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1
    assert 'no Codifier "Q9"' in run.stderr


def test_a_wrong_configuration_names_every_mistake(path, control):
    document = json.loads(path.read_text())
    document["Sensors"][0]["SensorInterval"] = 0
    document["Sensors"][1]["Active"] = "yes"
    path.write_text(json.dumps(document))
    run = control("ping")
    assert run.returncode == 78
    assert "Sensors[0].SensorInterval: must be > 0" in run.stderr
    assert "Sensors[1].Active" in run.stderr
    assert "Traceback" not in run.stderr


def test_it_speaks_as_nobody_where_there_is_no_control_program(path, node, control):
    document = json.loads(path.read_text())
    document["Sensors"].pop()
    path.write_text(json.dumps(document))
    with Peer(node.config) as peer:
        run = control.patient("ping", "A1")
        assert run.returncode == 0, run.stderr
        hello = peer.hear("control", lambda m: m["flag"] == "N")
        assert hello["source"] not in {entry["Codifier"] for entry in document["Sensors"]}
        assert hello["number"] == 0  # which replaces nobody, whoever has this Codifier
        assert peer.hear("control", lambda m: m["flag"] == "T")["to"] == hello["source"]


def test_an_answer_from_outside_of_the_configuration_is_shown(config, control):
    with Peer(config) as peer:

        def answer():
            asked = peer.hear("control", lambda m: m["flag"] == "P")
            peer.command("T", "ZZ", asked["number"], source="Q9")

        answers = threading.Thread(target=answer)
        answers.start()
        run = control("ping", "A1")
        answers.join()
    assert "Q9  (unknown)" in run.stdout
    assert "1 of 1 did not answer" in run.stderr


class Watch:
    """A running `jph control watch` or its older form; `lines` is its output so far."""

    def __init__(self, path, home, *arguments):
        self._file = home / "watched"
        with open(self._file, "w") as output:
            self._process = subprocess.Popen(
                [*JPH, "control", "-u", str(path), *arguments],
                env=environment(home, PYTHONUNBUFFERED="1"),
                cwd=TOP,
                stdout=output,
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._process.terminate()
        self._process.wait(30)

    @property
    def lines(self):
        return self._file.read_text().splitlines()


def publish(peer, sequence):
    peer.publish("A1", "n", struct.pack("<I", sequence), sequence)
    peer.publish("A1", "f", struct.pack("<f", 21.5), sequence + 1)
    peer.publish("F1", "i", struct.pack("<I", 4), sequence + 1)
    peer.send("data", b"junk")
    peer.command("P", "A1", 5.0)
    peer.command("I", "@@", 5.0, source="F1")


@pytest.mark.parametrize(
    "arguments, kinds",
    [
        (
            ["watch"],
            {"Data=n A1", "Data=f A1", "Data=i F1", "Ctrl=P ZZ", "Ctrl=I F1", "invalid"},
        ),
        (["watch", "A1"], {"Data=n A1", "Data=f A1", "Ctrl=P ZZ"}),
        (["watch", "--from", "F1"], {"Data=i F1", "Ctrl=I F1"}),
        (["watch", "--to", "A1"], {"Ctrl=P ZZ"}),
        (["watch", "--channel", "ctrl"], {"Ctrl=P ZZ", "Ctrl=I F1"}),
        (["watch", "--flag", "fi"], {"Data=f A1", "Data=i F1"}),
        (["-l", "A1"], {"Data=n A1", "Data=f A1", "Ctrl=P ZZ"}),
        (["-r", "F1"], {"Data=i F1", "Ctrl=I F1"}),
        (["-o", "A1"], {"Ctrl=P ZZ"}),
        (["-n", "Data"], {"Data=n A1", "Data=f A1", "Data=i F1", "invalid"}),
        (["-n", "c"], {"Ctrl=P ZZ", "Ctrl=I F1"}),
    ],
)
def test_watch_shows_both_channels_filtered(path, config, fresh_home, arguments, kinds):
    def found(lines):
        text = "\n".join(lines)
        return {kind for kind in ALL if kind in text}

    with Peer(config) as peer, Watch(path, fresh_home, *arguments) as watch:

        def again():
            publish(peer, 1000)
            return kinds <= found(watch.lines)

        eventually(again)
        assert found(watch.lines) == kinds
        line = next((line for line in watch.lines if "Data=f A1" in line), None)
        assert line is None or "21.5 °C" in line


ALL = {"Data=n A1", "Data=f A1", "Data=i F1", "Ctrl=P ZZ", "Ctrl=I F1", "invalid"}


def test_the_older_flags_send_a_message_and_leave(node, control):
    run = control("-c", "ZZ", "-t", "A1", "-f", "H", "-x")
    assert (run.returncode, run.stdout) == (0, "")
    eventually(lambda: node.runners["A1"].channel.is_active is False)
    run = control("-t", "@@", "-f", "S", "-x")
    assert run.returncode == 0
    eventually(lambda: node.runners["A1"].channel.is_active is True)


def test_mistakes_in_the_older_flags_are_named(control):
    run = control("-t", "A1", "-x")
    assert run.returncode == 2
    assert "-t and -f belong together" in run.stderr
    run = control("-t", "A1", "-f", "Q", "-x")
    assert run.returncode == 1
    assert "no control flag 'Q'" in run.stderr


def test_force_starts_the_own_codifier(config, control):
    with Peer(config) as peer:
        control("-c", "ZZ", "-F", "-x")
        assert peer.hear("control", lambda m: m["flag"] == "S")["to"] == "ZZ"
