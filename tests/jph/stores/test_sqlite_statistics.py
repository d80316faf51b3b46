"""What only SQLite does: the step from version 1, its lock, its marks, its room."""

import fcntl
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from jph.stores import open_history
from jph.stores.buckets import HOUR_MS, RAW, TEN_MINUTES_MS
from jph.stores.sqlite import history as sqlite
from jph.stores.sqlite import statistics as sqlite_statistics
from tests.jph.stores.histories import ask, statistics_of

TOP = Path(__file__).resolve().parents[3]
START = 1_795_000_000_000 // HOUR_MS * HOUR_MS
URL = "sqlite:///history.sqlite"

# As version 1 was landed; this text never changes.
VERSION_1 = """
PRAGMA page_size = 4096;
PRAGMA journal_mode = WAL;
CREATE TABLE measurement (timestamp INTEGER NOT NULL, codifier TEXT NOT NULL,
 sequence INTEGER NOT NULL, value REAL, text TEXT,
 PRIMARY KEY (timestamp, codifier, sequence)) WITHOUT ROWID;
CREATE TABLE series (codifier TEXT NOT NULL PRIMARY KEY, first_ms INTEGER NOT NULL,
 last_ms INTEGER NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def rows(n, codifier="C1", start_ms=START + 1, step_ms=10_000):
    return [(start_ms + i * step_ms, codifier, i, float(i % 7), None) for i in range(n)]


def write_version_1(path, readings):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(VERSION_1)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO measurement VALUES (?, ?, ?, ?, ?)", readings)
        connection.execute(
            "INSERT INTO series SELECT codifier, min(timestamp), max(timestamp)"
            " FROM measurement GROUP BY codifier"
        )
        connection.execute("COMMIT")


def compute(store, until_ms=1 << 50):
    while store.statistics.compute(until_ms):
        pass


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.sqlite"


def expected(tmp_path, readings):
    """Return the statistics that a new file has of these readings."""
    with closing(open_history("sqlite:///new.sqlite", tmp_path)) as store:
        store.append(readings)
        compute(store)
        return statistics_of(store)


OLD = [
    (0, "C9", 1, 1.0, None),  # of a clock that was never set
    *rows(3000),
    *rows(500, "C2", START + 90 * 24 * HOUR_MS),
    (START + 5, "S1", 1, None, "text"),
]


def test_a_file_of_version_1_keeps_its_readings_and_gets_their_statistics(
    path, tmp_path, monkeypatch
):
    monkeypatch.setattr(sqlite_statistics, "MOST_UNMARKED", 700)
    write_version_1(path, OLD)
    with closing(open_history(URL, tmp_path)) as store:
        assert ask(store, "PRAGMA user_version") == [(len(sqlite.STEPS),)]
        assert sorted(ask(store, "SELECT * FROM measurement")) == sorted(OLD)
        assert store.statistics.due(1 << 50) > 0
        late = [(START + 7, "C1", 10**6, 100.0, None)]
        store.append(late)
        compute(store)
        assert statistics_of(store) == expected(tmp_path, OLD + late)
        assert ask(store, "SELECT * FROM unmarked") == []
        assert store.statistics.due(1 << 50) == 0


def test_before_they_are_marked_old_readings_are_read_as_they_are_and_not_dropped(path, tmp_path):
    write_version_1(path, OLD)
    with closing(open_history(URL, tmp_path)) as store:
        hours = store.read(["C1"], "max-hour", START, START + 10 * HOUR_MS)["C1"]
        assert hours.values == [6.0] * 9
        assert store.statistics.drop_before(RAW, START + HOUR_MS) is None
        assert store.statistics.drop_oldest(RAW, 1 << 50) is None


def test_an_empty_file_of_version_1_has_nothing_to_mark(path, tmp_path):
    write_version_1(path, [])
    with closing(open_history(URL, tmp_path)) as store:
        assert store.statistics.due(1 << 50) == 0
        assert store.statistics.compute(1 << 50) == 0


KILLED = """
import os, sys
from pathlib import Path
from jph.stores import open_history, sql
from jph.stores.sqlite import statistics as sqlite_statistics
sqlite_statistics.MOST_UNMARKED = 100
sql.MOST_MARKS = 5
print("ready", flush=True)
store = open_history("sqlite:///history.sqlite", Path(sys.argv[1]))
while store.statistics.compute(1 << 50):
    os.write(1, b"x")
"""


def test_killed_at_any_moment_of_the_step_and_of_computing_nothing_is_missed(path, tmp_path):
    write_version_1(path, OLD)
    rng = random.Random(3)
    for _ in range(12):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, cwd=TOP
        )
        process.stdout.readline()
        os.read(process.stdout.fileno(), rng.randrange(1, 12))
        os.kill(process.pid, signal.SIGKILL)
        process.stdout.close()
        process.wait()
    with closing(open_history(URL, tmp_path)) as store:
        compute(store)
        assert statistics_of(store) == expected(tmp_path, OLD)
        assert ask(store, "PRAGMA integrity_check") == [("ok",)]


def test_a_reading_that_comes_while_its_bucket_is_computed_leaves_its_mark(tmp_path, monkeypatch):
    with closing(open_history(URL, tmp_path)) as store:
        store.append(rows(30))
        real = sqlite_statistics.SqliteStatistics._results
        late = [(START + 7, "C1", 10**6, 100.0, None)]
        came = []

        def results(self, *arguments):
            found = real(self, *arguments)
            if not came:
                came.append(store.append(late))
                assert ask(store, "SELECT sum(taken) FROM pending") == [(0,)]
            return found

        monkeypatch.setattr(sqlite_statistics.SqliteStatistics, "_results", results)
        assert store.statistics.compute(1 << 50) == 1
        assert store.statistics.due(1 << 50) == 1
        compute(store)
        assert statistics_of(store) == expected(tmp_path, rows(30) + late)


def test_while_one_computes_another_does_nothing(tmp_path):
    with closing(open_history(URL, tmp_path)) as store:
        store.append(rows(30))
        with (tmp_path / "history.sqlite-statistics").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert store.statistics.compute(1 << 50) == 0
        assert store.statistics.compute(1 << 50) == 1


def test_a_mark_that_is_there_costs_the_writer_nothing(tmp_path):
    with closing(open_history(URL, tmp_path)) as store:
        store.append(rows(10, step_ms=1000))
        with store.writing() as connection:
            before = connection.total_changes
            marks = [(START + TEN_MINUTES_MS, "C1")]
            connection.executemany(sqlite.MARK, marks)
            assert connection.total_changes == before


def test_room_that_was_freed_is_used_again(path, tmp_path):
    first_ms = START
    with closing(open_history(URL, tmp_path)) as store:
        for day in range(4):
            store.append(rows(8640, start_ms=first_ms + day * 24 * HOUR_MS + 1))
            store.append(rows(8640, "C2", start_ms=first_ms + day * 24 * HOUR_MS + 1))
        compute(store)
        with store.writing() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()
        while store.statistics.drop_before(RAW, first_ms + 2 * 24 * HOUR_MS):
            pass
        used = store.statistics.size_bytes()
        assert used < 0.7 * pages[0] * 4096
        store.append(rows(8640, start_ms=first_ms + 4 * 24 * HOUR_MS + 1))
        with store.writing() as connection:
            assert connection.execute("PRAGMA page_count").fetchone() == pages
