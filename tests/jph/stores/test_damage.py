"""A history that is damaged is put aside, and nothing else is."""

import errno
import os
import random
import re
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from jph.errors import StoreError
from jph.stores import open_history
from jph.stores.sqlite import file
from jph.stores.sqlite import history as sqlite
from tests.helpers import eventually, logged
from tests.jph.stores.damages import DAMAGES, HARMLESS, copy_of
from tests.small_disk import mounted_disk

START = 1_763_000_000_000
URL = "sqlite:///history.sqlite"
TOP = Path(__file__).resolve().parents[3]


def curve(n, codifier="C1"):
    return [(START + i * 1000, codifier, i, float(i), None) for i in range(n)]


@pytest.fixture
def path(tmp_path):
    """Return a closed history with some readings."""
    with closing(open_history(URL, tmp_path)) as store:
        store.append(curve(3000))
    return tmp_path / "history.sqlite"


def aside(path):
    return sorted(path.parent.glob("history.damaged-*.sqlite"))


def stored(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM measurement").fetchone()[0]


def append(store, rows, tries=5):
    """Store rows as a writer does, which tries again."""
    for _ in range(tries - 1):
        with suppress(StoreError):
            return store.append(rows)
    return store.append(rows)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_history_is_put_aside_and_a_new_one_begins(path, damage, caplog):
    DAMAGES[damage](path)
    content = None if path.is_dir() else path.read_bytes()
    with closing(open_history(URL, path.parent)) as store:
        assert append(store, curve(500)) == 500
        assert len(store.last("C1", 9999)) == 500
        (old,) = aside(path)
        assert store.damaged() == [old.name]
    assert re.fullmatch(r"history\.damaged-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.sqlite", old.name)
    if content is None:
        assert (old / "inside" / "file").exists()
    else:
        assert len(old.read_bytes()) == len(content)
    assert logged(caplog, "history.sqlite was damaged", str(old), "jph history repair") == 1
    assert stored(path) == 500


@pytest.mark.parametrize("damage", HARMLESS)
def test_a_damaged_log_beside_a_sound_file_loses_nothing(path, damage):
    HARMLESS[damage](path)
    with closing(open_history(URL, path.parent)) as store:
        assert append(store, curve(10, "C2")) == 10
        assert len(store.last("C1", 9999)) == 3000
    assert not aside(path)


@pytest.mark.parametrize("content", [b"", b"S"])
def test_a_file_without_a_page_is_a_new_history(path, content):
    path.write_bytes(content)
    with closing(open_history(URL, path.parent)) as store:
        assert store.append(curve(3)) == 3
    assert not aside(path)


@pytest.mark.parametrize("who", ["writer", "reader"])
def test_damage_that_comes_while_it_is_open_is_found_by_whoever_meets_it(path, who, caplog):
    with closing(open_history(URL, path.parent)) as store:
        store.append(curve(10, "C2"))
        content = bytearray(path.read_bytes())
        content[2 * 4096 :] = b"\x9c" * (len(content) - 2 * 4096)
        path.write_bytes(content)
        path.with_name("history.sqlite-wal").write_bytes(b"")
        use = {
            "writer": lambda: store.append(curve(100, "C3")),
            "reader": lambda: store.last("C1", 9999),
        }[who]
        with suppress(StoreError):
            use()
        use()
        append(store, curve(50, "C4"))
        assert len(store.last("C4", 99)) == 50
    assert len(aside(path)) == 1
    assert logged(caplog, "was damaged") == 1


def test_a_text_of_no_utf8_is_damage_too(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("INSERT INTO pending VALUES (?, CAST(x'ff43' AS TEXT), 0)", (START,))
        connection.commit()
    with closing(open_history(URL, path.parent)) as store:
        with pytest.raises(StoreError, match="was damaged"):
            while store.statistics.compute(START + (1 << 40)):
                pass
        assert store.statistics.compute(START + (1 << 40)) == 0
        assert append(store, curve(5, "C3")) == 5
    assert len(aside(path)) == 1


def test_the_log_of_a_damaged_file_goes_with_it(path, tmp_path):
    copy = tmp_path / "copy" / "history.sqlite"
    copy.parent.mkdir()
    with closing(open_history(URL, path.parent)) as store:
        store.append(curve(700, "C2"))
        copy_of(path, copy)  # before the log is moved into the file
    content = copy.read_bytes()
    copy.write_bytes(content[: 3 * 4096] + b"\x9c" * (len(content) - 3 * 4096))
    with closing(open_history(URL, copy.parent)) as store:
        with pytest.raises(StoreError, match="was damaged"):
            store.last("C1", 9999)
        append(store, curve(5, "C3"))
        (old,) = aside(copy)
        assert old.with_name(old.name + "-wal").stat().st_size > 10_000
        assert [len(store.last(code, 9)) for code in ("C1", "C2", "C3")] == [0, 0, 5]


def test_threads_that_find_the_damage_at_once_put_it_aside_once(path):
    stores = [open_history(URL, path.parent) for _ in range(6)]
    for store in stores:
        store.last("C1", 1)
    DAMAGES["all random"](path)
    path.with_name("history.sqlite-wal").unlink(missing_ok=True)
    begin = threading.Barrier(6)

    def write(number):
        begin.wait()
        return sum(append(stores[number], curve(20, f"C{number}"), 200) for _ in range(2))

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(write, range(6))) == [20] * 6
    for store in stores:
        store.close()
    assert len(aside(path)) == 1
    assert stored(path) == 120


PROCESS = """
import sys
from contextlib import closing
from pathlib import Path
from jph.errors import StoreError
from jph.stores import open_history

number, home = int(sys.argv[1]), Path(sys.argv[2])
sys.stdin.readline()
with closing(open_history("sqlite:///history.sqlite", home)) as store:
    for batch in range(20):
        rows = [(1763000000000 + i, f"C{number}", batch, 1.0, None) for i in range(10)]
        for tries in range(500):
            try:
                store.append(rows)
                break
            except StoreError:
                pass
"""


@pytest.mark.parametrize("damage", ["first page zeroed", "half", "all but the first page random"])
def test_processes_that_find_the_damage_at_once_put_it_aside_once(path, damage):
    DAMAGES[damage](path)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(number), str(path.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=TOP,
        )
        for number in range(4)
    ]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        assert process.communicate(timeout=60)[1].count("bug") == 0
        assert process.returncode == 0
    assert len(aside(path)) == 1
    assert stored(path) == 4 * 20 * 10


@pytest.mark.parametrize("seed", range(20))
def test_whatever_bytes_are_damaged_storing_and_reading_go_on(path, seed):
    chance = random.Random(seed)
    damaged = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 5, 100])):
        size = chance.choice([1, 4, 20, 4096])
        at = chance.randrange(len(damaged) - size)
        damaged[at : at + size] = chance.randbytes(size)
    path.write_bytes(damaged)
    with closing(open_history(URL, path.parent)) as store:
        uses = (
            lambda: store.append(curve(200, "C2")),
            lambda: store.last("C1", 9999),
            lambda: store.read(["C1"], "value", START, START + 10**7),
            lambda: store.statistics.compute(START + (1 << 40)),
        )
        for use in uses * 2:  # whoever meets the damage has it put aside
            with suppress(StoreError):
                use()
        for use in uses:
            use()
    assert len(aside(path)) <= 1


# What is not put aside


def corrupt():
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def test_a_sound_file_stays_though_an_error_says_it_is_damaged(path):
    assert file.put_aside(path, corrupt(), "") is None
    assert path.exists()
    assert not aside(path)


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL])
def test_an_error_that_passes_puts_nothing_aside(path, code):
    DAMAGES["first page zeroed"](path)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    assert file.put_aside(path, error, "") is None
    assert path.exists()


def test_the_database_of_another_program_stays_and_is_a_fault(path):
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE invoices (id)")
    before = path.read_bytes()
    store = open_history(URL, path.parent)
    with closing(store), pytest.raises(StoreError, match="another program"):
        store.append(curve(1))
    assert path.read_bytes() == before
    assert not aside(path)


def test_a_history_of_a_newer_jph_stays_and_is_a_fault(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {len(sqlite.STEPS) + 1}")
    store = open_history(URL, path.parent)
    with closing(store), pytest.raises(StoreError, match="newer JPH"):
        store.append(curve(1))
    assert stored(path) == 3000
    assert not aside(path)


def test_a_folder_of_another_name_stays_and_is_a_fault(tmp_path):
    (tmp_path / "data" / "inside").mkdir(parents=True)
    store = open_history("sqlite:///data", tmp_path)
    with closing(store), pytest.raises(StoreError, match="a folder"):
        store.append(curve(1))
    assert (tmp_path / "data" / "inside").exists()


def test_a_folder_that_cannot_be_made_is_a_fault(tmp_path):
    (tmp_path / "file").write_text("")
    with closing(open_history("sqlite:///file/history.sqlite", tmp_path)) as store:
        with pytest.raises(StoreError, match=str(tmp_path)):
            store.append(curve(1))
        (tmp_path / "file").unlink()
        assert store.append(curve(1)) == 1


def remount(folder, option):
    command = ["mount", "-o", f"remount,{option}", str(folder)]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.mark.parametrize("damage", [None, "first page zeroed"])
def test_a_read_only_file_system_is_a_fault_until_it_can_be_written(tmp_path, damage):
    with mounted_disk(tmp_path / "disk", 4) as disk:
        path = disk.folder / "history.sqlite"
        with closing(open_history(URL, disk.folder)) as store:
            store.append(curve(100))
        if damage:
            DAMAGES[damage](path)
        assert remount(disk.folder, "ro")
        with closing(open_history(URL, disk.folder)) as store:
            with pytest.raises(StoreError):
                store.append(curve(1, "C2"))
            assert not aside(path)
            assert remount(disk.folder, "rw")
            assert append(store, curve(1, "C2")) == 1
        assert len(aside(path)) == (damage is not None)


def test_a_file_system_that_went_away_is_a_fault_and_gets_no_file_below_its_mount(tmp_path):
    with mounted_disk(tmp_path / "disk", 4) as disk:
        with closing(open_history("sqlite:///data/history.sqlite", disk.folder)) as store:
            store.append(curve(100))
            assert subprocess.run(["umount", "-l", str(disk.folder)]).returncode == 0
            with pytest.raises(StoreError, match="mount"):
                store.append(curve(1, "C2"))
            assert list(disk.folder.iterdir()) == []
        mount = ["mount", "-t", "tmpfs", "tmpfs", str(disk.folder)]  # for small_disk to unmount
        assert subprocess.run(mount).returncode == 0


def test_a_file_that_cannot_be_renamed_is_a_fault(path, monkeypatch, caplog):
    DAMAGES["all random"](path)

    def refuse(self, target):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", refuse)
        store = open_history(URL, path.parent)
        with closing(store), pytest.raises(StoreError, match="not a database"):
            store.append(curve(1))
    assert logged(caplog, "cannot be put aside", "move it away")
    with closing(open_history(URL, path.parent)) as store:
        assert eventually(lambda: append(store, curve(1))) == 1
