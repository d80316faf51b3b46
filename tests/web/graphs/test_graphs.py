import csv
import io
import json
import urllib.parse
from datetime import UTC, datetime

import pytest

from tests.web.bus import component, reading
from tests.web.client import Client
from tests.web.past import store
from web.app import Application
from web.graphs import downloads, views
from web.graphs import saved as saved_graphs
from web.history import events
from web.migrations import connection
from web.people import users

HOUR_MS = 3_600_000


def send(client, path, body=None):
    headers = {"Content-Type": "application/json", "X-CSRF-Token": client.token("/")}
    return client.ask("POST", path, json.dumps(body if body is not None else {}), headers)


def ask(client, **query):
    return client.get("/graphs/data?" + urllib.parse.urlencode(query, doseq=True))


def times_of(line):
    times, now_ms = [], 0
    for step in line["t"]:
        now_ms += step
        times.append(now_ms)
    return times


@pytest.fixture
def anna(web, monkeypatch):
    """Return a browser in which Anna is signed in."""
    return signed_in(web, monkeypatch, "anna")


def signed_in(web, monkeypatch, name):
    monkeypatch.setattr(users, "ROUNDS", 4)
    with Application(web.home).app_context():
        users.set_password(name, "correct horse")
    client = Client(web.bound_port)
    assert client.sign_in(name, "correct horse").status == 303
    return client


# Points


def test_several_lines_come_in_one_answer(web, client):
    store(
        web,
        [
            *(reading("A1", n + 0.5, timestamp_ms=5000 + n * 10, sequence=n) for n in range(3)),
            reading("A2", 7, timestamp_ms=5005),
        ],
    )
    answer = ask(client, line=["A1", "A2,max"], **{"from": 5000, "to": 6000}).json
    first, second = answer["lines"]
    assert (times_of(first), first["v"]) == ([5000, 5010, 5020], [0.5, 1.5, 2.5])
    assert (times_of(second), second["v"]) == ([5005], [7.0])
    assert first["bucket_ms"] == 0
    assert "low" not in first


def test_an_earlier_period_of_the_same_length_comes_with_it(web, client):
    store(web, [reading("A1", float(n), timestamp_ms=1000 * n, sequence=n) for n in range(10)])
    query = {"from": 5000, "to": 7000, "earlier": 2000}
    answer = ask(client, line="A1", **query).json
    assert answer["lines"][0]["v"] == [4.0, 5.0, 6.0, 7.0]
    assert times_of(answer["earlier"][0]) == [1000, 2000, 3000, 4000]


def test_a_line_of_few_readings_reaches_to_both_edges_of_the_span(web, client):
    times = (1000, 50_000, 55_000, 900_000)
    store(web, [reading("A1", float(t), timestamp_ms=t, sequence=n) for n, t in enumerate(times)])
    (line,) = ask(client, line="A1", **{"from": 52_000, "to": 53_000}).json["lines"]
    assert line["v"] == [50_000.0, 55_000.0]
    (line,) = ask(client, line="A1", **{"from": 200_000, "to": 201_000}).json["lines"]
    assert line["v"] == []  # others are further away than the sensor may be silent


def test_many_readings_become_few_points_with_lowest_and_highest(web, client):
    store(web, [reading("A1", float(n), timestamp_ms=n + 1, sequence=n) for n in range(1000)])
    (line,) = ask(client, line="A1", points=10, **{"from": 1, "to": 1001}).json["lines"]
    assert len(line["v"]) == 10
    assert line["low"][0] == 0.0
    assert line["high"][-1] == 999.0
    assert line["bucket_ms"] == 100


def test_a_line_of_text_has_the_changes_of_its_text(web, client):
    texts = ["off", "off", "on", "on", "off"]
    store(
        web, [reading("A3", text, timestamp_ms=n + 1, sequence=n) for n, text in enumerate(texts)]
    )
    (line,) = ask(client, line="A3", **{"from": 0, "to": 10}).json["lines"]
    assert line == {"texts": [[1, "off"], [3, "on"], [5, "off"]]}
    (line,) = ask(client, line="A3", **{"from": 4, "to": 10}).json["lines"]
    assert line == {"texts": [[3, "on"], [5, "off"]]}  # as it was before
    (line,) = ask(client, line="A3", **{"from": 6, "to": 10}).json["lines"]
    assert line == {"texts": [[5, "off"]]}


def test_an_unknown_component_spoils_its_own_line_only(web, client):
    store(web, [reading("A1", 1.0, timestamp_ms=5)])
    unknown, known = ask(client, line=["zz", "A1"], **{"from": 0, "to": 10}).json["lines"]
    assert "no component zz" in unknown["error"]
    assert known["v"] == [1.0]


def test_a_comma_may_be_part_of_a_codifier(make_web):
    web = make_web(component(",,"), component("H1", type="HistoryWriter"))
    store(web, [reading(",,", 1.0, timestamp_ms=5)])
    (line,) = ask(Client(web.bound_port), line=",,,max", **{"from": 0, "to": 10}).json["lines"]
    assert line["v"] == [1.0]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"line": ["A1"] * 13}, "at most 12 lines"),
        ({"line": "A1,best"}, "no field"),
        ({"line": "A1", "from": 9, "to": 5}, "from must be before to"),
        ({"line": "A1", "points": 10**6}, "points must be"),
        ({"line": "A1", "earlier": -5}, "earlier must be"),
        ({"line": "A1", "to": 1 << 60}, "to must be"),
    ],
)
def test_a_wrong_question_gets_a_reason(client, query, reason):
    answer = ask(client, **query)
    assert answer.status == 400
    assert reason in answer.json["error"]


def test_without_a_history_the_answer_says_so(make_web):
    answer = ask(Client(make_web(component("A1")).bound_port), line="A1")
    assert answer.status == 503
    assert "HistoryWriter" in answer.json["error"]


# Files


def export(client, **query):
    return client.get("/graphs/export?" + urllib.parse.urlencode(query, doseq=True))


def test_all_readings_of_all_sensors_of_a_span_come_as_csv(make_web):
    web = make_web(
        component("A1", name="=Load", symbol="+W"),
        component("A3", name='Say "hi",\nnow', data_type="string"),
        component("H1", type="HistoryWriter", sensor_interval_s=None),
    )
    store(
        web,
        [
            *(reading("A1", n + 0.5, timestamp_ms=n, sequence=n) for n in range(5000)),
            reading("A3", "=1+1", timestamp_ms=1500),
            reading("A1", 9.5, timestamp_ms=9000, sequence=9000),
        ],
    )
    answer = export(Client(web.bound_port), zone="Europe/Berlin", **{"from": 0, "to": 6000})
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    assert (
        "filename=jph-readings-19700101-0100-19700101-0100.csv"
        in answer.headers["Content-Disposition"]
    )
    lines = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert lines[0] == ["time", "codifier", "name", "unit", "value"]
    assert lines[1] == ["1970-01-01T01:00:00.000+01:00", "A1", "'=Load", "'+W", "0.5"]
    assert len(lines) == 5002
    assert [line[4] for line in lines if line[1] == "A1"] == [str(n + 0.5) for n in range(5000)]
    assert lines[1502] == [
        *("1970-01-01T01:00:01.500+01:00", "A3", 'Say "hi",\nnow', "", "'=1+1"),
    ]


@pytest.mark.parametrize("kind", ["csv", "ndjson", "parquet"])
def test_an_earlier_period_that_is_shown_is_in_the_file_too(web, client, kind, request):
    readings = (reading("A1", n + 0.5, timestamp_ms=n * 1000, sequence=n) for n in range(20))
    texts = [reading("A3", "idle", timestamp_ms=2000), reading("A3", "busy", timestamp_ms=12_000)]
    store(web, [*readings, *texts])
    query = {"line": ["A1", "A3"], "what": "shown", "format": kind, "from": 10_000, "to": 15_000}
    answer = export(client, earlier=0, **query)
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    elif kind == "ndjson":
        rows = [json.loads(line) for line in answer.text.splitlines()]
    else:
        parquet = request.getfixturevalue("parquet")
        table = parquet.read_table(io.BytesIO(answer.body))
        rows = [{**row, "time": row["time"].isoformat()} for row in table.to_pylist()]
    numbers = [row for row in rows if row["codifier"] == "A1"]
    assert [(float(row["value"]), row["period"]) for row in numbers] == [
        *((n + 0.5, "shown") for n in range(10, 15)),
        *((n + 0.5, "earlier") for n in range(5)),
    ]
    assert numbers[0]["time"].startswith("1970-01-01T00:00:10")
    assert numbers[5]["time"].startswith("1970-01-01T00:00:00")
    value = "text" if kind == "parquet" else "value"
    words = [(row[value], row["period"]) for row in rows if row["codifier"] == "A3"]
    assert words == [("busy", "shown"), ("idle", "earlier")]


def test_without_an_earlier_period_there_is_no_column_for_it(web, client):
    store(web, [reading("A1", 0.5, timestamp_ms=1000)])
    answer = export(client, line="A1", what="shown", **{"from": 0, "to": 5000})
    assert answer.text.splitlines()[0].endswith("lowest,highest")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "Europe"])
def test_a_file_needs_a_zone_that_there_is(client, zone):
    answer = export(client, zone=zone)
    assert answer.status == 400
    assert "no time zone" in answer.json["error"]


def test_statistics_of_a_sensor_come_as_ndjson(web, client):
    store(
        web, [reading("A1", float(n), timestamp_ms=n * 60_000 + 1, sequence=n) for n in range(30)]
    )
    query = {"line": "A1", "what": "10min", "format": "ndjson", "from": 0, "to": HOUR_MS}
    answer = export(client, **query)
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    first, second, third = map(json.loads, answer.text.splitlines())
    assert first == {
        "time": "1970-01-01T00:10:00.000+00:00",
        "codifier": "A1",
        "name": "Load",
        "unit": "",
        "mean": 4.5,
        "mode": None,
        "median": 4.5,
        "highest": 9.0,
        "lowest": 0.0,
        "stdev": pytest.approx(2.872, abs=0.001),
        "readings": 10,
    }
    assert (second["mean"], third["mean"]) == (14.5, 24.5)


@pytest.fixture
def parquet():
    """Return the library that reads Parquet."""
    import pyarrow.parquet  # takes long to load

    return pyarrow.parquet


def test_readings_come_as_parquet(web, client, parquet):
    texts = [reading("A3", "idle", timestamp_ms=7)]
    big = {"value": 1 << 60, "note": "ä"}
    store(web, [reading("A1", n + 0.5, timestamp_ms=n, sequence=n) for n in range(5)] + texts)
    store(
        web,
        [reading("A2", big, timestamp_ms=3), reading("A2", 1 << 31, timestamp_ms=4, sequence=2)],
    )
    answer = export(client, format="parquet", **{"from": 0, "to": 1000})
    table = parquet.read_table(io.BytesIO(answer.body)).to_pydict()
    assert table["codifier"] == ["A1", "A1", "A1", "A1", "A2", "A1", "A2", "A3"]
    assert table["value"] == [0.5, 1.5, 2.5, 3.5, float(1 << 60), 4.5, float(1 << 31), None]
    assert table["text"][-1] == "idle"
    assert table["time"][3] == datetime.fromtimestamp(0.003, UTC)


def test_a_file_of_parquet_is_written_in_pieces(monkeypatch, parquet):
    monkeypatch.setattr(downloads, "ROW_GROUP", 10)
    lines = ((n, "A1", "Load", "W", "mean", float(n), None, None) for n in range(35))
    pieces = list(downloads.as_parquet(downloads.SHOWN, lines, UTC))
    assert len(pieces) == 5
    file = parquet.ParquetFile(io.BytesIO(b"".join(pieces)))
    assert file.metadata.num_row_groups == 4
    assert file.read().column("value").to_pylist() == [float(n) for n in range(35)]


def test_what_is_shown_is_exported_as_it_is_drawn(web, client):
    store(web, [reading("A1", float(n), timestamp_ms=n + 1, sequence=n) for n in range(1000)])
    store(web, [reading("A3", "on", timestamp_ms=5)])
    query = {"what": "shown", "line": ["A1,max", "A3"], "points": 10, "from": 1, "to": 1001}
    lines = list(csv.DictReader(io.StringIO(export(client, **query).text)))
    assert len(lines) == 11
    assert lines[9] | {"time": ""} == {
        **{"time": "", "codifier": "A1", "name": "Load", "unit": "", "field": "max"},
        **{"value": "999.0", "lowest": "999.0", "highest": "999.0"},
    }
    assert (lines[10]["value"], lines[10]["lowest"]) == ("on", "")


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"format": "xlsx"}, "format is one of csv"),
        ({"what": "day"}, "what one of"),
        ({"zone": "../etc/passwd"}, ""),
        ({"zone": "No/Where"}, ""),
        ({"from": 9, "to": 5}, "from must be before to"),
    ],
)
def test_a_wrong_wish_for_a_file_gets_a_reason(client, query, reason):
    answer = export(client, **query)
    assert answer.status == 400
    assert reason in answer.json["error"]


def test_without_pyarrow_the_choice_says_so(client, monkeypatch):
    monkeypatch.setattr(downloads, "find_spec", lambda name: None)
    answer = export(client, format="parquet")
    assert answer.status == 400
    assert "jph[parquet]" in answer.json["error"]
    assert "jph[parquet]" in client.get("/graphs").text


def test_a_file_of_a_history_that_is_away_is_an_error(make_web):
    answer = export(Client(make_web(component("A1")).bound_port))
    assert answer.status == 503
    assert "HistoryWriter" in answer.json["error"]


# Pages


def test_the_address_of_older_pages_leads_to_the_graphs(client):
    answer = client.get("/devel?line=A1&last=1w")
    assert answer.status == 301
    assert answer.headers["Location"] == "/graphs?line=A1&last=1w"


def test_the_page_lists_all_components_as_text(make_web):
    name = "<b>\"Löschen\" 'x' \U0001f980 \u05d0\u05d1</b>" * 5
    web = make_web(component("A1", name=name))
    text = Client(web.bound_port).get("/graphs").text
    assert '<b>"L' not in text
    assert "&lt;b&gt;&#34;L" in text
    assert "\U0001f980" in text


# Saved graphs


def test_a_graph_is_saved_updated_renamed_shown_first_and_deleted(anna):
    graph = send(anna, "/graphs/saved", {"name": " Boiler ", "settings": "line=A1&last=1w"}).json
    assert graph["name"] == "Boiler"
    path = f"/graphs/saved/{graph['number']}"
    assert send(anna, path, {"settings": "line=A2&last=1d"}).status == 200
    assert send(anna, path, {"name": "Boiler 2"}).status == 200
    assert anna.get("/graphs").status == 200
    assert send(anna, path, {"is_start": True}).status == 200
    assert anna.get("/graphs/saved").json == [
        {
            "number": graph["number"],
            "owner": "anna",
            "name": "Boiler 2",
            "settings": "line=A2&last=1d",
            "is_start": True,
        }
    ]
    first = anna.get("/graphs")
    assert first.status == 303
    assert first.headers["Location"] == f"/graphs?line=A2&last=1d&saved={graph['number']}"
    assert "Boiler 2" in anna.get(first.headers["Location"]).text
    assert send(anna, f"{path}/delete").status == 200
    assert anna.get("/graphs/saved").json == []
    assert anna.get("/graphs").status == 200
    assert anna.get(f"/graphs?saved={graph['number']}").status == 404


@pytest.mark.parametrize(
    ("settings", "query"),
    [
        (
            '{"rows":[{"codifier":"A1xx","field":"Mean-hour"},{"codifier":"A2"}]}',
            "A1,mean-hour A2,value",
        ),
        ("[" * 5000, ""),
        ("", ""),
        ("last=1d", ""),
        ('{"a":1}', ""),
    ],
)
def test_a_graph_of_older_pages_is_shown_as_far_as_it_is_understood(anna, settings, query):
    graph = send(anna, "/graphs/saved", {"name": "Loop", "settings": settings}).json
    answer = anna.get(f"/graphs?saved={graph['number']}")
    if query:
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(answer.headers["Location"]).query)
        assert asked["line"] == query.split()
    else:
        assert answer.status == 200
        assert "Loop" in answer.text


def test_only_one_graph_is_shown_first(anna):
    for name in ("one", "two"):
        graph = send(anna, "/graphs/saved", {"name": name, "settings": "line=A1"}).json
        send(anna, f"/graphs/saved/{graph['number']}", {"is_start": True})
    assert [graph["is_start"] for graph in anna.get("/graphs/saved").json] == [False, True]


def test_a_link_shows_a_graph_to_others_who_cannot_change_it(web, anna, monkeypatch):
    graph = send(anna, "/graphs/saved", {"name": "Mine", "settings": "line=A1"}).json
    ben = signed_in(web, monkeypatch, "ben")
    shown = ben.get(f"/graphs?saved={graph['number']}")
    assert shown.headers["Location"] == f"/graphs?line=A1&saved={graph['number']}"
    assert ben.get("/graphs/saved").json == []
    path = f"/graphs/saved/{graph['number']}"
    for answer in (send(ben, path, {"name": "His"}), send(ben, f"{path}/delete")):
        assert answer.status == 403
        assert "belongs to anna" in answer.json["error"]


def test_a_name_is_taken_once_and_a_graph_is_bounded(anna, monkeypatch):
    monkeypatch.setattr(saved_graphs, "MOST", 2)
    assert send(anna, "/graphs/saved", {"name": "a", "settings": ""}).status == 200
    again = send(anna, "/graphs/saved", {"name": "a", "settings": ""})
    assert again.status == 409
    assert again.json["error"].startswith("You have a graph 'a' already")
    other = send(anna, "/graphs/saved", {"name": "b", "settings": ""}).json
    assert send(anna, f"/graphs/saved/{other['number']}", {"name": "a"}).status == 409
    assert "delete one first" in send(anna, "/graphs/saved", {"name": "c", "settings": ""}).text
    for body in ({"name": "", "settings": ""}, {"name": "x" * 201, "settings": ""}):
        assert send(anna, "/graphs/saved", body).status == 409
    assert send(anna, "/graphs/saved", {"name": "d", "settings": "x" * 8001}).status == 409
    for body in ({}, {"name": 5, "settings": ""}, []):
        assert send(anna, "/graphs/saved", body).status == 400


def test_a_stranger_saves_nothing(web, client):
    client.get("/sign-in")
    token = client.token("/sign-in")
    headers = {"Content-Type": "application/json", "X-CSRF-Token": token}
    body = json.dumps({"name": "a", "settings": ""})
    assert client.ask("POST", "/graphs/saved", body, headers).status == 401
    assert client.ask("POST", "/graphdb", body, headers).status == 401


def test_older_pages_save_update_and_delete_by_name(anna):
    settings = '[{"codifier":"A1"}]'
    saved = send(anna, "/graphdb", {"action": "save", "name": "Loop", "settings": settings})
    assert saved.json == [{"name": "Loop", "email": "anna", "settings": settings}]
    assert anna.get("/graphdb/").json == saved.json
    assert send(anna, "/graphdb", {"action": "save", "name": "Loop", "settings": ""}).status == 409
    changed = send(anna, "/graphdb", {"action": "update", "name": "Loop", "settings": "{}"})
    assert changed.json == [{"name": "Loop", "email": "anna", "settings": "{}"}]
    assert send(anna, "/graphdb", {"action": "drop", "name": "Loop"}).status == 400
    assert send(anna, "/graphdb", {"action": "delete", "name": "Other"}).status == 404
    assert send(anna, "/graphdb", {"action": "delete", "name": "Loop"}).json == []


# Marks


def test_events_of_the_asked_kinds_are_marked(web, client):
    events.add(
        web.home,
        [
            events.Event(1000, "A1", "halted", "by hand", "anna"),
            events.Event(2000, "A2", "halted"),
            events.Event(3000, "A1", "silent"),
            events.Event(4000, "", "configuration", "saved"),
            events.Event(9000, "A1", "halted"),
        ],
    )
    query = {"from": 0, "to": 5000, "kind": ["halted", "configuration"], "codifier": "A1"}
    answer = client.get("/graphs/marks?" + urllib.parse.urlencode(query, doseq=True))
    assert [(it["time_ms"], it["kind"], it["who"]) for it in answer.json] == [
        (1000, "halted", "anna"),
        (4000, "configuration", ""),
    ]


def test_a_note_is_added_and_deleted_and_both_are_noted(web, owner):
    body = {"time_ms": 5000, "codifier": "A1", "text": " window <open> "}
    assert send(owner, "/graphs/marks", body).status == 200
    (note,) = owner.get("/graphs/marks?kind=note&codifier=A1&to=9000").json
    assert (note["text"], note["who"]) == ("window <open>", "owner")
    assert send(owner, f"/graphs/marks/{note['number']}/delete").status == 200
    assert owner.get("/graphs/marks?kind=note&codifier=A1&to=9000").json == []
    assert send(owner, f"/graphs/marks/{note['number']}/delete").status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"time_ms": 5, "text": ""}, 400),
        ({"time_ms": 5, "text": "x" * (views.LONGEST_NOTE + 1)}, 400),
        ({"time_ms": -5, "text": "x"}, 400),
        ({"time_ms": "5", "text": "x"}, 400),
        ({"time_ms": 5, "text": "x", "codifier": "zz"}, 404),
        ({"time_ms": 5, "text": "x", "codifier": ["A1"]}, 404),
    ],
)
def test_a_note_that_cannot_be_is_refused(owner, body, status):
    assert send(owner, "/graphs/marks", body).status == status


def test_a_viewer_adds_no_notes(web, anna):
    with connection(events.database_of(web.home)) as database:
        database.execute("UPDATE account SET role = 1 WHERE name = 'anna'")
    assert send(anna, "/graphs/marks", {"time_ms": 5, "text": "x"}).status == 403
