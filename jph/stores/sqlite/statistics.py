"""Statistics and retention of a history in SQLite; history.py describes the tables.

Computing takes three steps, of which only the first and the last write, and briefly: take marks;
read and compute the readings of whole hours; write the results and remove the marks, except those
that later readings set again. A lock on a file beside the history lets one process compute at a
time.
"""

import fcntl
import json
import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from jph.errors import StoreError
from jph.stores import Dropped, StatisticRow
from jph.stores.buckets import (
    HOUR,
    HOUR_MS,
    RAW,
    TEN_MINUTES,
    TEN_MINUTES_MS,
    Span,
    end_of,
    merged,
    statistic_of,
    width_ms,
)
from jph.stores.span import NEVER_MS
from jph.stores.sql import BUCKET, dropped_ms, due_hours, set_dropped
from jph.stores.sqlite.file import used_bytes
from jph.stores.sqlite.span import ask

MOST_DROPPED = 20_000  # rows dropped in one transaction, about 20 ms
MOST_UNMARKED = 100_000  # rows looked at in one piece of work

Lend = Callable[[], AbstractContextManager[sqlite3.Connection]]
Mark = tuple[str, int]  # Codifier, end of a bucket
Bucket = tuple[int, str, int]  # resolution, Codifier, end

READINGS = (
    f"SELECT codifier, {BUCKET}, value"
    " FROM measurement WHERE timestamp > ? AND timestamp <= ? AND value IS NOT NULL"
    " AND codifier IN (SELECT value FROM json_each(?))"
)
MARK_ALL = (
    f"INSERT INTO pending (timestamp, codifier) SELECT DISTINCT {BUCKET}, codifier"
    " FROM measurement WHERE timestamp >= ? AND timestamp < ? AND value IS NOT NULL"
    " AND (? IS NULL OR codifier = ?)"
    " ON CONFLICT DO UPDATE SET taken = 0 WHERE taken"
)
# Whether a bucket, or its hour, has statistics.
KEPT = (
    "SELECT 1 FROM statistic WHERE resolution = 10 AND codifier = %(codifier)s"
    " AND timestamp = %(end)s UNION ALL SELECT 1 FROM statistic WHERE resolution = 60"
    " AND codifier = %(codifier)s AND timestamp = %(hour)s"
)
WRITE = "INSERT OR REPLACE INTO statistic VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

RESTORE = "INSERT INTO statistic VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
DROP = "DELETE FROM statistic WHERE resolution = ? AND codifier = ? AND timestamp <= ?"


class SqliteStatistics:
    """Statistics of one file; see StatisticsStore for the calls."""

    def __init__(self, path: Path, reading: Lend, writing: Lend) -> None:
        self._lock_path = path.with_name(f"{path.name}-statistics")
        self._reading = reading
        self._writing = writing

    def due(self, until_ms: int) -> int:
        with self._reading() as connection:
            count: int = connection.execute(
                "SELECT count(*) FROM pending WHERE timestamp <= ?", (until_ms,)
            ).fetchone()[0]
            unmarked = _unmarked(connection)
            if unmarked is not None:
                codifiers = connection.execute("SELECT count(*) FROM series").fetchone()[0]
                buckets = (min(unmarked[1], until_ms) - unmarked[0]) // TEN_MINUTES_MS
                count += max(buckets, 1) * int(codifiers)
        return count

    def compute(self, until_ms: int) -> int:
        try:
            with self._lock_path.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return self._compute(until_ms)
        except BlockingIOError:  # another process computes
            return 0
        except OSError as error:
            raise StoreError(f"{self._lock_path}: {error.strerror}") from error

    def mark(self, codifier: str | None = None) -> int:
        marked = 0
        start_ms: int | None = -(1 << 62)
        while start_ms is not None:
            with self._reading() as connection:
                end_ms = _nth(connection, start_ms, MOST_UNMARKED)
            with self._writing() as connection:
                span = (start_ms, (1 << 62) if end_ms is None else end_ms)
                marked += connection.execute(MARK_ALL, (*span, codifier, codifier)).rowcount
            start_ms = end_ms
        return marked

    def restore(self, rows: Sequence[StatisticRow]) -> int:
        with self._writing() as connection:
            before = connection.total_changes
            connection.executemany(RESTORE, sorted(rows, key=itemgetter(0, 1, 2)))
            return connection.total_changes - before

    def size_bytes(self) -> int:
        """Return how much room readings and statistics take; free pages are used again."""
        with self._reading() as connection:
            return used_bytes(connection)

    def drop_before(self, resolution: int, before_ms: int) -> Dropped | None:
        if resolution == RAW:
            return self._drop_readings(before_ms)
        return self._drop_statistics(resolution, before_ms)

    def drop_oldest(self, resolution: int, keep_ms: int) -> Dropped | None:
        with self._reading() as connection:
            if resolution == RAW:
                row = connection.execute("SELECT min(timestamp) FROM measurement").fetchone()
            else:
                row = connection.execute(
                    "SELECT min((SELECT min(timestamp) FROM statistic WHERE resolution = ?"
                    " AND codifier = series.codifier)) FROM series",
                    (resolution,),
                ).fetchone()
        if row[0] is None:
            return None
        # Readings an hour at a time, statistics a day.
        piece_ms = HOUR_MS if resolution == RAW else 24 * HOUR_MS
        end_ms = -(-row[0] // piece_ms) * piece_ms
        return None if end_ms > keep_ms else self.drop_before(resolution, end_ms)

    # Computing

    def _compute(self, until_ms: int) -> int:
        is_more = self._mark_old()
        marks, gone_ms = self._take(until_ms)
        if not marks:
            return int(is_more)
        results, gone = self._results(marks, until_ms, gone_ms)
        self._write(marks, results, gone, until_ms)
        return len(marks)

    def _mark_old(self) -> bool:
        """Mark some readings from before there were marks; return whether more are left."""
        with self._reading() as connection:
            unmarked = _unmarked(connection)
            if unmarked is None:
                return False
            next_ms = _nth(connection, unmarked[0], MOST_UNMARKED)
        is_last = next_ms is None or next_ms > unmarked[1]
        end_ms = unmarked[1] + 1 if next_ms is None else next_ms
        with self._writing() as connection:
            connection.execute(MARK_ALL, (unmarked[0], end_ms, None, None))
            if is_last:
                connection.execute("DELETE FROM unmarked")
            else:
                connection.execute("UPDATE unmarked SET first_ms = ?", (end_ms,))
        return not is_last

    def _take(self, until_ms: int) -> tuple[list[Mark], int]:
        """Take the marks of the oldest hours; return them and `dropped_ms`."""
        with self._reading() as connection:
            due = due_hours(partial(ask, connection), until_ms)
            if due is None:
                return [], NEVER_MS
            gone_ms = dropped_ms(partial(ask, connection))
        with self._writing() as connection:
            marks = connection.execute(
                "SELECT codifier, timestamp FROM pending WHERE timestamp <= ?", due[1:]
            ).fetchall()
            connection.execute(
                "UPDATE pending SET taken = 1 WHERE timestamp <= ? AND NOT taken", due[1:]
            )
        return marks, gone_ms

    def _results(
        self, marks: list[Mark], until_ms: int, gone_ms: int
    ) -> tuple[list[StatisticRow], list[Bucket]]:
        """Return the statistics of marked buckets, and the buckets that have no readings left."""
        results: list[StatisticRow] = []
        gone: list[Bucket] = []
        with self._reading() as connection:
            by_hour = sorted((end_of(end_ms, HOUR), codifier, end_ms) for codifier, end_ms in marks)
            by_hour = [  # where not all readings are there any more, statistics are kept
                (hour_ms, codifier, end_ms)
                for hour_ms, codifier, end_ms in by_hour
                if end_ms > gone_ms
                or not ask(connection, KEPT, codifier=codifier, end=end_ms, hour=hour_ms)
            ]
            for hour_ms, group in groupby(by_hour, itemgetter(0)):
                all_ends = range(hour_ms, hour_ms - HOUR_MS, -TEN_MINUTES_MS)
                parts: dict[Bucket, Sequence[int]] = {}  # the ends of the 10 minutes in each
                for _, codifier, end_ms in group:
                    parts[TEN_MINUTES, codifier, end_ms] = (end_ms,)
                    if hour_ms <= until_ms:
                        parts[HOUR, codifier, hour_ms] = all_ends
                found = _numbers(connection, parts)
                for bucket, ends in parts.items():
                    numbers = [it for end_ms in ends for it in found.get((bucket[1], end_ms), ())]
                    if numbers:
                        results.append((*bucket, *statistic_of(numbers)))
                    else:
                        gone.append(bucket)
        return results, gone

    def _write(
        self,
        marks: list[Mark],
        results: list[StatisticRow],
        gone: list[Bucket],
        until_ms: int,
    ) -> None:
        # An hour that is not over is due at its end, whether more readings come or not.
        hours = {(end_of(end_ms, HOUR), codifier) for codifier, end_ms in marks}
        open_hours = sorted(hour for hour in hours if hour[0] > until_ms)
        with self._writing() as connection:
            connection.executemany(
                "DELETE FROM statistic WHERE resolution = ? AND codifier = ? AND timestamp = ?",
                gone,
            )
            connection.executemany(WRITE, sorted(results, key=itemgetter(0, 1, 2)))
            connection.executemany(
                "DELETE FROM pending WHERE codifier = ? AND timestamp = ? AND taken", marks
            )
            connection.executemany(
                "INSERT INTO pending (timestamp, codifier) VALUES (?, ?) ON CONFLICT DO NOTHING",
                open_hours,
            )

    # Retention

    def _drop_readings(self, before_ms: int) -> Dropped | None:
        with self._writing() as connection:
            used = used_bytes(connection)
            cut_ms = before_ms // HOUR_MS * HOUR_MS
            due_ms = connection.execute("SELECT min(timestamp) FROM pending").fetchone()[0]
            if due_ms is not None:
                cut_ms = min(cut_ms, end_of(due_ms, HOUR) - HOUR_MS)
            unmarked = _unmarked(connection)
            if unmarked is not None:
                cut_ms = min(cut_ms, (unmarked[0] - 1) // HOUR_MS * HOUR_MS)
            first_ms = connection.execute("SELECT min(timestamp) FROM measurement").fetchone()[0]
            if first_ms is None or first_ms > cut_ms:
                return None
            # An hour that is half dropped counts as dropped.
            set_dropped(partial(ask, connection), RAW, cut_ms)
            last_ms = _nth(connection, first_ms, MOST_DROPPED)
            last_ms = cut_ms if last_ms is None else min(last_ms, cut_ms)
            connection.execute("DELETE FROM measurement WHERE timestamp <= ?", (last_ms,))
            return Dropped(RAW, last_ms, used - used_bytes(connection))

    def _drop_statistics(self, resolution: int, before_ms: int) -> Dropped | None:
        with self._writing() as connection:
            used = used_bytes(connection)
            codifiers = connection.execute("SELECT codifier FROM series").fetchall()
            before = connection.total_changes
            for (codifier,) in codifiers:
                connection.execute(DROP, (resolution, codifier, before_ms))
                if connection.total_changes - before > MOST_DROPPED:
                    break
            if connection.total_changes == before:
                return None
            set_dropped(partial(ask, connection), resolution, before_ms)
            return Dropped(resolution, before_ms, used - used_bytes(connection))


def _numbers(
    connection: sqlite3.Connection, buckets: Collection[Bucket]
) -> dict[Mark, "array[float]"]:
    """Return all numbers in the time of some buckets, of their Codifiers, by 10 minutes."""
    found: dict[Mark, array[float]] = defaultdict(lambda: array("d"))
    names = json.dumps(sorted({codifier for _, codifier, _ in buckets}))
    for span in merged((end_ms - width_ms(minutes), end_ms) for minutes, _, end_ms in buckets):
        for codifier, end_ms, value in connection.execute(READINGS, (*span, names)):
            found[codifier, end_ms].append(value)
    return found


def _nth(connection: sqlite3.Connection, start_ms: int, n: int) -> int | None:
    """Return the timestamp of the n-th reading from a time on, later than that; None: fewer."""
    row = connection.execute(
        "SELECT timestamp FROM measurement WHERE timestamp >= ? ORDER BY timestamp LIMIT 1"
        " OFFSET ?",
        (start_ms, n),
    ).fetchone()
    return None if row is None else max(int(row[0]), start_ms + 1)


def _unmarked(connection: sqlite3.Connection) -> Span | None:
    row = connection.execute("SELECT first_ms, last_ms FROM unmarked").fetchone()
    return None if row is None else (row[0], row[1])
