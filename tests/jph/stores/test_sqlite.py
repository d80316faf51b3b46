import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jph.errors import ConfigError, StoreError
from jph.stores import open_history
from jph.stores.sqlite import file
from jph.stores.sqlite import history as sqlite
from tests.helpers import logged
from tests.small_disk import small_disk

START = 1_763_000_000_000
numbers = itertools.count()
TOP = Path(__file__).resolve().parents[3]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.sqlite"


@pytest.fixture
def store(tmp_path):
    with closing(open_history("sqlite:///history.sqlite", tmp_path)) as opened:
        yield opened


def rows_of(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT timestamp, codifier, sequence, value, text FROM measurement"
        ).fetchall()


def read(store, codifier, start_ms, end_ms, most_points=1000):
    return store.read([codifier], "value", start_ms, end_ms, most_points)[codifier]


def curve(values, codifier="C1", step_ms=1000):
    return [(START + i * step_ms, codifier, i, value, None) for i, value in enumerate(values)]


ROWS = st.lists(
    st.tuples(
        st.integers(0, (1 << 48) - 1),
        st.sampled_from(["C1", "C2", "~~", "!'"]),
        st.integers(0, 0xFFFF_FFFF),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.none() | st.text(st.characters(codec="utf-8"), max_size=20),
    ),
    max_size=30,
    unique_by=lambda row: row[:3],
)


@settings(max_examples=50)
@given(ROWS, st.randoms(use_true_random=False), st.integers(0, 30))
def test_rows_in_any_order_written_any_number_of_times_are_stored_once(tmp_path, rows, rng, cut):
    name = f"{next(numbers)}.sqlite"
    with closing(open_history(f"sqlite:///{name}", tmp_path)) as store:
        shuffled = rng.sample(rows, len(rows))
        new = store.append(shuffled[:cut]) + store.append(shuffled) + store.append(rows)
        assert new == len(rows)
        for codifier in ("C1", "C2", "~~", "!'"):
            mine = sorted(row for row in rows if row[1] == codifier)
            assert sorted(store.last(codifier, 100)) == mine
    assert sorted(rows_of(tmp_path / name)) == sorted(rows)


def test_readings_are_returned_as_they_are_where_they_are_few(store):
    store.append(curve([1.0, 2.0, 5.0]))
    series = read(store, "C1", START, START + 2000, 2)
    assert series.times_ms == [START, START + 1000]
    assert series.values == series.lows == series.highs == [1.0, 2.0]
    assert series.bucket_ms == 0


def test_no_peak_vanishes_when_a_span_is_reduced(store):
    values = [20.0] * 5000
    values[1234], values[4321] = 99.0, -7.0
    store.append(curve(values))
    series = read(store, "C1", 0, START + 10**9, 100)
    assert len(series.times_ms) == len(series.values) == len(series.lows) == 100
    assert max(series.highs) == 99.0
    assert min(series.lows) == -7.0
    assert 49_900 < series.bucket_ms <= 50_000
    peak = series.highs.index(99.0)
    assert abs(series.times_ms[peak] - (START + 1_234_000)) < series.bucket_ms
    assert series.values[peak] == pytest.approx(20 + 79 / 50, abs=0.1)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 50_000), st.floats(-1e6, 1e6)), max_size=60),
    st.integers(-1000, 60_000),
    st.integers(-1000, 60_000),
    st.integers(1, 20),
)
def test_a_series_is_in_order_within_its_span_and_limit(store, points, start, end, most):
    store.append([(ms, "R1", i, value, None) for i, (ms, value) in enumerate(points)])
    everything = [(ms, value) for ms, _, _, value, _ in store.last("R1", 10**6)]
    inside = [value for ms, value in everything if start <= ms < end]
    series = read(store, "R1", start, end, most)
    assert len(series.times_ms) <= most
    assert series.times_ms == sorted(series.times_ms)
    assert all(start <= ms < end for ms in series.times_ms)
    assert bool(inside) == bool(series.times_ms)
    if inside:
        assert (min(series.lows), max(series.highs)) == (min(inside), max(inside))


def test_a_gap_in_the_readings_is_a_gap_in_the_points(store):
    store.append(curve([1.0] * 1000))
    later = START + 10_000_000
    store.append([(later + i, "C1", i, 2.0, None) for i in range(1000)])
    series = read(store, "C1", START, later + 1000, 100)
    assert not [ms for ms in series.times_ms if START + 1_000_000 < ms < later]


def test_spans_without_readings_and_unknown_codifiers_are_empty(store):
    store.append(curve([1.0]))
    assert read(store, "C1", START + 1, START + 10**9).times_ms == []
    assert read(store, "C1", START + 10, START).times_ms == []
    assert read(store, "C9", -(10**30), 10**30).times_ms == []
    assert read(store, "C1", -(10**30), 10**30).times_ms == [START]
    assert store.last("C9", 5) == []
    with pytest.raises(ValueError, match="most_points"):
        read(store, "C1", 0, 1, 0)


def test_last_returns_the_newest_rows_of_one_codifier_oldest_first(store):
    store.append(curve([1.0, 2.0, 3.0]) + curve([7.0], "C2"))
    assert [row[3] for row in store.last("C1", 2)] == [2.0, 3.0]
    assert [row[3] for row in store.last("C1", 9, since_ms=START + 2000)] == [3.0]
    assert store.last("C1", 0) == []


def test_texts_are_read_beside_the_numbers(store):
    store.append(
        [
            (START, "S1", 1, None, "off"),
            (START + 1, "S1", 2, 3.0, '{"value":3,"voltage":2.9}'),
            (START + 2, "S1", 3, None, "o'; DROP TABLE measurement; --\x00ü"),
        ]
    )
    assert store.read_text("S1", START, START + 3, 2) == [
        (START + 1, '{"value":3,"voltage":2.9}'),
        (START + 2, "o'; DROP TABLE measurement; --\x00ü"),
    ]
    assert read(store, "S1", START, START + 3).values == [3.0]


def test_the_file_is_a_log_that_survives_a_power_cut(store, path):
    store.append(curve([1.0]))
    with store.writing() as writer:
        assert writer.execute("PRAGMA synchronous").fetchone() == (2,)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA user_version").fetchone() == (len(sqlite.STEPS),)


def test_a_url_with_four_slashes_is_absolute_and_folders_are_made(tmp_path):
    target = tmp_path / "a" / "b ü?#%41.sqlite"
    with closing(open_history(f"sqlite:///{target}", tmp_path / "home")) as store:
        store.append(curve([1.0]))
    assert len(rows_of(target)) == 1
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("url", ["sqlite:", "sqlite:history", "sqlite://host/a", "sqlite:///"])
def test_a_url_without_a_file_is_a_mistake(url, tmp_path):
    with pytest.raises(ConfigError, match="sqlite:///file-in-home"):
        open_history(url, tmp_path)


def test_an_older_schema_is_brought_up_to_date(path, tmp_path, monkeypatch, store):
    store.append(curve([1.0]))
    step = ("CREATE TABLE remark (text)",)
    monkeypatch.setattr(sqlite, "STEPS", (*sqlite.STEPS, step))
    with closing(open_history("sqlite:///history.sqlite", tmp_path)) as newer:
        assert len(newer.last("C1", 5)) == 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM remark").fetchone() == (0,)


# What mends itself


def test_a_lock_of_another_program_is_a_store_error_that_hinders_no_reader(
    store, path, monkeypatch, tmp_path
):
    monkeypatch.setattr(file, "BUSY_S", 0.05)
    with closing(open_history("sqlite:///history.sqlite", tmp_path)) as store:
        store.append(curve([1.0]))
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked"):
                store.append(curve([1.0, 2.0]))
            assert read(store, "C1", 0, 1 << 50).values == [1.0]
        assert store.append(curve([1.0, 2.0])) == 1


def test_a_file_that_was_removed_is_made_anew_and_that_is_said_once(store, path, caplog):
    store.append(curve([1.0]))
    assert len(store.last("C1", 9)) == 1
    for each in path.parent.glob("history.sqlite*"):
        each.unlink()
    assert store.last("C1", 9) == []
    assert store.append(curve([1.0, 2.0])) == 2
    assert len(rows_of(path)) == 2
    assert logged(caplog, "history.sqlite was deleted") == 1


def test_what_is_written_into_a_file_while_it_is_removed_counts_as_not_stored(store, path):
    store.append(curve([1.0]))
    with pytest.raises(StoreError, match="removed"), store.writing() as connection:
        connection.execute("DELETE FROM pending")
        path.unlink()
    assert store.append(curve([1.0, 2.0])) == 2


def test_a_row_that_no_store_could_hold_is_the_callers_mistake(store):
    good = curve([1.0])
    with pytest.raises((sqlite3.Error, TypeError)) as caught:
        store.append([*good, (START, "C1", 2, {}, None)])
    assert not isinstance(caught.value, StoreError)
    with pytest.raises(OverflowError):
        store.append([*good, (1 << 63, "C1", 2, 1.0, None)])
    assert store.append(good) == 1


def test_a_closed_store_says_so(store):
    store.append(curve([1.0]))
    store.last("C1", 1)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.append(curve([1.0]))
    with pytest.raises(StoreError, match="closed"):
        store.last("C1", 1)


def test_after_a_full_disk_storing_goes_on_by_itself(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        with closing(open_history("sqlite:///history.sqlite", disk.folder)) as store:
            assert store.append(curve([1.0] * 1000)) == 1000
            disk.fill()
            refused = []
            for batch in range(5):
                rows = curve([1.0] * 1000, f"D{batch}")
                with pytest.raises(StoreError, match=r"full|refuses|opened"):
                    store.append(rows)
                refused += rows
            assert len(store.last("C1", 10**6)) == 1000
            disk.free()
            assert store.append(refused) == 5000
        assert len(rows_of(disk.folder / "history.sqlite")) == 6000


def test_a_disk_that_is_full_at_the_start_is_no_mistake(tmp_path):
    with small_disk(tmp_path / "disk") as disk:
        disk.fill()
        with closing(open_history("sqlite:///history.sqlite", disk.folder)) as store:
            with pytest.raises(StoreError):
                store.append(curve([1.0]))
            disk.free()
            assert store.append(curve([1.0])) == 1


# Several at once


def test_readers_and_a_writer_in_threads_do_not_hinder_each_other(store):
    mistakes = []
    done = threading.Event()

    def look():
        try:
            before = 0
            while not done.is_set():
                now = len(store.last("C1", 10**6))
                assert now >= before
                assert now % 10 == 0  # a batch is seen whole or not at all
                before = now
                read(store, "C1", 0, 1 << 60, 5)
        except Exception as error:
            mistakes.append(error)

    readers = [threading.Thread(target=look) for _ in range(6)]
    for reader in readers:
        reader.start()
    try:
        for batch in range(50):
            store.append([(START + batch * 10 + i, "C1", i, 1.0, None) for i in range(10)])
    finally:
        done.set()
        for reader in readers:
            reader.join()
    assert mistakes == []


OPENER = """
import sys
from pathlib import Path
from jph.stores import open_history
number = int(sys.argv[2])
sys.stdin.readline()
store = open_history("sqlite:///history.sqlite", Path(sys.argv[1]))
for batch in range(5):
    store.append([(batch * 1000 + i, "C1", 1, 1.0, None) for i in range(100)])
    store.append([(batch * 1000 + i, f"D{number}", 1, 1.0, None) for i in range(100)])
store.close()
"""


def test_processes_that_open_and_write_one_new_file_at_once_store_each_row_once(path, tmp_path):
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER, str(tmp_path), str(number)],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=TOP,
            text=True,
        )
        for number in range(4)
    ]
    results = []
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=60)
        results.append((process.returncode, errors))
    assert results == [(0, "")] * 4
    assert len(rows_of(path)) == 500 * 5


KILLED = """
import itertools, os, sys
from pathlib import Path
from jph.stores import open_history, sqlite
from tests.helpers import logged
from tests.small_disk import small_disk
sqlite.WAL_AUTOCHECKPOINT = 20  # so that some are killed in a checkpoint
store = open_history("sqlite:///history.sqlite", Path(sys.argv[1]))
start = int(sys.argv[2])
for batch in itertools.count(start):
    rows = [(batch * 1000 + i, f"C{i % 10}", batch, float(i), "x" * (i % 50)) for i in range(100)]
    store.append(rows[:60])
    store.append(rows)
    os.write(1, b"%d\\n" % batch)
"""


def test_what_was_reported_as_stored_is_there_once_after_sigkill(path, tmp_path):
    rng = random.Random(7)
    reported = {0}
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), str(max(reported))],
            stdout=subprocess.PIPE,
            cwd=TOP,
        )
        lines = [process.stdout.readline() for _ in range(rng.randrange(1, 60))]
        os.kill(process.pid, signal.SIGKILL)
        reported.update(map(int, b"".join([*lines, process.stdout.read()]).split()))
        process.stdout.close()
        process.wait()
        with closing(open_history("sqlite:///history.sqlite", tmp_path)) as store:
            found = Counter(row[2] for row in store.last("C3", 10**6))
        assert {batch: found.pop(batch) for batch in reported} == dict.fromkeys(reported, 10)
        assert found in ({}, {max(reported) + 1: 6}, {max(reported) + 1: 10})
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
