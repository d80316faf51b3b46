"""Measure the time for the points of a span, out of a year of one sensor at 10 s among 100 sensors.

    python -m bench.history_span [--runs 5] [--days 365] [--store postgresql|sqlite]

A0 has a reading every 10 s for a year, 3.15 million; the 99 others have one every 10 minutes, and
in the last three days one every 10 s too. Statistics are computed to the end. Spans from an hour to
the year, at the end of it and in its middle, are read with at most 2,000 points, as value, mean and
median; the time is the median of some runs of the slowest of these. The store is opened for each
span, so that the time includes its connection. The peer is the simplest program: it fetches all
readings of the span by (Codifier, timestamp), to thin them out.

Needs 3 GB of disk and six minutes.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2

from bench.statistics import SENSORS
from jph.clock import time_now_ms
from jph.stores import HistoryStore, Row, open_history
from jph.stores.buckets import HOUR_MS
from jph.stores.postgres import schema
from tests.servers import running_postgres

LIMITS_MS = {"postgresql": 100.0, "sqlite": 200.0}
MOST_POINTS = 2000
DAY_MS = 24 * HOUR_MS
END_MS = time_now_ms() // DAY_MS * DAY_MS
DENSE_MS = 3 * DAY_MS
STEP_MS = 10_000
OTHERS_STEP_MS = 600_000
SPANS = {
    "1 hour": HOUR_MS,
    "6 hours": 6 * HOUR_MS,
    "1 day": DAY_MS,
    "3 days": 3 * DAY_MS,
    "1 week": 7 * DAY_MS,
    "1 month": 30 * DAY_MS,
    "3 months": 91 * DAY_MS,
    "1 year": 365 * DAY_MS,
}
FIELDS = ("value", "mean", "median")

FILL = (
    "INSERT INTO measurement SELECT codifier, %(start)s + step * %(step)s + 500, step,"
    " 20 + 5 * sin(step / 7000.0) + random(), NULL"
    " FROM generate_series(%(first)s::bigint, %(last)s) AS step, unnest(%(codifiers)s) AS codifier"
    " ON CONFLICT DO NOTHING"
)
PEER = (
    "SELECT timestamp, value FROM measurement WHERE codifier = 'A0' AND timestamp >= %s"
    " AND timestamp < %s ORDER BY timestamp"
)


def first_ms(days: int) -> int:
    """Return when the history begins."""
    return END_MS - days * DAY_MS


def fill_postgres(url: str, days: int) -> None:
    """Store the year, a day at a time, in the order of arrival."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        for week in range(first_ms(days) // schema.WEEK_MS, END_MS // schema.WEEK_MS + 1):
            cursor.execute(schema.add_partition(week))
        for day in range(days):
            is_dense = (days - day) * DAY_MS <= DENSE_MS
            for codifiers, step_ms in (
                (SENSORS[:1], STEP_MS),
                (SENSORS[1:], STEP_MS if is_dense else OTHERS_STEP_MS),
            ):
                steps = DAY_MS // step_ms
                span = {"first": day * steps, "last": (day + 1) * steps - 1}
                values = {"start": first_ms(days), "step": step_ms, "codifiers": codifiers, **span}
                cursor.execute(FILL, values)
            connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE measurement")


def rows_of(days: int) -> Iterator[list[Row]]:
    """Yield the year in batches, in the order of arrival."""
    for day in range(days):
        rows: list[Row] = []
        is_dense = (days - day) * DAY_MS <= DENSE_MS
        for step in range(DAY_MS // STEP_MS):
            time_ms = first_ms(days) + day * DAY_MS + step * STEP_MS + 500
            value = 20 + (step * 7919 % 1000) / 200
            rows.append((time_ms, "A0", step, value, None))
            if is_dense or not step % (OTHERS_STEP_MS // STEP_MS):
                rows += [(time_ms, codifier, step, value, None) for codifier in SENSORS[1:]]
        yield rows


def compute(store: HistoryStore) -> None:
    """Compute all statistics."""
    while store.statistics.compute(1 << 50):
        pass


def median_ms(runs: int, call: Callable[[], object]) -> float:
    """Return the median time of a call."""
    taken = []
    for _ in range(runs):
        began_s = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(taken)


def measure(url: str, home: Path, days: int, runs: int, peer: Callable[[int, int], int]) -> float:
    """Print a line for each span; return the slowest median of all."""
    end_ms = END_MS
    slowest_ms = 0.0
    print("  span        points    bucket   slowest           all readings    ratio")
    for name, span_ms in SPANS.items():
        if span_ms > days * DAY_MS:
            continue
        middle_ms = (first_ms(days) + end_ms + span_ms) // 2
        spans = {(end_ms - span_ms, end_ms), (middle_ms - span_ms - 777, middle_ms - 777)}
        times = {}
        for span in spans:
            for field in FIELDS:

                def read(span: tuple[int, int] = span, field: str = field) -> None:
                    with closing(open_history(url, home)) as store:
                        store.read(["A0"], field, *span, MOST_POINTS)

                times[span, field] = median_ms(runs, read)
        with closing(open_history(url, home)) as store:
            series = store.read(["A0"], "value", end_ms - span_ms, end_ms, MOST_POINTS)["A0"]
        points = len(series.times_ms)
        if not 0 < points <= MOST_POINTS:
            raise SystemExit(f"{name}: {points} points")
        worst_ms = max(times.values())
        slowest_ms = max(slowest_ms, worst_ms)
        began_s = time.perf_counter()
        readings = peer(end_ms - span_ms, end_ms)
        peer_ms = (time.perf_counter() - began_s) * 1000
        print(
            f"  {name:10} {points:7,} {series.bucket_ms / 1000:7,.0f} s {worst_ms:6.1f} ms"
            f" {readings:9,} {peer_ms:9.1f} ms {worst_ms / peer_ms:8.3f}"
        )
    return slowest_ms


def on_postgres(days: int, runs: int) -> float:
    """Measure PostgreSQL; return the slowest span, ms."""
    with running_postgres() as server, tempfile.TemporaryDirectory() as folder:
        name = server.create_database()
        url, home = server.url(name), Path(folder)
        with closing(open_history(url, home)) as store:
            store.append([(first_ms(days), "A0", 0, 20.0, None)])
            fill_postgres(url, days)
            store.statistics.mark()
            compute(store)
            size = store.statistics.size_bytes()
        server.execute("VACUUM ANALYZE", name)
        print(f"PostgreSQL, {size / 1e6:,.0f} MB")

        def peer(start_ms: int, end_ms: int) -> int:
            with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
                cursor.execute(PEER, (start_ms, end_ms))
                return len(cursor.fetchall())

        return measure(url, home, days, runs, peer)


def on_sqlite(days: int, runs: int) -> float:
    """Measure SQLite; return the slowest span, ms."""
    with tempfile.TemporaryDirectory(dir=".") as folder:
        url, home = "sqlite:///history.sqlite", Path(folder)
        with closing(open_history(url, home)) as store:
            for rows in rows_of(days):
                store.append(rows)
            compute(store)
            size = store.statistics.size_bytes()
        print(f"SQLite, {size / 1e6:,.0f} MB")

        def peer(start_ms: int, end_ms: int) -> int:
            import sqlite3

            with closing(sqlite3.connect(home / "history.sqlite")) as connection:
                found = connection.execute(PEER.replace("%s", "?"), (start_ms, end_ms))
                return len(found.fetchall())

        return measure(url, home, days, runs, peer)


def main() -> int:
    """Print the tables; fail beyond a limit."""
    parser = argparse.ArgumentParser(description="Milliseconds for the points of a span.")
    parser.add_argument("--runs", type=int, default=5, help="of each span, default 5")
    parser.add_argument("--days", type=int, default=365, help="of history, default a year")
    parser.add_argument("--store", choices=tuple(LIMITS_MS), help="only this one")
    arguments = parser.parse_args()
    status = 0
    for store, run in (("postgresql", on_postgres), ("sqlite", on_sqlite)):
        if arguments.store in (None, store):
            slowest_ms = run(arguments.days, arguments.runs)
            limit_ms = LIMITS_MS[store]
            print(f"  limit {limit_ms:.0f} ms: {slowest_ms / limit_ms:.2f} of it")
            status |= slowest_ms > limit_ms
    return status


if __name__ == "__main__":
    sys.exit(main())
