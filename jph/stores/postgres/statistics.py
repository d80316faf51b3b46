"""Statistics and retention of a history in PostgreSQL; the tables are those of schema.py.

The database computes a few hundred buckets in a transaction, which holds the locks of their marks
(see schema.py). One connection computes at a time: of two, the one that read earlier could
overwrite the hour of the other.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from psycopg2 import DataError, OperationalError
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from jph.stores import Dropped, StatisticRow
from jph.stores.buckets import (
    HOUR,
    HOUR_MS,
    RAW,
    TEN_MINUTES,
    end_of,
    statistic_of,
)
from jph.stores.postgres import schema
from jph.stores.postgres.partitions import Partitions
from jph.stores.postgres.schema import WEEK_MS
from jph.stores.postgres.span import ask
from jph.stores.span_reader import NUMBERS
from jph.stores.sql import BUCKET, dropped_ms, due_hours, set_dropped

COMPUTING = 0x6A7073  # advisory lock of the connection that computes, "jps"
MOST_DROPPED = 20_000
DROP_LOCK = "500ms"  # longest wait of a drop for readers; writers queue behind it
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
VALUES = f"SELECT value{NUMBERS}"
KEPT = (
    f"{WANTED} SELECT codifier, timestamp FROM wanted WHERE timestamp <= %(dropped)s"
    " AND EXISTS (SELECT FROM statistic WHERE statistic.codifier = wanted.codifier"
    f" AND (resolution = {TEN_MINUTES} AND statistic.timestamp = wanted.timestamp"
    f" OR resolution = {HOUR} AND statistic.timestamp ="
    f" (wanted.timestamp + {HOUR_MS - 1}) / {HOUR_MS} * {HOUR_MS}))"
)
BUCKET_OF_ROW = BUCKET.replace("timestamp", "row.timestamp")
PARTITIONS = (
    "SELECT relid::regclass::text, pg_total_relation_size(relid) FROM pg_partition_tree(%(table)s)"
    " WHERE isleaf ORDER BY 1"
)
SIZE = (
    "SELECT sum(pg_total_relation_size(relid)) FROM (SELECT relid FROM"
    " pg_partition_tree('measurement') UNION SELECT relid FROM"
    " pg_partition_tree('statistic') UNION SELECT 'pending'::regclass) AS tables"
)
DUE = " FROM pending WHERE timestamp >= %(first)s AND timestamp <= %(last)s"
WEEKS = (  # of the statistics to come, with their resolution
    f"SELECT timestamp / {WEEK_MS}, {TEN_MINUTES}{DUE} UNION SELECT"
    f" (timestamp + {HOUR_MS - 1}) / {HOUR_MS} * {HOUR_MS} / {WEEK_MS}, {HOUR}{DUE}"
)
TAKE = f"SELECT codifier, timestamp{DUE} ORDER BY codifier, timestamp FOR UPDATE SKIP LOCKED"


class PostgresStatistics:
    """Statistics of one database; see StatisticsStore for the calls."""

    def __init__(self, reading: Lend, writing: Lend, partitions: Partitions) -> None:
        self._reading = reading
        self._writing = writing
        self._partitions = partitions

    def due(self, until_ms: int) -> int:
        with self._reading() as connection, connection.cursor() as cursor:
            query = "SELECT count(*) FROM pending WHERE timestamp <= %(until)s"
            return int(ask(cursor, query, until=until_ms)[0][0])

    def compute(self, until_ms: int) -> int:
        with self._writing() as connection, connection.cursor() as cursor:
            due = due_hours(partial(ask, cursor), until_ms)
            if due is None:
                return 0
            first_ms, last_ms = due
            weeks = ask(cursor, WEEKS, first=first_ms, last=last_ms)
            self._partitions.make(connection, ((week, minutes) for week, minutes in weeks))
            open_hour = self._mark_open_hour(connection, cursor, last_ms, until_ms)
            cursor.execute("SET LOCAL jit = off")
            if not ask(cursor, f"SELECT pg_try_advisory_xact_lock({COMPUTING})")[0][0]:
                return 0
            marks = [
                (codifier, end_ms)
                for codifier, end_ms in ask(cursor, TAKE, first=first_ms, last=last_ms)
                if end_of(end_ms, HOUR) <= until_ms or codifier in open_hour
            ]
            if not marks:
                return 0
            self._compute(cursor, marks, until_ms)
            _delete(cursor, "pending", marks)
            connection.commit()
        return len(marks)

    def mark(self, codifier: str | None = None) -> int:
        marked = 0
        where = "" if codifier is None else " AND codifier = %(codifier)s"
        with self._writing() as connection, connection.cursor() as cursor:
            for name, _ in ask(cursor, PARTITIONS, table="measurement"):
                query = (
                    f"SELECT DISTINCT codifier, {BUCKET} FROM {name}"
                    f" WHERE value IS NOT NULL{where} ORDER BY 1, 2"
                )
                ask(cursor, schema.MARK.format(query=query), codifier=codifier)
                marked += cursor.rowcount
                connection.commit()
        return marked

    def restore(self, rows: Sequence[StatisticRow]) -> int:
        insert = f"INSERT INTO statistic ({COLUMNS}) VALUES %s ON CONFLICT DO NOTHING"
        ordered = sorted(rows, key=itemgetter(0, 1, 2))
        with self._writing() as connection, connection.cursor() as cursor:
            self._partitions.make(connection, {(row[2] // WEEK_MS, row[0]) for row in rows})
            execute_values(cursor, insert, ordered, page_size=len(ordered) or 1)
            connection.commit()
            return cursor.rowcount

    def size_bytes(self) -> int:
        with self._reading() as connection, connection.cursor() as cursor:
            return int(ask(cursor, SIZE)[0][0] or 0)

    def drop_before(self, resolution: int, before_ms: int) -> Dropped | None:
        """Drop the oldest partition that is older as a whole, else some rows that have none."""
        with self._writing() as connection, connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{DROP_LOCK}'")
            found = self._oldest(cursor, resolution)
            if found is None or found[0].end_ms > before_ms:
                deleted = self._drop_early(cursor, resolution, before_ms)
                dropped = Dropped(resolution, before_ms, deleted * 100) if deleted else None
            elif self._drop(cursor, resolution, found[0]):
                dropped = Dropped(resolution, found[0].end_ms, found[1])
            else:
                return None
            connection.commit()
        return dropped

    def drop_oldest(self, resolution: int, keep_ms: int) -> Dropped | None:
        with self._writing() as connection, connection.cursor() as cursor:
            found = self._oldest(cursor, resolution)
        if found is None or found[0].end_ms > keep_ms:
            return None
        return self.drop_before(resolution, found[0].end_ms)

    # Computing

    def _mark_open_hour(
        self, connection: Connection, cursor: Cursor, last_ms: int, until_ms: int
    ) -> set[str]:
        """Mark the hour that is not over, for each Codifier with a due bucket in it.

        So the hour is due at its end, even if no more readings come. This precedes the locks of the
        other marks: with them, a writer and this connection could wait for each other.
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
        return {row[0] for row in ask(cursor, f"SELECT codifier{DUE}", first=end_ms, last=end_ms)}

    def _compute(self, cursor: Cursor, marks: list[Mark], until_ms: int) -> None:
        gone_ms = dropped_ms(partial(ask, cursor))
        if any(end_ms <= gone_ms for _, end_ms in marks):
            # Not all their readings are there any more: they keep the statistics they have.
            kept = set(ask(cursor, KEPT, **_wanted(marks), dropped=gone_ms))
            marks = [mark for mark in marks if mark not in kept]
        hours = sorted(
            {
                (codifier, end_of(end_ms, HOUR))
                for codifier, end_ms in marks
                if end_of(end_ms, HOUR) <= until_ms
            }
        )
        for resolution, buckets in ((TEN_MINUTES, marks), (HOUR, hours)):
            # One week at a time, so that the planner leaves out all other partitions.
            by_week = sorted(buckets, key=lambda mark: mark[1])
            for _, some in groupby(by_week, lambda mark: mark[1] // WEEK_MS):
                self._compute_buckets(cursor, resolution, sorted(some))

    def _compute_buckets(self, cursor: Cursor, resolution: int, marks: list[Mark]) -> None:
        ends = [end_ms for _, end_ms in marks]
        width = resolution * 60_000
        span = {"start": min(ends) - width, "end": max(ends)}
        cursor.execute("SAVEPOINT computing")
        try:
            wanted = _wanted(marks)
            rows = ask(cursor, COMPUTE, **wanted, **span, resolution=resolution, width=width)
            done = set(rows)
        except DataError:  # no double holds the squares of some numbers: compute here
            cursor.execute("ROLLBACK TO SAVEPOINT computing")
            done = self._compute_here(cursor, resolution, marks)
        cursor.execute("RELEASE SAVEPOINT computing")
        gone = [mark for mark in marks if mark not in done]
        if gone:
            _delete(cursor, "statistic", gone, f" AND resolution = {resolution}")

    def _compute_here(self, cursor: Cursor, resolution: int, marks: list[Mark]) -> set[Mark]:
        rows = []
        for codifier, end_ms in marks:
            start_ms = end_ms - resolution * 60_000
            found = ask(cursor, VALUES, codifier=codifier, start=start_ms, end=end_ms)
            values = [row[0] for row in found]
            if values:
                rows.append((resolution, codifier, end_ms, *statistic_of(values)))
        if rows:
            execute_values(cursor, f"INSERT INTO statistic ({COLUMNS}) VALUES %s{UPSERT}", rows)
        return {(row[1], row[2]) for row in rows}

    # Retention

    def _oldest(self, cursor: Cursor, resolution: int) -> tuple[schema.Partition, int] | None:
        """Return the oldest partition of a resolution, and its bytes."""
        tables = ask(cursor, PARTITIONS, table=schema.TABLES_OF[resolution][0])
        known = ((schema.partition_of(name, resolution), size) for name, size in tables)
        found = [(partition, size) for partition, size in known if partition is not None]
        return min(found, key=lambda it: it[0].start_ms, default=None)

    def _drop(self, cursor: Cursor, resolution: int, partition: schema.Partition) -> bool:
        """Drop a partition, unless it is read or its readings are due; return whether it was."""
        end_ms = partition.end_ms
        try:
            if resolution == RAW:
                cursor.execute("LOCK TABLE measurement IN ACCESS EXCLUSIVE MODE")
                # A reading in the first millisecond belongs to the bucket that ends there.
                if ask(cursor, f"SELECT 1{DUE} LIMIT 1", first=partition.start_ms, last=end_ms):
                    return False
            cursor.execute(f"DROP TABLE {schema.identifier(partition.name)}")
        except OperationalError as error:
            if error.pgcode == LOCK_NOT_AVAILABLE:  # a reader has it: try next time
                return False
            raise
        set_dropped(partial(ask, cursor), resolution, end_ms if resolution == RAW else end_ms - 1)
        self._partitions.forget()
        return True

    def _drop_early(self, cursor: Cursor, resolution: int, before_ms: int) -> int:
        """Drop rows that are older than all partitions, of clocks that were never set."""
        before_ms = min(before_ms, schema.FIRST_WEEK * WEEK_MS)
        if resolution == RAW:
            where = (
                f"NOT EXISTS (SELECT FROM pending WHERE pending.timestamp = {BUCKET_OF_ROW}"
                " AND pending.codifier = row.codifier)"
            )
        else:
            where = f"resolution = {resolution}"
        table = f"{schema.TABLES_OF[resolution][0]}_default"
        cursor.execute(
            f"DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} AS row"
            f" WHERE timestamp < %s AND {where} LIMIT {MOST_DROPPED}))",
            (before_ms,),
        )
        return cursor.rowcount


def _wanted(marks: list[Mark]) -> dict[str, Any]:
    return {"codifiers": [mark[0] for mark in marks], "ends": [mark[1] for mark in marks]}


def _delete(cursor: Cursor, table: str, marks: list[Mark], where: str = "") -> None:
    cursor.execute(
        f"{WANTED} DELETE FROM {table} USING wanted WHERE {table}.codifier = wanted.codifier"
        f" AND {table}.timestamp = wanted.timestamp{where}",
        _wanted(marks),
    )
