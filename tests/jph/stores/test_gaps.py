"""Gaps and summaries of spans; each test runs on SQLite and on PostgreSQL."""

import random
import statistics

import pytest

from jph.stores.buckets import HOUR_MS
from jph.stores.postgres import span as postgres_reading
from jph.stores.sqlite import span as sqlite_reading

START = 1_795_000_000_000 // (24 * HOUR_MS) * 24 * HOUR_MS
MINUTE_MS = 60_000


@pytest.fixture
def long_spans(monkeypatch):
    """Have every span count as too long for its readings to be looked at."""
    monkeypatch.setattr(sqlite_reading, "MOST_SCANNED", 0)
    monkeypatch.setattr(postgres_reading, "MOST_READINGS", 0)


def rows(minutes, codifier="C1", value=float, text=None):
    return [
        (START + 1 + minute * MINUTE_MS, codifier, minute, value(minute) if value else None, text)
        for minute in minutes
    ]


def compute(store):
    while store.statistics.compute(1 << 50):
        pass


def at(minute):
    return START + 1 + minute * MINUTE_MS


def test_readings_further_apart_than_they_may_be_are_a_gap(store):
    store.append(rows([0, 1, 2, 5, 6, 30, 31]) + rows(range(31), "C2"))
    found = store.gaps("C1", 0, 1 << 50, 2 * MINUTE_MS)
    assert (found.first_ms, found.last_ms) == (at(0), at(31))
    assert found.spans == [(at(2), at(5)), (at(6), at(30))]
    assert found.least_ms == 2 * MINUTE_MS
    assert store.gaps("C1", 0, 1 << 50, 3 * MINUTE_MS).spans == [(at(6), at(30))]
    assert store.gaps("C1", at(5), at(31), MINUTE_MS).spans == [(at(6), at(30))]


def test_texts_count_as_readings(store):
    store.append(rows([0, 1, 9], value=None, text="idle"))
    assert store.gaps("C1", 0, 1 << 50, 2 * MINUTE_MS).spans == [(at(1), at(9))]


@pytest.mark.parametrize("span", [(0, 1000), (START + HOUR_MS, START), (at(3), at(5))])
def test_without_readings_nothing_is_known(store, span):
    store.append(rows([0, 1, 2, 5, 6]))
    assert store.gaps("C1", *span, MINUTE_MS) is None
    assert store.gaps("C9", 0, 1 << 50, MINUTE_MS) is None
    assert store.summary("C1", *span) is None


def test_the_gaps_of_a_long_span_begin_and_end_with_readings(store, long_spans):
    here = [*range(0, 95), *range(125, 300), *range(304, 600)]
    store.append(rows(here))
    compute(store)
    found = store.gaps("C1", 0, 1 << 50, 3 * MINUTE_MS)
    assert (found.first_ms, found.last_ms) == (at(0), at(599))
    assert found.spans == [(at(94), at(125))]  # the one of four minutes is shorter than a bucket
    assert found.least_ms == 10 * MINUTE_MS


def test_a_summary_of_few_readings_is_exact(store):
    values = [random.Random(7).gauss(20, 3) for _ in range(500)]
    store.append(rows(range(500), value=values.__getitem__))
    found = store.summary("C1", at(10), at(400))
    part = values[10:400]
    assert found.readings == 390
    assert (found.min, found.max) == (min(part), max(part))
    assert found.mean == pytest.approx(statistics.fmean(part))
    assert found.median == pytest.approx(statistics.median(part))
    assert found.stdev == pytest.approx(statistics.pstdev(part))


def test_a_summary_of_many_readings_is_made_of_buckets(store, long_spans):
    values = [random.Random(8).gauss(20, 3) for _ in range(3000)]
    store.append(rows(range(3000), value=values.__getitem__))
    compute(store)
    found = store.summary("C1", at(7), at(2999))
    part = values[7:2999]
    assert found.readings == len(part)
    assert (found.min, found.max) == (min(part), max(part))
    assert found.mean == pytest.approx(statistics.fmean(part))
    assert found.stdev == pytest.approx(statistics.pstdev(part))
    assert found.median == pytest.approx(statistics.median(part), abs=0.2)
