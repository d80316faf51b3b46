import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from jph import paths
from tests.helpers import new_bus
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


@pytest.fixture
def needs(tmp_path, monkeypatch):
    """Return a function that prints what components need on the machine pi1."""
    monkeypatch.setenv("JPH_HOST", "pi1")

    def needs(*entries):
        file = tmp_path / "config.json"
        file.write_text(json.dumps(new_bus().document(*entries)))
        answer = CliRunner().invoke(config, ["needs", str(file)])
        assert (answer.exit_code, answer.stderr) == (0, "")
        return answer.stdout.rstrip("\n")

    return needs


SQL = {"Database": "jph", "User": "jph"}
WRITER = {"Codifier": "P1", "Type": "jphPostgreSQL", "Sensor": {"SQL": SQL}}


@pytest.mark.parametrize(
    ("entries", "extras"),
    [
        ([], ""),
        ([{"Codifier": "A1", "Type": "Pipe", "Sensor": {"Pipe": "/x"}}], ""),
        ([{"Codifier": "R1", "Type": "jphRedis"}], "redis"),
        ([{"Codifier": "R1", "Type": "StateCache"}], ""),
        ([{"Codifier": "R1", "Type": "StateCache", "Sensor": {"URL": "REDISS://x"}}], "redis"),
        ([WRITER], "postgres"),
        ([{**WRITER, "Host": "pi2"}], ""),
        ([{**WRITER, "Host": "pi2"}, {"Codifier": "W1", "Type": "Flask"}], "postgres,web"),
        ([{"Codifier": "W1", "Type": "Web", "Sensor": {"Server": "gevent"}}], "gevent,web"),
        ([{"Codifier": "W1", "Type": "Web", "Sensor": {"History": "postgresql://j@x/j"}}],
         "postgres,web"),
        ([{"Codifier": "H1", "Type": "HistoryWriter"}], ""),
        ([{"Codifier": "B1", "Type": "ADAfruitReader", "Sensor": {"Pin": 4}}], ""),
        ([{"Codifier": "C1", "Type": "ADCpiReader", "Sensor": {"Pin": 1}},
          {"Codifier": "G1", "Type": "ZwavePower", "Sensor": {}},
          {"Codifier": "I2", "Type": "fanControl"},
          {"Codifier": "H1", "Type": "PythonNinja"}], "adc,gpio,python,zwave"),
    ],
)  # fmt: skip
def test_the_extras_of_the_components_of_this_machine_are_printed(needs, entries, extras):
    assert needs(*entries) == extras


def test_the_extras_of_a_network_are_those_that_let_it_be_checked(monkeypatch):
    monkeypatch.setenv("JPH_HOST", "elsewhere")
    answer = CliRunner().invoke(config, ["needs", str(EXISTING)])
    assert answer.stdout == "adc,gpio,postgres,python,redis,web,zwave\n"


def test_needs_of_a_configuration_that_cannot_be_read_is_one_line(tmp_path):
    answer = CliRunner().invoke(config, ["needs", str(tmp_path / "none.json")])
    assert (answer.exit_code, answer.stdout) == (EX_CONFIG, "")
    assert answer.stderr == f"jph: {tmp_path / 'none.json'}: there is no such file\n"
