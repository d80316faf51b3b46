"""Temperature and humidity: the ways to the sensor, tries, and what cannot be true."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph import ConfigError, SensorError, registry
from jph.settings import arguments
from sensors import am2302
from sensors.am2302 import PAUSE_S, Am2302, HumidityOf, Steadiness
from tests.helpers import naming

NETWORK = Path(__file__).parents[1] / "data" / "existing-config.json"
BROKEN = "/proc/self/mem"  # to read its beginning gives EIO, as the kernel's driver does
PACKAGES = ("board", "adafruit_dht", "Adafruit_DHT")


class Clock:
    """A clock that only sleeping advances; `then` is done in that time, one thing each."""

    def __init__(self):
        self.now_s = 1000.0
        self.slept = []
        self.then = []

    def __call__(self):
        return self.now_s

    def sleep(self, duration_s):
        assert duration_s >= 0
        self.slept.append(duration_s)
        self.now_s += duration_s
        if self.then:
            self.then.pop(0)()


class Room:
    """A folder of IIO devices, a clock, and a reader of both."""

    def __init__(self, devices):
        self.devices = devices
        self.clock = Clock()

    def device(self, number=0, *, name="dht11@4", pin=None, temperature="23400", humidity="45600"):
        folder = self.devices / f"iio:device{number}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "name").write_text(f"{name}\n")
        if pin is not None:
            (folder / "of_node").mkdir(exist_ok=True)
            cells = (17, pin, 0)
            (folder / "of_node" / "gpios").write_bytes(b"".join(c.to_bytes(4) for c in cells))
        self.gives(temperature, humidity, number)
        return folder

    def gives(self, temperature, humidity, number=0):
        """Let a device give these values; a path instead of one is where its file leads."""
        folder = self.devices / f"iio:device{number}"
        values = {"in_temp_input": temperature, "in_humidityrelative_input": humidity}
        for name, value in values.items():
            path = folder / name
            path.unlink(missing_ok=True)
            if isinstance(value, bytes):
                path.write_bytes(value)
            elif str(value).startswith("/"):
                path.symlink_to(value)
            else:
                path.write_text(f"{value}\n")

    def reader(self, pin=4, interval_s=30.0, **settings):
        component = SimpleNamespace(sensor_interval_s=interval_s)
        return Am2302(
            "B1",
            pin,
            SimpleNamespace(component=component),
            (HumidityOf("B2"),),
            _devices=self.devices,
            _clock=self.clock,
            _sleep=self.clock.sleep,
            **settings,
        )


@pytest.fixture(autouse=True)
def packages(tmp_path, monkeypatch):
    """Install none of the packages; return a function that installs one."""
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.syspath_prepend(tmp_path)

    def install(name, code):
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name)

    yield install
    for name in PACKAGES:
        sys.modules.pop(name, None)


@pytest.fixture
def room(tmp_path):
    return Room(tmp_path / "devices")


def test_the_kernel_s_driver_gives_thousandths(room):
    room.device(temperature="-7300", humidity="99900")
    assert room.reader().read() == {"B1": -7.3, "B2": 99.9}
    assert room.clock.slept == []


def test_the_entry_of_an_existing_network(room):
    room.device()
    entries = json.loads(NETWORK.read_text())["Sensors"]
    entry = next(entry for entry in entries if entry["Type"] == "ADAfruitReader")
    cls = registry.find("ADAfruitReader")
    reader = cls(
        codifier="B1",
        **arguments(cls, entry["Sensor"], "Sensors[0].Sensor"),
        _devices=room.devices,
    )
    assert reader.read() == {"B1": 23.4, "B2": 45.6}


@pytest.mark.parametrize(
    ("milli", "temperature"),
    [
        (300, 0.3),
        (-100, -0.1),
        (-2300, -2.3),
        (-40000, -40.0),
        (-3276700, -0.1),
        (-3276600, -0.2),
        (-3274500, -2.3),
        (-3256800, -20.0),
        (-3236800, -40.0),
    ],
)
def test_a_clone_that_sends_two_s_complement_is_read_as_it_means(room, milli, temperature):
    room.device(temperature=milli)
    assert room.reader().read() == {"B1": temperature, "B2": 45.6}


@given(st.integers(1, 400))
def test_every_temperature_below_zero_has_one_meaning(tenths):
    raw = 0x10000 - tenths  # what the clone sends; the driver takes the first bit for the sign
    assert am2302._as_meant((-(raw & 0x7FFF) / 10, 50.0)) == (-tenths / 10, 50.0)
    assert am2302._as_meant((-tenths / 10, 50.0)) == (-tenths / 10, 50.0)


@pytest.mark.parametrize("milli", [-1000000, -3236700, -3276800, -40100, 3276700])
def test_what_neither_kind_means_is_refused(room, milli):
    room.device(temperature=milli)
    with pytest.raises(SensorError, match="-40 to 80"):
        room.reader().read()


def test_a_failed_measurement_is_repeated_2_s_later(room):
    room.device(humidity=BROKEN)
    room.clock.then = [lambda: None, lambda: room.gives("20000", "50000")]
    assert room.reader().read() == {"B1": 20.0, "B2": 50.0}
    assert room.clock.slept == [2.0, 2.0]


def test_five_tries_and_no_more(room):
    room.device(temperature=BROKEN)
    reader = room.reader(interval_s=60)
    with pytest.raises(SensorError, match=naming("5 tries", "in_temp_input", "Input/")):
        reader.read()
    assert len(room.clock.slept) == 4
    room.gives("20000", "50000")
    assert reader.read() == {"B1": 20.0, "B2": 50.0}
    assert len(room.clock.slept) == 5  # also the first try keeps its distance from the last


@pytest.mark.parametrize(("interval_s", "tries"), [(1, 1), (2, 2), (5, 3), (None, 5)])
def test_tries_stay_within_the_interval(room, interval_s, tries):
    room.device(temperature=BROKEN)
    with pytest.raises(SensorError, match=rf"\b{tries} tr(y|ies)\b"):
        room.reader(interval_s=interval_s).read()
    assert room.clock.slept == [PAUSE_S] * (tries - 1)


def test_readings_in_quick_succession_are_2_s_apart(room):
    room.device()
    reader = room.reader(interval_s=0.5)
    times = []
    for _ in range(4):
        reader.read()
        times.append(room.clock())
    assert all(after - before >= PAUSE_S for before, after in pairwise(times))


def test_a_reader_that_is_made_anew_keeps_the_distance(room):
    room.device()
    room.reader().read()
    room.reader(17, device="iio:device0").read()  # another sensor need not wait
    assert room.clock.slept == []
    room.reader().read()
    assert room.clock.slept == [2.0]


@pytest.mark.parametrize(
    ("temperature", "humidity", "reason"),
    [
        ("23400", "103000", r"humidity.*103 %"),
        ("23400", "-100", r"humidity.*-0\.1 %"),
        ("80100", "40000", r"80\.1 °C.*-40 to 80 °C"),
        ("-40100", "40000", r"-40\.1 °C"),
        ("0", "0", r"bits"),
        ("nan", "40000", r"in_temp_input.*nan"),
        ("23400", "", r"in_humidityrelative_input"),
        ("23.4", "40000", r"in_temp_input.*23\.4"),
        (b"\xff\xfe2\x003\x00", "40000", r"in_temp_input"),
        ("9" * 100_000, "40000", r"-40 to 80 °C"),
        ("/", "40000", r"Is a directory"),
        ("/nowhere", "40000", r"No such file"),
    ],
)
def test_what_cannot_be_true_is_refused(room, temperature, humidity, reason):
    room.device(temperature=temperature, humidity=humidity)
    reader = room.reader()
    with pytest.raises(SensorError, match=reason):
        reader.read()
    room.gives("23400", "45600")
    assert reader.read() == {"B1": 23.4, "B2": 45.6}


def test_a_jump_is_refused_and_the_next_measurement_taken(room):
    room.device()
    reader = room.reader(interval_s=30)
    reader.read()
    room.clock.now_s += 30
    room.gives("49000", "45600")
    room.clock.then = [lambda: room.gives("23900", "45600")]
    assert reader.read() == {"B1": 23.9, "B2": 45.6}
    assert len(room.clock.slept) == 1


def test_a_jump_that_stays_is_real(room):
    room.device()
    reader = room.reader(interval_s=30)
    reader.read()
    room.clock.now_s += 30
    room.gives("60000", "20000")
    assert reader.read() == {"B1": 60.0, "B2": 20.0}
    assert len(room.clock.slept) == 2  # the third of three that agree


def test_a_jump_is_believed_across_intervals_that_leave_one_try(room):
    room.device()
    reader = room.reader(interval_s=1)
    reader.read()
    room.gives("60000", "45600")
    for _ in range(2):
        with pytest.raises(SensorError, match=naming("23.4 °C", "60 °C", "45.6 %")):
            reader.read()
    assert reader.read()["B1"] == 60.0


@pytest.mark.parametrize(
    ("steps", "refused"),
    [
        # time (s), temperature, humidity; at most 10 °C and 40 % per minute
        ([(0, 20, 50), (5, 29, 89)], []),
        ([(0, 20, 50), (5, 31, 50)], [1]),
        ([(0, 20, 50), (5, 20, 91)], [1]),
        ([(0, 20, 50), (120, 39, 50)], []),
        ([(0, 20, 50), (120, 41, 50)], [1]),
        # three that agree are taken, three that differ are not
        ([(0, 20, 50), (2, 50, 50), (4, 51, 50), (6, 50, 50), (8, 50, 50)], [1, 2]),
        ([(0, 20, 50), (2, 50, 50), (4, 70, 50), (6, 35, 50), (8, 20, 50)], [1, 2, 3]),
        # a good one between them begins anew
        ([(0, 20, 50), (2, 50, 50), (4, 50, 50), (6, 20, 50), (8, 50, 50)], [1, 2, 4]),
    ],
)
def test_the_rule_of_jumps(steps, refused):
    steadiness = Steadiness((10.0, 40.0))
    found = []
    for index, (now_s, temperature, humidity) in enumerate(steps):
        try:
            steadiness.check((temperature, humidity), now_s)
        except SensorError:
            found.append(index)
    assert found == refused


def test_of_several_devices_the_one_at_the_pin(room):
    room.device(0, name="bme280", temperature="1000")
    room.device(1, name="dht11@4", pin=4, temperature="2000")
    room.device(2, name="dht11@11", pin=17, temperature="3000")
    assert room.reader(17).read()["B1"] == 3.0
    assert room.reader(4).read()["B1"] == 2.0
    with pytest.raises(SensorError, match="dtoverlay=dht11"):
        room.reader(22).read()


def test_of_several_devices_the_one_that_is_named(room):
    room.device(0, name="dht11", temperature="1000")
    room.device(1, name="dht11@11", temperature="2000")
    with pytest.raises(SensorError, match=naming("pin 4", "iio:device0 (dht11)", "dht11@11")):
        room.reader().read()
    assert room.reader(device="iio:device0").read()["B1"] == 1.0
    assert room.reader(device="dht11@11").read()["B1"] == 2.0
    with pytest.raises(SensorError, match=naming("iio:device7", "iio:device0 (dht11)")):
        room.reader(device="iio:device7").read()


def test_a_device_that_vanishes_and_returns_at_another_place(room):
    folder = room.device(0)
    reader = room.reader()
    assert reader.read()["B1"] == 23.4
    folder.rename(room.devices / "unplugged")
    (room.devices / "unplugged" / "name").unlink()
    with pytest.raises(SensorError, match="No such file"):
        reader.read()
    with pytest.raises(SensorError, match="dtoverlay=dht11"):
        reader.read()
    room.device(3, temperature="24000")
    assert reader.read()["B1"] == 24.0


def test_without_any_way_all_three_are_named_at_once(room):
    with pytest.raises(SensorError) as caught:
        room.reader().read()
    line = str(caught.value)
    assert "dtoverlay=dht11,gpiopin=4" in line
    assert "pip install 'jph[am2302]'" in line
    assert "Adafruit_DHT" in line
    assert "\n" not in line
    assert room.clock.slept == []


CIRCUIT_PYTHON = """
made, answers, ended = [], [], []

class DHT22:
    def __init__(self, pin, use_pulseio=True):
        made.append((pin, use_pulseio))

    @property
    def temperature(self):
        self.answer = answers.pop(0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer[0]

    @property
    def humidity(self):
        return self.answer[1]

    def exit(self):
        ended.append(True)
"""


def test_adafruit_circuitpython_dht_where_the_kernel_has_no_driver(room, packages):
    packages("board", "D4 = 'the pin'")
    packages("adafruit_dht", CIRCUIT_PYTHON)
    import adafruit_dht

    adafruit_dht.answers += [
        RuntimeError("Checksum did not validate. Try again."),
        (None, None),
        (20.5, 61.2),
    ]
    reader = room.reader()
    assert reader.read() == {"B1": 20.5, "B2": 61.2}
    assert room.clock.slept == [2.0, 2.0]
    assert adafruit_dht.made == [("the pin", False)]
    reader.close()
    assert adafruit_dht.ended == [True]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (RuntimeError("DHT sensor not found, check wiring"), "adafruit_dht.*DHT sensor not found"),
        (OverflowError(), "adafruit_dht.*OverflowError"),
        ((None, 50.0), "wiring"),
        ((float("nan"), 50.0), "nan"),
        (("20", 50.0), "'20'"),
        ((20.0, 100.1), r"100\.1 %"),
    ],
)
def test_the_package_fails_each_time(room, packages, answer, reason):
    packages("board", "D4 = 'the pin'")
    packages("adafruit_dht", CIRCUIT_PYTHON)
    import adafruit_dht

    adafruit_dht.answers += [answer] * 5
    reader = room.reader()
    with pytest.raises(SensorError, match=f"5 tries.*{reason}"):
        reader.read()
    adafruit_dht.answers += [(20.5, 61.2)]
    assert reader.read() == {"B1": 20.5, "B2": 61.2}
    assert len(adafruit_dht.made) == 2  # it was made anew


def test_the_kernel_s_driver_is_preferred(room, packages):
    packages("board", "D4 = 'the pin'")
    packages("adafruit_dht", CIRCUIT_PYTHON)
    room.device()
    assert room.reader().read()["B1"] == 23.4


@pytest.mark.parametrize(
    ("board", "reason"),
    [
        ("raise NotImplementedError('Board not supported')", "Board not supported"),
        ("import RPi_GPIO_of_this_test", "No module named 'RPi_GPIO_of_this_test'"),
        ("D5 = 5", "has no attribute 'D4'"),
        ("raise PermissionError(13, '/dev/gpiomem')", "gpiomem"),
    ],
)
def test_a_package_that_does_not_work_here(room, packages, board, reason):
    packages("board", board)
    packages("adafruit_dht", CIRCUIT_PYTHON)
    with pytest.raises(SensorError, match=f"adafruit_dht.*{reason}"):
        room.reader().read()


@pytest.mark.parametrize("is_other_broken", [False, True])
def test_the_older_package_as_the_last_way(room, packages, is_other_broken):
    if is_other_broken:
        packages("board", "raise NotImplementedError('Board not supported')")
    packages(
        "Adafruit_DHT",
        "AM2302 = 22\nanswers = [(None, None), (55.5, -3.5)]\n"
        "def read(sensor, pin):\n    assert (sensor, pin) == (22, 4)\n    return answers.pop(0)\n",
    )
    reader = room.reader()
    assert reader.read() == {"B1": -3.5, "B2": 55.5}
    with pytest.raises(SensorError, match=naming("Adafruit_DHT", "pop from empty list")):
        reader.read()


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({}, "Pin: is required"),
        ({"Pin": 4, "Proxy": [{"Pin": 4}]}, r"Proxy\[0\].Codifier: is required"),
        ({"Pin": 4, "Tries": 6}, "Tries: must be <= 5"),
        ({"Pin": 4, "HumidityRate": 0}, "HumidityRate: must be > 0"),
    ],
)
def test_wrong_settings_are_named(settings, mistake):
    with pytest.raises(ConfigError, match=mistake):
        arguments(Am2302, settings, "")
