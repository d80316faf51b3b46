"""What the page of a component asks for, from a server with a history."""

from contextlib import closing
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from jph.clock import time_now_ms
from jph.stores import open_history, row_of
from tests.helpers import eventually
from tests.web.bus import component, reading
from tests.web.client import Client
from web.history import events
from web.history.events import Event

BERLIN = ZoneInfo("Europe/Berlin")
HOUR_MS = 3_600_000
COMPONENTS = (
    component("A1", symbol="°C"),
    component("A2", data_type="bool", symbol=""),
    component("A3", data_type="string"),
    component("E1", symbol="kWh", data_type="double"),
    component("R1", symbol="mm", counter=True),
    component("H1", type="HistoryWriter", sensor_interval_s=None),
    component("W1", type="Web", sensor_interval_s=None),
)


@pytest.fixture
def web(make_web):
    return make_web(*COMPONENTS)


def ms(text, zone=BERLIN):
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def store(home, *readings):
    """Store (Codifier, time, value) as readings."""
    with closing(open_history("sqlite:///history.sqlite", home)) as history:
        rows = [
            row_of(reading(codifier, value, timestamp_ms=time_ms, sequence=number))
            for number, (codifier, time_ms, value) in enumerate(readings)
        ]
        history.append(rows)
        while history.statistics.compute(1 << 50):
            pass


def ask(client, codifier, what, status=200, **query):
    text = "&".join(f"{name.rstrip('_')}={value}" for name, value in query.items())
    answer = client.get(f"/history/{codifier}/{what}?{text}")
    assert answer.status == status, answer.text
    return answer.json


def test_the_statistics_of_a_span_have_the_digits_of_their_unit(web, client):
    now_ms = time_now_ms()
    store(web.home, *(("A1", now_ms - 1000 * n, 20.0 + n) for n in range(1, 5)))
    web.on_batch([reading("A1", 35.0, timestamp_ms=now_ms)])  # not stored yet
    found = ask(client, "A1", "summary")
    assert found["count"] == 5
    assert (found["mean"]["text"], found["mean"]["unit"]) == ("25.0", "°C")
    assert (found["min"]["value"], found["max"]["value"]) == (21.0, 35.0)
    assert ask(client, "A1", "summary", from_=0, to=5) == {"from": 0, "to": 5, "count": 0}


@pytest.mark.parametrize("day, hours", [("2026-03-29", 23), ("2026-10-25", 25)])
def test_the_total_of_a_day_with_a_clock_change_has_all_its_hours(web, client, day, hours):
    begin_ms = ms(f"{day}T00:00")
    step_ms = 600_000
    store(web.home, *(("E1", begin_ms - HOUR_MS + n * step_ms, n / 6) for n in range(50 * 6)))
    end_ms = begin_ms + hours * HOUR_MS
    query = {"from_": begin_ms, "to": end_ms, "zone": "Europe/Berlin"}
    found = ask(client, "E1", "totals", per="day", **query)["totals"]
    assert [(it["begin"], it["end"]) for it in found] == [(begin_ms, end_ms)]
    assert found[0]["value"] == pytest.approx(hours)
    assert found[0]["unit"] == "kWh"
    assert len(ask(client, "E1", "totals", per="hour", **query)["totals"]) == hours
    # The whole month, from statistics of hours.
    query["from_"], query["to"] = begin_ms - 9 * 24 * HOUR_MS, end_ms + 2 * 24 * HOUR_MS
    days = ask(client, "E1", "totals", per="day", **query)["totals"]
    (there,) = [it for it in days if it["begin"] == begin_ms]
    assert there["value"] == pytest.approx(hours, abs=0.2)
    assert days[0]["value"] is None


def test_totals_go_on_to_what_was_just_heard(web, client):
    now_ms = time_now_ms()
    hours = ((f"R{n % 2}", now_ms - n * HOUR_MS // 4, 100.0 - n) for n in range(2, 40))
    store(web.home, *((c, at, v) for c, at, v in hours if c == "R1"))
    web.on_batch([reading("R1", 100.0, timestamp_ms=now_ms)])
    query = {"per": "month", "zone": "UTC", "from_": now_ms - 70 * 24 * HOUR_MS, "to": now_ms + 1}
    found = ask(client, "R1", "totals", **query)
    assert found["sum"]["value"] == pytest.approx(39)


def test_what_is_no_counter_has_no_totals(client):
    assert "Counter" in ask(client, "A1", "totals", 404, per="day")["error"]


@pytest.mark.parametrize(
    "query, names",
    [
        ({"per": "week"}, "hour, day, month"),
        ({"per": "day", "zone": "Mars/Olympus"}, "no time zone"),
        ({"per": "day", "zone": "../../etc/passwd"}, "no time zone"),
        ({"per": "day", "zone": "Europe"}, "no time zone"),
        ({"per": "day", "from_": 9, "to": 5}, "from must be before to"),
        ({"per": "day", "from_": "x"}, "whole numbers"),
        ({"per": "hour", "from_": 0, "to": 1 << 44}, "shorter span"),
    ],
)
def test_a_question_with_a_mistake_is_told_so(client, query, names):
    assert names in ask(client, "E1", "totals", 400, **query)["error"]


def test_a_switch_has_bars(web, client):
    now_ms = time_now_ms()
    states = [0] * 50 + [1] * 30 + [0] * 20
    store(web.home, *(("A2", now_ms - (100 - n) * 1000, v) for n, v in enumerate(states)))
    found = ask(client, "A2", "bars", from_=now_ms - 100_000, to=now_ms)
    assert [bar["state"] for bar in found["bars"]] == ["off", "on", "off"]
    assert found["states"][1] == {"state": "on", "ms": 30_000, "times": 1}


def test_a_text_has_bars_and_stays_text(web, client):
    now_ms = time_now_ms()
    store(web.home, ("A3", now_ms - 3000, "idle"), ("A3", now_ms - 2000, "<b>heat</b>"))
    web.on_batch([reading("A3", "idle", timestamp_ms=now_ms - 1000)])
    found = ask(client, "A3", "bars", from_=now_ms - 5000, to=now_ms)
    assert [bar["state"] for bar in found["bars"]] == ["idle", "<b>heat</b>", "idle"]


def test_outages_are_those_that_were_noted(web, client):
    now_ms = time_now_ms()
    web._site.recorder.began_ms = now_ms - 9_000_000
    events.add(
        web.home,
        [
            Event(now_ms - 4_000_000, "A1", "active"),
            Event(now_ms - 3_000_000, "A1", "silent", "why <b>"),
            Event(now_ms - 2_000_000, "A1", "active"),
        ],
    )
    found = ask(client, "A1", "outages", from_=now_ms - 5_000_000, to=now_ms)
    assert found["outages"] == [
        {
            "begin": now_ms - 3_000_000,
            "end": now_ms - 2_000_000,
            "kind": "silent",
            "reason": "why <b>",
        }
    ]
    assert found["share"] == pytest.approx(0.75, abs=0.001)


def test_an_outage_while_the_pages_did_not_run_comes_from_the_history(make_web, tmp_path):
    now_ms = time_now_ms()
    there = [*range(0, 600), *range(1200, 3000)]  # seconds
    store(tmp_path, *(("A1", now_ms - (3600 - s) * 1000, 1.0) for s in there))
    events.add(tmp_path, [Event(now_ms - 3_600_000, "A1", "active")])
    events.watch(tmp_path, now_ms - 3_600_000, now_ms - 3_500_000)
    web = make_web(*COMPONENTS)
    web.on_batch([reading("A1", 1.0)])
    web._site.channel.statuses["H1"] = None  # the writer is here: what it has is all
    client = Client(web.bound_port)
    found = ask(client, "A1", "outages", from_=now_ms - 3_600_000)
    newest, oldest = found["outages"]
    assert (oldest["begin"], oldest["end"]) == (now_ms - 3_001_000, now_ms - 2_400_000)
    assert newest["begin"] == now_ms - 601_000
    assert abs(newest["end"] - now_ms) < 20_000
    assert found["share"] == pytest.approx(0.66, abs=0.02)


def test_before_the_pages_first_ran_the_history_alone_tells(web, client):
    now_ms = time_now_ms()
    store(web.home, *(("A1", now_ms - s * 1000, 1.0) for s in (*range(300, 400), *range(5, 200))))
    eventually(lambda: client.get("/").status == 200)
    found = ask(client, "A1", "outages", from_=now_ms - 3_600_000)
    assert [(it["begin"], it["end"]) for it in found["outages"]] == [
        (now_ms - 300_000, now_ms - 199_000)
    ]
    assert found["share"] == pytest.approx(1 - 101 / 399, abs=0.03)


def test_events_are_those_of_the_component_and_of_the_network(web, client):
    now_ms = time_now_ms()
    kinds = [("A1", "restart"), ("A2", "restart"), ("", "note")]
    events.add(web.home, [Event(now_ms - n, c, kind) for n, (c, kind) in enumerate(kinds, 1)])
    found = ask(client, "A1", "events")["events"]
    assert [(it["codifier"], it["kind"]) for it in found] == [("A1", "restart"), ("", "note")]


def test_a_component_that_was_never_heard_has_no_availability(client):
    found = ask(client, "A1", "outages")
    assert (found["share"], found["outages"]) == (None, [])


def test_a_store_that_is_away_is_told(make_web):
    web = make_web(*COMPONENTS, history="postgresql://jph@127.0.0.1:1/jph")
    client = Client(web.bound_port)
    for what in ("summary", "bars", "outages"):
        found = ask(client, "A2", what, 503, from_=time_now_ms() - 9_000_000)
        assert "127.0.0.1" in found["error"]


def test_postgresql_answers_alike(make_web, postgres_url, tmp_path):
    now_ms = time_now_ms()
    with closing(open_history(postgres_url, tmp_path)) as history:
        values = [
            *(("A1", now_ms - s * 1000, 20.0 + s % 3) for s in (*range(300, 400), *range(5, 200))),
            *(("A2", now_ms - s * 1000, int(s > 20)) for s in range(1, 41)),
            *(("A3", now_ms - s * 1000, "idle") for s in range(1, 9)),
            *(("E1", now_ms - s * 1000, {"value": 99.5 - s / 10}) for s in range(1, 41)),
        ]
        history.append([row_of(reading(c, v, timestamp_ms=at)) for c, at, v in values])
    client = Client(make_web(*COMPONENTS, history=postgres_url).bound_port)
    query = {"from_": now_ms - 3_600_000, "to": now_ms + 1}
    assert ask(client, "A1", "summary", **query)["median"]["value"] == 21.0
    assert [it["end"] - it["begin"] for it in ask(client, "A1", "outages", **query)["outages"]] == [
        101_000
    ]
    assert [bar["state"] for bar in ask(client, "A2", "bars", **query)["bars"]] == ["on", "off"]
    assert ask(client, "A3", "bars", **query)["states"][0]["state"] == "idle"
    total = ask(client, "E1", "totals", per="month", zone="Asia/Kathmandu", **query)["sum"]
    assert total["value"] == pytest.approx(3.9)
