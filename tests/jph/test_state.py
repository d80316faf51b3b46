import itertools
import math
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.bus.sequence import WINDOW, SequenceTracker
from jph.bus.wire import SEQUENCE_MASK, Control
from jph.clock import time_now_ms
from jph.state import FIELDS, LastStates, for_programs

SENDER = ("127.0.0.1", 7602)


def reading(sequence, timestamp_ms, value=1.0, codifier="C1"):
    return (codifier, timestamp_ms, sequence, value, "f", 4, SENDER)


def control(flag, source="C1", destination="@@", number=0.0, time_ms=1000, is_active=True):
    return Control(1, time_ms, flag, source, destination, number, is_active)


def test_a_state_has_every_field_and_none_for_what_is_not_known():
    states = LastStates()
    states.on_readings([reading(7, 1000, 21.5)], {})
    state = states.get("C1")
    assert tuple(state) == FIELDS
    known = {name: value for name, value in state.items() if value is not None}
    assert known == {"Codifier": "C1", "Value": 21.5, "DTimestamp": 1000}
    assert states.get("C2") is None


@pytest.mark.parametrize("value", [1.5, 4, "on", {"value": 1, "voltage": 3.1}])
def test_a_value_is_kept_as_it_was_sent(value):
    states = LastStates()
    states.on_readings([reading(1, 1, value)], {})
    assert states.get("C1")["Value"] == value


@pytest.mark.parametrize(
    "arrivals, last",
    [
        ([(1, 1000), (2, 2000)], 2),
        ([(2, 2000), (1, 1000)], 2),  # overtaken on the way
        ([(1, 1000), (3, 3000), (2, 2000)], 3),
        ([(1, 9000), (2, 1000)], 2),  # the clock stepped back
        ([(1, 1000), (2, 1000)], 2),  # two readings in one millisecond
        ([(SEQUENCE_MASK, 1000), (0, 2000)], 0),  # the sequence wraps
        ([(0, 2000), (SEQUENCE_MASK, 1000)], 0),
        ([(5, 2000), (4, 3000)], 4),  # a source that begins again just before
        ([(5000, 2000), (5000 - WINDOW - 1, 1000)], 5000 - WINDOW - 1),  # restart, clock not set
        ([(5000, 2000), (5000 - WINDOW, 1000)], 5000),
    ],
)
def test_the_sequence_decides_which_reading_is_the_last(arrivals, last):
    one_batch, one_by_one = LastStates(), LastStates()
    readings = [reading(sequence, time_ms, sequence) for sequence, time_ms in arrivals]
    one_batch.on_readings(readings, {})
    for each in readings:
        one_by_one.on_readings([each], {})
    assert one_batch.get("C1")["Value"] == last
    assert one_by_one.get("C1")["Value"] == last


def test_after_a_restart_the_next_reading_counts_whatever_its_number_and_time():
    states = LastStates()
    source = SequenceTracker("C1", 10, 500)
    states.on_readings([reading(10, 2000, 1.0)], {"C1": source})
    source.restarts = 1
    states.on_readings([reading(9, 1000, 2.0)], {"C1": source})
    assert states.get("C1")["Value"] == 2.0


def test_loss_is_taken_from_the_source_even_with_a_late_reading():
    states = LastStates()
    source = SequenceTracker("C1", 1, 500, lost=1)
    states.on_readings([reading(3, 3000, 3.0)], {"C1": source})
    assert states.get("C1")["DPacketsLost"] == 1
    source.lost = 0
    states.on_readings([reading(2, 2000, 2.0)], {"C1": source})
    state = states.get("C1")
    assert (state["Value"], state["DPacketsLost"], state["DResetTime"]) == (3.0, 0, 500)


@pytest.mark.parametrize("ahead_ms", [0, 60_000, -3_600_000, 86_400_000, 300_000_000_000])
def test_a_value_grows_old_from_when_it_was_heard_whatever_the_clock_of_its_sender(ahead_ms):
    states = LastStates()
    read_ms = time_now_ms() + ahead_ms
    assert states.age_s("C1", 100.0) == math.inf
    states.on_readings([reading(1, read_ms)], {}, 100.0)
    states.on_control(control("I", time_ms=read_ms + 9000), read_ms, {})  # no value
    assert [states.age_s("C1", now_s) for now_s in (100.0, 107.5)] == [0.0, 7.5]
    states.on_readings([reading(2, read_ms - 500)], {}, 110.0)  # its clock stepped back
    assert states.age_s("C1", 112.0) == 2.0
    states.on_readings([reading(1, read_ms - 900)], {}, 115.0)  # late: it is not the last one
    assert states.age_s("C1", 116.0) == 6.0


@pytest.mark.parametrize(("ago_ms", "age_s"), [(5000, 5.0), (0, 0.0), (-86_400_000, 0.0)])
def test_an_earlier_value_is_as_old_as_its_sender_says_and_grows_older(ago_ms, age_s):
    states = LastStates()
    states.on_control(control("I"), 1001, {})
    states.recall({"C1": {"Value": 1.0, "DTimestamp": time_now_ms() - ago_ms}, "C2": {}})
    now_s = time.monotonic()
    assert states.age_s("C1", now_s) == pytest.approx(age_s, abs=5)
    assert states.age_s("C1", now_s + 100) == pytest.approx(age_s + 100, abs=5)
    assert states.age_s("C2") == math.inf
    states.on_readings([reading(1, 1)], {}, now_s)
    assert states.age_s("C1", now_s + 1) == 1.0


@given(st.permutations(range(100, 120)), st.lists(st.integers(1, 19), max_size=4))
def test_readings_that_arrive_in_any_order_and_batches_leave_the_newest(order, cuts):
    states = LastStates()
    bounds = [0, *sorted(cuts), len(order)]
    for start, end in itertools.pairwise(bounds):
        states.on_readings([reading(n, n * 1000, float(n)) for n in order[start:end]], {})
    assert states.get("C1")["Value"] == 119.0


def test_control_messages_fill_their_fields():
    states = LastStates()
    sources = {"C1": SequenceTracker("C1", 1, 400, lost=2)}
    states.on_control(control("N", number=1_763_000_000_123.0, time_ms=1000), 1001, sources)
    states.on_control(control("H", source="W1", destination="C1", time_ms=3000), 3001, {})
    states.on_control(control("I", time_ms=3100, is_active=False), 3101, sources)
    states.on_control(control("S", source="W1", destination="@@", time_ms=4000), 4001, {})
    state = states.get("C1")
    assert state["ITimestamp"] == 3100
    assert state["LoadedTime"] == 0  # the I said so
    assert state["IsActive"] is False
    assert (state["CPacketsLost"], state["CResetTime"]) == (2, 400)
    assert (state["HaltedTime"], state["StartedTime"]) == (3000, 4000)
    assert (state["HTimestamp"], state["STimestamp"]) == (None, None)
    assert states.get("W1")["StartedTime"] == 4000
    assert states.get("W1")["HaltedTime"] is None
    states.on_control(control("C", source="W1", destination="C1", time_ms=5000), 5001, {})
    state = states.get("W1")
    assert (state["HTimestamp"], state["STimestamp"], state["CTimestamp"]) == (3000, 4000, 5000)
    assert states.get("C1")["CTimestamp"] is None


def test_a_ping_and_its_answer_are_paired_by_number_and_timed_by_our_clock():
    states = LastStates()
    states.on_control(control("P", source="W1", destination="C1", number=77.0), 50_000, {})
    states.on_control(control("P", source="W2", destination="C1", number=78.0), 50_010, {})
    answer = control("T", source="C1", destination="W1", number=77.0, time_ms=9)
    states.on_control(answer, 50_025, {})
    state = states.get("C1")
    assert (state["PingedTime"], state["PTimestamp"], state["PRequest"]) == (1000, None, None)
    asker = states.get("W2")
    assert (asker["PingedTime"], asker["PTimestamp"], asker["PRequest"]) == (None, 1000, 78)
    assert (state["TTimestamp"], state["TRequest"], state["TDuration"]) == (9, 77, 25)
    assert state["ITimestamp"] == 9


def test_an_answer_to_a_ping_that_was_not_heard_has_no_duration():
    states = LastStates()
    states.on_control(control("T", destination="W1", number=0.5), 50_025, {})
    assert states.get("C1")["TRequest"] == 0.5
    assert states.get("C1")["TDuration"] is None


def test_a_ping_to_all_reaches_every_known_codifier():
    states = LastStates()
    states.on_readings([reading(1, 1), reading(1, 1, codifier="C2")], {})
    states.on_control(control("P", source="W1", number=5.0, time_ms=30), 30, {})
    states.on_control(control("T", source="C2", destination="W1", number=5.0), 42, {})
    assert states.get("C1")["PingedTime"] == 30
    assert states.get("C2")["TDuration"] == 12
    states.on_control(control("T", source="C3", destination="W1", number=5.0), 43, {})
    assert states.get("C3")["TDuration"] == 13


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (21.5, 21.5),
        ("on", "on"),
        ({"value": 21.5, "voltage": 3.1}, 21.5),
        ({"value": "on"}, "on"),
        ({"value": True}, "True"),
        ({"value": None}, None),
        ({"value": [1, "ö"]}, '[1, "ö"]'),
        ({"value": {"a": 1}}, '{"a": 1}'),
    ],
)
def test_programs_get_a_number_or_text_and_the_object_beside_it(value, shown):
    states = LastStates()
    states.on_readings([reading(1, 1, value)], {})
    fields = for_programs(states.get("C1"))
    assert (fields["Value"], type(fields["Value"])) == (shown, type(shown))
    assert fields["Object"] == (value if isinstance(value, dict) else None)
    assert states.get("C1")["Value"] == value


def test_changed_since_returns_what_changed_and_only_that():
    states = LastStates()
    states.on_readings([reading(1, 1), reading(1, 1, codifier="C2")], {})
    version, changed = states.changed_since(0)
    assert set(changed) == {"C1", "C2"}
    assert states.changed_since(version) == (version, {})
    states.on_readings([reading(2, 2, 5.0, "C2")], {})
    later, changed = states.changed_since(version)
    assert later > version
    assert {codifier: state["Value"] for codifier, state in changed.items()} == {"C2": 5.0}
    changed["C2"]["Value"] = "a reader's own copy"
    assert states.get("C2")["Value"] == 5.0


def test_what_was_known_before_shows_until_something_newer_is_heard_and_is_no_change():
    states = LastStates()
    states.recall({"C1": {"Codifier": "C1", "Value": 7.0, "DTimestamp": 1}, "C2": {"Value": 3.0}})
    assert states.get("C1")["Value"] == 7.0
    assert states.changed_since(0)[1] == {}
    states.on_control(control("N", number=4.0), 10, {})
    assert (states.get("C1")["Value"], states.get("C1")["LoadedTime"]) == (7.0, 4)
    states.on_readings([reading(1, 5, 8.0)], {})
    assert states.get("C1")["Value"] == 8.0
    assert states.get("C2") == {"Value": 3.0}


def test_feeding_the_same_messages_again_changes_nothing():
    states = LastStates()
    messages = [control("N", number=4.0), control("H", destination="C1")]
    for _ in range(2):
        states.on_readings([reading(1, 1), reading(2, 2)], {})
        for message in messages:
            states.on_control(message, 10, {})
        version, _ = states.changed_since(0)
    states.on_readings([reading(2, 2)], {})
    for message in messages:
        states.on_control(message, 10, {})
    assert states.changed_since(version) == (version, {})


def test_a_reader_that_resumes_by_version_misses_nothing_while_another_thread_writes():
    states = LastStates()
    done = threading.Event()
    codifiers = [f"C{n}" for n in range(8)]

    def write():
        for n in range(1, 2001):
            states.on_readings([reading(n, n, n, codifiers[n % 8])], {})
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen, version, last_round = {}, 0, False
    while not last_round:
        last_round = done.is_set()
        version, changed = states.changed_since(version)
        seen.update({codifier: state["Value"] for codifier, state in changed.items()})
    writer.join()
    assert seen == {codifiers[n % 8]: n for n in range(1993, 2001)}
