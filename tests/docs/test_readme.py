"""What the README shows, done as it is printed."""

import json
import re
import subprocess
import sys

from jph.config.model import build
from tests.docs.blocks import fenced
from tests.helpers import eventually
from tests.network import Peer
from tests.tools.program import TOP, environment

README = (TOP / "README.md").read_text()


def test_the_own_sensor_works_as_printed(bus, tmp_path):
    document = json.loads((TOP / "static" / "config.json").read_text())
    document["Multicast"] = bus.multicast()
    document["Sensors"].append(json.loads(fenced(README, "json")))
    (tmp_path / "my.json").write_text(json.dumps(document))
    (tmp_path / "water.txt").write_text("18.5\n")
    (tmp_path / "tank.py").write_text(fenced(README, "python"))
    assert len([line for line in fenced(README, "python").splitlines() if line.strip()]) <= 20
    config = build(document)
    with Peer(config) as peer, open(tmp_path / "out", "w") as out:
        program = subprocess.Popen(
            [sys.executable, "tank.py"],
            cwd=tmp_path,
            env=environment(tmp_path, PYTHONUNBUFFERED="1"),
            stdout=out,
        )
        try:
            assert peer.hear("control", lambda m: m["flag"] == "N", 15)["source"] == "WT"
            assert peer.hear("data", lambda m: m["flag"] == "f")["value"] == 18.5
            # Before it is halted: readings that still wait then are not handed over.
            eventually(lambda: "WT 18.5" in (tmp_path / "out").read_text(), 15, "WT 18.5")
            peer.command("P", "WT", 3.0)
            assert peer.hear("control", lambda m: m["flag"] == "T")["number"] == 3.0
            peer.command("H", "WT")
            halted = peer.hear("control", lambda m: m["flag"] == "I" and m["source"] == "WT")
            assert halted["active"] is False
        finally:
            program.terminate()
            program.wait(30)


def test_every_document_that_it_names_is_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (TOP / target).exists(), target
