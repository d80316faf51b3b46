"""Measure the bytes that a small network writes to disk for each reading, in real time.

    python -m bench.network_bytes [--network shipped|five] [--batches 2] [--folder DIR]

`jph up` runs the shipped network, or five sensors with a reading a second each, with pages, state
cache, history on SQLite, and statistics. Measured is write_bytes of /proc/PID/io from 70 s after
the start, when all files are made, to the end of a batch of the history: the history with its log
and the index of the log, the journal on the disk, the last states, alerts and events; and then the
checkpoint, which this program makes. What a start and a stop write once is not in it. A batch takes
20 minutes; statistics are computed once an hour. The folder must be on a disk: tmpfs writes
nothing.
"""

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from bench import common
from jph import paths
from jph.clock import time_now_ms

LIMIT = 150  # bytes per reading
WARM_UP_S = 70.0
SETTLE_S = 10.0  # for what the file system writes after a batch
FIVE = [
    {"Codifier": f"S{n}", "Type": "Simulated", "SensorInterval": 1, "Sensor": {"Kind": "walk"}}
    for n in range(5)
]
KEPT = ("StateCache", "HistoryWriter", "Statistics", "Web")


def written_bytes(process: int | str) -> int:
    """Return the bytes that a process has caused to be written to disk."""
    lines = Path(f"/proc/{process}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def readings_in(folder: Path, since_ms: int = 0) -> int:
    """Return how many readings a history has."""
    query = "SELECT count(*) FROM measurement WHERE timestamp > ?"
    with closing(sqlite3.connect(folder / "history.sqlite")) as connection:
        return int(connection.execute(query, (since_ms,)).fetchone()[0])


def await_batch(folder: Path) -> None:
    """Return a while after readings have come into a history."""
    log, known = folder / "history.sqlite-wal", readings_in(folder)
    changed_ns = log.stat().st_mtime_ns
    while readings_in(folder) == known:
        while log.stat().st_mtime_ns == changed_ns:  # opening the history would write to its index
            time.sleep(1)
        changed_ns = log.stat().st_mtime_ns
    time.sleep(SETTLE_S)


def checkpoint(folder: Path) -> int:
    """Bring the log of a history into its file; return the bytes that this writes."""
    before = written_bytes("self")
    with closing(sqlite3.connect(folder / "history.sqlite")) as connection:
        connection.execute("PRAGMA wal_checkpoint").fetchone()
    return written_bytes("self") - before


def configuration(net: common.Network, name: str, port: int) -> Path:
    """Write the configuration of a network on a bus of its own."""
    document = json.loads(paths.shipped_config().read_text().replace(":8080/", f":{port}/"))
    document["Multicast"] = json.loads(net.config.read_text())["Multicast"]
    if name == "five":
        document["Sensors"] = [s for s in document["Sensors"] if s["Type"] in KEPT] + FIVE
    path = net.folder / "network.json"
    path.write_text(json.dumps(document))
    return path


def main() -> int:
    """Measure one network; fail beyond the limit."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--network", choices=("shipped", "five"), default="shipped")
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path(), help="on a disk, not tmpfs")
    arguments = parser.parse_args()
    with common.network() as net, tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        port, home = common.free_port(), Path(name).resolve()
        config = configuration(net, arguments.network, port)
        program = Path(sys.executable).with_name("jph")
        command = [str(program), "up", "--port", str(port), "--home", str(home)]
        with (net.folder / "log").open("ab") as log:
            command += ["--config", str(config)]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        began_s = time.monotonic()
        print(f"{arguments.network}: measuring {arguments.batches} batches ...", flush=True)
        time.sleep(WARM_UP_S)
        first, since_ms = written_bytes(process.pid), time_now_ms()
        for _ in range(arguments.batches):
            await_batch(home)
        took_s, total = time.monotonic() - began_s - WARM_UP_S, written_bytes(process.pid)
        total += checkpoint(home)
        readings = readings_in(home, since_ms)
        process.terminate()
        process.wait()
    if not total:
        raise SystemExit(f"{arguments.folder}: nothing was written to a disk; name another folder")
    each = (total - first) / readings
    print(f"{arguments.network}, {readings / took_s:.1f} readings/s for {took_s / 60:.0f} minutes")
    print(f"  written to disk      {each:9.1f} bytes/reading")
    print(f"  limit                {LIMIT:9.1f}")
    print(f"  the start            {first:9,} bytes")
    return 0 if each <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
