"""Inputs of an ADC Pi Plus: which chip, what they stand for, what is not connected."""

import errno
import json
import logging
import threading
import time
from pathlib import Path

import pytest

from jph import ConfigError, SensorError, registry
from jph.config import checks
from jph.errors import NoReading
from jph.settings import arguments
from sensors.adc_pi import DIVIDER, AdcPi, Conversion, InputOf
from tests.helpers import logged, naming, new_bus
from tests.sensors.fake_i2c import Chip, Clock, FakeBus

NETWORK = Path(__file__).parents[1] / "data" / "existing-config.json"


class Board:
    """An ADC Pi Plus whose inputs have the voltages that a test gives."""

    def __init__(self, clock=None):
        self.clock = clock or Clock()
        self.chips = {0x68: Chip(self.clock), 0x69: Chip(self.clock)}
        self.bus = FakeBus(self.chips)

    def set(self, **volts):
        """Set inputs, as i1=2.5."""
        for name, voltage in volts.items():
            chip, place = divmod(int(name[1:]) - 1, 4)
            self.chips[0x68 + chip].volts[place] = voltage / DIVIDER

    def reader(self, pin=1, **settings):
        sleep = getattr(self.clock, "sleep", time.sleep)
        return AdcPi("C1", pin, _opener=self.bus.open, _clock=self.clock, _sleep=sleep, **settings)


@pytest.fixture
def board():
    return Board()


def test_each_input_is_on_its_chip_and_channel(board):
    board.set(**{f"i{pin}": pin / 2 for pin in range(1, 9)})
    proxies = tuple(InputOf(f"P{pin}", pin) for pin in range(2, 9))
    values = board.reader(1, proxy=proxies).read()
    assert list(values) == ["C1", *(f"P{pin}" for pin in range(2, 9))]
    for pin, value in enumerate(values.values(), 1):
        assert value["voltage"] == pytest.approx(pin / 2, abs=4e-5)
        assert value["value"] == value["voltage"]


@pytest.mark.parametrize("bits", [12, 14, 16, 18])
@pytest.mark.parametrize("gain", [1, 2, 4, 8])
def test_the_divider_makes_the_range_5_volts(board, bits, gain):
    reader = board.reader(bits=bits, gain=gain)
    board.set(i1=5.05 / gain)
    assert reader.read()["C1"]["voltage"] == pytest.approx(5.05 / gain, abs=0.0026 / gain)
    board.set(i1=5.07 / gain)
    with pytest.raises(SensorError, match=naming("input 1", " V", f"Gain {gain}")):
        reader.read()


def test_in_proportion_to_the_voltage(board):
    board.set(i1=2.0)
    value = board.reader(conversion=Conversion(scale=2.5, offset=-1.25)).read()["C1"]
    assert value["value"] == pytest.approx(3.75, abs=1e-4)
    assert value["voltage"] == pytest.approx(2.0, abs=4e-5)


# Resistance of a usual 10 kΩ thermistor by its maker's table.
@pytest.mark.parametrize(("ohm", "celsius"), [(32650, 0.0), (10000, 25.0), (3603, 50.0)])
def test_a_thermistor_by_steinhart_hart(board, ohm, celsius):
    coefficients = (1.129148e-3, 2.34125e-4, 8.76741e-8)
    board.set(i1=5.0 * 16800 / (ohm + 16800))
    reader = board.reader(conversion=Conversion(steinhart_hart=coefficients))
    assert reader.read()["C1"]["value"] == pytest.approx(celsius, abs=0.02)


@pytest.mark.parametrize(("voltage", "ohm"), [(2.5, 16.8), (4.0, 4.2), (1.0, 67.2), (3.37, None)])
def test_an_older_type_reads_the_thermistor_of_the_existing_network(board, voltage, ohm):
    entries = json.loads(NETWORK.read_text())["Sensors"]
    entry = next(entry for entry in entries if entry["Type"] == "ADCpiReader")
    settings = {**registry.preset("ADCpiReader"), **entry["Sensor"]}
    cls = registry.find("ADCpiReader")
    reader = cls(
        codifier="C1",
        **arguments(cls, settings, "Sensors[0].Sensor"),
        _opener=board.bus.open,
        _clock=board.clock,
        _sleep=board.clock.sleep,
    )
    board.set(i1=voltage, i2=voltage, i3=voltage)
    values = reader.read()
    assert list(values) == ["C1", "C2", "C3"]
    for value in values.values():
        v = value["voltage"]
        assert v == pytest.approx(voltage, abs=4e-5)
        r = (5 - v) / v * 16.8
        assert r == pytest.approx(ohm or r, abs=0.01)
        assert value["value"] == pytest.approx(0.0755 * r**2 - 4.2327 * r + 60.589)


def test_the_older_type_takes_a_conversion_of_its_own():
    settings = {**registry.preset("ADCpiReader"), "Pin": 1, "Conversion": {}}
    given = arguments(AdcPi, settings, "Sensor")
    assert given["conversion"] == Conversion()
    assert "conversion" not in arguments(AdcPi, {"Pin": 1}, "Sensor")


def test_a_proxy_converts_in_its_own_way_or_as_the_component(board):
    board.set(i1=1.0, i2=1.0, i3=1.0)
    proxies = (InputOf("C2", 2), InputOf("C3", 3, Conversion(scale=10)))
    values = board.reader(proxy=proxies, conversion=Conversion(scale=2)).read()
    numbers = [round(value["value"], 2) for value in values.values()]
    assert numbers == [2.0, 2.0, 10.0]


def test_supply_and_reference_are_settings(board):
    board.set(i1=1.1)
    conversion = Conversion(polynomial=(0.0, 1.0), supply_v=3.3, reference_kohm=5.0)
    value = board.reader(conversion=conversion).read()["C1"]["value"]
    assert value == pytest.approx(10.0, abs=0.01)


@pytest.mark.parametrize("volts", [0.0, 0.00015, -0.0001, -0.3])
def test_0_volts_is_not_connected(board, volts):
    board.set(i3=volts)
    with pytest.raises(NoReading, match=naming("0 V", "input 3")):
        board.reader(3).read()


def test_inputs_that_are_connected_are_sent_without_the_others(board, caplog):
    board.set(i2=3.0)
    values = board.reader(1, proxy=(InputOf("C2", 2), InputOf("C6", 6))).read()
    assert list(values) == ["C2"]
    assert caplog.records == []


def test_0_volts_can_be_told_to_be_a_voltage(board):
    assert board.reader(connected_above_v=-1).read() == {"C1": {"value": 0.0, "voltage": 0.0}}


def test_a_short_circuit_of_a_thermistor_is_no_temperature(board):
    board.set(i1=5.01)
    reader = board.reader(conversion=Conversion(polynomial=(60.589, -4.2327, 0.0755)))
    with pytest.raises(SensorError, match=naming("input 1", "5.01", "supply of 5 V")):
        reader.read()


@pytest.mark.parametrize(
    "conversion",
    [
        Conversion(steinhart_hart=(-1.0, 0.0, 0.0)),
        Conversion(polynomial=(0.0, 0.0, 1e307)),
        Conversion(scale=1e308, offset=1e308),
    ],
)
def test_coefficients_that_give_no_number(board, conversion):
    board.set(i1=1.0)
    with pytest.raises(SensorError, match=naming("input 1", "check")):
        board.reader(conversion=conversion).read()


def test_a_faulty_input_does_not_keep_the_others_and_is_said_once(board, caplog):
    caplog.set_level(logging.INFO)
    board.set(i1=1.0, i2=9.0)
    reader = board.reader(proxy=(InputOf("C2", 2),))
    for _ in range(3):
        assert list(reader.read()) == ["C1"]
    board.set(i2=2.0)
    for _ in range(2):
        assert list(reader.read()) == ["C1", "C2"]
    assert logged(caplog, "C1", "C2", "input 2", "5.06 V", "Gain 1", level=logging.WARNING) == 1
    assert logged(caplog, "C1", "C2", "again") == 1
    assert len(caplog.records) == 2


def test_a_chip_that_does_not_answer_is_asked_once_and_the_other_is_read(board, caplog):
    board.set(i1=1.0)
    chip = board.chips.pop(0x69)
    reader = board.reader(proxy=(InputOf("C5", 5), InputOf("C6", 6)))
    assert list(reader.read()) == ["C1"]
    assert logged(caplog, "C5", "/dev/i2c-1", "0x69")
    board.chips[0x69] = chip
    board.set(i5=1.0, i6=2.0)
    assert list(reader.read()) == ["C1", "C5", "C6"]


def test_a_chip_that_never_gets_ready_costs_one_wait(board):
    board.chips[0x68].slowness = 1e9
    began_s = board.clock()
    reader = board.reader(proxy=(InputOf("C2", 2), InputOf("C3", 3), InputOf("C4", 4)))
    with pytest.raises(SensorError, match=naming("/dev/i2c-1", "0x68", "conversion")):
        reader.read()
    assert board.clock() - began_s < 1


@pytest.mark.parametrize(
    ("error", "fact"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), "raspi-config"),
        (PermissionError(errno.EACCES, "x"), "permission denied"),
    ],
)
def test_a_bus_that_is_missing_is_said_once_for_all_inputs(board, error, fact):
    board.bus.error = error
    board.set(i1=1.0, i8=2.0)
    reader = board.reader(proxy=(InputOf("C8", 8), InputOf("C2", 2)))
    with pytest.raises(SensorError, match=naming("/dev/i2c-1", fact)) as caught:
        reader.read()
    assert str(caught.value).count("i2c-1") == 1
    board.bus.error = None
    assert list(reader.read()) == ["C1", "C8"]


def test_a_bus_that_vanishes_and_returns(board):
    board.set(i1=1.0)
    reader = board.reader()
    first = reader.read()
    board.bus.error = OSError(errno.ENODEV, "No such device")
    for _ in range(2):
        with pytest.raises(SensorError, match="No such device"):
            reader.read()
        board.bus.error = FileNotFoundError(errno.ENOENT, "No such file")
        with pytest.raises(SensorError, match="raspi-config"):
            reader.read()
        board.bus.error = OSError(errno.ENODEV, "No such device")
    board.bus.error = None
    assert reader.read() == first


def test_a_failed_bus_after_a_faulty_input_says_nothing_twice(board, caplog):
    board.set(i1=1.0, i2=9.0)
    reader = board.reader(proxy=(InputOf("C2", 2),))
    reader.read()
    board.bus.error = OSError(errno.ENXIO, "x")
    with pytest.raises(SensorError):
        reader.read()
    board.bus.error = None
    reader.read()
    assert len(caplog.records) == 1


def test_components_of_one_process_share_the_bus():
    board = Board(time.monotonic)
    board.set(i1=1.0, i2=2.0, i3=3.0, i5=4.0)
    readers = [board.reader(pin, bits=14) for pin in (1, 2, 3, 5)]
    wrong = []

    def work(reader, voltage):
        for _ in range(5):
            found = reader.read()["C1"]["voltage"]
            if found != pytest.approx(voltage, abs=0.001):
                wrong.append((voltage, found))

    threads = [
        threading.Thread(target=work, args=each)
        for each in zip(readers, (1.0, 2.0, 3.0, 4.0), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert board.bus.opened == [1]
    assert [chip.interrupted for chip in board.chips.values()] == [0, 0]
    for reader in readers:
        assert board.bus.is_open
        reader.close()
        reader.close()
    assert not board.bus.is_open


def test_other_addresses_and_another_bus(board):
    board.chips[0x6E] = board.chips.pop(0x68)
    board.chips[0x6F] = board.chips.pop(0x69)
    board.chips[0x6F].volts[1] = 1.0 / DIVIDER
    reader = board.reader(6, addresses=("0x6E", 111), bus=4)
    assert reader.read()["C1"]["voltage"] == pytest.approx(1.0, abs=4e-5)
    assert board.bus.opened == [4]


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"Pin": 9}, "Pin: must be <= 8"),
        ({}, "Pin: is required"),
        ({"Pin": 1, "Bits": 13}, "Bits: must be one of 12, 14, 16, 18"),
        ({"Pin": 1, "Gain": 3}, "Gain: must be one of 1, 2, 4, 8"),
        ({"Pin": 1, "Proxy": [{"Codifier": "C2", "Pin": 0}]}, r"Proxy\[0\].Pin: must be >= 1"),
        ({"Pin": 1, "Conversion": {"Scale": "much"}}, "Conversion.Scale: must be a number"),
        ({"Pin": 1, "Conversion": {"Supply": 0}}, "Conversion.Supply: must be > 0"),
    ],
)
def test_wrong_settings_are_named(settings, mistake):
    with pytest.raises(ConfigError, match=mistake):
        arguments(AdcPi, settings, "")


def test_settings_that_do_not_go_together():
    with pytest.raises(ValueError, match=naming("SteinhartHart", "Polynomial")):
        Conversion(steinhart_hart=(1.0, 2.0, 3.0), polynomial=(1.0,))
    with pytest.raises(ValueError, match="three"):
        Conversion(steinhart_hart=(1.0, 2.0))
    with pytest.raises(ValueError, match=naming("Addresses", "0x20")):
        AdcPi("C1", 1, addresses=("0x20",))
    with pytest.raises(ValueError, match=naming("Addresses", "first")):
        AdcPi("C1", 1, addresses=("first",))
    with pytest.raises(ValueError, match=naming("Addresses", "input 5")):
        AdcPi("C1", 5, addresses=("0x68",))


@pytest.mark.parametrize(
    ("settings", "mistakes"),
    [
        ({"Pin": "8"}, []),
        ({"Pin": 1, "Addresses": ["0x6e"], "Proxy": [{"Codifier": "C2", "Pin": "4"}]}, []),
        ({"Pin": 1, "Addresses": ["0x20"]}, ['Addresses: 0x20 is none of "0x68" to "0x6f"']),
        (
            {"Pin": 1, "Addresses": ["0x68"], "Proxy": [{"Codifier": "C2", "Pin": "5"}]},
            ["Pin: input 5 is on a chip that Addresses does not name"],
        ),
    ],
)
def test_what_does_not_go_together_is_named_before_anything_starts(settings, mistakes):
    adc = {"Codifier": "C1", "Type": "ADCPi", "SensorInterval": 5, "Sensor": settings}
    found, _ = checks.check(
        new_bus().document(adc, {"Codifier": "C2", "Type": "Proxy", "Sensor": {"Server": "C1"}})
    )
    assert [line for line in found if line.startswith("Sensors[0]")] == [
        f"Sensors[0].Sensor.{line}" for line in mistakes
    ]
