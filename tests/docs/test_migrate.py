"""The guide for moving an existing network, followed as printed beside older nodes."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest

from jph.config.model import build
from tests.helpers import eventually
from tests.network import Peer
from tests.old_node import OldNode
from tests.tools.program import TOP, environment

GUIDE = (TOP / "docs" / "migrate.md").read_text()
COMMANDS = re.findall(r"^    ((?:JPH_HOST=\S+ )?jph .*)$", GUIDE, re.MULTILINE)
COMMANDS = [command for command in COMMANDS if not command.startswith("jph: ")]
PATIENCE_S = 30.0


@pytest.fixture
def document(bus):
    """Return the document of the guide, on a bus of its own, and quick in its signs of life."""
    [text] = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
    document = json.loads(text)
    document["Multicast"] = bus.multicast()
    for entry in document["Sensors"]:
        entry["KeepAliveInterval"] = 1
    return document


class Terminal:
    """A shell with `jph` in its path, in the folder of the document."""

    def __init__(self, folder, document) -> None:
        self.folder = folder
        self.document = document
        self.save()
        program = folder / "bin" / "jph"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tools.main "$@"\n')
        program.chmod(0o755)
        path = f"{program.parent}:{os.environ['PATH']}"
        self._environment = environment(folder, PATH=path, PYTHONUNBUFFERED="1")
        self._left = list(COMMANDS)
        self._started: list[subprocess.Popen[str]] = []

    def save(self) -> None:
        (self.folder / "network.json").write_text(json.dumps(self.document))

    def _next(self, begin):
        command = self._left.pop(0)
        assert begin in command
        return command

    def run(self, begin):
        """Run the next command of the guide to its end."""
        return subprocess.run(
            self._next(begin),
            shell=True,
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def start(self, begin):
        """Start the next command of the guide."""
        process = subprocess.Popen(
            f"exec env {self._next(begin)}",
            shell=True,
            cwd=self.folder,
            env=self._environment,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        for process in self._started:
            process.send_signal(signal.SIGTERM)
        for process in self._started:
            process.wait(30)


@pytest.fixture
def terminal(document, fresh_home):
    terminal = Terminal(fresh_home, document)
    yield terminal
    terminal.close()


def begun(peer, *codifiers):
    left = set(codifiers)
    while left:
        left.discard(peer.hear("control", lambda m: m["flag"] == "N")["source"])


def test_the_guide_moves_a_network_machine_by_machine(bus, document, terminal):
    with (
        Peer(build(document), "Q1") as peer,
        OldNode(bus, "A1") as a1,
        OldNode(bus, "B1") as b1,
        OldNode(bus, "B2") as b2,
    ):
        begun(peer, "A1", "B1", "B2")
        checked = terminal.run("jph config check")
        assert checked.returncode == 0, checked.stderr
        pinged = terminal.run("control -u network.json ping")
        assert pinged.returncode == 0, pinged.stdout + pinged.stderr
        refused = terminal.run("jph up")
        assert refused.returncode == 75
        for codifier in ("A1", "B1", "B2"):
            assert re.search(rf"at work already: .*\b{codifier}\b.* at 127.0.0.1", refused.stderr)
        assert not any(old.ended.is_set() for old in (a1, b1, b2))

        for entry in document["Sensors"][:3]:
            entry["Host"] = "pi1" if entry["Codifier"] == "A1" else "pi2"
        terminal.save()
        b1.end()
        b2.end()
        peer.drain("control")
        pi2 = terminal.start("JPH_HOST=pi2 jph up")
        begun(peer, "B1", "B2")
        pinged = terminal.run("control -u network.json ping")
        assert pinged.returncode == 0, pinged.stdout + pinged.stderr
        assert not a1.ended.is_set()

        terminal.start("JPH_HOST=pi1 jph up")
        eventually(lambda: a1.was_replaced)
        pi2.send_signal(signal.SIGTERM)
        pi2.wait(30)
        peer.drain("control")
        terminal.start("jph run")
        begun(peer, "B2")
        assert not terminal._left


def test_the_way_back(bus, document, terminal):
    """An older program that starts while JPH runs its component has it, for as long as it lives."""
    for entry in document["Sensors"][:3]:
        entry["Host"] = "pi2"
    terminal.save()
    terminal._left = ["JPH_HOST=pi2 jph up -u network.json"]
    with Peer(build(document), "Q1") as peer:
        terminal.start("jph up")
        begun(peer, "A1", "B1", "B2")
        with OldNode(bus, "B2"):
            begun(peer, "B2")
            answers = []

            def is_alone():
                peer.drain("control")
                peer.command("P", "B2")
                answers.append(peer.hear("control", lambda m: m["flag"] == "T" and m["to"] == "Q1"))
                return peer.quiet("control", lambda m: m["flag"] == "T" and m["to"] == "Q1", 0.2)

            eventually(is_alone, PATIENCE_S)
            assert answers
        begun(peer, "B2")
