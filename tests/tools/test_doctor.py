"""`jph doctor`, with the configurations that it judges."""

import json
import re
import sys

import pytest
from click.testing import CliRunner

from jph.workers import confinement
from tests.helpers import new_bus
from tools.main import main


@pytest.fixture
def ask(tmp_path, monkeypatch):
    monkeypatch.setenv("JPH_HOME", str(tmp_path))

    def ask(*sensors: dict):
        file = tmp_path / "network.json"
        file.write_text(json.dumps(new_bus().document(*sensors)))
        return CliRunner().invoke(main, ["doctor", "--config", str(file)])

    return ask


CALCULATION = {"Codifier": "C1", "Type": "Python", "Sensor": {"Filename": "calc.py"}}
CONFINED = {"Codifier": "C2", "Type": "Python", "Sensor": {"Sandbox": "confine"}}


@pytest.mark.mosquitto
def test_what_this_machine_has(ask):
    answer = ask(CALCULATION, CONFINED)
    assert answer.exit_code == 0, answer.output
    assert "confinement: Landlock and seccomp" in answer.stdout
    assert re.search("^mosquitto: +/.*/mosquitto$", answer.stdout, re.MULTILINE)
    assert re.search("^nats: +/.*/nats-server$", answer.stdout, re.MULTILINE)
    assert answer.stdout.endswith("components:  all can run\n")


def test_what_needs_a_kernel_that_confines(ask, monkeypatch):
    monkeypatch.setattr(confinement, "_landlock_version", lambda: -1)
    answer = ask(CALCULATION, CONFINED)
    assert answer.exit_code == 1
    assert re.search("confinement: none: .*Landlock", answer.stdout)
    assert "C1" not in answer.stderr
    assert "C2 (Python): " in answer.stderr and "limits-only" in answer.stderr


def test_what_needs_packages(ask, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "sensors.calculation.component", raising=False)
    answer = ask(CALCULATION)
    assert answer.exit_code == 1
    assert "pip install 'jph[python]'" in answer.stderr
