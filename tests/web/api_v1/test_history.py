import csv
import gzip
import http.client
import io
import json
import socket
import sqlite3
import statistics
from contextlib import closing

import pytest

from jph.clock import time_now_ms
from jph.stores import open_history
from jph.stores.buckets import HOUR_MS
from tests.helpers import eventually
from tests.web.api_v1.program import Program
from tests.web.bus import both_servers, component, reading
from web.history import long_history

START = 1_795_000_000_000 // HOUR_MS * HOUR_MS


@pytest.fixture
def web(make_web):
    return make_web(
        component("A1", data_type="double"),
        component("T1", data_type="string"),
        component("J1", data_type="json"),
        component("N1", data_type="integer"),
        component("H1", type="HistoryWriter", sensor_interval_s=None),
    )


def read(program, codifier, **query):
    answer = program.get(f"/history/{codifier}", **{"from": START, "to": START + 10**6, **query})
    assert answer.status == 200, answer.text
    return answer


@both_servers
def test_every_reading_comes_in_three_forms(program, store, monkeypatch):
    monkeypatch.setattr(long_history, "PAGE", 7)
    values = [n / 8 for n in range(100)]
    store(*(("A1", START + n, value) for n, value in enumerate(values)))
    answer = read(program, "A1")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["bucket_ms"] == 0
    assert [item["value"] for item in answer.json["items"]] == values
    assert [item["time"] for item in answer.json["items"]] == [START + n for n in range(100)]
    answer = read(program, "A1", format="ndjson")
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["value"] for line in lines] == values
    answer = read(program, "A1", format="csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "filename=A1.csv" in answer.headers["Content-Disposition"]
    head, *rows = csv.reader(io.StringIO(answer.text))
    assert head == ["time", "utc", "value"]
    assert [float(row[2]) for row in rows] == values
    assert rows[0][:2] == [str(START), "2026-11-18 11:00:00.000"]


def test_the_span_ends_before_its_end(program, store):
    store(*(("A1", START + n, float(n)) for n in range(10)))
    answer = read(program, "A1", **{"from": START + 3, "to": START + 6})
    assert [item["value"] for item in answer.json["items"]] == [3.0, 4.0, 5.0]
    assert read(program, "A1", to=START - 5).json["items"] == []
    assert read(program, "A1", to=START).json["items"] == []


def test_texts_objects_and_whole_numbers_are_what_was_sent(program, store):
    store(
        ("T1", START, 'on, "or"\nso'),
        ("T1", START + 1, "=1+1"),
        ("T1", START + 2, "{not json"),
        ("J1", START, {"value": 2, "voltage": 3.5}),
        ("J1", START + 1, {"value": 21.5}),
        ("N1", START, 7),
        ("N1", START + 1, 2**60 + 1),
    )
    texts = [item["value"] for item in read(program, "T1").json["items"]]
    assert texts == ['on, "or"\nso', "=1+1", "{not json"]
    objects = [item["value"] for item in read(program, "J1").json["items"]]
    assert objects == [{"value": 2, "voltage": 3.5}, 21.5]
    numbers = [item["value"] for item in read(program, "N1").json["items"]]
    assert numbers == [7, 2**60 + 1]
    assert all(isinstance(number, int) for number in numbers)
    _, *rows = csv.reader(io.StringIO(read(program, "T1", format="csv").text))
    assert [row[2] for row in rows] == ['on, "or"\nso', "'=1+1", "{not json"]


def test_what_was_just_heard_is_behind_what_is_stored(web, program, store):
    now_ms = time_now_ms()
    store(("A1", now_ms - 2000, 1.0))
    web.on_batch([reading("A1", 2.0, timestamp_ms=now_ms - 1000, sequence=9)])
    web.on_batch([reading("T1", "warm", timestamp_ms=now_ms - 500)])
    assert [item["value"] for item in program.get("/history/A1").json["items"]] == [1.0, 2.0]
    assert [item["value"] for item in program.get("/history/T1").json["items"]] == ["warm"]


def test_what_was_just_heard_is_as_it_will_be_stored(web, program):
    now_ms = time_now_ms()
    sent = [("J1", {"value": 2, "voltage": 3.5}), ("J1", {"value": 21.5}), ("N1", 7)]
    for n, (codifier, value) in enumerate(sent):
        web.on_batch([reading(codifier, value, timestamp_ms=now_ms - 900 + n, sequence=n)])
    objects = [item["value"] for item in program.get("/history/J1").json["items"]]
    assert objects == [{"value": 2, "voltage": 3.5}, 21.5]
    (whole,) = program.get("/history/N1").json["items"]
    assert isinstance(whole["value"], int)


def test_points_are_few_and_keep_lowest_and_highest(program, store):
    store(*(("A1", START + n * 1000, float(n % 10)) for n in range(1000)))
    answer = read(program, "A1", points=20).json
    assert answer["bucket_ms"] > 0
    assert 2 <= len(answer["items"]) <= 20
    assert min(item["low"] for item in answer["items"]) == 0.0
    assert max(item["high"] for item in answer["items"]) == 9.0
    highest = read(program, "A1", points=20, field="max").json
    assert {item["value"] for item in highest["items"]} == {9.0}
    assert read(program, "A1", points=20, format="csv").text.startswith("time,utc,value,low,high")


def test_statistics_come_with_all_their_columns(web, program, store):
    values = [float(n % 7) for n in range(600)]
    store(*(("A1", START + 1 + n * 10_000, value) for n, value in enumerate(values)))
    with closing(open_history("sqlite:///history.sqlite", web.home)) as history:
        while history.statistics.compute(START + 10 * HOUR_MS):
            pass
    query = {"from": START, "to": START + 10 * HOUR_MS}
    answer = program.get("/statistics/A1", **query).json
    assert answer["bucket_ms"] == HOUR_MS
    first = answer["items"][0]
    assert (first["time"], first["count"]) == (START + HOUR_MS, 360)
    assert first["mean"] == pytest.approx(statistics.fmean(values[:360]))
    assert len(program.get("/statistics/A1", resolution="10min", **query).json["items"]) == 10
    text = program.get("/statistics/A1", format="csv", **query).text
    assert text.startswith("time,utc,mean,mode,median,max,min,stdev,count\r\n")


def test_a_history_in_postgresql(make_web, postgres_url):
    web = make_web(history=postgres_url)
    program = Program(web)
    values = [float(n % 7) for n in range(400)]
    with closing(open_history(postgres_url, web.home)) as history:
        history.append(
            [(START + 1 + n * 10_000, "A1", n, value, None) for n, value in enumerate(values)]
        )
        while history.statistics.compute(START + 10 * HOUR_MS):
            pass
    query = {"from": START, "to": START + 10 * HOUR_MS}
    items = program.get("/history/A1", **query).json["items"]
    assert [item["value"] for item in items] == values
    hour = program.get("/statistics/A1", **query).json["items"][0]
    assert (hour["time"], hour["count"], hour["max"]) == (START + HOUR_MS, 360, 6.0)
    assert len(program.get("/history/A1", points=10, **query).json["items"]) <= 10


def test_errors_of_a_history(web, program):
    for path in ("/history/zz", "/statistics/zz"):
        assert program.get(path).status == 404
    assert program.get("/history/A1", field="height").status == 422
    assert program.get("/history/A1", **{"from": -1}).status == 422
    with closing(sqlite3.connect(web.home / "history.sqlite")) as database:
        database.execute("PRAGMA user_version = 999")  # of a newer JPH
    for query in ({}, {"points": 5}, {"format": "csv"}):
        answer = program.get("/history/A1", **query)
        assert answer.status == 503
        assert answer.headers["Content-Type"] == "application/problem+json"


@both_servers
def test_a_long_history_waits_for_its_reader_and_is_whole(web, program, store):
    store(*(("A1", START + n, n / 3) for n in range(60_000)))
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", web.bound_port))
        path = f"/api/v1/history/A1?format=ndjson&from={START}&to={START + 10**6}"
        head = f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{web.bound_port}\r\n"
        slow.sendall(f"{head}Authorization: Bearer {program.token}\r\n\r\n".encode())
        eventually(lambda: web._site.exports.places.count == 1)
        assert program.get("/components").status == 200  # the server has threads for others
        received = bytearray()
        while data := slow.recv(65_536):
            received += data
    body = bytes(received).partition(b"\r\n\r\n")[2]
    lines = [json.loads(line) for line in body.splitlines()]
    assert [line["time"] for line in lines] == [START + n for n in range(60_000)]
    eventually(lambda: web._site.exports.places.count == 0)


def test_an_export_that_fails_midway_is_not_taken_for_whole(web, program, store, monkeypatch):
    store(*(("A1", START + n, float(n)) for n in range(5_000)))
    taken = []

    def failing(row, data_type, value_of=long_history.value_of):
        taken.append(row)
        if len(taken) == 4_000:
            raise ValueError("the disk is gone")
        return value_of(row, data_type)

    monkeypatch.setattr(long_history, "value_of", failing)
    with pytest.raises(http.client.IncompleteRead):
        read(program, "A1", format="ndjson")
    eventually(lambda: web._site.exports.places.count == 0)


def test_exports_of_one_address_are_bounded(web, program, store):
    store(*(("A1", START + n, n / 3) for n in range(60_000)))
    path = f"/api/v1/history/A1?from={START}&to={START + 10**6}"
    readers = []
    try:
        for _ in range(web._site.exports.places.most_of_address):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", web.bound_port))
            head = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{web.bound_port}\r\n"
            reader.sendall(f"{head}Authorization: Bearer {program.token}\r\n\r\n".encode())
            readers.append(reader)
        eventually(lambda: web._site.exports.places.count == len(readers))
        answer = read_or_refused(program)
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) > 0
    finally:
        for reader in readers:
            reader.close()
    eventually(lambda: web._site.exports.places.count == 0)
    assert read_or_refused(program).status == 200


def read_or_refused(program):
    return program.get("/history/A1", **{"from": START, "to": START + 10})


def test_an_export_is_compressed_for_who_takes_gzip(program, store):
    store(*(("A1", START + n, float(n)) for n in range(500)))
    path = f"/history/A1?format=csv&from={START}&to={START + 1000}"
    answer = program.ask("GET", path, Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(gzip.decompress(answer.body).splitlines()) == 501
    assert len(answer.body) < 5_000


def test_head_has_no_body(program, store):
    store(("A1", START, 1.0))
    answer = program.ask("HEAD", f"/history/A1?from={START}&to={START + 1}")
    assert (answer.status, answer.body) == (200, b"")
