"""What comes back of a damaged history: by `jph history repair`, and by asking SQLite for spans.

    python -m tests.faults.repair [--readings 100000]

Nothing in a file of SQLite tells that the damage made another number of a number: how many readings
came back like that stands apart.
"""

import argparse
import json
import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from jph.stores import Row, open_history
from jph.stores.sqlite.salvage import Salvage
from tools.history.repairing import rows_in

START = 1_763_000_000_000
PAGE, SECTOR = 4096, 512
SPAN_MS = 20_000

Damage = Callable[[bytes], bytes]


def readings(n: int) -> list[Row]:
    """Return rows as a network has them: 93 % numbers, the others with text."""
    chance = random.Random(3)
    rows: list[Row] = []
    time_ms = START
    for number in range(n):
        time_ms += chance.randrange(5, 400)
        codifier = f"{chance.choice('ABCDEFGH')}{chance.randrange(10)}"
        kind = chance.random()
        if kind < 0.93:
            value = chance.gauss(20, 5)
            rows.append((time_ms, codifier, chance.randrange(1 << 31), value, None))
        elif kind < 0.97:
            rows.append((time_ms, codifier, number, None, "x" * chance.randrange(200)))
        else:
            text = json.dumps({"value": 1, "text": "y" * chance.randrange(1500)})
            rows.append((time_ms, codifier, number, 1.0, text))
    return rows


def overwritten(share: float, size: int, content: Callable[[random.Random, int], bytes]) -> Damage:
    """Return the damage of a share of all pieces of a size."""

    def damage(data: bytes) -> bytes:
        chance, damaged = random.Random(5), bytearray(data)
        for piece in chance.sample(range(1, len(data) // size), int(len(data) / size * share)):
            damaged[piece * size : (piece + 1) * size] = content(chance, size)
        return bytes(damaged)

    return damage


def flipped(bits: int) -> Damage:
    """Return the damage of some bits anywhere."""

    def damage(data: bytes) -> bytes:
        chance, damaged = random.Random(6), bytearray(data)
        for _ in range(bits):
            damaged[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        return bytes(damaged)

    return damage


def zeros(chance: random.Random, n: int) -> bytes:
    """Return zeros."""
    return bytes(n)


NOISE = random.Random.randbytes
DAMAGES: dict[str, Damage] = {
    "none": lambda data: data,
    "first page zeroed": lambda data: bytes(PAGE) + data[PAGE:],
    "first 64 kB random": lambda data: random.Random(7).randbytes(65536) + data[65536:],
    "second half cut off": lambda data: data[: len(data) // 2],
    "last third zeroed": lambda data: data[: len(data) * 2 // 3].ljust(len(data), b"\0"),
    "5 % of the pages zeroed": overwritten(0.05, PAGE, zeros),
    "10 % of the pages random": overwritten(0.1, PAGE, NOISE),
    "0.5 % of the sectors random": overwritten(0.005, SECTOR, NOISE),
    "500 bits flipped": flipped(500),
    "all random": lambda data: random.Random(8).randbytes(len(data)),
}


def by_pages(path: Path) -> set[Row]:
    """Return the rows that a repair takes over."""
    salvage = Salvage(path, lambda record: bool(rows_in(record)))
    return {row for records in salvage.records() for it in records for row in rows_in(it)}


def by_spans(path: Path, last_ms: int) -> set[Row]:
    """Return the rows that SQLite finds, asked for one short span after the other."""
    found: set[Row] = set()
    query = "SELECT * FROM measurement WHERE timestamp >= ? AND timestamp < ?"
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        for start_ms in range(START, last_ms + 1, SPAN_MS):
            with suppress(sqlite3.Error):
                found |= set(connection.execute(query, (start_ms, start_ms + SPAN_MS)))
    return found


def main() -> None:
    """Print how much comes back after each damage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--readings", type=int, default=100_000)
    rows = readings(parser.parse_args().readings)
    truth = set(rows)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        with closing(open_history("sqlite:///history.sqlite", home)) as store:
            for at in range(0, len(rows), 300):
                store.append(rows[at : at + 300])
        good = (home / "history.sqlite").read_bytes()
        print(f"{len(rows):,} readings, {len(good) / 1e6:.1f} MB")
        print(f"{'':30}{'by pages':>10}{'wrong':>7}{'s':>6}{'by spans':>10}{'wrong':>7}")
        for name, damage in DAMAGES.items():
            path = home / "damaged.sqlite"
            path.write_bytes(damage(good))
            began_s = time.monotonic()
            pages = by_pages(path)
            took_s = time.monotonic() - began_s
            spans = by_spans(path, rows[-1][0])
            print(
                f"{name:30}{len(pages & truth):10,}{len(pages - truth):7,}{took_s:6.1f}"
                f"{len(spans & truth):10,}{len(spans - truth):7,}",
                flush=True,
            )


if __name__ == "__main__":
    main()
