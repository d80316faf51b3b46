"""The Makefile in deploy/esp32, whose targets those who know the first system type."""

import json
from pathlib import Path

import pytest

from jph.config.loading import load
from tests.tools.program import TOP, run_apart

TARGETS = ["help", "broker", "client", "prod", "debug", "data", "db", "clean"]


@pytest.mark.mosquitto
def test_each_target_does_what_it_says(tmp_path):
    run = run_apart("tests.gateways.esp32.making", tmp_path, timeout_s=900)
    assert json.loads(run.stdout) == {
        "help": TARGETS,
        "without others": False,
        "db": "boards|3\n",
        "clean while it runs": [
            2,
            "The gateway runs: end it first, with Ctrl-C where it was started.",
        ],
        "debug": True,
        "prod": False,
        "clean": [0, False],
    }


def test_its_network_has_no_mistake(tmp_path):
    path = Path(TOP, "deploy", "esp32", "network.json")
    assert {each.type for each in load(path, tmp_path).components.values()} >= {
        "Broker",
        "Esp32",
        "Web",
    }
