"""A fan: its duty, who tells it, what is safe. The pins are those of gpiozero's mock factory."""

import errno
import json
import logging
import math
import re
import subprocess
import sys

import pytest
from gpiozero import PWMOutputDevice
from gpiozero.exc import BadPinFactory
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin

from jph import ConfigError, SensorError
from jph.config import checks
from jph.config.model import build
from jph.node import building
from jph.node.node import Node
from jph.node.runner import callbacks_of
from jph.settings import arguments
from sensors.fan import Fan
from sensors.pwm import PwmPin
from tests.helpers import eventually, logged, naming, new_bus
from tests.network import Peer, config_of, running
from tests.sensors.bus_stub import StubChannel
from tests.tools.program import TOP, environment, start

FAN = {"Codifier": "I2", "Type": "Fan"}
SPEED = {"Codifier": "I3", "Type": "SetPoint", "SensorInterval": 5, "TimeoutWarning": 30}


class Board:
    """The pins of a Pi, opened as sensors.pwm opens them, with errors that a test wants."""

    def __init__(self, pin_class=MockPWMPin):
        self.factory = MockFactory(pin_class=pin_class)
        self.error: Exception | None = None
        self.opened: list[int] = []

    def open(self, number, frequency_hz, value):
        if self.error is not None:
            raise self.error
        self.opened.append(number)
        return PWMOutputDevice(
            number, frequency=frequency_hz, initial_value=value, pin_factory=self.factory
        )

    def percent(self, number=18):
        """Return for how much of the time a pin is high."""
        return pytest.approx(self.factory.pin(number).state * 100, abs=0.001)


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def board():
    made = Board()
    yield made
    made.factory.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def channel(tmp_path):
    return StubChannel(tmp_path, FAN, SPEED)


@pytest.fixture
def fan(channel, board, clock):
    def make(pin=18, **settings):
        return Fan(channel, pin, _opener=board.open, _clock=clock, **settings)

    return make


@pytest.mark.parametrize("duty", [0.0, 0.5, 29.0, 57.0, 100.0])
@pytest.mark.parametrize("inverted", [False, True])
def test_the_duty_is_the_share_of_time_that_the_pin_is_on(fan, board, duty, inverted):
    reader = fan(inverted=inverted)
    reader.command("A", duty)
    assert reader.read() == {"I2": duty}
    assert board.percent() == (100 - duty if inverted else duty)


def test_whole_percents_are_whole_for_a_driver_that_cuts_off(fan, board):
    reader = fan()
    for duty in range(101):
        reader.command("A", duty)
        reader.read()
        assert int(board.factory.pin(18).state * 100) == duty


def test_frequency_and_pin(fan, board):
    reader = fan(pin=12, frequency_hz=250.0, default=40.0)
    assert board.opened == []  # not in the constructor
    assert reader.read() == {"I2": 40.0}
    assert board.factory.pin(12).frequency == 250
    assert board.percent(12) == 40
    reader.read()
    assert board.opened == [12]


def test_without_a_default_it_begins_at_the_safe_duty(fan):
    assert fan().read() == {"I2": 100.0}
    assert fan(pin=19, safe=70.0).read() == {"I2": 70.0}


def test_e_steps_and_ends_at_the_limits(fan):
    reader = fan(default=60.0)
    for step, duty in ((-15.5, 44.5), (-1000, 0), (7, 7), (1000, 100)):
        reader.command("E", step)
        assert reader.read() == {"I2": duty}


@pytest.mark.parametrize("flag", ["A", "E"])
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused(fan, flag, number):
    reader = fan(default=60.0)
    with pytest.raises(SensorError, match=naming("number", "60")):
        reader.command(flag, number)
    assert reader.read() == {"I2": 60.0}


@pytest.mark.parametrize(("number", "duty"), [(-0.1, 0.0), (100.1, 100.0), (1e300, 100.0)])
def test_a_controller_that_overshoots_gets_the_limit(fan, channel, number, duty):
    reader = fan(default=60.0, set_point="I3")
    reader.command("A", number)
    assert reader.read() == {"I2": duty}
    reader.command("A", 60.0)
    channel.put("I3", number)
    assert reader.read() == {"I2": duty}


def test_no_command_for_too_long(fan, clock, caplog):
    caplog.set_level(logging.INFO)
    reader = fan(default=40.0, safe=80.0, timeout_s=20.0)
    clock.now_s += 20
    assert reader.read() == {"I2": 40.0}
    clock.now_s += 1
    for _ in range(3):
        assert reader.read() == {"I2": 80.0}
    reader.command("E", -30)  # from the duty in force
    assert reader.read() == {"I2": 50.0}
    clock.now_s += 20
    with pytest.raises(SensorError):
        reader.command("A", math.nan)  # does not count as told
    clock.now_s += 1
    assert reader.read() == {"I2": 80.0}
    assert logged(caplog, "I2", "21 s", "safe", "80", level=logging.WARNING) == 2
    assert logged(caplog, "I2", "again", "50") == 1
    assert len(caplog.records) == 3


def test_without_a_set_point_and_a_timeout_the_duty_stays(fan, clock):
    reader = fan(default=40.0)
    clock.now_s += 1e9
    assert reader.read() == {"I2": 40.0}


def test_it_follows_a_set_point_until_that_falls_silent(fan, channel, board, clock, caplog):
    caplog.set_level(logging.INFO)
    reader = fan(default=50.0, set_point="I3")
    assert reader.read() == {"I2": 50.0}
    channel.put("I3", 30.0)
    assert reader.read() == {"I2": 30.0}
    clock.now_s += 29
    channel.put_sign("I3")  # a sign of life tells no duty
    assert reader.read() == {"I2": 30.0}
    clock.now_s += 2  # 31 s, and its TimeoutWarning is 30
    assert reader.read() == {"I2": 100.0}
    assert board.percent() == 100
    channel.put("I3", {"value": 35, "why": "warm"}, age_s=-1)
    assert reader.read() == {"I2": 35.0}
    assert logged(caplog, "I2", "31 s", "I3", "safe", "100", level=logging.WARNING) == 1
    assert logged(caplog, "I2", "again", "35") == 1
    assert len(caplog.records) == 2


def test_a_set_point_that_is_never_heard_is_silent_too(fan, channel, clock):
    reader = fan(default=50.0, set_point="I3")
    clock.now_s += 31
    assert reader.read() == {"I2": 100.0}


def test_a_set_point_that_a_new_configuration_has_not_is_silent_too(fan, channel, clock):
    reader = fan(default=50.0, set_point="I3")
    channel.put("I3", 30.0)
    assert reader.read() == {"I2": 30.0}
    channel.config = config_of(FAN)  # a mistake that no check found
    clock.now_s += 31
    assert reader.read() == {"I2": 100.0}


def test_what_a_set_point_said_long_before_the_start_does_not_count(fan, channel):
    channel.put("I3", 10.0, age_s=3600)
    assert fan(default=50.0, set_point="I3").read() == {"I2": 100.0}


@pytest.mark.parametrize("age_s", [-86400.0, 86400.0])
def test_a_set_point_whose_clock_is_wrong(fan, channel, clock, age_s):
    reader = fan(default=50.0, set_point="I3")
    channel.put("I3", 20.0, age_s)
    reader.read()
    channel.put("I3", 25.0, age_s - 5)
    assert reader.read() == {"I2": 25.0}
    clock.now_s += 31
    assert reader.read() == {"I2": 100.0}


def test_the_last_word_counts_of_commands_and_a_set_point(fan, channel, clock):
    reader = fan(set_point="I3", timeout_s=10.0)
    channel.put("I3", 30.0)
    reader.command("A", 60.0)  # heard before the set-point was looked at
    assert reader.read() == {"I2": 60.0}
    clock.now_s += 11  # Timeout goes before the TimeoutWarning of the set-point
    assert reader.read() == {"I2": 100.0}
    channel.put("I3", 30.0, age_s=-1)
    assert reader.read() == {"I2": 30.0}


@pytest.mark.parametrize("value", ["fast", math.nan, math.inf, {"value": True}, {"v": 3}])
def test_a_set_point_that_sends_no_duty_tells_nothing(fan, channel, clock, caplog, value):
    reader = fan(set_point="I3")
    channel.put("I3", 30.0)
    assert reader.read() == {"I2": 30.0}
    for later_s in (1, 2, 3):
        channel.put("I3", value, age_s=-later_s)
        assert reader.read() == {"I2": 30.0}
    assert logged(caplog, "I2", "I3", "duty") == len(caplog.records) == 1
    clock.now_s += 31
    assert reader.read() == {"I2": 100.0}


def test_at_the_end_the_pin_is_left_at_the_safe_duty(fan, board):
    reader = fan(default=40.0, safe=90.0)
    reader.read()
    reader.close()
    reader.close()
    pin = board.factory.pin(18)
    assert pin.function == "output" and board.percent() == 90


def test_a_fan_that_never_was_driven_has_nothing_to_leave(fan, board):
    fan().close()
    assert board.opened == []


def test_after_a_reload_the_pin_is_taken_over_without_letting_it_go(fan, board):
    reader = fan(default=40.0)
    reader.read()
    reader.close()
    pin = board.factory.pin(18)
    pin.clear_states()
    reader = fan(default=30.0, frequency_hz=200.0)
    assert reader.read() == {"I2": 30.0}
    assert board.opened == [18] and pin.frequency == 200
    assert [round(at.state * 100) for at in pin.states] == [100, 30]


def test_an_older_configuration_without_a_pin(channel):
    reader = Fan(channel, **arguments(Fan, {"Default": 40}, ""))
    with pytest.raises(SensorError, match=naming("Pin", "not set")):
        reader.read()
    reader.command("A", 20.0)
    reader.close()


# Its drivers below gpiozero name no class for this one.
BUSY = Exception("'GPIO busy'")


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        (
            ModuleNotFoundError("No module named 'gpiozero'", name="gpiozero"),
            ["gpiozero", "pip install 'jph[gpio]'"],
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/dev/gpiochip0"),
            ["/dev/gpiochip0", "permission denied", "group gpio"],
        ),
        (BUSY, ["another program", "gpioinfo"]),
        (OSError(errno.EIO, "Input/output error"), ["Input/output error"]),
        (RuntimeError(), ["RuntimeError"]),
    ],
)
def test_a_pin_that_cannot_be_opened_and_then_can(fan, board, error, facts):
    reader = fan(default=40.0)
    board.error = error
    for _ in range(2):
        with pytest.raises(SensorError, match=naming("GPIO 18", *facts)):
            reader.read()
    board.error = None
    assert reader.read() == {"I2": 40.0}


def test_a_machine_without_gpio_and_one_that_denies_it(tmp_path):
    def no_factory(number, frequency_hz, value):
        raise BadPinFactory("Unable to load any default pin factory!")

    def reason():
        with pytest.raises(SensorError) as caught:
            PwmPin(18, 100.0, opener=no_factory, devices=tmp_path).drive(40.0)
        return str(caught.value)

    chip = tmp_path / "gpiochip0"
    assert re.search(naming("GPIO 18", "no GPIO", str(chip)), reason())
    chip.symlink_to("nowhere")  # what nobody may read, not even root
    assert re.search(naming("GPIO 18", str(chip), "permission denied", "group gpio"), reason())
    chip.unlink()
    chip.touch()
    cause = "Unable to load any default pin factory!"
    assert re.search(naming("GPIO 18", "gpiozero", cause, "pip install 'jph[gpio]'"), reason())


def test_a_pin_without_pwm(channel):
    board = Board(MockPin)
    reader = Fan(channel, 18, _opener=board.open)
    with pytest.raises(SensorError, match=naming("GPIO 18", "no PWM", "lgpio", "pip")):
        reader.read()


def test_a_pin_that_another_component_uses(fan, board):
    first = fan()
    first.read()
    with pytest.raises(SensorError, match=naming("GPIO 18", "another component")):
        fan().read()
    assert first.read() == {"I2": 100.0}


def test_a_pin_that_does_not_exist(fan):
    with pytest.raises(SensorError, match=naming("GPIO 99", "no such pin")):
        fan(pin=99).read()


def test_a_pin_that_vanishes_and_returns(fan, board, monkeypatch):
    reader = fan(default=40.0)
    reader.read()

    def gone(pin, value):
        raise OSError(errno.ENODEV, "No such device")

    with monkeypatch.context() as broken:
        broken.setattr(MockPWMPin, "_set_state", gone)
        for _ in range(2):
            with pytest.raises(SensorError, match=naming("GPIO 18", "No such device")):
                reader.read()
        reader.close()  # has nothing to leave
    assert reader.read() == {"I2": 40.0}
    assert board.percent() == 40


def test_a_safe_duty_that_cannot_be_set_is_said(fan, monkeypatch, caplog):
    reader = fan(default=40.0)
    reader.read()

    def gone(pin, value):
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(MockPWMPin, "_set_state", gone)
    reader.close()
    assert logged(caplog, "I2", "safe duty", "GPIO 18", "No such device", level=logging.WARNING)


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"Pin": -1}, "Pin: must be >= 0"),
        ({"Frequency": 0}, "Frequency: must be > 0"),
        ({"Frequency": 25000}, "Frequency: must be <= 10000"),
        ({"Default": 101}, "Default: must be <= 100"),
        ({"Safe": -1}, "Safe: must be >= 0"),
        ({"Timeout": 0}, "Timeout: must be > 0"),
    ],
)
def test_wrong_settings_are_named(settings, mistake):
    with pytest.raises(ConfigError, match=mistake):
        arguments(Fan, settings, "")


def test_a_set_point_that_does_not_exist_is_a_mistake(channel):
    with pytest.raises(ValueError, match=naming("SetPoint", '"X9"')):
        Fan(channel, 18, set_point="X9")
    document = new_bus().document({**FAN, "SensorInterval": 5, "Sensor": {"SetPoint": "X9"}})
    assert checks.check(document)[0] == ['Sensors[0].Sensor.SetPoint: "X9" is not in Sensors']


def test_gpiozero_is_imported_only_when_a_pin_is_driven(tmp_path):
    code = "import sys, sensors.fan; sys.exit('gpiozero' in sys.modules)"
    command = [sys.executable, "-c", code]
    subprocess.run(command, env=environment(tmp_path), cwd=TOP, check=True, timeout=60)


def test_the_older_type_without_settings_drives_what_it_always_drove(board, tmp_path):
    channel = StubChannel(tmp_path, {"Codifier": "I2", "Type": "fanControl"})
    given = arguments(Fan, channel.component.settings, "")
    fan = Fan(channel, **given, _opener=board.open)
    assert fan.read() == {"I2": 100.0}
    assert board.opened == [25]
    assert board.percent(25) == 100
    assert given["frequency_hz"] == 10_000
    fan.command("A", 40.0)
    assert fan.read() == {"I2": 40.0}
    assert board.percent(25) == 40


def test_settings_of_the_older_type_go_before_what_it_implies(board, tmp_path):
    entry = {"Codifier": "I2", "Type": "fanControl", "Sensor": {"Pin": 18, "Default": 50}}
    channel = StubChannel(tmp_path, entry)
    given = arguments(Fan, channel.component.settings, "")
    assert Fan(channel, **given, _opener=board.open).read() == {"I2": 50.0}
    assert board.opened == [18]


@pytest.mark.slow
def test_on_the_bus_it_obeys_and_follows_and_is_safe_when_nobody_tells_it(board, tmp_path, caplog):
    config = config_of(
        {
            "Codifier": "I2",
            "Type": "fanControl",
            "DataType": "integer",
            "SensorInterval": 0.2,
            "Control": "enabled",
            "Sensor": {"Pin": 18, "Default": 50, "SetPoint": "I3", "Timeout": 15},
        },
        {**SPEED, "Type": "External"},
    )
    given = arguments(Fan, config.components["I2"].settings, "")
    node = Node(config, tmp_path)
    node.add(
        config.components["I2"],
        lambda channel: callbacks_of(Fan(channel, **given, _opener=board.open), channel),
    )
    with Peer(config) as peer:

        def hear(value):
            found = peer.hear("data", lambda m: m["source"] == "I2" and m.get("value") == value, 60)
            assert found["flag"] == "i"
            assert board.percent() == value

        with running(node):
            hear(50)
            peer.command("A", "I2", 60.0)
            hear(60)
            peer.command("E", "I2", -5.0)
            hear(55)
            peer.command("A", "I2", 104.0)
            hear(100)
            peer.publish("I3", "i", (30).to_bytes(4, "little"), 1)
            hear(30)
            hear(100)  # I3 is silent
            eventually(lambda: logged(caplog, "I2", "I3", "safe", "100"))
            peer.command("A", "I2", 20.0)
            hear(20)
    assert board.percent() == 100


def test_a_set_point_of_the_same_node(board, tmp_path):
    config = config_of(
        {**FAN, "SensorInterval": 0.2, "Sensor": {"Pin": 18, "SetPoint": "I3", "Default": 0}},
        {**SPEED, "SensorInterval": 0.2, "Control": "enabled", "Sensor": {"Default": 33}},
    )
    node = Node(config, tmp_path)
    node.add(
        config.components["I2"],
        lambda channel: callbacks_of(
            Fan(channel, 18, set_point="I3", default=0.0, _opener=board.open), channel
        ),
    )
    node.add(config.components["I3"], building.build)
    with Peer(config) as peer, running(node):

        def hear(value):
            peer.hear("data", lambda m: (m["source"], m.get("value")) == ("I2", value), 60)

        hear(33.0)
        peer.command("A", "I3", 44.0)
        hear(44.0)


def test_as_a_program_it_takes_the_pin_by_the_factory_that_gpiozero_finds(bus, tmp_path):
    document = bus.document({**FAN, "SensorInterval": 1, "Sensor": {"Pin": 18, "Default": 35}})
    (tmp_path / "config.json").write_text(json.dumps(document))
    mock = {"GPIOZERO_PIN_FACTORY": "mock", "GPIOZERO_MOCK_PIN_CLASS": "mockpwmpin"}
    with Peer(build(document)) as peer:
        program = start(tmp_path, "run", "I2", "-u", "config.json", **mock)
        try:
            assert peer.hear("data", lambda m: m["flag"] == "f", 60)["value"] == 35
        finally:
            program.terminate()
            ended = program.wait(60)
    assert ended == 0
    err = (tmp_path / "err").read_text()
    assert "WARNING" not in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("safe", "inverted", "last"),
    [(60, False, 1.0), (60, True, 0.0), (0, False, 0.0), (0, True, 1.0)],
)
def test_when_the_program_ends_gpiozero_does_not_make_the_pin_an_input(
    tmp_path, safe, inverted, last
):
    code = f"""
import atexit, os
atexit.register(lambda: os.write(1, f"{{board.function}} {{board.state}}".encode()))  # the last
from gpiozero.pins.mock import MockPWMPin
from sensors import pwm

def set_state(pin, value):  # as lgpio: pulses change at the end of their cycle, a level at once
    if pin.frequency is None:
        pin._change_state(value)

MockPWMPin.close = lambda pin: os.write(1, b"an input")
MockPWMPin._set_state = set_state
pin = pwm.PwmPin(18, 100.0, inverted={inverted})
pin.drive(30)
board = pin._output.pin
pin.leave({safe})
board._change_state({1 - last})  # where in their cycle the pulses happen to be
"""
    mock = {"GPIOZERO_PIN_FACTORY": "mock", "GPIOZERO_MOCK_PIN_CLASS": "mockpwmpin"}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path, **mock),
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ended.stdout, ended.stderr) == (f"output {last}", "")
