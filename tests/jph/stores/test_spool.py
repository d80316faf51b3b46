import logging
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from contextlib import closing

import pytest

from jph.errors import StoreError
from jph.stores import spool as spool_module
from jph.stores.spool import Spool, spool_of
from tests.helpers import logged
from tests.small_disk import small_disk
from tests.tools.program import TOP

START = 1_763_000_000_000


def rows(n, first=0):
    return [(START + first + i, "C1", first + i, float(i), None) for i in range(n)]


@pytest.fixture
def spool(tmp_path):
    with closing(Spool(tmp_path / "spool.sqlite")) as opened:
        yield opened


def taken(spool, most=1000):
    """Take all that is in a spool, in its order."""
    found = []
    while True:
        rows, last_id = spool.oldest(most)
        if not last_id:
            return found
        found += rows
        spool.remove(last_id)


def test_rows_come_back_as_they_were_and_in_their_order(spool):
    given = [
        (0, "@1", 0, None, ""),
        (START, "C'", (1 << 31) - 1, 0.1, '{"value":0.1,"näme":"\u2400\\"; DROP"}'),
        (START, "C1", 7, -1.7976931348623157e308, None),
        (START, "C1", 8, None, "a\0b"),
    ]
    spool.add(given[:1])
    spool.add(given[1:])
    assert spool.readings == 4
    assert taken(spool) == given
    assert spool.readings == 0
    assert spool.oldest(10) == ([], 0)


def test_a_batch_is_about_as_large_as_it_is_asked_for(spool):
    for n in range(10):
        spool.add(rows(10, n * 10))
    assert len(spool.oldest(25)[0]) == 30
    assert len(spool.oldest(1)[0]) == 10


def test_what_was_not_removed_is_offered_again(spool):
    spool.add(rows(3))
    assert spool.oldest(10) == spool.oldest(10)


def test_what_came_after_a_batch_was_taken_is_not_removed_with_it(spool):
    spool.add(rows(3))
    _, last_id = spool.oldest(10)
    spool.remove(last_id)
    spool.add(rows(2, 3))
    spool.remove(last_id)
    assert taken(spool) == rows(2, 3)


def test_it_survives_the_process(tmp_path):
    program = """
        import os, sys
        from pathlib import Path
        from jph.stores.spool import spool_of
        spool = spool_of("H/", Path(sys.argv[1]))
        for n in range(20):
            spool.add([(n, "C1", n, 1.0, None)])
        os.kill(os.getpid(), 9)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    subprocess.run(command, cwd=TOP, timeout=30)
    with closing(spool_of("H/", tmp_path)) as spool:
        assert spool.path.name == "spool-H%2F.sqlite"
        assert spool.readings == 20
        assert [row[0] for row in taken(spool)] == list(range(20))


def test_nothing_is_written_before_there_is_something_to_keep(tmp_path):
    with closing(spool_of("HW", tmp_path / "home")) as spool:
        assert spool.readings == 0
    assert not (tmp_path / "home").exists()


def test_it_is_bounded_and_the_oldest_go_counted(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(spool_module, "MOST_DROPPED", 10)
    path = tmp_path / "spool.sqlite"
    with closing(Spool(path, most_bytes=100_000)) as spool:
        for n in range(400):
            spool.add(rows(100, n * 100))
        assert path.stat().st_size <= 100_000
        assert spool.readings + spool.dropped == 40_000
        assert spool.readings > 5_000
        left = taken(spool)
    assert left == [row for n in range(400) for row in rows(100, n * 100)][-len(left) :]
    assert logged(caplog, str(path), "full", "dropped", level=logging.WARNING) == 1
    assert len(caplog.records) == 1


def test_an_emptied_spool_gives_its_pages_back(tmp_path, monkeypatch):
    monkeypatch.setattr(spool_module, "SHRINK_BYTES", 50_000)
    path = tmp_path / "spool.sqlite"
    with closing(Spool(path)) as spool:
        for n in range(100):
            spool.add(rows(100, n * 100))
        taken(spool)
    assert path.stat().st_size < 50_000


def test_two_processes_may_have_it_open(tmp_path):
    path = tmp_path / "spool.sqlite"
    with closing(Spool(path)) as old, closing(Spool(path)) as new:
        old.add(rows(2))
        new.add(rows(3, 2))
        both = old.oldest(100)
        assert len(both[0]) == 5
        assert new.oldest(100) == both
        old.remove(both[1])
        new.remove(both[1])
        assert new.oldest(100) == ([], 0)
        assert new.readings == 0


def test_threads_may_share_it(spool):
    def add(first):
        for n in range(20):
            spool.add(rows(5, first + n * 5))

    threads = [threading.Thread(target=add, args=(k * 1000,)) for k in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spool.readings == 300
    assert len({row[2] for row in taken(spool, 50)}) == 300


def test_a_full_disk_is_a_store_error_and_it_recovers(tmp_path):
    with (
        small_disk(tmp_path / "disk") as disk,
        closing(Spool(disk.folder / "spool.sqlite")) as spool,
    ):
        spool.add(rows(10))
        disk.fill()
        with pytest.raises(StoreError, match=r"full|disk I/O"):
            for n in range(1, 100):
                spool.add(rows(1000, n * 1000))
        disk.free()
        before = spool.readings
        spool.add(rows(10, 10))
        assert spool.readings == before + 10
        assert taken(spool)[:10] == rows(10)


def test_a_home_that_cannot_be_is_a_store_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError):
        Spool(tmp_path / "file" / "spool.sqlite").add(rows(1))


@pytest.mark.parametrize("where", [0, 4096 + 8])
def test_a_damaged_file_is_put_aside(tmp_path, where, caplog):
    path = tmp_path / "spool.sqlite"
    with closing(Spool(path)) as spool:
        for n in range(50):
            spool.add(rows(100, n * 100))
    content = bytearray(path.read_bytes())
    content[where : where + 3000] = b"damage" * 500
    path.write_bytes(content)
    with closing(Spool(path)) as spool:
        for _ in range(3):  # it may be found out by any of these
            try:
                taken(spool)
                spool.add(rows(1))
                break
            except StoreError:
                pass
        assert rows(1)[0] in taken(spool)
    assert len(list(tmp_path.glob("spool.damaged-*.sqlite"))) == 1
    assert logged(caplog, "spool.sqlite", level=logging.WARNING)


@pytest.mark.parametrize("use", ["look", "add", "oldest"])
def test_readings_of_a_file_that_was_deleted_move_to_a_new_one(tmp_path, use, caplog):
    path = tmp_path / "home" / "spool.sqlite"
    with closing(Spool(path)) as spool:
        for n in range(30):
            spool.add(rows(100, n * 100))
        shutil.rmtree(path.parent)
        if use == "add":
            spool.add(rows(1, 3000))
        else:
            spool.look() if use == "look" else spool.oldest(1)
        expected = 3000 + (use == "add")
        assert spool.readings == expected
        with closing(Spool(path)) as other:
            assert other.readings == expected
        assert [row[:3] for row in taken(spool)] == [row[:3] for row in rows(expected)]
        assert spool.dropped == 0
    assert logged(caplog, "spool.sqlite was deleted", level=logging.ERROR) == 1


def test_a_batch_of_a_file_that_was_deleted_meanwhile_removes_no_other(spool):
    for n in range(3):
        spool.add(rows(2, n * 2))
    _, last_id = spool.oldest(9)
    for path in spool.path.parent.glob("spool*"):
        path.unlink()
    spool.add(rows(2, 6))
    spool.remove(last_id)
    assert spool.readings == 8, "the others are offered again"


def test_a_damaged_batch_is_left_out(spool, caplog):
    spool.add(rows(2))
    spool.add(rows(2, 2))
    with closing(sqlite3.connect(spool.path)) as other:
        other.execute("UPDATE batch SET rows = x'00' WHERE id = 1")
        other.commit()
    assert taken(spool) == rows(2, 2)
    assert logged(caplog, "damaged", level=logging.WARNING)
