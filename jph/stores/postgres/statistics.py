"""Statistics and retention of a history in PostgreSQL; the tables are those of schema.py.

The database computes, a few hundred buckets in a transaction, which has the locks of their marks
(see schema.py). Only one connection does so at a time: of two, the one that had read
earlier could overwrite the hour of the other.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from itertools import groupby

from psycopg2 import DataError, OperationalError
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from jph.stores import Dropped
from jph.stores.buckets import (
    HOUR,
    HOUR_MS,
    RAW,
    TEN_MINUTES,
    TEN_MINUTES_MS,
    end_of,
    statistic_of,
)
from jph.stores.postgres import schema
from jph.stores.postgres.schema import WEEK_MS
from jph.stores.span import NEVER_MS

COMPUTING = 0x6A7073  # advisory lock of whoever computes, "jps"
# In one transaction: an hour of 100 Codifiers, half a second where each sends once a second. Late
# readings of these buckets wait for it.
MOST_MARKS = 600
MOST_DROPPED = 20_000
DROP_LOCK = "500ms"  # longest wait of a drop for readers; writers wait behind it
PARTITION_CHECK_S = 60.0
LOCK_NOT_AVAILABLE = "55P03"

Lend = Callable[[], AbstractContextManager[Connection]]
Mark = tuple[str, int]  # Codifier, end of a bucket

COLUMNS = "resolution, codifier, timestamp, mean, mode, median, max, min, stdev, count"
UPSERT = (
    " ON CONFLICT (resolution, codifier, timestamp) DO UPDATE SET mean = excluded.mean,"
    " mode = excluded.mode, median = excluded.median, max = excluded.max, min = excluded.min,"
    " stdev = excluded.stdev, count = excluded.count"
)
WANTED = (
    'WITH wanted AS MATERIALIZED (SELECT codifier COLLATE "C" AS codifier, timestamp'
    " FROM unnest(%(codifiers)s::text[], %(ends)s::bigint[]) AS marks (codifier, timestamp))"
)
# mode() takes the first of several values that are equally frequent: from above and from below it
# is the same one only where there is a single one.
COMPUTE = (
    f"{WANTED} INSERT INTO statistic ({COLUMNS})"
    " SELECT %(resolution)s, wanted.codifier, wanted.timestamp, found.* FROM wanted"
    " CROSS JOIN LATERAL (SELECT avg(value), CASE WHEN mode() WITHIN GROUP (ORDER BY value) ="
    " mode() WITHIN GROUP (ORDER BY value DESC) THEN mode() WITHIN GROUP (ORDER BY value) END,"
    " percentile_cont(0.5) WITHIN GROUP (ORDER BY value), max(value), min(value),"
    " stddev_pop(value), count(*) FROM measurement WHERE codifier = wanted.codifier"
    " AND timestamp > wanted.timestamp - %(width)s AND timestamp <= wanted.timestamp"
    " AND timestamp > %(start)s AND timestamp <= %(end)s AND value IS NOT NULL"
    f" HAVING count(*) > 0) AS found ORDER BY 2, 3{UPSERT} RETURNING codifier, timestamp"
)
VALUES = (
    "SELECT value FROM measurement WHERE codifier = %s AND timestamp > %s AND timestamp <= %s"
    " AND value IS NOT NULL"
)
KEPT = (
    f"{WANTED} SELECT codifier, timestamp FROM wanted WHERE timestamp <= %(dropped)s"
    " AND EXISTS (SELECT FROM statistic WHERE statistic.codifier = wanted.codifier"
    f" AND (resolution = {TEN_MINUTES} AND statistic.timestamp = wanted.timestamp"
    f" OR resolution = {HOUR} AND statistic.timestamp ="
    f" (wanted.timestamp + {HOUR_MS - 1}) / {HOUR_MS} * {HOUR_MS}))"
)
BUCKET = f"(timestamp + {TEN_MINUTES_MS - 1}) / {TEN_MINUTES_MS} * {TEN_MINUTES_MS}"
PARTITIONS = (
    "SELECT relid::regclass::text, pg_total_relation_size(relid) FROM pg_partition_tree(%s)"
    " WHERE isleaf ORDER BY 1"
)


class PostgresStatistics:
    """Statistics of one database; see StatisticsStore for the calls."""

    def __init__(self, reading: Lend, writing: Lend) -> None:
        self._reading = reading
        self._writing = writing
        self._partitions: dict[tuple[int, int], float] = {}  # when looked for, monotonic

    def due(self, until_ms: int) -> int:
        """Return how many buckets are due that end by until_ms."""
        with self._reading() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pending WHERE timestamp <= %s", (until_ms,))
            return _number(cursor)

    def compute(self, until_ms: int) -> int:
        """Compute some buckets that end by until_ms, and their hours; return how many marks."""
        with self._writing() as connection, connection.cursor() as cursor:
            due = self._due(cursor, until_ms)
            if due is None:
                return 0
            self._need_partitions(connection, cursor, due)
            open_hour = self._mark_open_hour(connection, cursor, due[1], until_ms)
            cursor.execute("SET LOCAL jit = off")
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", (COMPUTING,))
            if not cursor.fetchone()[0]:  # type: ignore[index]
                return 0
            cursor.execute(
                "SELECT codifier, timestamp FROM pending WHERE timestamp >= %s AND timestamp <= %s"
                " ORDER BY codifier, timestamp FOR UPDATE SKIP LOCKED",
                due,
            )
            marks = [
                (codifier, end_ms)
                for codifier, end_ms in cursor.fetchall()
                if end_of(end_ms, HOUR) <= until_ms or codifier in open_hour
            ]
            if not marks:
                return 0
            self._compute(cursor, marks, until_ms)
            _delete(cursor, "pending", marks)
            connection.commit()
        return len(marks)

    def mark(self, codifier: str | None = None) -> int:
        """Make all buckets of one Codifier due again, None: of all; return how many."""
        marked = 0
        with self._writing() as connection, connection.cursor() as cursor:
            cursor.execute(PARTITIONS, ("measurement",))
            for name, _ in cursor.fetchall():
                where = "" if codifier is None else " AND codifier = %(codifier)s"
                query = (
                    f"SELECT DISTINCT codifier, {BUCKET} FROM {name}"
                    f" WHERE value IS NOT NULL{where} ORDER BY 1, 2"
                )
                cursor.execute(schema.MARK.format(query=query), {"codifier": codifier})
                marked += cursor.rowcount
                connection.commit()
        return marked

    def size_bytes(self) -> int:
        """Return how much room readings and statistics take, with their indexes."""
        with self._reading() as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT sum(pg_total_relation_size(relid)) FROM (SELECT relid FROM"
                " pg_partition_tree('measurement') UNION SELECT relid FROM"
                " pg_partition_tree('statistic') UNION SELECT 'pending'::regclass) AS tables"
            )
            return _number(cursor)

    def drop_before(self, resolution: int, before_ms: int) -> Dropped | None:
        """Drop the oldest partition that is older as a whole; None: there is none."""
        with self._writing() as connection, connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{DROP_LOCK}'")
            for name, start_ms, end_ms, size in self._whole(cursor, resolution):
                if end_ms > before_ms:
                    break
                try:
                    is_dropped = self._drop(cursor, resolution, name, start_ms, end_ms)
                except OperationalError as error:
                    if error.pgcode == LOCK_NOT_AVAILABLE:  # by a reader: next time
                        return None
                    raise
                if not is_dropped:
                    return None
                connection.commit()
                return Dropped(resolution, end_ms, size)
            deleted = self._drop_early(cursor, resolution, before_ms)
            connection.commit()
        return Dropped(resolution, before_ms, deleted * 100) if deleted else None

    def drop_oldest(self, resolution: int, keep_ms: int) -> Dropped | None:
        """Drop the oldest partition whatever its age, unless it goes beyond keep_ms; None: none."""
        with self._writing() as connection, connection.cursor() as cursor:
            found = self._whole(cursor, resolution)
        if not found or found[0][2] > keep_ms:
            return None
        return self.drop_before(resolution, found[0][2])

    # Computing

    def _due(self, cursor: Cursor, until_ms: int) -> tuple[int, int] | None:
        """Return from which to which mark to compute in one go: whole hours, the oldest."""
        cursor.execute(
            "SELECT min(timestamp), max(timestamp), count(*) FROM (SELECT timestamp FROM pending"
            " WHERE timestamp <= %s ORDER BY timestamp LIMIT %s) AS oldest",
            (until_ms, MOST_MARKS + 1),
        )
        first_ms, last_ms, count = cursor.fetchone() or (None, None, 0)
        if first_ms is None:
            return None
        last_ms = end_of(last_ms, HOUR)
        if count > MOST_MARKS and end_of(first_ms, HOUR) < last_ms:
            last_ms -= HOUR_MS  # the last hour may be cut
        return first_ms, min(last_ms, until_ms)

    def _mark_open_hour(
        self, connection: Connection, cursor: Cursor, last_ms: int, until_ms: int
    ) -> set[str]:
        """Mark the hour that is not over, for whoever has a bucket in it that is due.

        So it is due at its end, whether more readings come or not. It is done beforehand: with the
        locks of other marks in hand, a writer could wait for these and we for it.
        """
        end_ms = end_of(until_ms, HOUR)
        if end_ms == until_ms or last_ms <= end_ms - HOUR_MS:
            return set()
        cursor.execute(
            "INSERT INTO pending (codifier, timestamp) SELECT DISTINCT codifier, %s::bigint"
            " FROM pending WHERE timestamp > %s AND timestamp <= %s ORDER BY 1"
            " ON CONFLICT DO NOTHING",
            (end_ms, end_ms - HOUR_MS, last_ms),
        )
        connection.commit()
        cursor.execute("SELECT codifier FROM pending WHERE timestamp = %s", (end_ms,))
        return {row[0] for row in cursor.fetchall()}

    def _need_partitions(
        self, connection: Connection, cursor: Cursor, due: tuple[int, int]
    ) -> None:
        """Make the partitions of statistics that are missing, each in a transaction of its own."""
        cursor.execute(
            f"SELECT DISTINCT timestamp / {WEEK_MS}, (timestamp + {HOUR_MS - 1}) / {HOUR_MS}"
            f" * {HOUR_MS} / {WEEK_MS}, (extract(epoch FROM clock_timestamp()) * 1000)::bigint"
            " FROM pending WHERE timestamp >= %s AND timestamp <= %s",
            due,
        )
        now_s = time.monotonic()
        for *weeks, now_ms in cursor.fetchall():
            for resolution, week in zip((TEN_MINUTES, HOUR), weeks, strict=True):
                key = (resolution, week // schema.weeks_of_statistics(resolution))
                looked_s = self._partitions.get(key, -PARTITION_CHECK_S)
                if now_s - looked_s < PARTITION_CHECK_S or not schema.has_partition(week, now_ms):
                    continue
                name = schema.statistic_partition(resolution, week)[0]
                cursor.execute("SELECT to_regclass(%s) IS NULL", (name,))
                if cursor.fetchone()[0]:  # type: ignore[index]
                    cursor.execute(schema.add_statistic_partition(resolution, week))
                    connection.commit()
                self._partitions[key] = now_s

    def _compute(self, cursor: Cursor, marks: list[Mark], until_ms: int) -> None:
        dropped_ms = _dropped_ms(cursor)
        if any(end_ms <= dropped_ms for _, end_ms in marks):
            # Not all their readings are there any more: they keep the statistics they have.
            cursor.execute(KEPT, {**_wanted(marks), "dropped": dropped_ms})
            kept = set(cursor.fetchall())
            marks = [mark for mark in marks if mark not in kept]
        hours = sorted(
            {
                (codifier, end_of(end_ms, HOUR))
                for codifier, end_ms in marks
                if end_of(end_ms, HOUR) <= until_ms
            }
        )
        for resolution, buckets in ((TEN_MINUTES, marks), (HOUR, hours)):
            # Of one week at a time, so that the planner leaves out all other partitions.
            by_week = sorted(buckets, key=lambda mark: mark[1])
            for _, some in groupby(by_week, lambda mark: mark[1] // WEEK_MS):
                self._compute_buckets(cursor, resolution, sorted(some))

    def _compute_buckets(self, cursor: Cursor, resolution: int, marks: list[Mark]) -> None:
        ends = [end_ms for _, end_ms in marks]
        width = resolution * 60_000
        asked = {
            **_wanted(marks),
            "resolution": resolution,
            "width": width,
            "start": min(ends) - width,
            "end": max(ends),
        }
        cursor.execute("SAVEPOINT computing")
        try:
            cursor.execute(COMPUTE, asked)
        except DataError:  # numbers whose squares no double holds: not in the database then
            cursor.execute("ROLLBACK TO SAVEPOINT computing")
            done = self._compute_here(cursor, resolution, marks)
        else:
            done = set(cursor.fetchall())
        cursor.execute("RELEASE SAVEPOINT computing")
        gone = [mark for mark in marks if mark not in done]
        if gone:
            _delete(cursor, "statistic", gone, f" AND resolution = {resolution}")

    def _compute_here(self, cursor: Cursor, resolution: int, marks: list[Mark]) -> set[Mark]:
        rows = []
        for codifier, end_ms in marks:
            cursor.execute(VALUES, (codifier, end_ms - resolution * 60_000, end_ms))
            values = [row[0] for row in cursor.fetchall()]
            if values:
                rows.append((resolution, codifier, end_ms, *statistic_of(values)))
        if rows:
            execute_values(cursor, f"INSERT INTO statistic ({COLUMNS}) VALUES %s{UPSERT}", rows)
        return {(row[1], row[2]) for row in rows}

    # Retention

    def _whole(self, cursor: Cursor, resolution: int) -> list[tuple[str, int, int, int]]:
        """Return the partitions of a resolution: name, start, end, bytes; oldest first."""
        cursor.execute(PARTITIONS, ("measurement" if resolution == RAW else "statistic",))
        found = []
        for name, size in cursor.fetchall():
            if resolution == RAW:
                week = schema.week_of_partition(name)
                span = None if week is None else (week * WEEK_MS, (week + 1) * WEEK_MS)
            else:
                span = schema.span_of_statistics(name, resolution)
            if span is not None:
                found.append((name, *span, size))
        return sorted(found, key=lambda partition: partition[1])

    def _drop(self, cursor: Cursor, resolution: int, name: str, start_ms: int, end_ms: int) -> bool:
        """Drop a partition, unless some of its readings are due; tell whether it was."""
        if resolution == RAW:
            cursor.execute("LOCK TABLE measurement IN ACCESS EXCLUSIVE MODE")
            # A reading in the first millisecond belongs to the bucket that ends there.
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pending WHERE timestamp >= %s AND timestamp <= %s)",
                (start_ms, end_ms),
            )
            if cursor.fetchone()[0]:  # type: ignore[index]
                return False
        cursor.execute(f"DROP TABLE {schema.identifier(name)}")
        _set_dropped(cursor, resolution, end_ms if resolution == RAW else end_ms - 1)
        self._partitions.clear()
        return True

    def _drop_early(self, cursor: Cursor, resolution: int, before_ms: int) -> int:
        """Drop rows from before there are partitions, of clocks that were never set."""
        before_ms = min(before_ms, schema.FIRST_WEEK * WEEK_MS)
        if resolution == RAW:
            table, where = (
                "measurement_default",
                (
                    f"NOT EXISTS (SELECT FROM pending WHERE pending.timestamp = {BUCKET_OF_ROW}"
                    " AND pending.codifier = row.codifier)"
                ),
            )
        else:
            table, where = "statistic_default", f"resolution = {resolution}"
        cursor.execute(
            f"DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} AS row"
            f" WHERE timestamp < %s AND {where} LIMIT {MOST_DROPPED}))",
            (before_ms,),
        )
        return cursor.rowcount


BUCKET_OF_ROW = BUCKET.replace("timestamp", "row.timestamp")


def _wanted(marks: Iterable[Mark]) -> dict[str, object]:
    marks = list(marks)
    return {"codifiers": [mark[0] for mark in marks], "ends": [mark[1] for mark in marks]}


def _delete(cursor: Cursor, table: str, marks: list[Mark], where: str = "") -> None:
    cursor.execute(
        f"{WANTED} DELETE FROM {table} USING wanted WHERE {table}.codifier = wanted.codifier"
        f" AND {table}.timestamp = wanted.timestamp{where}",
        _wanted(marks),
    )


def _dropped_ms(cursor: Cursor) -> int:
    cursor.execute("SELECT before_ms FROM dropped WHERE resolution = 0")
    row = cursor.fetchone()
    return NEVER_MS if row is None else int(row[0])


def _set_dropped(cursor: Cursor, resolution: int, before_ms: int) -> None:
    cursor.execute(
        "INSERT INTO dropped VALUES (%s, %s) ON CONFLICT (resolution) DO UPDATE SET"
        " before_ms = greatest(dropped.before_ms, excluded.before_ms)",
        (resolution, before_ms),
    )


def _number(cursor: Cursor) -> int:
    row = cursor.fetchone()
    return int(row[0]) if row and row[0] is not None else 0
