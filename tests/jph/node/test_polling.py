"""A sensor's timer: what it sends, and how it deals with failures."""

import logging
from collections.abc import Sequence

import pytest

from jph.errors import NoReading, SensorError
from jph.node.polling import SensorPoller
from jph.node.process import STATE
from tests.helpers import logged
from tests.network import config_of

PROXY = {"Codifier": "P1", "Type": "Proxy"}


class Recorder:
    """Stands in for the channel: keeps what is sent."""

    def __init__(self, others: Sequence[dict] = (), **entry: object) -> None:
        more = {"Codifier": "A1", "SensorInterval": 10, **entry}
        more["Sensor"] = {"Pipe": "/none", "Proxy": [{"Codifier": "P1"}]}
        by_server = {"Codifier": "P2", "Type": "Proxy", "Sensor": {"Server": "A1"}}
        self.config = config_of(
            more,
            {**PROXY, "Report": {"Scale": 10}},
            {**by_server, "Report": {"Scale": 100}},
            *others,
        )
        self.component = self.config.components["A1"]
        self.codifier = "A1"
        self.takes = True  # the network, what is sent
        self.sent: list[tuple[str, object]] = []

    def send_data(self, value: object, timestamp_ms: float | None, codifier: str) -> bool:
        assert timestamp_ms is None  # it is read now
        if value != value:
            raise ValueError("not a finite number: nan")
        if isinstance(value, str) and len(value) > 1440:
            raise ValueError("too long")
        if self.takes:
            self.sent.append((codifier, value))
        return self.takes


class Script:
    """A sensor that does one thing after the other: gives values, or raises."""

    def __init__(self, *steps: object) -> None:
        self.steps = list(steps)
        self.reads = 0
        self.commands: list[tuple[str, float]] = []

    def read(self):
        self.reads += 1
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, dict) else {"A1": step}

    def command(self, flag: str, number: float) -> None:
        self.commands.append((flag, number))
        if number < 0:
            raise SensorError("must not be negative")


def ticks(timer: SensorPoller, count: int) -> list[STATE]:
    """Return the state after each of so many ticks."""
    states = []
    for _ in range(count):
        try:
            states.append(timer(0, "", 0.0))
        except NoReading:
            states.append(STATE.NOREADING)
        except SensorError:
            states.append(STATE.FAILED)
    return states


def test_rules_of_a_proxy_stand_in_its_own_entry():
    channel = Recorder(Report={"Offset": 1})
    assert ticks(SensorPoller(Script({"A1": 1, "P1": 2}), channel), 1) == [STATE.GOOD]
    assert channel.sent == [("A1", 2.0), ("P1", 20.0)]


def test_rules_hold_for_a_proxy_that_names_its_server_too():
    channel = Recorder()
    assert ticks(SensorPoller(Script({"A1": 1, "P2": 2}), channel), 1) == [STATE.GOOD]
    assert channel.sent == [("A1", 1), ("P2", 200.0)]


def test_text_is_the_number_it_stands_for_before_the_rules_apply(caplog):
    channel = Recorder(Report={"Scale": 1.8, "Offset": 32, "Max": 60})
    timer = SensorPoller(Script("10", "21.5"), channel)
    assert ticks(timer, 2) == [STATE.GOOD, STATE.WITHERRORS]
    assert channel.sent == [("A1", 50.0)]
    timer = SensorPoller(Script("21.5"), channel)
    ticks(timer, 1)
    assert logged(caplog, "A1", "70.7", "at most 60") == 1


def test_text_that_is_no_number_counts_as_missing_and_is_said_once(caplog):
    channel = Recorder()
    timer = SensorPoller(Script({"A1": "unavailable", "P1": 2}), channel)
    assert ticks(timer, 5) == [STATE.WITHERRORS] * 5
    assert channel.sent == [("P1", 20.0)] * 5
    assert logged(caplog, "A1", "unavailable", "DataType") == 1


@pytest.mark.parametrize(
    ("data_type", "reading", "sent"),
    [
        ("string", "unavailable", "unavailable"),
        ("string", 5, "5"),
        ("json", "21.5", "21.5"),
        ("integer", "5", 5),
        ("bool", "on", 1),
        ("double", "-5.46", -5.46),
    ],
)
def test_the_declared_type_decides(data_type, reading, sent):
    channel = Recorder(DataType=data_type)
    assert ticks(SensorPoller(Script(reading), channel), 1) == [STATE.GOOD]
    assert channel.sent == [("A1", sent)]


@pytest.mark.parametrize(
    ("reading", "sent"),
    [
        (123456789.0, 123456789),
        (123456789012.0, 123456789012),
        (-123456789.0, -123456789),
        (1234567.89, {"value": 1234567.89}),
        ("1234567.89", {"value": 1234567.89}),
        (21.3, 21.3),
        (1 / 3, 1 / 3),
    ],
)
def test_a_number_that_float32_would_change_keeps_its_digits(caplog, reading, sent):
    channel = Recorder()
    assert ticks(SensorPoller(Script(reading), channel), 1) == [STATE.GOOD]
    assert channel.sent == [("A1", sent)]
    assert type(channel.sent[0][1]) is type(sent)
    assert not caplog.records


def test_digits_are_lost_where_float_is_declared_and_that_is_said_once(caplog):
    channel = Recorder(DataType="float")
    assert ticks(SensorPoller(Script(1234567.89), channel), 3) == [STATE.GOOD] * 3
    assert channel.sent == [("A1", 1234567.89)] * 3
    assert logged(caplog, "A1", "1234567.89", "float", '"double"') == 1


def test_digits_are_lost_where_an_older_history_may_have_columns_of_numbers(caplog):
    channel = Recorder(others=[{"Codifier": "W1", "Type": "jphPostgreSQL"}])
    ticks(SensorPoller(Script(1234567.89, 1234567.89, 123456789.0, 21.5), channel), 4)
    assert channel.sent == [("A1", v) for v in (1234567.89, 1234567.89, 123456789, 21.5)]
    assert logged(caplog, "A1", "1234567.89", "jphPostgreSQL") == 1


def test_failures_in_a_row_are_said_once_and_so_is_the_recovery(caplog):
    caplog.set_level(logging.INFO)
    fault = SensorError("it is gone")
    script = Script(1, fault, 2, fault, fault, fault, fault, 3)
    timer = SensorPoller(script, Recorder())
    ticks(timer, 5)
    assert logged(caplog, "it is gone") == 0  # never three in a row
    ticks(timer, 15)
    assert logged(caplog, "it is gone") == 1
    assert logged(caplog, "A1", "again", "4 failures") == 1


def test_what_has_nothing_to_read_yet_says_so_only_when_that_lasts(caplog):
    caplog.set_level(logging.INFO)
    nothing = NoReading("A2 was never heard")
    assert STATE.NOREADING in ticks(SensorPoller(Script(nothing, nothing, 1), Recorder()), 3)
    assert [record.getMessage() for record in caplog.records] == []
    ticks(SensorPoller(Script(nothing, nothing, nothing, 1), Recorder()), 4)
    assert logged(caplog, "A2", "never heard") == 1
    assert logged(caplog, "again", "3 failures") == 1


def test_a_sensor_without_news_works_and_its_next_failures_are_said_again(caplog):
    caplog.set_level(logging.INFO)
    fault = SensorError("line 3: KeyError")
    timer = SensorPoller(Script(fault, {}, {}, fault, fault, {}), Recorder())
    assert ticks(timer, 3)[1:] == [STATE.NOREADING] * 2
    assert logged(caplog, "A1", "again", "1 failure") == 1
    ticks(timer, 3)
    assert logged(caplog, "line 3: KeyError") == 1  # not yet three in a row
    timer = SensorPoller(Script(fault, {}, fault, fault, fault), Recorder())
    ticks(timer, 5)
    assert logged(caplog, "line 3: KeyError") == 3


def test_a_sensor_that_never_gave_a_reading_says_so_at_once(caplog):
    ticks(SensorPoller(Script(SensorError("no such device")), Recorder()), 1)
    assert logged(caplog, "A1", "no such device") == 1


@pytest.mark.parametrize(
    ("interval_s", "expected"),
    [
        (10, [1, 2, 3, 5, 8, 13, 21, 29]),  # ticks at which it is read, 8 intervals apart at last
        (100, [1, 2, 3, 5, 8, 11, 14]),  # 300 s apart at last
        (600, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_a_failing_sensor_is_tried_less_and_less_often(interval_s, expected):
    script = Script(SensorError("no answer"))
    timer = SensorPoller(script, Recorder(SensorInterval=interval_s))
    read_at = []
    for tick in range(1, expected[-1] + 1):
        before = script.reads
        assert ticks(timer, 1) == [STATE.FAILED]
        if script.reads > before:
            read_at.append(tick)
    assert read_at == expected


def test_a_command_tries_at_once_though_the_sensor_backs_off():
    script = Script(SensorError("no answer"))
    timer = SensorPoller(script, Recorder())
    ticks(timer, 10)
    script.steps = [7]
    before = script.reads
    assert timer(0, "A", 7.0) == STATE.GOOD
    assert (script.reads, script.commands) == (before + 1, [("A", 7.0)])
    assert ticks(timer, 3) == [STATE.GOOD] * 3


def test_a_command_sends_the_value_though_it_is_the_same(caplog):
    channel = Recorder(Report={"DeadBand": 5})
    timer = SensorPoller(Script(1), channel)
    ticks(timer, 3)
    assert channel.sent == [("A1", 1)]
    timer(0, "A", 1.0)
    timer(0, "E", -1.0)
    assert channel.sent == [("A1", 1)] * 3
    assert logged(caplog, "A1", "E -1", "must not be negative") == 1


def test_nothing_to_read_is_no_failure_and_no_reason_to_back_off(caplog):
    script = Script(NoReading("nothing is connected"))
    timer = SensorPoller(script, Recorder())
    assert ticks(timer, 20) == [STATE.NOREADING] * 20
    assert script.reads == 20
    assert logged(caplog, "nothing is connected") == 1
    assert ticks(SensorPoller(Script({}), Recorder()), 2) == [STATE.NOREADING] * 2


def test_what_is_refused_does_not_keep_the_rest(caplog):
    channel = Recorder(Report={"Max": 5})
    timer = SensorPoller(Script({"A1": 6, "P1": 1}, {"A1": 5, "P1": float("nan")}), channel)
    assert ticks(timer, 2) == [STATE.WITHERRORS] * 2
    assert channel.sent == [("P1", 10), ("A1", 5)]
    assert logged(caplog, "A1", "6", "at most 5") == 1


def test_a_text_that_no_datagram_takes_is_refused_each_time_though_it_is_the_same():
    channel = Recorder(DataType="string", Report={"DeadBand": 0})
    timer = SensorPoller(Script("x" * 1441), channel)
    assert ticks(timer, 3) == [STATE.WITHERRORS] * 3


def test_what_the_network_did_not_take_is_sent_at_the_next_tick_though_it_is_the_same():
    channel = Recorder(Report={"DeadBand": 0, "LongestSilence": 3600})
    timer = SensorPoller(Script(5.0), channel)
    channel.takes = False
    ticks(timer, 2)
    channel.takes = True
    ticks(timer, 2)
    assert channel.sent == [("A1", 5.0)]
