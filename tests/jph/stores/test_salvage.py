"""Reading what is left of a damaged file."""

import json
import random
import sqlite3
from contextlib import closing

import pytest

from jph.stores import open_history
from jph.stores.sqlite.salvage import Salvage
from tests.jph.stores.damages import copy_of
from tools.history.repairing import rows_in

START = 1_763_000_000_000
N = 20_000
PAGE = 4096


def made_rows(n=N):
    """Return rows as networks have them: most are numbers, some are longer than a page."""
    chance = random.Random(3)
    rows = []
    for i in range(n):
        identity = (START + i * 180 + chance.randrange(100), f"C{chance.randrange(10)}")
        kind = chance.random()
        if kind < 0.9:
            rows.append((*identity, chance.randrange(1 << 32), chance.gauss(20, 5), None))
        elif kind < 0.92:
            rows.append((*identity, i, float(chance.randrange(-5, 5)), None))
        elif kind < 0.97:
            rows.append((*identity, i, None, "ü" * chance.randrange(1, 120)))
        else:
            text = json.dumps({"value": i, "text": "y" * chance.randrange(6000)})
            rows.append((*identity, i, float(i), text))
    return rows


@pytest.fixture(scope="module")
def rows():
    return made_rows()


@pytest.fixture(scope="module")
def good(rows, tmp_path_factory):
    home = tmp_path_factory.mktemp("good")
    with closing(open_history("sqlite:///history.sqlite", home)) as store:
        for at in range(0, N, 500):
            store.append(rows[at : at + 500])
    return (home / "history.sqlite").read_bytes()


def salvaged(path):
    """Return the rows that are found in a file, and the object that found them."""
    salvage = Salvage(path, lambda record: bool(rows_in(record)))
    return {row for records in salvage.records() for it in records for row in rows_in(it)}, salvage


def pages(share, content):
    def damage(data):
        numbers = random.Random(5).sample(
            range(1, len(data) // PAGE), int(len(data) / PAGE * share)
        )
        damaged = bytearray(data)
        for number in numbers:
            damaged[number * PAGE : (number + 1) * PAGE] = content()
        return bytes(damaged)

    return damage


def sectors(n):
    def damage(data):
        chance = random.Random(6)
        damaged = bytearray(data)
        for _ in range(n):
            at = chance.randrange(len(data) // 512) * 512
            damaged[at : at + 512] = bytes(512)
        return bytes(damaged)

    return damage


def noise(n=PAGE):
    return random.Random(7).randbytes(n)


# By name: the damage, and how much comes back at least. A page in 20 is 5 % of the rows, and those
# rows whose rest it held.
CASES = {
    "none": (lambda data: data, 1.0),
    "first page zeroed": (lambda data: bytes(PAGE) + data[PAGE:], 1.0),
    "first page random": (lambda data: noise() + data[PAGE:], 1.0),
    "first 64 kB random": (lambda data: noise(65536) + data[65536:], 0.95),
    "half": (lambda data: data[: len(data) // 2], 0.46),
    "half and its first page": (lambda data: noise() + data[PAGE : len(data) // 2], 0.46),
    "5 % of the pages zeroed": (pages(0.05, lambda: bytes(PAGE)), 0.9),
    "10 % of the pages random": (pages(0.1, noise), 0.8),
    "50 sectors zeroed": (sectors(50), 0.95),
    "the last third zeroed": (
        lambda data: data[: len(data) * 2 // 3 + 1000].ljust(len(data), b"\0"),
        0.63,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_the_damage_left_comes_back_and_nothing_else(name, good, rows, tmp_path):
    damage, least = CASES[name]
    path = tmp_path / "history.sqlite"
    path.write_bytes(damage(good))
    found, salvage = salvaged(path)
    assert len(found & set(rows)) >= least * N
    # Where the damage ends in the midst of a page, a number may have lost some bytes.
    assert len(found - set(rows)) <= (N // 500 if "sector" in name or "third" in name else 0)
    assert bool(salvage.damaged) == (name != "none")
    lost = N - len(found)
    assert name.startswith("half") or salvage.most_lost() >= lost * 0.7


def test_of_a_page_whose_contents_are_damaged_its_rows_come_back(good, rows, tmp_path):
    """Half of each page of rows is random, its head included."""
    path = tmp_path / "history.sqlite"
    damaged = bytearray(good)
    for at in range(PAGE, len(good), PAGE):
        if damaged[at] == 10:
            damaged[at : at + PAGE // 2] = noise(PAGE // 2)
    path.write_bytes(damaged)
    found, _ = salvaged(path)
    assert len(found & set(rows)) > 0.4 * N
    assert len(found - set(rows)) < 0.002 * N  # a number may have lost some bytes at the edge


@pytest.mark.parametrize("content", [b"", b"S", b"text\n" * 5000, noise(100_000), bytes(100_000)])
def test_a_file_of_something_else_has_no_rows(content, tmp_path):
    path = tmp_path / "history.sqlite"
    path.write_bytes(content)
    assert salvaged(path)[0] == set()


def test_any_damaged_bytes_are_read_without_an_error(good, tmp_path):
    path = tmp_path / "history.sqlite"
    chance = random.Random(8)
    for _ in range(25):
        damaged = bytearray(good[: PAGE * 40])
        for _ in range(chance.randrange(1, 400)):
            damaged[chance.randrange(len(damaged))] = chance.choice([0, 1, 2, 5, 10, 13, 127, 255])
        path.write_bytes(damaged[: chance.randrange(len(damaged))])
        salvaged(path)


def test_the_log_is_read_too(rows, tmp_path):
    copy = tmp_path / "copy" / "history.sqlite"
    copy.parent.mkdir()
    with closing(open_history("sqlite:///history.sqlite", tmp_path)) as store:
        store.append(rows[:2000])
        copy_of(tmp_path / "history.sqlite", copy)
    assert (copy.parent / "history.sqlite-wal").stat().st_size > 50_000
    copy.write_bytes(noise())
    assert salvaged(copy)[0] == set(rows[:2000])


def test_deleted_rows_do_not_come_back_from_free_pages(good, rows, tmp_path):
    path = tmp_path / "history.sqlite"
    path.write_bytes(good)
    cut_ms = rows[N // 2][0]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM measurement WHERE timestamp <= ?", (cut_ms,))
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        left = set(connection.execute("SELECT * FROM measurement"))
    found, salvage = salvaged(path)
    assert found == left
    assert salvage.damaged == 0
