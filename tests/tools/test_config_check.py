import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from jph import paths
from tools.config_check import EX_CONFIG, config

EXISTING = Path(__file__).parents[1] / "data" / "existing-config.json"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.delenv("JPH_CONFIG", raising=False)
    monkeypatch.setenv("JPH_HOME", "/nowhere")  # where no node runs
    return lambda *arguments: CliRunner().invoke(config, ["check", *map(str, arguments)])


def test_the_shipped_configuration_is_the_default(run):
    answer = run()
    assert answer.exit_code == 0
    assert answer.stderr == ""
    header, *rows, last = answer.stdout.splitlines()
    assert last == f"{paths.shipped_config()}: {len(rows)} components, all good"
    assert header.split() == ["Codifier", "Type", "Host", "Name"]
    assert rows[0].split()[:3] == ["LA", "Pipe", "any"]


def test_the_environment_names_another(run, monkeypatch):
    monkeypatch.setenv("JPH_CONFIG", str(EXISTING))
    answer = run()
    assert answer.exit_code == 0
    assert "TempLinux" in answer.stdout
    warnings = answer.stderr.splitlines()
    entries = json.loads(EXISTING.read_text())["Sensors"]
    for line in warnings:
        codifier, place = re.fullmatch(
            rf"{EXISTING}: warning: (..): Sensors\[(\d+)\]\..+", line
        ).groups()
        assert codifier == entries[int(place)]["Codifier"]
    last = answer.stdout.splitlines()[-1]
    assert last == f"{EXISTING}: 26 components, no mistakes, {len(warnings)} warnings"


def test_every_mistake_and_then_every_warning_is_printed(run, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"Sensors": [{"Codifier": "A", "Type": "Pipee", "Nam": 1}]}))
    answer = run(file)
    assert answer.exit_code == EX_CONFIG == 78
    assert answer.stdout == ""
    assert answer.stderr.splitlines() == [
        f"{file}: Multicast: is required",
        f'{file}: A: Sensors[0].Codifier: must be two printable ASCII characters, not "@@";'
        " it is 'A'",
        f'{file}: A: Sensors[0].Type: unknown Type "Pipee"; did you mean Pipe?',
        f"{file}: warning: A: Sensors[0].Nam: unknown key, ignored; did you mean Name?",
        f"{file}: 3 mistakes, 1 warning",
    ]


def test_a_file_that_is_missing_is_one_line(run, tmp_path):
    answer = run(tmp_path / "none.json")
    assert answer.exit_code == EX_CONFIG
    assert answer.stderr == f"{tmp_path / 'none.json'}: there is no such file\n"
