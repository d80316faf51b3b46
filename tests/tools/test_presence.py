"""`jph up` and `jph run` where their components are at work already: they ask first."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jph import owned
from jph.config.model import build
from tests.helpers import eventually
from tests.network import Peer
from tests.old_node import OldNode
from tests.tools.program import JPH, jph, start

PATIENCE_S = 30.0
TAKEN = 75
WAITING = "import jph.node.probe as p; p.WAIT_S = {}; from tools.main import main; main()"
# Waits longer for answers than the usual one, since a busy machine may answer late.
PATIENT = [sys.executable, "-c", WAITING.format(2.0)]


@pytest.fixture
def document(bus, tmp_path):
    (tmp_path / "value").write_text("21.5\n")
    return bus.document(
        *(
            {
                "Codifier": codifier,
                "Type": "Pipe",
                "SensorInterval": 0.2,
                "KeepAliveInterval": 1,
                "Sensor": {"Pipe": str(tmp_path / "value")},
            }
            for codifier in ("LA", "LB", "LC")
        ),
        {"Codifier": "ZZ", "Type": "ControlProgram"},
    )


@pytest.fixture
def path(document, fresh_home):
    place = fresh_home / "network.json"
    place.write_text(json.dumps(document))
    return str(place)


@pytest.fixture
def peer(document):
    with Peer(build(document), "Q1") as peer:
        yield peer


class Programs:
    """Programs that run for the length of a test, each with a home of its own."""

    def __init__(self, folder, peer) -> None:
        self._folder = folder
        self._peer = peer
        self._running: list[subprocess.Popen[str]] = []
        self._homes: dict[subprocess.Popen[str], object] = {}

    def start(self, *arguments, begins):
        """Start one, and return when these components have begun."""
        home = self._folder / f"home{len(self._running)}"
        home.mkdir()
        return self.start_in(home, *arguments, begins=begins)

    def start_in(self, home, *arguments, begins, command=JPH):
        """Start one in a home, perhaps again."""
        self._peer.drain("control")
        program = start(home, *arguments, command=command)
        self._running.append(program)
        self._homes[program] = home
        left = set(begins)
        while left:
            left.discard(self._peer.hear("control", lambda m: m["flag"] == "N")["source"])
        return program

    def err(self, program):
        return (self._homes[program] / "err").read_text()

    def stop_all(self) -> None:
        for program in self._running:
            program.kill()
            program.wait(30)


@pytest.fixture
def programs(tmp_path, peer):
    programs = Programs(tmp_path, peer)
    yield programs
    programs.stop_all()


def answers(peer, codifier):
    peer.command("P", codifier)
    peer.hear("control", lambda m: m["flag"] == "T" and m["source"] == codifier)


@pytest.mark.parametrize("arguments", [["up"], ["run", "LA", "LB"]])
def test_an_old_network_that_runs_is_not_taken_over(path, bus, fresh_home, arguments):
    with OldNode(bus, "LA") as one, OldNode(bus, "LB") as other:
        ended = jph(fresh_home, *arguments, "-u", path, command=PATIENT)
        assert ended.returncode == TAKEN
        lines = [line for line in ended.stderr.splitlines() if line.startswith("jph: ")]
        assert len(lines) == 1
        for fact in ("LA at 127.0.0.1:", "LB at 127.0.0.1:", '"Host"', "--take-over"):
            assert fact in lines[0]
        assert ("jph run -- LC" in lines[0]) is (arguments == ["up"])
        assert not (one.was_replaced or other.was_replaced)
        assert "Traceback" not in ended.stderr


def test_the_way_on_that_the_message_names_works(path, bus, programs, peer):
    with OldNode(bus, "LA") as one, OldNode(bus, "LB") as other:
        programs.start("run", "-u", path, "--", "LC", begins=["LC"])
        answers(peer, "LC")
        assert not (one.was_replaced or other.was_replaced)


def test_told_so_it_takes_over(path, bus, programs):
    with OldNode(bus, "LA") as one, OldNode(bus, "LB") as other:
        programs.start("up", "-u", path, "--take-over", begins=["LA", "LB", "LC"])
        eventually(lambda: one.was_replaced and other.was_replaced)


def test_a_second_copy_on_one_machine_and_a_part_of_it_are_refused(path, programs, fresh_home):
    first = programs.start("up", "-u", path, begins=["LA", "LB", "LC"])
    for arguments in (["up"], ["run", "LA", "LC"]):
        ended = jph(fresh_home, *arguments, "-u", path, command=PATIENT)
        assert ended.returncode == TAKEN
        assert "(this machine)" in ended.stderr
    assert first.poll() is None
    assert "started again" not in programs.err(first)


def test_halted_components_are_at_work(path, programs, peer, fresh_home):
    programs.start("up", "-u", path, begins=["LA", "LB", "LC"])
    peer.command("H", "@@")
    peer.hear("control", lambda m: m["flag"] == "I" and not m["active"])
    ended = jph(fresh_home, "run", "LA", "-u", path, command=PATIENT)
    assert ended.returncode == TAKEN


def test_what_takes_over_for_a_while_gives_back(path, programs, peer):
    first = programs.start("up", "-u", path, begins=["LA", "LB", "LC"])
    second = programs.start("run", "LA", "-u", path, "--take-over", begins=["LA"])
    eventually(lambda: "LA was started again at 127.0.0.1:" in programs.err(first))
    assert second.poll() is None
    answers(peer, "LB")
    second.kill()
    second.wait(30)
    peer.drain("control")
    peer.hear("control", lambda m: m["flag"] == "N" and m["source"] == "LA")
    assert first.poll() is None
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0


def test_a_process_that_was_taken_over_as_a_whole_ends_with_one_line(path, programs):
    first = programs.start("up", "-u", path, begins=["LA", "LB", "LC"])
    programs.start("up", "-u", path, "--take-over", begins=["LA", "LB", "LC"])
    assert first.wait(PATIENCE_S) == TAKEN
    [line] = [line for line in programs.err(first).splitlines() if line.startswith("jph: ")]
    assert "LA LB LC at 127.0.0.1:" in line


def test_a_stop_of_a_process_on_standby_is_a_stop(path, programs):
    first = programs.start("run", "LA", "-u", path, begins=["LA"])
    programs.start("run", "LA", "-u", path, "--take-over", begins=["LA"])
    eventually(lambda: "comes back" in programs.err(first))
    first.send_signal(signal.SIGTERM)
    assert first.wait(PATIENCE_S) == 0


class KilledOnce:
    """A home whose process was killed; the next one would wait for answers for an hour."""

    def __init__(self, programs, home, path) -> None:
        self._programs = programs
        self._home = home
        self._path = path
        killed = programs.start_in(home, "up", "-u", path, begins=["LA", "LB", "LC"])
        killed.kill()
        killed.wait(30)

    def start(self, *arguments, begins=()):
        command = [sys.executable, "-c", WAITING.format(3600.0)]
        return self._programs.start_in(
            self._home, *arguments, "-u", self._path, begins=begins, command=command
        )


@pytest.fixture
def killed_once(programs, fresh_home, path):
    if owned.memory_folder(fresh_home) is None:
        pytest.skip("no tmpfs here")
    return KilledOnce(programs, fresh_home, path)


@pytest.mark.parametrize(
    ("arguments", "begins"), [(["up"], ["LA", "LB", "LC"]), (["run", "LB"], ["LB"])]
)
def test_a_restart_after_a_kill_finds_nobody_and_waits_for_nobody(killed_once, arguments, begins):
    killed_once.start(*arguments, begins=begins)


def test_a_restart_of_more_than_was_killed_waits(killed_once, document, path, peer):
    more = {**document["Sensors"][0], "Codifier": "LD"}
    Path(path).write_text(json.dumps({**document, "Sensors": [*document["Sensors"], more]}))
    killed_once.start("up")
    peer.hear("control", lambda m: m["flag"] == "P" and m["to"] == "LD")
    assert peer.quiet("control", lambda m: m["flag"] == "N" and m["source"] == "LA", 2.0)


def test_a_restart_after_a_kill_takes_over_from_nobody_who_came_meanwhile(
    killed_once, bus, programs
):
    with OldNode(bus, "LB") as one:
        ended = killed_once.start("up")
        assert ended.wait(PATIENCE_S) == TAKEN
        assert "LB at 127.0.0.1:" in programs.err(ended)
        assert not one.was_replaced


def test_an_answer_that_comes_late_ends_a_restart_after_a_kill(killed_once, peer, programs):
    again = killed_once.start("up", begins=["LA", "LB", "LC"])
    for codifier in ("LA", "LB", "LC"):
        assert again.poll() is None
        peer.command("T", "ZZ", source=codifier)
    assert again.wait(PATIENCE_S) == TAKEN
    assert "LA LB LC at 127.0.0.1:" in programs.err(again)


def test_a_forger_of_single_packets_ends_nobody(path, document, programs, peer):
    first = programs.start("up", "-u", path, begins=["LA", "LB", "LC"])
    later_ms = time.time() * 1000 + 30_000
    for codifier in ("LA", "LB", "LC"):
        peer.command("N", "@@", later_ms, source=codifier)
        peer.command("I", "@@", later_ms * 2, source=codifier)
    for _ in range(2):
        for codifier in ("LA", "LB", "LC"):
            peer.hear("data", lambda m, c=codifier: m["source"] == c)
    assert first.poll() is None
    assert "started again" not in programs.err(first)
