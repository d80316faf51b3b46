"""Measure the bytes that the history writer on SQLite writes to disk for each reading.

    python bench/history_bytes.py [--seconds 3600] [--folder DIR]

A process of its own runs the HistoryWriter with its shipped settings and takes the readings of 100
sensors, one each per second. Time is simulated: at 100 readings/s a batch is 1,000 rows every 10 s,
and here the next 1,000 follow as soon as the last are committed. Log and file reach the disk by
fsync, so their bytes are those of real time. The kernel writes the index of the log, -shm, at some
time; here it is written after each batch, which is the most that can happen. --real-time runs
without these simulations, second by second.

Measured: write_bytes of /proc/PID/io from before the file is made until after close(), with log and
checkpoints, but without the journal of the file system. The limit case is the payload: timestamp 8,
Codifier 2, sequence 4, value 8 bytes. The peer is the simplest program: an INSERT and a commit for
each reading, in SQLite with its default settings.

The folder must be on a disk: tmpfs writes nothing.
"""

import argparse
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

LIMIT = 150  # bytes per reading
PAYLOAD = 8 + 2 + 4 + 8  # bytes: timestamp, Codifier, sequence, value
SENSORS = [f"{a}{b}" for a in "ABCDEFGHIJ" for b in "0123456789"]
PEER_READINGS = 500
START_MS = time.time_ns() // 3_600_000_000_000 * 3_600_000 - 86_400_000
SENDER = ("127.0.0.1", 7602)

Reading = tuple[str, int, int, float, str, int, tuple[str, int]]


class NoChannel:
    """A channel that sends nothing."""

    codifier = "HW"

    def __init__(self, home: Path) -> None:
        from jph.kept_files import KeptFiles

        bus = SimpleNamespace(status=lambda: SimpleNamespace(holds=False))
        self.process = SimpleNamespace(kept_files=KeptFiles(home), bus=bus)

    def send_data(self, value: object, timestamp_ms: int | None = None) -> None:
        """Send nothing."""


def seconds_of_readings(seconds: int) -> Iterator[list[Reading]]:
    """Yield the readings of each second in order of arrival; each sensor has its own moment."""
    rng = random.Random(1)
    sequences = [rng.randrange(1, 1 << 31) for _ in SENSORS]
    phases = sorted((rng.randrange(1000), i) for i in range(len(SENSORS)))
    for second in range(seconds):
        readings: list[Reading] = []
        for phase_ms, i in phases:
            sequences[i] = (sequences[i] + 1) & 0x7FFF_FFFF
            jitter_ms = rng.randrange(5)
            time_ms = START_MS + second * 1000 + phase_ms + jitter_ms
            value = rng.gauss(20, 5)
            readings.append((SENSORS[i], time_ms, sequences[i], value, "f", 4, SENDER))
        yield readings


def write_as_jph(folder: Path, seconds: int, real_time: bool) -> int:
    """Run the HistoryWriter; return the number of readings that it took."""
    from collectors.history_writer import HistoryWriter

    writer = HistoryWriter(cast(Any, NoChannel(folder)), folder)
    taken = 0
    index = -1
    began_s = time.monotonic()
    for number, readings in enumerate(seconds_of_readings(seconds), 1):
        writer.on_batch(cast(Any, readings))
        taken += len(readings)
        if real_time:
            time.sleep(max(began_s + number - time.monotonic(), 0))
        elif taken % writer.batch_rows == 0:
            while writer.status()["waiting"]:
                time.sleep(0.0002)
            if index < 0:  # closed only at the end: a close would take SQLite's locks with it
                index = os.open(folder / "history.sqlite-shm", os.O_RDWR)
            os.fsync(index)
    writer.close()
    if index >= 0:
        os.close(index)
    return taken


def write_as_peer(folder: Path) -> int:
    """Insert and commit each reading; return their number."""
    connection = sqlite3.connect(folder / "history.sqlite")
    connection.execute("CREATE TABLE measurement (codifier, timestamp, sequence, value)")
    seconds = PEER_READINGS // len(SENSORS)
    for readings in seconds_of_readings(seconds):
        for codifier, time_ms, sequence, value, *_ in readings:
            row = (codifier, time_ms, sequence, value)
            connection.execute("INSERT INTO measurement VALUES (?, ?, ?, ?)", row)
            connection.commit()
    connection.close()
    return seconds * len(SENSORS)


def written_bytes() -> int:
    """Return the bytes that this process has caused to be written to disk."""
    lines = Path(f"/proc/{os.getpid()}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])


def child(folder: Path, peer: bool, seconds: int, real_time: bool) -> None:
    """Write, and print bytes, readings, size of the file and seconds."""
    before, began_s = written_bytes(), time.monotonic()
    readings = write_as_peer(folder) if peer else write_as_jph(folder, seconds, real_time)
    took_s = time.monotonic() - began_s
    size = (folder / "history.sqlite").stat().st_size
    with closing(sqlite3.connect(folder / "history.sqlite")) as connection:
        stored = connection.execute("SELECT count(*) FROM measurement").fetchone()[0]
    if stored != readings:
        raise SystemExit(f"{stored} of {readings} readings are stored")
    print(written_bytes() - before, readings, size, took_s)


def measure(arguments: argparse.Namespace, *options: str) -> tuple[float, float, float]:
    """Run a child in a new folder; return bytes written and kept per reading, and readings/s."""
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        command = [sys.executable, __file__, "--seconds", str(arguments.seconds), *options]
        answer = subprocess.run(
            [*command, "--child", folder], check=True, capture_output=True, text=True
        )
    written, readings, size, took_s = map(float, answer.stdout.split())
    if not written:
        raise SystemExit(f"{arguments.folder}: nothing was written to a disk; name another folder")
    return written / readings, size / readings, readings / took_s


def main() -> int:
    """Print the table; fail beyond the limit."""
    parser = argparse.ArgumentParser(description="Bytes written to disk per reading.")
    parser.add_argument("--seconds", type=int, default=3600, help="of readings, default 3600")
    parser.add_argument("--folder", type=Path, default=Path(), help="on a disk, not tmpfs")
    parser.add_argument("--real-time", action="store_true", help="second by second")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--peer", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(arguments.child, arguments.peer, arguments.seconds, arguments.real_time)
        return 0
    real_time = ["--real-time"] if arguments.real_time else []
    ours, kept, rate = measure(arguments, *real_time)
    theirs, _, their_rate = measure(arguments, "--peer")
    readings = arguments.seconds * len(SENSORS)
    print(f"history, {len(SENSORS)} sensors every second, {readings:,} readings, synchronous=FULL")
    print(f"  written to disk      {ours:9.1f} bytes/reading    {rate:9,.0f} readings/s")
    print(f"  limit                {LIMIT:9.1f}                  {ours / LIMIT:9.2f} of it")
    print(f"  payload alone        {PAYLOAD:9.1f}                  {ours / PAYLOAD:9.2f} times it")
    print(f"  kept in the file     {kept:9.1f}                  {kept / PAYLOAD:9.2f} times it")
    print(
        f"  INSERT and commit    {theirs:9.1f}                  {ours / theirs:9.4f} of it"
        f"    ({their_rate:,.0f} readings/s)"
    )
    return 0 if ours <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
