"""Readings whose time cannot be right, on both stores."""

import time
from contextlib import closing

import pytest
from click.testing import CliRunner

from collectors.live_history import LiveHistory
from jph.stores import open_history, quarantine
from jph.stores.postgres import schema
from tests.helpers import logged
from tests.jph.stores.histories import ask, statistics_of
from tools.history.command import history

DAY_MS = 86_400_000
NOW_MS = time.time_ns() // 1_000_000
ABSURD = [
    (946_684_800_000, "C1", 1, 1.0, None),  # 2000
    (NOW_MS - 366 * DAY_MS, "C1", 2, 2.0, None),
    (NOW_MS + 2 * DAY_MS, "C2", 3, None, "text \0 'and' more"),
    ((1 << 48) - 1, "C2", 4, 4.0, '{"value":4,"a":1}'),
    (0, "';", 5, 5.0, None),
]
GOOD = [
    (NOW_MS - 364 * DAY_MS, "C1", 6, 6.0, None),
    (NOW_MS, "C1", 7, 7.0, None),
    (NOW_MS + DAY_MS // 2, "C1", 8, 8.0, None),
]


@pytest.fixture
def live(store):
    return LiveHistory(store, lambda: True)


def count(store, table="measurement"):
    return ask(store, f"SELECT count(*) FROM {table}")[0][0]


def test_a_reading_with_an_absurd_time_is_kept_apart_and_told(live, store, caplog):
    assert live.append(GOOD + ABSURD) == 3
    assert count(store) == 3
    assert store.quarantine.readings == 5
    assert [
        (q.codifier, q.readings, q.first_ms, q.last_ms) for q in store.quarantine.summary()
    ] == [
        ("';", 1, 0, 0),
        ("C1", 2, ABSURD[0][0], ABSURD[1][0]),
        ("C2", 2, ABSURD[2][0], ABSURD[3][0]),
    ]
    assert logged(caplog, "quarantine", "C1") == 1
    live.append(ABSURD)
    assert count(store, "quarantine") == 5
    assert logged(caplog, "quarantine") == 1


def test_it_has_no_statistics_and_no_marks(live, store):
    live.append(ABSURD)
    assert count(store, "pending") == 0
    assert store.statistics.due(1 << 50) == 0
    live.append(GOOD)
    while store.statistics.compute(1 << 50):
        pass
    assert {row[1] for row in statistics_of(store)} == {"C1"}
    assert len({row[2] for row in statistics_of(store) if row[0] == 10}) == 3


@pytest.mark.postgres
def test_a_hundred_thousand_forged_times_make_no_partitions(postgres_url, tmp_path):
    with closing(open_history(postgres_url, tmp_path)) as store:
        live = LiveHistory(store, lambda: True)
        live.append(GOOD)
        partitions = "SELECT count(*) FROM pg_inherits"
        before = ask(store, partitions)
        step_ms = (NOW_MS - 400 * DAY_MS - 946_684_800_000) // 100_000
        for first in range(0, 100_000, 10_000):
            rows = [
                (946_684_800_000 + n * step_ms, "C1", n, 1.0, None)
                for n in range(first, first + 10_000)
            ]
            assert live.append(rows) == 0
        assert ask(store, partitions) == before
        assert count(store, "quarantine") == 100_000
        assert schema.has_partition(rows[0][0] // schema.WEEK_MS, NOW_MS), (
            "they would have made some"
        )


def test_it_is_bounded_and_what_is_dropped_is_counted(live, store, monkeypatch, caplog):
    monkeypatch.setattr(quarantine, "MOST_BYTES", 10 * quarantine.ROW_BYTES)
    live.append([(n, "C1", n, 1.0, None) for n in range(25)])
    assert count(store, "quarantine") == 10
    assert store.quarantine.dropped == 15
    live.append([(n, "C1", n, 1.0, None) for n in range(30, 35)])
    assert count(store, "quarantine") == 10
    assert store.quarantine.dropped == 20
    assert logged(caplog, "quarantine is full") == 1


def test_a_clock_that_cannot_be_right_judges_nobody(store):
    assert LiveHistory(store, lambda: False).append(ABSURD) == len(ABSURD)
    assert store.quarantine.summary() == []


def test_old_history_that_is_imported_is_no_live_reading(store):
    assert store.append(ABSURD) == len(ABSURD)
    assert store.quarantine.summary() == []


def test_a_restart_counts_what_is_there(live, store, url, tmp_path):
    live.append(ABSURD)
    with closing(open_history(url, tmp_path)) as again:
        LiveHistory(again, lambda: True).append(GOOD)
        assert again.quarantine.readings == 5


# jph history quarantine


def run(url, tmp_path, *arguments):
    options = ["quarantine", "--to", url, "--home", str(tmp_path), *arguments]
    result = CliRunner().invoke(history, options)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_owner_sees_it_and_moves_it_in_or_drops_it(live, store, url, tmp_path):
    assert "no readings" in run(url, tmp_path)
    live.append(GOOD + ABSURD)
    said = run(url, tmp_path)
    assert "C1: 2 readings of 2000-01-01 00:00:00 UTC to" in said
    assert "C2: 2 readings" in said
    assert f"{(1 << 48) - 1} ms" in said or "10889" in said
    assert "C2: 2 readings deleted" in run(url, tmp_path, "--drop", "--codifier", "C2")
    assert "C1: 2 readings moved" in run(url, tmp_path, "--accept", "--codifier", "C1")
    assert count(store) == 5
    assert [row[2] for row in store.last("C1", 9)] == [1, 2, 6, 7, 8]
    assert "';: 1 readings moved into the history, 1 of them were new" in run(
        url, tmp_path, "--accept"
    )
    assert "no readings" in run(url, tmp_path)
    assert "C9: no readings" in run(url, tmp_path, "--drop", "--codifier", "C9")
