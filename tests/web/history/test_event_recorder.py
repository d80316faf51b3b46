"""What happens to components is noted, and known after a restart of the pages."""

import sqlite3
import time
from contextlib import closing

import pytest

from jph.clock import time_now_ms
from tests.helpers import eventually, logged
from tests.web.bus import SENDER, component, control, obey, reading
from web.history import event_recorder, events
from web.history.event_recorder import EventRecorder


@pytest.fixture
def quick(monkeypatch):
    """Have changes looked for and written without a wait."""
    monkeypatch.setattr(event_recorder, "LOOK_S", 0.02)
    monkeypatch.setattr(event_recorder, "WRITE_S", 0.0)


def told(home, codifier="A1"):
    return [(it.kind, it.text) for it in events.between(home, 0, 1 << 60, [codifier])]


def silence(web, codifier, seconds):
    """Have a component be silent for so long."""
    record = web._site.records.get(codifier)
    record.heard.data_s -= seconds
    record.heard.since_s -= seconds
    record.data_ms -= seconds * 1000
    web._site.records._refreshed_s = 0.0


def later(web, seconds=60.0):
    """Look as if so much time had passed since the start, in which statuses settle."""
    web._site.recorder._began_s -= seconds


def test_silence_and_return_are_noted_with_their_times(quick, web, tmp_path):
    later(web)
    web.on_batch([reading("A1", 1.5)])
    eventually(lambda: told(tmp_path) == [("active", "")])
    silence(web, "A1", 30)
    eventually(lambda: len(told(tmp_path)) == 2)
    web.on_batch([reading("A1", 2.5, sequence=2)])
    eventually(lambda: [kind for kind, _ in told(tmp_path)] == ["active", "silent", "active"])
    first, silent, back = events.between(tmp_path, 0, 1 << 60, ["A1"])
    assert silent.text == "No reading and no sign of life came."
    assert first.time_ms <= silent.time_ms < back.time_ms <= time_now_ms()


def test_a_proxy_tells_of_its_server(quick, make_web, tmp_path):
    web = make_web(
        component("A1", settings={"Proxy": [{"Codifier": "A2"}]}),
        component("A2", type="Proxy"),
        component("A3"),
    )
    later(web)
    web.on_batch([reading("A1", 1.5), reading("A2", 1.5), reading("A3", 1.0)])
    eventually(lambda: told(tmp_path, "A2"))
    for codifier in ("A1", "A2"):
        silence(web, codifier, 30)
    eventually(
        lambda: told(tmp_path, "A2")[1:] == [("silent", "A1, which serves it, was silent, too.")]
    )


def test_an_outage_goes_on_after_a_restart_of_the_pages(quick, make_web, tmp_path):
    web = make_web()
    later(web)
    web.on_batch([reading("A1", 1.5)])
    eventually(lambda: told(tmp_path))
    silence(web, "A1", 30)
    eventually(lambda: len(told(tmp_path)) == 2)
    web.close()
    again = make_web()
    later(again)
    time.sleep(0.3)  # in which it would be noted again
    assert [kind for kind, _ in told(tmp_path)] == ["active", "silent"]
    again.on_batch([reading("A1", 1.5)])
    eventually(lambda: [kind for kind, _ in told(tmp_path)] == ["active", "silent", "active"])


def test_who_does_not_come_back_after_a_restart_is_silent_since_before(quick, make_web, tmp_path):
    web = make_web()
    web.on_batch([reading("A1", 1.5)])
    eventually(lambda: told(tmp_path))
    web.close()
    closed_ms = events.watches(tmp_path)[0][1]
    again = make_web()
    eventually(lambda: again._site.recorder._last is not None)
    assert len(told(tmp_path)) == 1  # it may still come
    later(again)
    eventually(lambda: len(told(tmp_path)) == 2)
    assert events.between(tmp_path, 0, 1 << 60, ["A1"])[-1].time_ms == closed_ms


def test_a_halt_is_no_outage(quick, web, tmp_path):
    later(web)
    web.on_control(control("I", "A1", is_active=False), SENDER)
    eventually(lambda: told(tmp_path) == [("halted", "")])


def test_who_halted_a_component_is_noted(quick, web, owner, tmp_path):
    obey(web)
    owner.command("A1", "H")
    eventually(lambda: told(tmp_path) == [("halted", "")])
    (event,) = events.between(tmp_path, 0, 1 << 60, ["A1"])
    assert event.who == "owner"
    owner.command("A1", "S")
    eventually(lambda: [kind for kind, _ in told(tmp_path)] == ["halted", "active"])


def test_a_later_configuration_is_a_restart(quick, web, tmp_path):
    for flag, loaded_ms in (("N", 1000), ("I", 1000), ("N", 2000), ("I", 2000), ("I", 3000)):
        web.on_control(control(flag, "A1", number=loaded_ms), SENDER)
    expected = [
        ("restart", "It started again."),
        ("restart", "It took a new configuration."),
    ]
    eventually(lambda: [it for it in told(tmp_path) if it[0] == "restart"] == expected)


def test_little_is_written(monkeypatch, web, tmp_path):
    web._site.recorder.close()
    monkeypatch.setattr(event_recorder, "LOOK_S", 0.01)
    added = []
    monkeypatch.setattr(events, "add", lambda home, found: added.append(found))
    recorder = EventRecorder(web._site.records, tmp_path)
    recorder._began_s -= 60
    recorder.start()
    web.on_batch([reading("A1", 1.5)])
    eventually(lambda: added)
    web.on_batch([reading("A2", 1)])
    time.sleep(0.3)
    assert len(added) == 1  # the second one waits for its minute
    recorder.close()
    assert [event.codifier for event in added[1]] == ["A2"]


def test_what_cannot_be_written_is_written_later(quick, web, tmp_path, caplog):
    eventually(lambda: web._site.recorder._last is not None)
    with closing(sqlite3.connect(tmp_path / "web.sqlite")) as database:
        database.execute("PRAGMA user_version = 9999")  # of a newer JPH
        web.on_batch([reading("A1", 1.5)])
        eventually(lambda: logged(caplog, "newer JPH", "what happens to components is not kept"))
        database.execute("PRAGMA user_version = 0")
    eventually(lambda: told(tmp_path) == [("active", "")])


def test_a_flapping_component_leaves_room_for_others(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "MOST_OF_ONE", 4)
    events.add(tmp_path, [events.Event(1, "B1", "silent"), events.Event(2, "A1", "note", "oiled")])
    for time_ms in range(10, 30):
        events.add(tmp_path, [events.Event(time_ms, "A1", "active")])
    kept = [(it.time_ms, it.codifier) for it in events.between(tmp_path, 0, 99)]
    assert kept == [(1, "B1"), (2, "A1"), (26, "A1"), (27, "A1"), (28, "A1"), (29, "A1")]


def test_old_events_are_deleted_but_not_by_a_clock_that_is_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "SETTLED", 3)
    now_ms = time_now_ms()
    add = [now_ms - 2 * events.MOST_MS, now_ms, now_ms + 20 * events.MOST_MS, now_ms + 1]
    for time_ms in add:
        events.add(tmp_path, [events.Event(time_ms, "A1", "restart")])
    assert [it.time_ms for it in events.between(tmp_path, 0, 1 << 60)] == sorted(add)
    events.add(tmp_path, [events.Event(now_ms + 2, "A1", "restart")])
    left = [it.time_ms for it in events.between(tmp_path, 0, 1 << 60)]
    assert left == [now_ms, now_ms + 1, now_ms + 2, add[2]]


def test_the_statuses_of_a_span_come_with_the_one_before(tmp_path):
    kinds = ["active", "silent", "note", "active", "restart", "halted"]
    events.add(tmp_path, [events.Event(n, "A1", kind) for n, kind in enumerate(kinds)])
    assert [it.time_ms for it in events.statuses(tmp_path, "A1", 2, 5)] == [1, 3]
    assert events.last_statuses(tmp_path)["A1"].kind == "halted"


def test_watches_go_on_and_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "MOST_WATCHES", 2)
    for begin_ms, end_ms in ((10, 20), (10, 25), (40, 50), (60, 61)):
        events.watch(tmp_path, begin_ms, end_ms)
    assert events.watches(tmp_path) == [(40, 50), (60, 61)]
