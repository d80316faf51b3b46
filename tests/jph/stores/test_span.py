"""Reading spans of history; each test with a store runs on SQLite and on PostgreSQL."""

import itertools
import json
import random
import statistics
from contextlib import closing
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jph.stores import open_history, rows_of
from jph.stores.buckets import HOUR, HOUR_MS, RAW, TEN_MINUTES, TEN_MINUTES_MS, end_of
from jph.stores.postgres import span as postgres_reading
from jph.stores.span import Field, parse_field
from jph.stores.sqlite import span as sqlite_reading
from tests.jph.stores.histories import KINDS, history_url

START = 1_795_000_000_000 // (7 * 24 * HOUR_MS) * 7 * 24 * HOUR_MS
DAY_MS = 24 * HOUR_MS
WEEK_MS = 7 * DAY_MS
numbers = itertools.count()


@pytest.fixture(params=KINDS)
def store(request, tmp_path):
    with closing(open_history(history_url(request), tmp_path)) as opened:
        yield opened


@pytest.fixture
def long_spans(monkeypatch):
    """Have every span count as too long for its readings to be looked at."""
    monkeypatch.setattr(sqlite_reading, "MOST_SCANNED", 0)
    monkeypatch.setattr(postgres_reading, "MOST_READINGS", 0)


def rows(values, codifier="C1", start_ms=START + 1, step_ms=60_000):
    return [(start_ms + i * step_ms, codifier, i, value, None) for i, value in enumerate(values)]


def compute(store, until_ms=1 << 50):
    while store.statistics.compute(until_ms):
        pass


def read(store, field, start_ms, end_ms, most=1000, codifier="C1"):
    return store.read([codifier], field, start_ms, end_ms, most)[codifier]


@pytest.mark.parametrize(
    "text, field",
    [
        ("value", Field("value", None)),
        ("stdev-10min", Field("stdev", TEN_MINUTES)),
        ("mode-hour", Field("mode", HOUR)),
    ],
)
def test_a_field_is_a_column_and_perhaps_a_resolution(text, field):
    assert parse_field(text) == field


@pytest.mark.parametrize(
    "text", ["", "sum", "mean-", "mean-day", "-hour", "Value", "value-10min-hour", "value; DROP"]
)
def test_another_field_is_a_mistake_that_names_the_right_ones(text):
    with pytest.raises(ValueError, match="value, mean, median, mode, max, min, stdev"):
        parse_field(text)


def test_several_codifiers_are_read_in_one_call_and_unknown_ones_are_empty(store):
    store.append(rows([1.0, 2.0]) + rows([7.0], "C2"))
    found = store.read(["C2", "C1", "C9"], "value", 0, 1 << 50, 10)
    assert {codifier: series.values for codifier, series in found.items()} == {
        "C2": [7.0],
        "C1": [1.0, 2.0],
        "C9": [],
    }


def test_an_empty_or_absurd_span_has_no_points_and_no_error(store):
    store.append(rows([1.0]))
    for start_ms, end_ms in ((5, 5), (START + 9, START), (-(10**30), 0), (10**30, 10**31)):
        assert read(store, "value", start_ms, end_ms).times_ms == []
    assert read(store, "mean-hour", -(10**30), 10**30, 5).values == [1.0]
    with pytest.raises(ValueError, match="most_points"):
        read(store, "value", 0, 1, 0)


def test_a_forced_resolution_has_one_point_for_each_bucket_at_its_end(store):
    values = [float(i) for i in range(120)]
    store.append(rows(values))
    compute(store)
    hours = read(store, "mean-hour", START, START + DAY_MS)
    assert hours.times_ms == [START + HOUR_MS, START + 2 * HOUR_MS]
    assert hours.values == [29.5, 89.5]
    assert (hours.lows, hours.highs) == ([0.0, 60.0], [59.0, 119.0])
    assert hours.bucket_ms == HOUR_MS
    for field, expected in (
        ("value", 4.5),
        ("median", 4.5),
        ("max", 9.0),
        ("min", 0.0),
        ("stdev", statistics.pstdev(range(10))),
    ):
        tens = read(store, f"{field}-10min", START, START + DAY_MS)
        assert tens.values[0] == pytest.approx(expected)
        assert tens.times_ms == [START + (i + 1) * TEN_MINUTES_MS for i in range(12)]
    assert read(store, "mode-10min", START, START + DAY_MS).times_ms == []  # no single one


def test_a_forced_resolution_is_the_same_before_it_is_computed(store):
    rng = random.Random(1)
    store.append(rows([rng.choice([1.0, 2.0, 5.0]) for _ in range(500)]))
    fields = [
        f"{name}-{suffix}"
        for name in ("value", "mean", "median", "mode", "max", "min", "stdev")
        for suffix in ("10min", "hour")
    ]
    before = [read(store, field, START, START + DAY_MS) for field in fields]
    compute(store)
    for field, series in zip(fields, before, strict=True):
        now = read(store, field, START, START + DAY_MS)
        assert now.times_ms == series.times_ms
        assert now.values == pytest.approx(series.values)
        assert now.lows == pytest.approx(series.lows)
        assert now.highs == pytest.approx(series.highs)


def test_buckets_of_a_forced_resolution_are_joined_where_they_are_too_many(store):
    store.append(rows([float(i) for i in range(600)]))
    compute(store)
    series = read(store, "mean-10min", START, START + DAY_MS, 7)
    assert len(series.times_ms) <= 7
    assert series.bucket_ms % TEN_MINUTES_MS == 0
    assert (min(series.lows), max(series.highs)) == (0.0, 599.0)
    stdev = read(store, "stdev-10min", START, START + DAY_MS, 1)
    assert stdev.values == [pytest.approx(statistics.pstdev(range(600)))]


def test_readings_that_are_not_computed_fill_in(store, long_spans):
    given = rows([float(i) for i in range(300)])
    store.append(given)
    compute(store, START + 2 * HOUR_MS)
    for field in ("value", "mean", "max", "min"):
        series = read(store, field, START, START + DAY_MS, 50)
        assert (min(series.lows), max(series.highs)) == (
            (0.0, 299.0) if field in ("value", "mean") else (min(series.values), max(series.values))
        )
        assert series.times_ms[-1] > START + 290 * 60_000
    late = [(START + 30_001, "C1", 999, 77777.0, None)]
    store.append(late)
    assert max(read(store, "value", START, START + DAY_MS, 50).highs) == 77777.0


def test_a_gap_is_a_gap_at_every_resolution(store, long_spans):
    late_ms = START + 3 * DAY_MS
    store.append(rows([1.0] * 600) + rows([2.0] * 600, start_ms=late_ms))
    compute(store)
    for field in ("value", "mean-10min", "mean-hour"):
        series = read(store, field, START, late_ms + DAY_MS, 100)
        assert series.times_ms
        inside = [ms for ms in series.times_ms if START + DAY_MS < ms < late_ms]
        assert inside == []
        assert max(b - a for a, b in pairwise(series.times_ms)) > (2 * series.bucket_ms)


def test_where_readings_were_dropped_statistics_take_their_place(store):
    store.append(rows([float(i % 60) for i in range(2 * 168)], step_ms=HOUR_MS))
    compute(store)
    while store.statistics.drop_before(RAW, START + WEEK_MS):
        pass
    everything = read(store, "value", 0, 1 << 50)
    assert (min(everything.lows), max(everything.highs)) == (0.0, 59.0)
    hour = read(store, "value", START + 5 * HOUR_MS + 17, START + 6 * HOUR_MS + 17)
    assert len(hour.values) == 1
    assert hour.values[0] in (5.0, 6.0)
    for day in range(14):
        from_ms = START + day * DAY_MS
        assert len(read(store, "value", from_ms, from_ms + DAY_MS).times_ms) == 24


def test_where_10_minutes_were_dropped_hours_take_their_place(store, long_spans):
    year_ms = 52 * WEEK_MS
    first_ms = START // year_ms * year_ms
    store.append(rows([1.0, 5.0] * 12, start_ms=first_ms + 1, step_ms=30 * 60_000))
    store.append(rows([3.0], start_ms=first_ms + year_ms))
    compute(store)
    for resolution in (RAW, TEN_MINUTES):
        while store.statistics.drop_before(resolution, first_ms + 26 * WEEK_MS):
            pass
    series = read(store, "value", first_ms, first_ms + 12 * HOUR_MS)
    assert series.values == [3.0] * 12
    assert (set(series.lows), set(series.highs)) == ({1.0}, {5.0})


POINTS = st.lists(
    st.tuples(st.integers(0, 6 * HOUR_MS), st.floats(-1e6, 1e6) | st.just(1.0)), max_size=80
)


@settings(max_examples=60)
@given(
    points=POINTS,
    late=POINTS,
    start=st.integers(-1000, 6 * HOUR_MS),
    end=st.integers(0, 7 * HOUR_MS),
    most=st.integers(1, 40),
    until=st.integers(0, 7 * HOUR_MS),
    quick=st.booleans(),
)
def test_points_are_few_in_order_within_their_span_and_no_peak_vanishes(
    store, points, late, start, end, most, until, quick
):
    codifier = f"{next(numbers)}"  # one store for all examples

    def store_all(points, first):
        store.append(
            [(START + ms, codifier, first + i, value, None) for i, (ms, value) in enumerate(points)]
        )

    store_all(points, 0)
    compute(store, START + until)
    store_all(late, 1000)
    with pytest.MonkeyPatch.context() as patch:
        if not quick:
            patch.setattr(sqlite_reading, "MOST_SCANNED", 0)
            patch.setattr(postgres_reading, "MOST_READINGS", 0)
        series = read(store, "value", START + start, START + end, most, codifier)
        means = read(store, "median", START + start, START + end, most, codifier)
        hours = read(store, "max-hour", START + start, START + end, most, codifier)
    inside = [value for ms, value in points + late if start <= ms < end]
    for one in (series, means, hours):
        assert len(one.times_ms) == len(one.values) == len(one.lows) == len(one.highs) <= most
        assert one.times_ms == sorted(set(one.times_ms)) or one.bucket_ms == 0
        assert all(START + start <= ms < START + end for ms in one.times_ms)
        assert all(
            low <= value * (1 + 1e-12 * (1 if value > 0 else -1)) + 1e-9
            and value <= high + abs(high) * 1e-12 + 1e-9
            for low, value, high in zip(one.lows, one.values, one.highs, strict=True)
        )
    assert bool(inside) == bool(series.times_ms)
    if inside:
        assert (min(series.lows), max(series.highs)) == (min(inside), max(inside))
    ended = [
        value for ms, value in points + late if start <= end_of(START + ms, HOUR) - START < end
    ]
    assert bool(ended) == bool(hours.times_ms)
    if ended:
        assert max(hours.values) == max(ended)


def test_objects_that_were_a_number_alone_are_among_the_texts_when_asked_for(store):
    values = [{"value": 21.5}, {"value": 3, "voltage": 2.9}, {"value": -5}, {"value": True}]
    values += [{"value": 1e300}, {"value": "off"}]
    readings = [("J1", START + n, n, value, "j", 0, ("", 0)) for n, value in enumerate(values)]
    store.append(list(rows_of(readings)))
    found = store.read_text("J1", START, START + 10, objects=True)
    assert [(time_ms, json.loads(text)) for time_ms, text in found] == [
        (START + n, value) for n, value in enumerate(values)
    ]
    assert store.read_text("J1", START, START + 10, 2, objects=True) == found[-2:]
    assert store.read_text("J1", START, START + 10) == [found[n] for n in (1, 3, 5)]
