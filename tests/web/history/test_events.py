"""Tests of the events of components."""

from web.history import events
from web.history.events import Event


def test_events_are_kept_in_order_of_time(tmp_path):
    events.add(tmp_path, [Event(2000, "A1", "active"), Event(1000, "A1", "silent", "why")])
    found = events.between(tmp_path, 0, 3000)
    assert [(event.time_ms, event.kind, event.text) for event in found] == [
        (1000, "silent", "why"),
        (2000, "active", ""),
    ]
    assert len({event.number for event in found}) == 2


def test_those_of_some_components_come_with_those_of_the_network(tmp_path):
    events.add(tmp_path, [Event(n, c, "note") for n, c in enumerate(("A1", "", "B1", "A1"))])
    found = events.between(tmp_path, 0, 10, ["A1"])
    assert [event.codifier for event in found] == ["A1", "", "A1"]


def test_the_end_of_a_span_is_not_in_it(tmp_path):
    events.add(tmp_path, [Event(n, "A1", "active") for n in (1, 2, 3)])
    assert [event.time_ms for event in events.between(tmp_path, 2, 3)] == [2]


def test_of_too_many_the_newest_are_returned(tmp_path):
    events.add(tmp_path, [Event(n, "A1", "active") for n in range(10)])
    assert [event.time_ms for event in events.between(tmp_path, 0, 99, most=2)] == [8, 9]


def test_the_oldest_give_way(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "MOST", 3)
    for n in range(5):
        events.add(tmp_path, [Event(n, "A1", "active")])
    assert [event.time_ms for event in events.between(tmp_path, 0, 99)] == [2, 3, 4]


def test_only_notes_can_be_removed(tmp_path):
    events.add(tmp_path, [Event(1, "A1", "note", "oiled"), Event(2, "A1", "silent")])
    note, silent = events.between(tmp_path, 0, 9)
    assert events.remove(tmp_path, note.number)
    assert not events.remove(tmp_path, note.number)
    assert not events.remove(tmp_path, silent.number)
    assert [event.kind for event in events.between(tmp_path, 0, 9)] == ["silent"]
