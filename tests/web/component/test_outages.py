"""Outages by events and by gaps."""

from web.component.outages import (
    FROM_GAP,
    Availability,
    Outage,
    availability,
    ended_by,
    outages_of,
    with_gaps,
)
from web.history.events import Event


def happened(*events):
    return [Event(time_ms, "A1", kind, text) for time_ms, kind, text in events]


def test_an_outage_lasts_until_the_component_is_back():
    events = happened(
        (5, "active", ""), (10, "silent", "why"), (15, "restart", ""), (20, "active", "")
    )
    assert outages_of(events) == [Outage(10, 20, "silent", "why")]


def test_an_outage_may_go_on_and_change_its_kind():
    events = happened((10, "silent", "gone"), (20, "failing", "broken"), (25, "failing", "again"))
    assert outages_of(events) == [
        Outage(10, 20, "silent", "gone"),
        Outage(20, None, "failing", "broken"),
    ]


def test_a_halt_says_by_whom():
    events = [Event(10, "A1", "halted", "", "anna"), Event(20, "A1", "active", "", "anna")]
    assert outages_of(events) == [Outage(10, 20, "halted", "By anna.")]


def test_readings_that_only_the_history_has_end_an_outage():
    outages = [Outage(10, 100, "silent", "why"), Outage(200, None, "silent", "why")]
    assert ended_by(outages, [50, 70]) == [Outage(10, 50, "silent", "why"), outages[1]]
    assert ended_by(outages, [300, 400])[1].end_ms == 300
    assert ended_by(outages, [5]) == outages


def test_a_gap_alone_is_an_outage():
    assert with_gaps([], [(100, 200)], 20) == [Outage(100, 200, "silent", FROM_GAP)]


def test_a_gap_and_an_event_of_the_same_time_are_one_outage():
    outages = [Outage(105, 190, "silent", "why")]
    assert with_gaps(outages, [(100, 200)], 20) == [Outage(100, 200, "silent", "why")]
    assert with_gaps(outages, [(50, 300)], 20) == [Outage(50, 300, "silent", "why")]


def test_a_gap_goes_on_as_an_outage_that_is_noted_later():
    outages = [Outage(200, None, "silent", "why")]
    assert with_gaps(outages, [(100, 195)], 20) == [Outage(100, None, "silent", "why")]


def test_a_halt_covers_a_gap():
    outages = [Outage(90, 210, "halted", "")]
    assert with_gaps(outages, [(100, 200)], 20) == outages


def test_availability_is_the_share_of_the_time_since_the_first_sign():
    outages = [Outage(100, 200, "silent", "why"), Outage(600, None, "failing", "why")]
    assert availability(outages, 0, 1000, 0) == Availability(0.5, 1000, outages)
    assert availability(outages, 0, 1000, 500).share == 0.2
    assert availability(outages, 150, 250, 0) == Availability(0.5, 100, outages[:1])
    assert availability([], 0, 1000, None) == Availability(None, 0, [])


def test_a_halted_component_is_neither_there_nor_away():
    outages = [Outage(0, 500, "halted", ""), Outage(600, 700, "silent", "why")]
    assert availability(outages, 0, 1000, 0) == Availability(0.8, 500, outages)
