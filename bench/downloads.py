"""Measure the memory and the time of a download of all readings of 200 sensors for a year.

    python -m bench.downloads [--store sqlite] [--minutes 30]

The history has a reading of each sensor every 30 minutes, 3.5 million. The pages run in a process
of their own, which hands the year out as CSV, NDJSON and Parquet; the memory is the most that this
process had meanwhile, beyond what it had before. Parquet needs the library pyarrow, which takes
most of its share.

Needs 500 MB of disk and some minutes.
"""

import argparse
import http.client
import sys
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

from bench import common
from bench.graphs import served
from bench.memory import resident_mb
from jph.clock import time_now_ms
from jph.stores import HistoryStore, open_history
from jph.stores.buckets import HOUR_MS
from tests.servers import running_postgres

SENSORS = [f"{a}{b}" for a in "ABCDEFGHIJ" for b in "abcdefghijklmnopqrst"]
DAY_MS = 24 * HOUR_MS
DAYS = 365
MOST_MB = {"csv": 30, "ndjson": 30, "parquet": 150}


def fill(store: HistoryStore, start_ms: int, step_ms: int) -> int:
    """Store the year; return how many readings it has."""
    stored = 0
    for day in range(DAYS):
        rows = [
            (
                start_ms + day * DAY_MS + step * step_ms,
                codifier,
                day * 2000 + step,
                20.5 + step,
                None,
            )
            for step in range(DAY_MS // step_ms)
            for codifier in SENSORS
        ]
        stored += store.append(rows)
    return stored


def download(address: str, pid: int, path: str) -> tuple[int, float, float]:
    """Take a file; return its bytes, the seconds, and the most MB that the server had meanwhile."""
    peak_mb, is_over = 0.0, threading.Event()

    def watch() -> None:
        nonlocal peak_mb
        while not is_over.wait(0.05):
            peak_mb = max(peak_mb, resident_mb(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    began_s, size = time.monotonic(), 0
    with closing(http.client.HTTPConnection(urlsplit(address).netloc, timeout=600)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise SystemExit(f"{path}: {answer.status} {answer.read()[:300]!r}")
        while piece := answer.read(1 << 16):
            size += len(piece)
    is_over.set()
    watcher.join()
    return size, time.monotonic() - began_s, peak_mb


def measure(store: str, url: str, home: Path, net: common.Network, step_ms: int) -> bool:
    """Print what was measured on one store; tell whether all limits are kept."""
    end_ms = time_now_ms()
    start_ms = end_ms - DAYS * DAY_MS
    with closing(open_history(url, home)) as history:
        readings = fill(history, start_ms, step_ms)
    rows = []
    with served(url, home, net, SENSORS) as (address, pid):
        for kind, limit_mb in MOST_MB.items():
            before_mb = resident_mb(pid)
            path = f"/graphs/export?format={kind}&what=readings&from={start_ms}&to={end_ms}"
            size, seconds, peak_mb = download(address, pid, path)
            more_mb = max(0.0, peak_mb - before_mb)
            rows.append(
                [
                    kind,
                    f"{size / 1e6:,.0f} MB",
                    f"{seconds:.0f} s",
                    f"{readings / seconds / 1000:,.0f} thousand",
                    f"{more_mb:.0f} MB",
                    *common.verdict(more_mb / limit_mb, most=1),
                ]
            )
    heads = ["", "file", "took", "readings/s", "memory", "of the limit", "target", ""]
    common.print_table(f"{readings:,} readings of 200 sensors from {store}", heads, rows)
    return all("MISSED" not in row for row in rows)


def main() -> int:
    """Print the tables; fail beyond a limit."""
    parser = argparse.ArgumentParser(description="The memory of a download of a year.")
    parser.add_argument("--minutes", type=int, default=30, help="between two readings, default 30")
    parser.add_argument("--store", choices=("postgresql", "sqlite"), help="only this one")
    arguments = parser.parse_args()
    are_kept = True
    for store in ("sqlite", "postgresql"):
        if arguments.store not in (None, store):
            continue
        with common.network() as net, ExitStack() as stack:
            home = net.folder / "home"
            home.mkdir(exist_ok=True)
            url = "sqlite:///history.sqlite"
            if store == "postgresql":
                server = stack.enter_context(running_postgres())
                url = server.url(server.create_database())
            are_kept &= measure(store, url, home, net, arguments.minutes * 60_000)
    return 0 if are_kept else 1


if __name__ == "__main__":
    sys.exit(main())
