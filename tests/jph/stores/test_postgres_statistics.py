"""What only PostgreSQL does: partitions of statistics, locks of those who write and compute."""

import threading
import time
from contextlib import closing

import pytest

from jph.stores import open_history
from jph.stores.buckets import HOUR, HOUR_MS, RAW, TEN_MINUTES
from jph.stores.postgres import schema
from jph.stores.postgres import statistics as postgres_statistics
from tests.helpers import eventually
from tests.jph.stores.histories import statistics_of

WEEK_MS = schema.WEEK_MS
START = 1_780_000_000_000 // (52 * WEEK_MS) * 52 * WEEK_MS


def rows(values, codifier="C1", start_ms=START + 1, step_ms=60_000, sequence=0):
    return [
        (start_ms + i * step_ms, codifier, sequence + i, value, None)
        for i, value in enumerate(values)
    ]


def compute(store):
    while store.statistics.compute(1 << 50):
        pass


@pytest.fixture
def store(postgres_url, tmp_path):
    with closing(open_history(postgres_url, tmp_path)) as opened:
        yield opened


@pytest.fixture
def query(postgres_server, postgres_database):
    return lambda sql, values=None: postgres_server.execute(sql, postgres_database, values)


def partitions(query):
    return [
        row[0]
        for row in query(
            "SELECT relid::regclass::text FROM pg_partition_tree('statistic') WHERE isleaf"
            " ORDER BY 1"
        )
    ]


def test_each_resolution_has_partitions_of_its_own_length(store, query):
    store.append(rows([1.0] * 5, step_ms=13 * WEEK_MS))
    compute(store)
    assert len([name for name in partitions(query) if "10min" in name]) == 5
    assert len([name for name in partitions(query) if "hour" in name]) == 2
    assert query("SELECT count(*) FROM statistic_default") == [(0,)]


@pytest.mark.parametrize("resolution", [TEN_MINUTES, HOUR])
def test_the_name_of_a_partition_tells_its_span(resolution):
    week = START // WEEK_MS + 15
    partition = schema.partition(week, resolution)
    assert partition.start_ms <= week * WEEK_MS < partition.end_ms
    assert schema.partition_of(partition.name, resolution) == partition
    assert schema.partition_of(partition.name, 70 - resolution) is None
    assert schema.partition_of("statistic_default", resolution) is None


def test_a_reader_in_the_way_of_a_drop_lets_it_wait_for_the_next_time(store, query, monkeypatch):
    monkeypatch.setattr(postgres_statistics, "DROP_LOCK", "50ms")
    store.append(rows([1.0]) + rows([2.0], start_ms=START + 2 * WEEK_MS))
    compute(store)
    with store.reading() as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT count(*) FROM measurement")
        began_s = time.monotonic()
        assert store.statistics.drop_before(RAW, START + WEEK_MS) is None
        assert time.monotonic() - began_s < 5
        cursor.execute("COMMIT")
    dropped = store.statistics.drop_before(RAW, START + WEEK_MS)
    assert (dropped.resolution, dropped.before_ms) == (RAW, START + WEEK_MS)
    assert dropped.bytes > 0
    assert [row[3] for row in store.last("C1", 9)] == [2.0]


def test_readings_of_clocks_that_were_never_set_are_dropped_by_age(store, query):
    store.append([(5, "C1", 1, 1.0, None), (6, "S1", 1, None, "text")])
    compute(store)
    assert store.statistics.drop_before(RAW, START).resolution == RAW
    assert query("SELECT * FROM measurement") == []
    assert store.statistics.drop_before(TEN_MINUTES, START).resolution == TEN_MINUTES
    assert {row[0] for row in statistics_of(store)} == {HOUR}


def test_marks_that_a_writer_holds_are_left_for_later(store, query):
    store.append(rows([1.0]) + rows([1.0], "C2"))
    with store.writing() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM pending WHERE codifier = 'C1' FOR UPDATE")
        assert store.statistics.compute(1 << 50) == 1
        assert {row[1] for row in statistics_of(store)} == {"C2"}
    assert store.statistics.compute(1 << 50) == 1


def test_while_one_computes_another_does_nothing_and_writers_go_on(store, query):
    store.append(rows([1.0]))
    with store.writing() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (postgres_statistics.COMPUTING,))
        assert store.statistics.compute(1 << 50) == 0
        assert store.append(rows([2.0], "C2")) == 1
    assert store.statistics.compute(1 << 50) == 2


def test_a_reading_of_a_bucket_that_is_being_computed_waits_and_is_computed_after(store, query):
    store.append(rows([1.0]))
    late = rows([9.0], start_ms=START + 7, sequence=99)
    with store.writing() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM pending FOR UPDATE")
        cursor.execute("DELETE FROM pending")
        writer = threading.Thread(target=store.append, args=(late,))
        writer.start()
        eventually(
            lambda: query("SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0], what="a wait"
        )
        connection.commit()
    writer.join()
    assert store.statistics.due(1 << 50) == 1
    compute(store)
    assert statistics_of(store)[0][-1] == 2


def test_an_hour_that_is_not_over_is_due_at_its_end_though_nothing_more_comes(store, query):
    store.append(rows([1.0]))
    store.statistics.compute(START + HOUR_MS // 2)
    assert query("SELECT timestamp FROM pending") == [(START + HOUR_MS,)]
    assert store.statistics.compute(START + HOUR_MS) == 1
    assert [row[0] for row in statistics_of(store)] == [TEN_MINUTES, HOUR]
