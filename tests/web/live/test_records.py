import json

import pytest

from jph.clock import time_now_ms
from jph.state import LastStates
from tests.web.bus import component, config_of, control, reading, source
from web.live.record import RING
from web.live.records import UNKNOWN_REASON, Records
from web.live.stream import LiveStream, Scope
from web.views import last_state, page_view


class Shown(Records):
    """Records and their stream, with last states that are fed as a node feeds them."""

    def __init__(self, config, sources=None):
        super().__init__(config, LastStates())
        self.stream = LiveStream(self)
        self.sources = sources or {}

    def on_batch(self, readings):
        self.states.on_readings(readings, self.sources)
        super().on_batch(readings)

    def on_control(self, message):
        self.states.on_control(message, time_now_ms(), {})
        super().on_control(message)

    def state(self, codifier):
        return last_state(self.states, codifier)


@pytest.fixture
def shown():
    return Shown(
        config_of(
            component("A1", name="Load", settings={"Proxy": [{"Codifier": "A2"}]}),
            component("A2", name="Its proxy", type="Proxy", sensor_interval_s=None),
            component("H1", type="HistoryWriter", sensor_interval_s=None),
            component("B1"),
        )
    )


def taken(shown, version, only=None):
    """Return the present version, and kind and data of the event, None if there is none."""
    shown.stream.begin_frame()
    version, event = shown.stream.event(version, Scope(only))
    if not event:
        return version, None, None
    fields = dict(line.split(": ", 1) for line in event.decode().strip().splitlines())
    assert fields["id"] == f"{shown.stream.boot}-{version}"
    return version, fields["event"], json.loads(fields["data"])


def test_the_first_event_is_a_snapshot_of_everything(shown):
    _, kind, frame = taken(shown, 0)
    assert kind == "snapshot"
    assert set(frame["components"]) == {"A1", "A2", "H1", "B1"}
    assert frame["summary"] == {"active": 0, "failing": 0, "silent": 0, "halted": 0, "unseen": 4}
    assert frame["components"]["A1"]["Value"] is None
    assert frame["components"]["A1"]["State"] == "unseen"


@pytest.mark.parametrize("ahead_ms", [0, 86_400_000, -86_400_000])
def test_the_age_that_a_page_shows_is_since_a_value_was_heard(shown, ahead_ms):
    began_ms = time_now_ms()
    shown.on_batch([reading("A1", 1.0, timestamp_ms=began_ms + ahead_ms)])
    ended_ms = time_now_ms()
    shown.on_control(control("I", source="H1"))
    _, _, frame = taken(shown, 0)
    assert began_ms - 100 <= frame["components"]["A1"]["Heard"] <= ended_ms + 100
    assert frame["components"]["H1"]["Heard"] >= ended_ms
    assert frame["components"]["A2"]["Heard"] is None


def test_only_what_changed_is_told_and_with_all_points_since(shown):
    version, _, _ = taken(shown, 0)
    shown.on_batch([reading("A1", 1.0, timestamp_ms=1000), reading("A1", 2.0, timestamp_ms=2000)])
    shown.on_batch([reading("A1", 3.0, timestamp_ms=3000, sequence=3)])
    version, kind, frame = taken(shown, version)
    assert kind == "change"
    assert set(frame["components"]) == {"A1"}
    record = frame["components"]["A1"]
    assert record["points"] == [[1000, 1.0], [2000, 2.0], [3000, 3.0]]
    assert record["Value"] == 3.0
    assert record["Text"] == "3.00"
    assert record["State"] == "active"
    assert taken(shown, version)[1] is None


def test_a_reader_may_ask_for_one_component(shown):
    version, _, frame = taken(shown, 0, "A2")
    assert set(frame["components"]) == {"A2"}
    shown.on_batch([reading("A1", 1.0)])
    later, kind, _ = taken(shown, version, "A2")
    assert kind is None
    assert later > version, "it need not look at that change again"


def test_the_ring_holds_a_bounded_number_of_points(shown):
    shown.on_batch([reading("A1", float(n), timestamp_ms=n, sequence=n) for n in range(500)])
    _, _, frame = taken(shown, 0)
    points = frame["components"]["A1"]["points"]
    assert len(points) == RING
    assert points[-1] == [499, 499.0]


def test_event_ids_of_this_life_are_known_and_others_are_not(shown):
    version, _, _ = taken(shown, 0)
    assert shown.stream.position(f"{shown.stream.boot}-{version}") == version
    assert shown.stream.position(f"{shown.stream.boot}-{version + 1}") == 0, (
        "from a future that did not happen"
    )
    for strange in (
        "",
        "x",
        "00000000-1",
        f"{shown.stream.boot}-",
        f"{shown.stream.boot}--1",
        f"{shown.stream.boot}-\u00b2",
    ):
        assert shown.stream.position(strange) == 0


def test_a_halt_is_shown_and_so_it_is_for_the_proxy(shown):
    shown.on_control(control("N", "A1"))
    shown.on_batch([reading("A2", 1.0)])
    version, _, _ = taken(shown, 0)
    shown.on_control(control("I", "A1", is_active=False))
    _, _, frame = taken(shown, version)
    assert {name: one["State"] for name, one in frame["components"].items()} == {
        "A1": "halted",
        "A2": "halted",
    }
    assert frame["summary"]["halted"] == 2
    assert frame["components"]["A2"]["Halted"]


def test_commands_that_others_send_are_shown(shown):
    version, _, _ = taken(shown, 0)
    ping = control("P", "zz", "A1", number=7.0)
    shown.on_control(ping)
    _, _, frame = taken(shown, version)
    assert frame["components"]["A1"]["PingedTime"] == ping.timestamp_ms


def test_loss_comes_from_the_counters_of_the_channel():
    shown = Shown(config_of(component("A1")), {"A1": source("A1", lost=3)})
    shown.on_batch([reading("A1", 1.0)])
    assert shown.state("A1")["DPacketsLost"] == 3


def test_a_component_falls_silent_without_any_message(shown):
    shown.on_batch([reading("A1", 1.0)])
    version, _, _ = taken(shown, 0)
    record = shown._records["A1"]
    record.heard.data_s -= 11
    record.heard.since_s -= 11
    shown._refreshed_s -= 2
    _, kind, frame = taken(shown, version)
    assert kind == "change"
    assert frame["components"]["A1"]["State"] == "silent"
    assert frame["components"]["A1"]["points"] == []


def test_the_overview_counts_what_fell_silent_while_nobody_looked(shown):
    shown.on_batch([reading("A1", 1.0)])
    assert shown.overview().summary["silent"] == 0
    record = shown._records["A1"]
    record.heard.data_s -= 11
    record.heard.since_s -= 11
    shown._refreshed_s -= 2
    assert shown.overview().summary["silent"] == 1


def test_a_fault_of_the_history_writer_comes_and_goes(shown):
    shown.on_batch([reading("H1", {"value": 12, "fault": "disk full"})])
    (fault,) = shown.overview().faults.values()
    assert fault[:2] == ("History is not being stored.", "disk full")
    assert time_now_ms() - 10_000 < fault.since_ms <= time_now_ms()
    shown.on_batch([reading("H1", {"value": 12, "waiting": 0}, sequence=2)])
    assert shown.overview().faults == {}


def test_unconfigured_codifiers_are_named_and_nothing_is_kept_of_them(shown):
    shown.on_batch([reading("Z9", 1.0), reading("A1", 1.0)])
    shown.on_control(control("I", "Z8"))
    shown.on_control(control("N", "?!"))  # as a program that only asks does
    shown.on_control(control("P", "?!", "A1"))
    assert shown.overview().strangers == ["Z8", "Z9"]
    assert shown.get("Z9") is None
    assert len(list(shown.all())) == 4


def test_values_that_json_cannot_carry_become_null(shown):
    shown.on_batch([reading("A1", float("nan"))])
    _, _, frame = taken(shown, 0)
    assert frame["components"]["A1"]["Value"] is None
    assert frame["components"]["A1"]["Text"] == "\u2013"
    assert frame["components"]["A1"]["points"] == []


def test_a_reload_keeps_what_is_known_and_changes_the_layout(shown):
    shown.on_batch([reading("A1", 1.0)])
    layout = shown.layout
    shown.reconfigure(config_of(component("A1", name="Another name"), component("A9")))
    assert shown.layout != layout
    codifiers = [record.component.codifier for record in shown.all()]
    states = {codifier: shown.state(codifier)["Value"] for codifier in codifiers}
    assert states == {"A1": 1.0, "A9": None}


def test_a_reload_of_the_same_document_keeps_the_layout(shown):
    again = config_of(component("A1"))
    shown.reconfigure(again)
    layout = shown.layout
    shown.reconfigure(config_of(component("A1")))
    assert shown.layout == layout


def test_messages_are_counted_per_minute(shown):
    shown.on_batch([reading("A1", 1.0)] * 50)
    shown.on_control(control("I", "A1"))
    assert shown.readings == 50
    assert shown.messages_per_minute() > 51


def test_text_readings_are_kept_for_their_list(shown):
    shown.on_batch([reading("A1", "heating", timestamp_ms=time_now_ms())])
    _, _, frame = taken(shown, 0)
    assert frame["components"]["A1"]["points"][0][1] == "heating"


def test_what_a_state_cache_knew_is_shown_until_something_newer_is_heard(shown):
    now_ms = time_now_ms()
    shown.states.recall(
        {
            "A1": {"Codifier": "A1", "Value": 7.0, "DTimestamp": now_ms - 2000, "IsActive": True},
            "Z9": {"Codifier": "Z9", "Value": 7.0},
        }
    )
    shown.recall()
    _, _, frame = taken(shown, 0)
    assert frame["components"]["A1"]["Value"] == 7.0
    assert frame["components"]["A1"]["State"] == "active"
    shown.on_control(control("I", "A1"))
    assert shown.state("A1")["Value"] == 7.0
    shown.on_batch([reading("A1", 8.0)])
    assert shown.state("A1")["Value"] == 8.0


def test_what_was_known_from_long_ago_is_silent(shown):
    shown.states.recall(
        {"A1": {"Codifier": "A1", "Value": 7.0, "DTimestamp": time_now_ms() - 60_000}}
    )
    shown.recall()
    assert page_view(shown, shown.get("A1"))["State"] == "silent"


def test_a_sign_of_life_makes_no_reading_younger(shown):
    read_ms = time_now_ms() - 60_000
    shown.states.recall({"A1": {"Codifier": "A1", "Value": 7.0, "DTimestamp": read_ms}})
    shown.recall()
    for codifier in ("A1", "H1", "B1"):
        shown.on_control(control("I", codifier))
    assert abs(page_view(shown, shown.get("A1"))["Heard"] - read_ms) < 10_000
    assert page_view(shown, shown.get("H1"))["Heard"] > read_ms + 50_000  # which sends none
    assert page_view(shown, shown.get("B1"))["Heard"] is None  # it is to send, and has sent none


def test_a_sensor_that_gives_only_signs_of_life_is_failing_for_an_unknown_reason(shown):
    shown.on_control(control("I", "A1"))
    record = shown.get("A1")
    record.heard.since_s -= 60
    shown.on_control(control("I", "A1"))
    view = page_view(shown, record)
    assert (view["State"], view["Reason"]) == ("failing", UNKNOWN_REASON)
    shown.on_batch([reading("A1", 1.0)])
    view = page_view(shown, record)
    assert (view["State"], view["Reason"]) == ("active", "")


def test_readers_who_ask_for_the_same_get_one_encoding(shown):
    shown.stream.begin_frame()
    version, first = shown.stream.event(0)
    shown.on_batch([reading("A1", 1.0)])
    assert shown.stream.event(version) == (version, b""), "the next frame has not begun"
    shown.stream.begin_frame()
    later, event = shown.stream.event(version)
    assert later > version
    assert shown.stream.event(version)[1] is event
    assert shown.stream.event(0)[1] not in (first, event)
