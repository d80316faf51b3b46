"""`jph config example`: a network of any size, to try."""

import json

import pytest

from jph.config import checks
from tests.tools.program import jph


@pytest.mark.parametrize("count", [1, 1000, 3000])
def test_the_printed_configuration_has_no_mistake(count, tmp_path):
    ended = jph(tmp_path, "config", "example", "--sensors", str(count), "--interval", "5")
    document = json.loads(ended.stdout)
    assert checks.check(document) == ([], [])
    simulated = [entry for entry in document["Sensors"] if entry["Type"] == "Simulated"]
    assert len(simulated) == count
    assert {entry["SensorInterval"] for entry in simulated} == {5}


def test_more_sensors_than_codifiers_are_refused(tmp_path):
    ended = jph(tmp_path, "config", "example", "--sensors", "4000")
    assert ended.returncode == 2
    assert "4000" in ended.stderr
