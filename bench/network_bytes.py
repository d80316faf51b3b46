"""Measure the bytes that a small network writes to disk for each reading, in real time.

    python -m bench.network_bytes [--network shipped|five] [--minutes 41] [--folder DIR]

`jph up` runs the shipped network, or five sensors with a reading a second each, with pages, state
cache, history on SQLite, and statistics. Measured is write_bytes of /proc/PID/io, with all that the
process writes after the first 70 s, in which the files are made: the history with its log, the
index of the log, and the checkpoint, which the stop makes at the latest; the journal on the disk;
the last states, alerts and events. Statistics are computed once an hour. The folder must be on a
disk: tmpfs writes nothing.
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

LIMIT = 150  # bytes per reading
WARM_UP_S = 70.0
FIVE = [
    {"Codifier": f"S{n}", "Type": "Simulated", "SensorInterval": 1, "Sensor": {"Kind": "walk"}}
    for n in range(5)
]
KEPT = ("StateCache", "HistoryWriter", "Statistics", "Web")


def written_bytes(pid: int) -> int:
    """Return the bytes that a process has caused to be written to disk."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def readings_in(folder: Path) -> int:
    """Return how many readings a history has."""
    with closing(sqlite3.connect(folder / "history.sqlite")) as connection:
        return int(connection.execute("SELECT count(*) FROM measurement").fetchone()[0])


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
    parser.add_argument("--minutes", type=float, default=41)
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
        print(f"{arguments.network}: measuring for {arguments.minutes:g} minutes ...", flush=True)
        time.sleep(WARM_UP_S)
        first = written_bytes(process.pid)
        time.sleep(60 * arguments.minutes)
        took_s, total = time.monotonic() - began_s, written_bytes(process.pid)
        process.terminate()
        while process.poll() is None:
            total = max(total, written_bytes(process.pid))  # of a process that is not waited for
            time.sleep(0.01)
        readings = readings_in(home)
    if not total:
        raise SystemExit(f"{arguments.folder}: nothing was written to a disk; name another folder")
    each = (total - first) / (readings * (1 - WARM_UP_S / took_s))
    print(f"{arguments.network}, {readings / took_s:.1f} readings/s for {took_s / 60:.0f} minutes")
    print(f"  written to disk      {each:9.1f} bytes/reading")
    print(f"  limit                {LIMIT:9.1f}")
    print(f"  the start            {first:9,} bytes")
    return 0 if each <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
