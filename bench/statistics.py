"""Measure the time for the statistics of one day of 100 sensors at 1 s: 8.64 million readings.

    python -m bench.statistics [--seconds 86400] [--sqlite]

The readings are in PostgreSQL, marked as due, as after an import. The time is that until all
10-minute and hourly statistics are committed, by the calls of the Statistics component. The limit
case is one query over the same readings that computes mean, lowest, highest and deviation of each
hour and writes nothing: no median, no mode, no 10 minutes. The peer is the simplest program, which
fetches the readings of a bucket, computes with Python's statistics module, and inserts; it runs for
the first half hour of the day, and its time is multiplied. The server is a PostgreSQL of
its own, which syncs to the disk and has the settings of a fresh cluster.
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import psycopg2

from jph.stores import HistoryStore, open_history
from jph.stores.buckets import HOUR_MS, TEN_MINUTES_MS
from jph.stores.postgres import schema
from jph.stores.sqlite.history import SqliteHistory
from tests.servers import running_postgres

LIMIT_S = 60.0  # for a day, on PostgreSQL
DAY_S = 86_400
SENSORS = [f"{a}{b}" for a in "ABCDEFGHIJ" for b in "0123456789"]
START_MS = 1_794_000_000_000 // (24 * HOUR_MS) * 24 * HOUR_MS
PEER_BUCKETS = 3  # of each sensor

FILL = (
    "INSERT INTO measurement SELECT codifier, %(start)s + second * 1000 + 500, second,"
    " round((20 + 5 * sin(second / 7000.0) + random())::numeric, %(places)s), NULL"
    " FROM generate_series(%(first)s, %(last)s) AS second,"
    " unnest(%(codifiers)s) AS codifier"
)
AGGREGATE = (
    "SELECT codifier, (timestamp - 1) / 3600000, avg(value), min(value), max(value),"
    " stddev_pop(value), count(*) FROM measurement GROUP BY 1, 2"
)


def fill(url: str, seconds: int, places: int) -> None:
    """Store a day of readings in the order of their arrival."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        week_ms = schema.WEEK_MS
        for week in range(START_MS // week_ms, (START_MS + seconds * 1000) // week_ms + 1):
            cursor.execute(schema.add_partition(week))
        for first in range(0, seconds, 3600):
            last = min(first + 3600, seconds) - 1
            values = {"start": START_MS, "first": first, "last": last, "places": places}
            cursor.execute(FILL, {**values, "codifiers": SENSORS})
            connection.commit()
        connection.autocommit = True
        cursor.execute("ANALYZE measurement")


def compute_all(store: HistoryStore) -> tuple[float, float, int]:
    """Compute all due buckets; return seconds, those of the longest call, and the buckets."""
    done, longest_s = 0, 0.0
    began_s = time.monotonic()
    while True:
        call_s = time.monotonic()
        marks = store.statistics.compute(1 << 50)
        longest_s = max(longest_s, time.monotonic() - call_s)
        if not marks:
            return time.monotonic() - began_s, longest_s, done
        done += marks


def run_limit(url: str) -> float:
    """Run the one query; return seconds."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        began_s = time.monotonic()
        cursor.execute(f"SELECT count(*) FROM ({AGGREGATE}) AS hours")
        return time.monotonic() - began_s


def run_peer(url: str) -> float:
    """Compute a few buckets by Python's statistics; return seconds."""
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE result (c text, t bigint, a float8, b float8,"
            " d float8, e float8, f float8, g float8)"
        )
        connection.commit()
        began_s = time.monotonic()
        for codifier in SENSORS:
            for bucket in range(PEER_BUCKETS):
                start_ms = START_MS + bucket * TEN_MINUTES_MS
                end_ms = start_ms + TEN_MINUTES_MS
                cursor.execute(
                    "SELECT value FROM measurement WHERE codifier = %s AND timestamp > %s"
                    " AND timestamp <= %s",
                    (codifier, start_ms, end_ms),
                )
                values = [row[0] for row in cursor.fetchall()]
                modes = statistics.multimode(values)
                result = (
                    statistics.mean(values),
                    modes[0] if len(modes) == 1 else None,
                    statistics.median(values),
                    max(values),
                    min(values),
                    statistics.pstdev(values),
                )
                cursor.execute(
                    "INSERT INTO result VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                    (codifier, end_ms, *result),
                )
                connection.commit()
        return time.monotonic() - began_s


def on_postgres(seconds: int, places: int) -> int:
    """Measure PostgreSQL; print; return the exit status."""
    with running_postgres(durable=True) as server, tempfile.TemporaryDirectory() as folder:
        name = server.create_database()
        url = server.url(name)
        with closing(open_history(url, Path(folder))) as store:
            store.append([(START_MS + 500, "A0", 0, 20.0, None)])  # makes the tables
            server.execute("TRUNCATE measurement, pending", name)
            fill(url, seconds, places)
            store.statistics.mark()
            due = store.statistics.due(1 << 50)
            took_s, longest_s, done = compute_all(store)
            rows = server.execute("SELECT count(*) FROM statistic", name)[0][0]
        limit_s = run_limit(url)
        peer_s = run_peer(url) * (seconds / 600 + seconds / 3600 * 6) / PEER_BUCKETS
    readings = seconds * len(SENSORS)
    report("PostgreSQL", readings, rows, took_s, longest_s)
    print(f"  one query, hours only  {limit_s:8.1f} s            {took_s / limit_s:9.2f} times it")
    print(f"  Python's statistics    {peer_s:8.1f} s            {took_s / peer_s:9.4f} of it")
    if done != due:
        raise SystemExit(f"{done} of {due} buckets were computed")
    limit = LIMIT_S * seconds / DAY_S
    print(f"  limit                  {limit:8.1f} s            {took_s / limit:9.2f} of it")
    return 0 if took_s <= limit else 1


def on_sqlite(seconds: int) -> int:
    """Measure SQLite, which has no limit of its own; print."""
    from bench.history_bytes import seconds_of_readings

    with tempfile.TemporaryDirectory(dir=".") as folder:
        with closing(SqliteHistory(Path(folder) / "history.sqlite")) as store:
            rows = []
            for readings in seconds_of_readings(seconds):
                rows += [(one[1], one[0], one[2], float(one[3]), None) for one in readings]
                if len(rows) >= 20_000:
                    store.append(rows)
                    rows = []
            store.append(rows)
            took_s, longest_s, _ = compute_all(store)
            with store.reading() as connection:
                count = connection.execute("SELECT count(*) FROM statistic").fetchone()[0]
        report("SQLite", seconds * len(SENSORS), count, took_s, longest_s)
    return 0


def report(where: str, readings: int, rows: int, took_s: float, longest_s: float) -> None:
    """Print the first lines of a table."""
    print(f"statistics in {where}, {len(SENSORS)} sensors every second, {readings:,} readings")
    print(
        f"  computed and committed {took_s:8.1f} s {readings / took_s:12,.0f} readings/s,"
        f" {rows:,} rows, longest call {longest_s:.2f} s"
    )


def main() -> int:
    """Print the tables; fail beyond the limit."""
    parser = argparse.ArgumentParser(description="Statistics of one day.")
    parser.add_argument("--seconds", type=int, default=DAY_S, help="of readings, default a day")
    parser.add_argument("--places", type=int, default=2, help="decimal places of a reading")
    parser.add_argument("--sqlite", action="store_true", help="measure SQLite instead")
    arguments = parser.parse_args()
    if arguments.sqlite:
        return on_sqlite(arguments.seconds)
    return on_postgres(arguments.seconds, arguments.places)


if __name__ == "__main__":
    sys.exit(main())
