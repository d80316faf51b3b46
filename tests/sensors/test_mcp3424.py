"""The driver of the MCP3424 on a bus that tests make."""

import errno
import os
import threading
import time

import pytest

from jph import SensorError
from sensors import i2c
from sensors.i2c import I2cBus
from sensors.mcp3424 import Mcp3424, OutOfRange, configuration, decode
from tests.helpers import naming
from tests.sensors.fake_i2c import Chip, Clock, FakeBus


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def chip(clock):
    return Chip(clock)


@pytest.fixture
def fake(chip):
    return FakeBus({0x68: chip})


@pytest.fixture
def driver(fake, clock):
    return Mcp3424(I2cBus(1, fake.open), 0x68, clock, clock.sleep)


@pytest.mark.parametrize(
    ("channel", "bits", "gain", "byte"),
    [
        (1, 12, 1, 0b0_00_0_00_00),
        (2, 14, 2, 0b0_01_0_01_01),
        (3, 16, 4, 0b0_10_0_10_10),
        (4, 18, 8, 0b0_11_0_11_11),
        (1, 18, 1, 0b0_00_0_11_00),
    ],
)
def test_the_configuration_byte_is_that_of_the_datasheet(channel, bits, gain, byte):
    assert configuration(channel, bits, gain) == byte


def test_there_is_no_fifth_channel():
    with pytest.raises(ValueError, match="1 to 4"):
        configuration(5, 18, 1)


@pytest.mark.parametrize(
    ("data", "bits", "code"),
    [
        ("0000", 12, 0),
        ("0001", 12, 1),
        ("07ff", 12, 2047),
        ("f800", 12, -2048),
        ("ffff", 12, -1),
        ("1fff", 14, 8191),
        ("e000", 14, -8192),
        ("7fff", 16, 32767),
        ("8000", 16, -32768),
        ("01ffff", 18, 131071),
        ("fe0000", 18, -131072),
        ("ffffff", 18, -1),
        ("00f907", 18, 63751),
        ("f7ff", 12, 2047),  # bits above the resolution are not looked at
    ],
)
def test_codes_are_two_s_complement_of_as_many_bits(data, bits, code):
    assert decode(bytes.fromhex(data), bits) == code


@pytest.mark.parametrize("bits", [12, 14, 16, 18])
@pytest.mark.parametrize("gain", [1, 2, 4, 8])
@pytest.mark.parametrize("volts", [0.2, 0.0, -0.1])
def test_a_voltage_is_read_to_half_a_step(driver, chip, bits, gain, volts):
    for channel in (1, 2, 3, 4):
        chip.volts = [0.7] * 4
        chip.volts[channel - 1] = volts
        step = 4.096 / (1 << bits) / gain
        assert driver.read_v(channel, bits, gain) == pytest.approx(volts, abs=step * 0.501)


@pytest.mark.parametrize(("bits", "most_s"), [(12, 0.006), (18, 0.4)])
def test_it_waits_as_long_as_the_conversion_takes_and_not_much_longer(
    driver, chip, clock, bits, most_s
):
    began_s = clock()
    driver.read_v(1, bits, 1)
    assert clock() - began_s < most_s
    assert chip.conversions == 1


def test_what_is_beyond_the_range_is_no_voltage(driver, chip):
    for volts in (2.1, -2.1):
        chip.volts[0] = volts
        with pytest.raises(OutOfRange, match=naming("2.048 V", "gain 1")):
            driver.read_v(1, 18, 1)
    chip.volts[0] = 0.3
    with pytest.raises(OutOfRange, match=naming("0.256 V", "gain 8")):
        driver.read_v(1, 18, 8)


def test_a_conversion_that_never_ends_is_given_up(driver, chip, clock):
    chip.slowness = 1e9
    began_s = clock()
    with pytest.raises(SensorError, match=naming("0x68", "conversion")):
        driver.read_v(1, 18, 1)
    assert clock() - began_s < 1
    chip.slowness = 1
    chip.volts[0] = 0.5
    assert driver.read_v(1, 18, 1) == pytest.approx(0.5, abs=1e-4)


def test_another_kind_of_chip_at_the_address_is_noticed(driver, chip, monkeypatch):
    monkeypatch.setattr(chip, "read", lambda count: b"\x59\x23\x17\x05"[:count])  # a clock
    with pytest.raises(SensorError, match=naming("0x68", "MCP3424")):
        driver.read_v(1, 18, 1)


def test_another_program_that_sets_the_chip_is_noticed(driver, chip, clock, monkeypatch):
    def sleep(duration_s):
        clock.now_s += duration_s
        chip.write(b"\xac")

    driver.sleep = sleep
    with pytest.raises(SensorError, match=naming("0x68", "another program")):
        driver.read_v(1, 18, 1)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (FileNotFoundError(errno.ENOENT, "x"), naming("/dev/i2c-1", "enable I2C", "raspi-config")),
        (
            PermissionError(errno.EACCES, "x"),
            naming("i2c-1", "permission denied", "group i2c"),
        ),
        (OSError(errno.EBUSY, "Device busy"), naming("/dev/i2c-1", "Device busy")),
        (ModuleNotFoundError("No module named 'smbus2'"), r"pip install 'jph\[adc\]'"),
    ],
)
def test_a_bus_that_cannot_be_opened(driver, fake, chip, error, line):
    fake.error = error
    with pytest.raises(SensorError, match=line):
        driver.read_v(1, 12, 1)
    fake.error = None
    chip.volts[0] = 1.0
    assert driver.read_v(1, 12, 1) == pytest.approx(1.0)


def test_the_real_bus_that_is_not_there():
    bus = I2cBus(987)
    with pytest.raises(SensorError, match=naming("/dev/i2c-987", "enable I2C")):
        bus.write(0x68, b"\x00")


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.EREMOTEIO, naming("/dev/i2c-1", "0x68", "i2cdetect -y 1")),
        (errno.ENXIO, naming("0x68", "i2cdetect -y 1")),
        (errno.ETIMEDOUT, naming("/dev/i2c-1", "0x68", "timed out", "wiring")),
        (errno.ENODEV, naming("/dev/i2c-1", "0x68", "No such device", "wiring")),
    ],
)
def test_a_chip_that_does_not_answer_and_returns(driver, fake, chip, number, line):
    chip.volts[0] = 1.0
    driver.read_v(1, 12, 1)
    fake.error = OSError(number, os.strerror(number))
    with pytest.raises(SensorError, match=line):
        driver.read_v(1, 12, 1)
    assert not fake.is_open
    fake.error = None
    assert driver.read_v(1, 12, 1) == pytest.approx(1.0)
    assert fake.opened == [1, 1]


def test_conversions_of_several_threads_do_not_mix():
    chip = Chip(time.monotonic, [0.1, 0.2, 0.3, 0.4])
    fake = FakeBus({0x68: chip})
    bus = I2cBus(1, fake.open)
    wrong = []

    def work(channel):
        driver = Mcp3424(bus, 0x68)
        for _ in range(10):
            if driver.read_v(channel, 12, 1) != pytest.approx(channel / 10):
                wrong.append(channel)

    threads = [threading.Thread(target=work, args=(channel,)) for channel in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []
    assert chip.conversions == 40
    assert chip.interrupted == 0


def test_a_shared_bus_is_one_and_closed_by_the_last(fake):
    first, second = i2c.BUSES.acquire((1, fake.open)), i2c.BUSES.acquire((1, fake.open))
    assert first is second
    assert i2c.BUSES.acquire((2, fake.open)) is not first
    i2c.BUSES.release((2, fake.open))
    first.write(0x68, b"\x00")
    i2c.BUSES.release((1, fake.open))
    assert fake.is_open
    i2c.BUSES.release((1, fake.open))
    assert not fake.is_open
