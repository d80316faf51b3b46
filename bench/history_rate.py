"""Measure how many readings a second get from the bus into PostgreSQL, committed.

    python -m bench.history_rate [--runs 3] [--seconds 5]

bench/c/flood.c sends 32-byte float messages of 100 sources at 0.95 of the limit case, to a process
with a HistoryWriter whose last readings wait for 0.3 s, not 2 s. The time is that from the first
message until all of them are committed. The limit case is psycopg2 alone: rows that are in memory
already, packed by struct, 10,000 at a time, COPY (binary) into a temporary table, INSERT … ON
CONFLICT DO NOTHING into the same partitioned table, COMMIT. The peer is the simplest program: an
INSERT and a commit for each reading. The server is a PostgreSQL of its own, which syncs to the
disk.
"""

import argparse
import io
import json
import os
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bench import common
from bench.common import Network
from jph.stores.postgres import schema
from jph.stores.postgres.binary_copy import HEADER, TRAILER
from jph.stores.postgres.history import MOVE, STAGING
from tests.servers import PostgresServer, running_postgres

SOURCES = [f"{chr(65 + i // 26)}{chr(65 + i % 26)}" for i in range(100)]  # as flood.c names them
BATCH = 10_000
ROW = struct.Struct(">hi2siqiqidi").pack
COPY = "COPY staging FROM STDIN (FORMAT binary)"
INSERT = "INSERT INTO measurement VALUES (%s, %s, %s, %s, NULL) ON CONFLICT DO NOTHING"
OFFERED = 0.95  # of the limit case: more cannot be committed, and would only be lost
SETTLE_S = 1.0
BATCH_S = 0.3

Row = tuple[int, bytes, int, float]


def write_with_jph(config: Path, url: str) -> None:
    """Run a HistoryWriter until the flood is over; print when the last reading was committed."""
    from collectors.history_writer import HistoryWriter
    from jph.config.loading import load
    from jph.node.channel import Channel
    from jph.node.node import Node
    from jph.node.runner import Callbacks, callbacks_of

    home = Path(os.environ["JPH_HOME"])
    made: list[HistoryWriter] = []

    def build(channel: Channel) -> Callbacks:
        made.append(HistoryWriter(channel, home, url=url, batch_s=BATCH_S))
        return callbacks_of(made[0], channel)

    loaded = load(config, home)
    node = Node(loaded, home)
    node.add(loaded.components["C1"], build)
    node.start()
    threading.Event().wait(0.2)
    print("ready", flush=True)
    busy_s, spooled = 0.0, 0
    while not busy_s or time.monotonic() < busy_s + SETTLE_S:
        status = made[0].status()
        spooled = max(spooled, int(str(status.get("spooled", 0))))
        if status["waiting"] or status.get("spooled"):
            busy_s = time.monotonic()
        time.sleep(0.01)
    print(json.dumps({"end_s": busy_s, "spooled": spooled}), flush=True)
    node.stop()


def run_jph(net: Network, server: PostgresServer, rate: float, seconds: float) -> dict[str, float]:
    """Send a flood; return readings committed per second, lost and spooled."""
    database = server.create_database()
    flood = common.compiled("flood", net.folder)
    group, port = net.data
    sender = [flood, "jph", group, str(port), common.LOOPBACK, str(seconds)]
    sender += [str(len(SOURCES)), str(rate)]
    writer = common.python("bench.history_rate", "--as", net.config, server.url(database))
    with common.started(writer) as process:
        began_s = time.monotonic()
        sent = int(subprocess.run(sender, check=True, capture_output=True).stdout)
        result = json.loads(common.last_line(process))
    stored = server.execute("SELECT count(*) FROM measurement", database)[0][0]
    server.drop_database(database)
    took_s = result["end_s"] - began_s
    return {"rate": stored / took_s, "lost": sent - stored, "spooled": result["spooled"]}


def rows_in_memory(count: int) -> list[Row]:
    """Return rows as the flood sends them."""
    now_ms = time.time_ns() // 1_000_000
    codes = [code.encode() for code in SOURCES]
    n = len(codes)
    return [(now_ms + i // 100, codes[i % n], i // n, i % 1000 * 0.5) for i in range(count)]


def run_bare(server: PostgresServer, seconds: float) -> dict[str, float]:
    """Write with psycopg2 alone; return rows committed per second."""
    database = server.create_database()
    rows = rows_in_memory(int(400_000 * seconds))
    written = 0
    with closing(server.connect(database)) as connection, connection.cursor() as cursor:
        for statement in schema.create():
            cursor.execute(statement)
        cursor.execute(schema.add_partition(rows[0][0] // schema.WEEK_MS))
        cursor.execute(STAGING)
        connection.commit()
        began_s = time.monotonic()
        while (passed_s := time.monotonic() - began_s) < seconds:
            batch = rows[written : written + BATCH]
            parts = [
                ROW(5, 2, code, 8, ms, 8, sequence, 8, value, -1)
                for ms, code, sequence, value in batch
            ]
            content = b"".join([HEADER, *parts, TRAILER])
            cursor.copy_expert(COPY, io.BytesIO(content), len(content))
            cursor.execute(MOVE)
            connection.commit()
            written += len(batch)
    server.drop_database(database)
    return {"rate": written / passed_s}


def run_peer(server: PostgresServer, seconds: float) -> dict[str, float]:
    """Insert and commit each row; return rows per second."""
    database = server.create_database()
    rows = rows_in_memory(int(20_000 * seconds))
    written = 0
    with closing(server.connect(database)) as connection, connection.cursor() as cursor:
        for statement in schema.create():
            cursor.execute(statement)
        cursor.execute(schema.add_partition(rows[0][0] // schema.WEEK_MS))
        connection.commit()
        began_s = time.monotonic()
        while (passed_s := time.monotonic() - began_s) < seconds:
            ms, code, sequence, value = rows[written]
            cursor.execute(INSERT, (code.decode(), ms, sequence, value))
            connection.commit()
            written += 1
    server.drop_database(database)
    return {"rate": written / passed_s}


def measures(
    net: Network, server: PostgresServer, seconds: float
) -> dict[str, Callable[[], dict[str, float]]]:
    """Return the functions that measure, by the name in the table."""
    last = {"rate": 0.0}

    def bare() -> dict[str, float]:
        last.update(run_bare(server, seconds))
        return dict(last)

    return {
        "psycopg2, COPY and ON CONFLICT": bare,
        "JPH, from the bus": lambda: run_jph(net, server, OFFERED * last["rate"], seconds),
        "psycopg2, INSERT and commit each": lambda: run_peer(server, min(seconds, 2.0)),
    }


def main() -> None:
    """Measure, or be the writer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--as", dest="role", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        write_with_jph(Path(arguments.role[0]), arguments.role[1])
        return
    with common.network() as net, running_postgres(durable=True) as server:
        results = common.interleaved(measures(net, server, arguments.seconds), arguments.runs)
    bare, ours, peer = results.values()
    rows = []
    for name, runs in results.items():
        lost = sum(int(one.get("lost", 0)) for one in runs)
        spooled = sum(int(one.get("spooled", 0)) for one in runs)
        rate = common.median([one["rate"] for one in runs])
        rows.append([name, f"{rate:,.0f}", str(lost), str(spooled)])
    for name, others, least in (("to COPY", bare, 0.8), ("to INSERT", peer, 25)):
        ratios = [a["rate"] / b["rate"] for a, b in zip(ours, others, strict=True)]
        ratio = common.median(ratios)
        rows.append([f"JPH {name}", "", "", "", *common.verdict(ratio, least=least)])
    common.print_table(
        f"History in PostgreSQL: readings a second, median of {arguments.runs} interleaved runs",
        ["", "committed/s", "lost", "spooled", "ratio", "target", ""],
        rows,
    )


if __name__ == "__main__":
    main()
