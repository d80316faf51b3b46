"""Measure what Tenta's readings take in either store: bytes, writing, pages, aggregates, the start.

    python -m bench.gateway_reads [--readings 1000000] [--pages 500] [--store sqlite|postgresql]

Ten sensors of five attributes send messages of 100 readings, which are committed 100 at a time, as
the inlet does. The limit case of writing is the driver alone with rows that are in memory already:
executemany into a table without a row id, COPY (binary) into a table without an index. Pages of 64
begin at random times, in both directions; an aggregate is that of four weeks. Pages are read from
the store, and over HTTP from Tenta's API in a process of its own, signed in, by a socket that stays
open; then by eight of them at once. The start is a new process that opens the store and reads one
page. The server is a PostgreSQL of its own; both stores sync to the disk at every commit.
"""

import argparse
import io
import random
import re
import socket
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from uuid import UUID

import psycopg2
from sqlalchemy import insert, text

from bench import common
from gateways.store import Store
from gateways.tenta import people, readings, tables
from gateways.tenta.writing import Batch, write
from jph.stores.postgres.binary_copy import HEADER, TRAILER
from tests.helpers import free_tcp_port
from tests.servers import running_postgres

NETWORK = UUID(int=1, version=4)
SENSORS = [UUID(int=2 + number, version=4) for number in range(10)]
ATTRIBUTES = ["temperature", "humidity", "pressure", "co2", "voltage"]
IN_MESSAGE = 20  # measurements, of five attributes
MESSAGES = 100  # in a transaction
PERIOD_US = 1_000_000_000  # between the measurements of a sensor: some months in all
FIRST_US = 1_700_000_000_000_000
FOUR_WEEKS_US = 28 * 86_400_000_000

CLIENTS = 8
GOALS = {"write": 50_000, "bytes": 60, "page": 5.0, "aggregate": 50.0, "start": 3.0, "clients": 500}


def batches(count: int) -> Iterator[Batch]:
    """Yield batches until there are so many readings."""
    chance = random.Random(1)
    next_us = dict.fromkeys(SENSORS, FIRST_US)
    made = 0
    while made < count:
        batch = Batch()
        for number in range(MESSAGES):
            sensor = SENSORS[number % len(SENSORS)]
            for _ in range(IN_MESSAGE):
                time_us = next_us[sensor] + chance.randrange(1000)
                next_us[sensor] += PERIOD_US
                values = {name: chance.uniform(0, 100) for name in ATTRIBUTES}
                batch.measurements.append((sensor, time_us, 0, time_us + 2_500_000, values))
                made += len(values)
        yield batch


def fill(store: Store, count: int) -> tuple[float, str]:
    """Write so many readings; return how many a second, and the access token of a user."""
    with store.writing() as connection:
        row = {"identifier": NETWORK, "name": "bench", "creation_timestamp": FIRST_US}
        connection.execute(insert(tables.network), row)
        user = people.create_user(connection, "bench", "no password")
        token = people.create_session(connection, user)
        granted = {"user_identifier": user, "network_identifier": NETWORK}
        connection.execute(insert(tables.permission), {**granted, "creation_timestamp": FIRST_US})
        for number, sensor in enumerate(SENSORS):
            row = {"identifier": sensor, "name": f"s{number}", "network_identifier": NETWORK}
            connection.execute(insert(tables.sensor), {**row, "creation_timestamp": FIRST_US})
    spent_s, written = 0.0, 0
    for batch in batches(count):
        start_s = time.perf_counter()
        with store.writing() as connection:
            written += write(connection, batch).readings
        spent_s += time.perf_counter() - start_s
    return written / spent_s, token


def limit_sqlite(folder: Path, count: int) -> float:
    """Return how many readings a second the driver alone writes."""
    with closing(sqlite3.connect(folder / "limit.sqlite", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE bare (sensor INT, at INT, attribute INT, n INT, value REAL, revision INT,"
            " delay INT, PRIMARY KEY (sensor, at, attribute, n)) WITHOUT ROWID"
        )
        spent_s, written = 0.0, 0
        for batch in batches(count):
            rows = [
                (sensor.int & 0xFF, at_us, number, 0, value, 0, 2_500_000)
                for sensor, at_us, _, _, values in batch.measurements
                for number, value in enumerate(values.values())
            ]
            rows.sort()
            start_s = time.perf_counter()
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO bare VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
            spent_s += time.perf_counter() - start_s
            written += len(rows)
        return written / spent_s


def limit_postgres(url: str, count: int) -> float:
    """Return how many readings a second the driver alone writes."""
    pack = struct.Struct(">hi16siqi11sid").pack
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bare (sensor uuid, at bigint, attribute text, value float8)")
        connection.commit()
        spent_s, written = 0.0, 0
        for batch in batches(count):
            rows = [
                pack(4, 16, sensor.bytes, 8, at_us, 11, b"temperature", 8, value)
                for sensor, at_us, _, _, values in batch.measurements
                for value in values.values()
            ]
            content = b"".join([HEADER, *rows, TRAILER])
            start_s = time.perf_counter()
            cursor.copy_expert("COPY bare FROM STDIN (FORMAT binary)", io.BytesIO(content))
            connection.commit()
            spent_s += time.perf_counter() - start_s
            written += len(rows)
        cursor.execute("DROP TABLE bare")
        connection.commit()
        return written / spent_s


def bytes_of(store: Store) -> int:
    """Return the bytes that all measurements and hours take."""
    if store.dialect == "sqlite":
        query = "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count,"
        query += " pragma_freelist_count, pragma_page_size"
    else:
        query = "SELECT pg_total_relation_size('measurement') +"
        query += " pg_total_relation_size('measurement_1_hour')"
    with store.reading() as connection:
        return int(connection.scalar(text(query)) or 0)


def milliseconds(call: Callable[[], object], times: int) -> list[float]:
    """Return how long each of several calls took."""
    spent = []
    for _ in range(times):
        start_s = time.perf_counter()
        call()
        spent.append((time.perf_counter() - start_s) * 1000)
    return spent


def pages(store: Store, last_us: int, times: int) -> list[float]:
    """Read pages of 64 from random times on; return the time of each in ms."""
    asked = places(last_us)

    def page() -> None:
        sensor, direction, at_us = next(asked)
        with store.reading() as connection:
            rows = readings.measurements(connection, sensor, direction=direction, creation_us=at_us)
        if len(rows) != readings.PAGE:
            raise SystemExit(f"a page has {len(rows)} measurements")

    return milliseconds(page, times)


def places(last_us: int, seed: int = 2) -> Iterator[tuple[UUID, readings.Direction, int]]:
    """Yield where pages begin: a sensor, a direction and a time, far from both ends."""
    chance = random.Random(seed)
    directions: list[readings.Direction] = ["next", "previous"]
    while True:
        at_us = chance.randrange(FIRST_US + 65 * PERIOD_US, last_us - 65 * PERIOD_US)
        yield chance.choice(SENSORS), chance.choice(directions), at_us


def aggregates(store: Store, last_us: int, times: int) -> list[float]:
    """Read the averages of the last four weeks; return the time of each in ms."""

    def aggregate() -> None:
        with store.reading() as connection:
            found = readings.averages(connection, SENSORS[0], last_us - FOUR_WEEKS_US)
        if len(found) != len(ATTRIBUTES):
            raise SystemExit("averages are missing")

    return milliseconds(aggregate, times)


class Client:
    """Asks for pages over one connection, which stays open."""

    def __init__(self, port: int, token: str, last_us: int, seed: int = 2) -> None:
        self._socket = socket.create_connection((common.LOOPBACK, port), timeout=30)
        self._token = token
        self._places = places(last_us, seed)

    def page(self) -> None:
        """Read one page."""
        sensor, direction, at_us = next(self._places)
        path = f"/networks/{NETWORK}/sensors/{sensor}/measurements"
        query = f"direction={direction}&creation_timestamp={at_us / 1e6:.6f}"
        if self._ask(f"{path}?{query}").count(b"revision") != readings.PAGE:
            raise SystemExit("a page is not whole")

    def _ask(self, path: str) -> bytes:
        head = f"GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {self._token}\r\n\r\n"
        self._socket.sendall(head.encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._received()
        heads, _, body = answer.partition(b"\r\n\r\n")
        if b" 200 " not in heads[:15]:
            raise SystemExit(f"{path}: {heads[:60]!r} {body!r}")
        (length,) = re.findall(rb"(?i)content-length: ([0-9]+)", heads)
        while len(body) < int(length):
            body += self._received()
        return body

    def _received(self) -> bytes:
        some = self._socket.recv(1 << 16)
        if not some:
            raise SystemExit("the server closed the connection")
        return some

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def over_http(
    url: str, home: Path, token: str, last_us: int, times: int
) -> tuple[list[float], float]:
    """Return the time of each page for one client in ms, and pages a second for eight."""
    port = free_tcp_port()
    serving = common.python("bench.gateway_reads", "--serve", port, url, home)
    with common.started(serving), ExitStack() as stack:
        seeds = range(CLIENTS)
        clients = [Client(port, token, last_us, seed) for seed in seeds]
        for client in clients:
            stack.callback(client.close)
            client.page()
        one_ms = milliseconds(clients[0].page, times)
        start_s = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as threads:
            for _ in threads.map(lambda client: milliseconds(client.page, times), clients):
                pass
        return one_ms, CLIENTS * times / (time.perf_counter() - start_s)


def serve(port: int, url: str, home: Path) -> None:
    """Serve Tenta's API until this process is ended."""
    from gateways.http import JsonServer, listen
    from gateways.tenta.configurations import Outgoing
    from gateways.tenta.routes import app_of
    from gateways.tenta.service import Service

    store = Store.open(url, home, steps=tables.STEPS)
    app = app_of(Service(store, Outgoing("TG"), "0" * 64))
    server = JsonServer(listen(common.LOOPBACK, port), app)
    print("ready", flush=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    server.close()


START = """
import sys
from pathlib import Path
from uuid import UUID
from gateways.store import Store
from gateways.tenta import people, readings, tables
store = Store.open(sys.argv[1], Path(sys.argv[2]), steps=tables.STEPS)
with store.reading() as connection:
    assert len(readings.measurements(connection, UUID(sys.argv[3]))) == 64
store.close()
"""


def start_s(url: str, home: Path) -> float:
    """Return how long a new process takes until it has read a page."""
    command = [sys.executable, "-c", START, url, str(home), str(SENSORS[0])]
    (spent_ms,) = milliseconds(lambda: subprocess.run(command, check=True, cwd=common.ROOT), 1)
    return spent_ms / 1000


def p95(values: list[float]) -> float:
    """Return the value that one in twenty exceeds."""
    return statistics.quantiles(values, n=20)[-1]


def measure(url: str, home: Path, limit: float, count: int, times: int) -> list[list[str]]:
    """Measure one store; return the rows of its table."""
    with closing(Store.open(url, home, steps=tables.STEPS)) as store:
        rate, token = fill(store, count)
        last_us = FIRST_US + count // len(SENSORS) // len(ATTRIBUTES) * PERIOD_US
        size = bytes_of(store) / count
        page_ms = pages(store, last_us, times)
        aggregate_ms = aggregates(store, last_us, times // 5)
    started_s = start_s(url, home)
    http_ms, of_eight = over_http(url, home, token, last_us, times)

    def row(name: str, value: float, goal: str, *, least: bool = False) -> list[str]:
        asked = GOALS[goal]
        met = value >= asked if least else value <= asked
        sign = "at least" if least else "at most"
        return [name, f"{value:,.1f}", f"{sign} {asked:,g}", "met" if met else "MISSED"]

    return [
        row("written, readings/s", rate, "write", least=True),
        ["  the driver alone", f"{limit:,.1f}", f"ratio {rate / limit:.2f}"],
        row("bytes a reading", size, "bytes")
        if store.dialect == "sqlite"
        else ["bytes a reading", f"{size:,.1f}"],
        ["page of 64, p50, ms", f"{common.median(page_ms):.2f}"],
        row("page of 64, p95, ms", p95(page_ms), "page"),
        row("aggregate of 4 weeks, p95, ms", p95(aggregate_ms), "aggregate"),
        ["page over HTTP, p50, ms", f"{common.median(http_ms):.2f}"],
        row("page over HTTP, p95, ms", p95(http_ms), "page"),
        row(f"pages/s for {CLIENTS} clients", of_eight, "clients", least=True),
        row("start, s", started_s, "start"),
    ]


@contextmanager
def sqlite_store() -> Iterator[tuple[str, Path]]:
    """Give the URL of a store in a folder that is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="jph-bench-", dir="/var/tmp") as name:
        yield "sqlite:///gateways.sqlite", Path(name)


def main() -> None:
    """Measure, and print a table for each store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--readings", type=int, default=1_000_000)
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--store", choices=["sqlite", "postgresql"])
    parser.add_argument("--serve", nargs=3, metavar=("PORT", "URL", "HOME"), help="for itself")
    options = parser.parse_args()
    if options.serve:
        port, url, home = options.serve
        serve(int(port), url, Path(home))
        return
    heads = [f"{options.readings:,} readings", "measured", "goal", ""]
    if options.store in (None, "sqlite"):
        with sqlite_store() as (url, home):
            limit = limit_sqlite(home, options.readings)
            rows = measure(url, home, limit, options.readings, options.pages)
        common.print_table("SQLite", heads, rows)
    if options.store in (None, "postgresql"):
        with running_postgres(durable=True) as server, sqlite_store() as (_, home):
            url = server.url(server.create_database())
            limit = limit_postgres(url, options.readings)
            rows = measure(url, home, limit, options.readings, options.pages)
        common.print_table("PostgreSQL", heads, rows)


if __name__ == "__main__":
    main()
