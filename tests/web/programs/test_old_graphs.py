import json
import urllib.parse

import pytest

from jph.clock import time_now_ms
from tests.web.bus import component, reading
from tests.web.past import store
from web.history import recent
from web.programs import old_graphs


def ask(client, *items):
    return client.get("/sensorts/" + urllib.parse.quote(json.dumps(items)))


def item(codifier="A1", key=0, field="value", time=0):
    return {"codifier": codifier, "key": key, "field": field, "time": time}


def test_several_lines_come_in_one_answer_in_order_of_time(web, client):
    now_ms = time_now_ms()
    store(
        web,
        [
            reading("A1", 1.0, timestamp_ms=now_ms - 3000, sequence=1),
            reading("A2", 2.0, timestamp_ms=now_ms - 2000, sequence=1),
            reading("A1", 3.0, timestamp_ms=now_ms - 1000, sequence=2),
        ],
    )
    answer = ask(client, item(key="0", time=now_ms - 9000), item("A2", 1, time=now_ms - 9000))
    assert answer.status == 200
    assert answer.json == [
        {"0": 0, "t": now_ms - 3000, "v": 1.0},
        {"0": 1, "t": now_ms - 2000, "v": 2.0},
        {"0": 0, "t": now_ms - 1000, "v": 3.0},
    ]


def test_only_what_is_newer_than_the_time_comes(web, client):
    now_ms = time_now_ms()
    store(
        web, [reading("A1", float(n), timestamp_ms=now_ms - n * 1000, sequence=n) for n in range(3)]
    )
    assert [point["v"] for point in ask(client, item(time=now_ms - 1000)).json] == [0.0]
    assert ask(client, item(time=now_ms)).json == []
    assert ask(client, item(time=now_ms + 10**9)).json == []


def test_a_field_may_be_one_of_the_statistics_in_any_case(web, client):
    hour_ms = time_now_ms() // 3_600_000 * 3_600_000 - 7_200_000
    store(
        web,
        [
            reading("A1", float(n), timestamp_ms=hour_ms + 1 + n * 60_000, sequence=n)
            for n in range(60)
        ],
    )
    assert ask(client, item(field="Max-hour", time=hour_ms)).json == [
        {"0": 0, "t": hour_ms + 3_600_000, "v": 59.0}
    ]
    tens = ask(client, item(field="mean-10min", time=hour_ms)).json
    assert [point["v"] for point in tens] == [4.5, 14.5, 24.5, 34.5, 44.5, 54.5]
    assert tens[0]["t"] == hour_ms + 600_000


def test_an_answer_is_bounded_and_reaches_to_the_newest_reading(web, client, monkeypatch):
    monkeypatch.setattr(old_graphs, "MOST_ANSWER", 100)
    now_ms = time_now_ms()
    store(
        web,
        [reading("A1", float(n), timestamp_ms=now_ms - 5000 + n, sequence=n) for n in range(1000)],
    )
    answer = ask(client, item(time=now_ms - 9000), item(key=1, time=now_ms - 9000)).json
    assert 80 <= len(answer) <= 100
    assert answer[-1]["t"] > now_ms - 5000 + 950


@pytest.mark.parametrize(
    "query, reason",
    [
        ("x", "no JSON"),
        ("[" * 5000, "no JSON"),
        ("{}", "must be a list"),
        ("[1]", "[0]: must be an object"),
        (json.dumps([item(codifier=5)]), "[0].codifier: must be text"),
        (json.dumps([item(), item(field=None)]), "[1].field: must be text"),
        (json.dumps([item(field="value FROM users; --")]), "[0].field: no field"),
        (json.dumps([item(key="a")]), "[0].key: must be a whole number"),
        (json.dumps([item(time=True)]), "[0].time: must be a whole number"),
        (json.dumps([item(time="1e400")]), "[0].time: must be a whole number"),
        ('[{"codifier":"A1","field":"value","key":0,"time":1e999}]', "[0].time: must be a whole"),
    ],
)
def test_a_wrong_query_gets_the_text_that_existing_programs_know_and_a_reason(
    client, query, reason
):
    answer = client.get("/sensorts/" + urllib.parse.quote(query, safe=""))
    assert (answer.status, answer.text) == (200, "Invalid JSON")
    assert reason in answer.headers["X-Reason"]
    assert len(answer.headers["X-Reason"]) <= old_graphs.MOST_REASON


def test_more_lines_than_a_graph_has_are_refused(client):
    answer = ask(client, *[item()] * 51)
    assert answer.status == 400
    assert "at most 50 items" in answer.json["error"]


def test_an_unknown_codifier_gets_the_text_that_existing_programs_know(client):
    for codifier in ("zz", "; DROP TABLE measurement", "'", "", "ä\n"):
        answer = ask(client, item(codifier=codifier))
        assert (answer.status, answer.text) == (200, "Not a valid codifier")
        assert "no component" in answer.headers["X-Reason"]


def test_two_characters_of_a_longer_text_are_the_codifier(web, client):
    store(web, [reading("A1", 1.0, timestamp_ms=5)])
    assert ask(client, item("A1xx", time=-1)).json == [{"0": 0, "t": 5, "v": 1.0}]


def test_a_codifier_with_a_slash_is_answered(make_web):
    from tests.web.client import Client

    web = make_web(component("a/"), component("H1", type="HistoryWriter"))
    store(web, [reading("a/", 1.0, timestamp_ms=5)])
    assert ask(Client(web.bound_port), item("a/")).json == [{"0": 0, "t": 5, "v": 1.0}]


def test_an_empty_query_gets_the_text_that_existing_programs_know(client):
    answer = ask(client)
    assert (answer.status, answer.text) == (200, "No rows in request")


def test_without_a_history_they_get_the_text_too(make_web):
    from tests.web.client import Client

    web = make_web(component("A1"))
    answer = ask(Client(web.bound_port), item())
    assert (answer.status, answer.text) == (200, "Unknown Error with DB engine")
    assert answer.headers["X-Reason"]


def test_a_page_that_asks_again_gets_what_was_just_heard_once(web, client):
    now_ms = time_now_ms()
    whole = [reading("A1", float(n), timestamp_ms=now_ms - 900 + n, sequence=n) for n in range(3)]
    store(web, whole[:1])
    web.on_batch(whole[1:2])
    first = ask(client, item(time=now_ms - 9000)).json
    assert [point["v"] for point in first] == [0.0, 1.0]
    web.on_batch(whole[2:])
    store(web, whole[:2])
    again = ask(client, item(time=first[-1]["t"])).json
    assert [point["v"] for point in again] == [2.0]


def test_statistics_are_told_when_all_of_their_readings_are_stored(web, client, monkeypatch):
    bucket_ms = time_now_ms() // 600_000 * 600_000
    store(web, [reading("A1", 1.0, timestamp_ms=bucket_ms - 5)])
    asked = item(field="mean-10min", time=bucket_ms - 1)
    monkeypatch.setattr(recent, "time_now_ms", lambda: bucket_ms + 1_209_000)
    assert ask(client, asked).json == []
    monkeypatch.setattr(recent, "time_now_ms", lambda: bucket_ms + 1_210_002)
    assert ask(client, asked).json == [{"0": 0, "t": bucket_ms, "v": 1.0}]
    monkeypatch.setattr(recent, "time_now_ms", lambda: bucket_ms + 1_209_000)
    store(web, [reading("A1", 2.0, timestamp_ms=bucket_ms + 5)])  # so all before it are, too
    assert ask(client, asked).json == [{"0": 0, "t": bucket_ms, "v": 1.0}]
