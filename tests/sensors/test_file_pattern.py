"""Files that a pattern finds, as those of hwmon, whose numbers change at each start."""

import pytest

from jph.errors import SensorError
from sensors.file_pattern import find_file
from sensors.pipe import Pipe
from tests.helpers import naming


@pytest.fixture
def hwmon(tmp_path):
    """Make the files of three chips, the last two of one kind; return their folder."""
    chips = {
        "hwmon0": {"name": "acpitz", "temp1_input": "20000"},
        "hwmon3": {
            "name": "coretemp",
            "temp1_input": "41000",
            "temp1_label": "Package id 0",
            "temp12_input": "39000",
            "temp12_label": "Core 0",
            "fan1_input": "900",
        },
        "hwmon5": {"name": "nvme", "temp1_input": "35000", "temp1_label": "Composite"},
        "hwmon6": {"name": "nvme", "temp1_input": "36000", "temp1_label": "Composite"},
    }
    for chip, files in chips.items():
        (tmp_path / chip).mkdir()
        for name, text in files.items():
            (tmp_path / chip / name).write_text(text + "\n")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "beside", "number"),
    [
        ("*/temp1_input", {"name": "acpitz"}, 20.0),
        ("hwmon?/temp1_input", {"name": "coretemp"}, 41.0),
        ("*/temp*_input", {"name": "coretemp", "temp*_label": "Package id 0"}, 41.0),
        ("*/temp*_input", {"temp*_label": "Core 0"}, 39.0),
        ("*/fan1_input", {}, 0.9),
        ("hwmon0/temp1_input", {}, 20.0),
        ("hwmon0/temp1_input", {"name": "acpitz"}, 20.0),
    ],
)
def test_the_one_that_is_meant(hwmon, pattern, beside, number):
    pipe = Pipe("A1", str(hwmon / pattern), scale=0.001, beside=beside)
    assert pipe.read() == {"A1": pytest.approx(number)}


@pytest.mark.parametrize(
    ("pattern", "beside", "facts"),
    [
        ("*/temp1_input", {"name": "nvme"}, ("hwmon5/temp1_input", "hwmon6/temp1_input", "Beside")),
        ("*/temp1_input", {}, ("hwmon0/temp1_input", "hwmon6/temp1_input", "Beside")),
        ("*/temp1_input", {"name": "k10temp"}, ("hwmon0/temp1_input", "name", "k10temp")),
        ("hwmon0/temp1_input", {"name": "coretemp"}, ("hwmon0/temp1_input", "name", "coretemp")),
        ("*/in1_input", {"name": "nvme"}, ("in1_input", "no such file")),
        ("*/temp*_input", {"temp*_label": "Core 9"}, ("Core 9",)),
    ],
)
def test_none_or_several_are_an_error_that_says_which_there_are(hwmon, pattern, beside, facts):
    with pytest.raises(SensorError, match=naming(*facts)):
        Pipe("A1", str(hwmon / pattern), beside=beside).read()


def test_it_is_looked_for_at_each_reading(hwmon):
    pipe = Pipe("A1", str(hwmon / "*/temp1_input"), beside={"name": "acpitz"})
    assert pipe.read() == {"A1": 20000.0}
    (hwmon / "hwmon0").rename(hwmon / "hwmon9")
    assert pipe.read() == {"A1": 20000.0}


def test_a_file_with_such_a_name_is_itself(tmp_path):
    for name in ("a[1]", "b*"):
        path = tmp_path / name
        path.write_text("5")
        (tmp_path / "bc").write_text("6")
        assert find_file(str(path), {}) == str(path)
    assert find_file("/nowhere/at/all", {}) == "/nowhere/at/all"
