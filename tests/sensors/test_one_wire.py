"""Thermometers on a 1-Wire bus: what the kernel says of them, and what of that is not true."""

import pytest

from jph import ConfigError, SensorError, registry
from jph.settings import arguments
from sensors.one_wire import OneWire
from tests.helpers import naming

ID = "28-000005e2fdc3"


def said(scratchpad: str, crc: str, verdict: str, milli: int) -> str:
    """Return the text of a w1_slave."""
    return f"{scratchpad} : crc={crc} {verdict}\n{scratchpad} t={milli}\n"


GOOD = said("72 01 4b 46 7f ff 0e 10 57", "57", "YES", 23125)
COLD = said("5e ff 4b 46 7f ff 02 10 f0", "f0", "YES", -10125)
AT_START = said("50 05 4b 46 7f ff 0c 10 1c", "1c", "YES", 85000)


@pytest.fixture
def bus(tmp_path):
    """Return a function that writes a file of a thermometer."""

    def gives(text: str, device: str = ID, name: str = "w1_slave") -> None:
        (tmp_path / device).mkdir(exist_ok=True)
        (tmp_path / device / name).write_text(text)

    gives.folder = tmp_path
    return gives


def sensor(bus, **settings: object) -> OneWire:
    given = arguments(OneWire, settings, "Sensors[0].Sensor")
    return OneWire(codifier="T1", **given, _devices=bus.folder)


@pytest.mark.parametrize(("text", "number"), [(GOOD, 23.125), (COLD, -10.125)])
def test_a_right_checksum_is_read(bus, text, number):
    bus(text)
    assert sensor(bus, Device=ID).read() == {"T1": number}


def test_the_newer_file_is_read_where_there_is_no_other(bus):
    bus("-62\n", name="temperature")
    assert sensor(bus).read() == {"T1": -0.062}
    bus(GOOD)
    assert sensor(bus).read() == {"T1": 23.125}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (said("ff ff ff ff ff ff ff ff ff", "c9", "NO", -62), "checksum"),
        (said("00 00 00 00 00 00 00 00 00", "00", "YES", 0), "ground"),
        (said("f0 07 4b 46 7f ff 10 10 aa", "aa", "YES", 127000), "127"),
        (said("00 fc 4b 46 7f ff 10 10 aa", "aa", "YES", -64000), "-64"),
        (AT_START, "85"),
        ("", "no temperature"),
        ("t=\n", "no temperature"),
        ("23.5\n", "no temperature"),
    ],
)
def test_what_is_not_true_is_refused_with_a_reason(bus, text, reason):
    bus(text)
    thermometer = sensor(bus)
    for _ in range(2):
        with pytest.raises(SensorError, match=naming(str(bus.folder / ID / "w1_slave"), reason)):
            thermometer.read()
    bus(GOOD)
    assert thermometer.read() == {"T1": 23.125}


@pytest.mark.parametrize("name", ["w1_slave", "temperature"])
def test_85_degrees_count_only_where_it_was_nearly_so_hot(bus, name):
    def gives(milli: int) -> None:
        bus(f"t={milli}\n" if name == "w1_slave" else f"{milli}\n", name=name)

    thermometer = sensor(bus)
    gives(23125)
    thermometer.read()
    gives(85000)
    with pytest.raises(SensorError, match=naming("85", "supply")):
        thermometer.read()
    for milli in (84937, 85000, 85000, 85062):
        gives(milli)
        assert thermometer.read() == {"T1": milli / 1000}


def test_an_error_of_the_driver_is_one(bus):
    bus("")
    (bus.folder / ID / "w1_slave").unlink()
    (bus.folder / ID / "w1_slave").symlink_to("/proc/self/mem")  # gives EIO, as the driver does
    with pytest.raises(SensorError, match=naming("w1_slave", "Input/")):
        sensor(bus).read()


def test_the_only_thermometer_needs_no_name_and_several_do(bus):
    (bus.folder / "w1_bus_master1").mkdir()
    with pytest.raises(SensorError, match="no thermometer"):
        sensor(bus).read()
    bus(GOOD)
    (bus.folder / "3a-000000000001").mkdir()  # a switch
    assert sensor(bus).read() == {"T1": 23.125}
    bus(COLD, "10-0008019462d3")
    with pytest.raises(SensorError, match=naming(ID, "10-0008019462d3", "Device")):
        sensor(bus).read()
    assert sensor(bus, Device="10-0008019462d3").read() == {"T1": -10.125}


def test_no_bus_and_no_such_thermometer_are_errors_that_say_what_to_do(bus, tmp_path):
    with pytest.raises(SensorError, match="dtoverlay=w1-gpio"):
        OneWire("T1", _devices=tmp_path / "none").read()
    with pytest.raises(SensorError, match="28-77"):
        sensor(bus, Device="28-77").read()


def test_it_is_a_type():
    assert registry.find("OneWire") is OneWire
    with pytest.raises(ConfigError):
        arguments(OneWire, {"Device": 5}, "Sensors[0].Sensor")
