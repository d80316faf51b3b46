"""The journal: what is in it outlives the process, whatever happens to its files."""

import math
import os
import stat
import struct
import subprocess
import sys
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph import owned
from jph.errors import ConfigError
from jph.stores import journal
from jph.stores.journal import Journal, decode, encode, folder_of
from tests.helpers import logged
from tests.small_disk import mounted_disk
from tests.tools.program import TOP

START = 1_763_000_000_000


def rows(n, first=0):
    return [(START + i, "C1", i, i / 2, None) for i in range(first, first + n)]


def scattered(n):
    """Return a number that compresses badly."""
    return math.sin(n * 7919.0)


def files(folder):
    return sorted(folder.glob("*.rows"))


@pytest.fixture
def folder(tmp_path):
    return owned.private_folder(tmp_path / "journal")


def left(folder, codifier="HW"):
    with closing(Journal(folder, codifier)) as again:
        return again.left


def test_what_was_not_released_is_there_for_the_next(folder):
    with closing(Journal(folder, "HW")) as made:
        made.append(rows(3))
        made.append(rows(2, first=3))
    assert left(folder) == rows(5)
    assert left(folder) == rows(5)  # still not released


@pytest.mark.parametrize("suffix", [journal.SUFFIX, journal.ON_DISK])
def test_rows_of_all_kinds_come_back_as_they_were(folder, suffix):
    kinds = [
        (START, "C1", 1, 1.5, None),
        (START, "S1", 2, None, "text, \N{SNOWMAN} and \0"),
        (START, "J1", (1 << 32) - 1, 1e308, '{"value":1e308,"unit":"m"}'),
        (0, "!~", 0, -0.0, None),
    ]
    with closing(Journal(folder, "HW", suffix=suffix)) as made:
        made.append(kinds)
        made.append(rows(1))
        made.sync()
    with closing(Journal(folder, "HW", suffix=suffix, first=7)) as again:
        assert sorted(again.left) == sorted(kinds + rows(1))
        assert again.end == 12


def test_on_the_disk_a_record_fills_whole_pages_and_the_rest_of_one_is_no_damage(folder, caplog):
    with closing(Journal(folder, "HW", suffix=journal.ON_DISK)) as made:
        for n in range(3):
            made.append(rows(300, first=300 * n))
        made.sync()
    [path] = folder.iterdir()
    content = path.read_bytes()
    assert [content[at : at + 4] for at in range(0, 5 * 4096, 4096)] == [b"jph:"] * 3 + [
        bytes(4)
    ] * 2
    os.truncate(path, 3 * 4096 - 1000)  # as far as a power cut let it grow
    with closing(Journal(folder, "HW", suffix=journal.ON_DISK)) as again:
        assert again.left == rows(900)
    assert "damaged" not in caplog.text


def test_on_the_disk_a_file_keeps_its_length_and_forgets_what_was_released(folder, caplog):
    with closing(Journal(folder, "HW", suffix=journal.ON_DISK)) as made:
        for n in range(3):
            made.append([(START + n, "S1", n, None, "text"), *rows(300, first=300 * n)])
        made.release(903)
        [path] = folder.iterdir()
        status = path.stat()
        assert decode(path.read_bytes(), packed=True) == ([], 0)
        made.append(rows(2, first=903))
        assert (path.stat().st_size, path.stat().st_blocks) == (status.st_size, status.st_blocks)
        assert decode(path.read_bytes(), packed=True) == (rows(2, first=903), 0)
        made.append(rows(1, first=905))
        made.release(904)  # not all of it
        made.append(rows(1, first=906))
        made.sync()
    with closing(Journal(folder, "HW", suffix=journal.ON_DISK)) as again:
        assert again.left == rows(4, first=903)
        again.release(4)
    assert "damaged" not in caplog.text
    assert not folder.exists()


@given(
    old=st.lists(st.integers(1, 1500), max_size=4),
    new=st.lists(st.integers(1, 1500), max_size=4),
    at=st.integers(0, 60_000),
    noise=st.binary(max_size=5000),
)
def test_damage_on_the_disk_costs_a_record_and_brings_nothing_back(old, new, at, noise):
    """Records lie over longer and shorter ones of the generation before."""
    before = b"".join([encode(rows(n), packed=True, generation=6) for n in old])
    first, records = START // 2, [encode([], packed=True, generation=7)]
    for n in new:
        written = [(first + i, "C2", i, scattered(i), None) for i in range(n)]
        records.append(encode(written, packed=True, generation=7))
        first += n
    records = records[1:] or records
    whole = b"".join(records)
    content = whole + before[len(whole) :]
    damaged = (content[:at] + noise + content[at + len(noise) :])[: max(len(content), at)]
    expected, place = [], 0
    is_any_left = False
    for record in records:
        length = 20 + sum(struct.unpack_from("<II", record, 12))  # without the rest of its page
        if damaged[place : place + length] == record[:length]:
            is_any_left = True
            expected += decode(record, packed=True)[0]
        place += len(record)
    if is_any_left:
        assert decode(damaged, packed=True)[0] == expected
    assert decode(content, packed=True)[1] == 0


def test_a_record_that_was_half_written_over_old_ones_is_said(folder, caplog):
    with closing(Journal(folder, "HW", suffix=journal.ON_DISK)) as made:
        made.append(rows(3000))
        made.release(3000)
        made.append(rows(5, first=3000))
        [path] = folder.iterdir()
        before = path.read_bytes()
        made.append([(START + n, "C2", n, scattered(n), None) for n in range(1000)])
        path.write_bytes(path.read_bytes()[:8192] + before[8192:])  # a power cut after one page
    with closing(Journal(folder, "HW", suffix=journal.ON_DISK)) as again:
        assert again.left == rows(5, first=3000)
    assert logged(caplog, str(path), "damaged bytes")


def test_released_rows_are_gone_and_the_folder_with_the_last(folder):
    made = Journal(folder, "HW")
    made.append(rows(3))
    made.release(3)
    assert [path.stat().st_size for path in files(folder)] == [0]
    made.append(rows(2, first=3))
    made.release(5)
    made.close()
    assert not folder.exists()


def test_a_file_goes_when_all_of_its_rows_are_released(folder, monkeypatch):
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 100)
    with closing(Journal(folder, "HW")) as made:
        for n in range(10):
            made.append(rows(5, first=5 * n))
        assert len(files(folder)) == 10
        made.release(33)
        assert len(files(folder)) == 4
    assert left(folder) == rows(20, first=30)


def test_rows_that_were_left_are_released_as_others(folder):
    with closing(Journal(folder, "HW")) as made:
        made.append(rows(4))
    with closing(Journal(folder, "HW")) as again:
        assert again.end == 4
        again.append(rows(2, first=4))
        again.release(3)
        assert len(files(folder)) == 2
        again.release(4)
    assert left(folder) == rows(2, first=4)


def test_two_writers_and_two_processes_do_not_mix(folder):
    with closing(Journal(folder, "HW")) as one, closing(Journal(folder, "H")) as other:
        one.append(rows(1))
        other.append(rows(1, first=7))
        with closing(Journal(folder, "HW")) as living:  # as in another process
            assert living.left == []
            living.append(rows(1, first=3))
    assert sorted(left(folder)) == rows(1) + rows(1, first=3)
    assert left(folder, "H") == rows(1, first=7)


def test_a_killed_process_leaves_every_row(folder):
    program = f"""
import os, signal
from pathlib import Path
from jph.stores.journal import Journal
made = Journal(Path({str(folder)!r}), "HW")
for n in range(100):
    made.append([({START} + n, "C1", n, n / 2, None)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program], cwd=TOP, timeout=60)
    assert ended.returncode == -9
    assert left(folder) == rows(100)


@given(cut=st.integers(0, 500), at=st.integers(0, 499), noise=st.binary(max_size=40))
def test_damage_costs_the_records_that_it_hits_and_no_others(cut, at, noise):
    records = [encode(rows(3, first=3 * n)) for n in range(6)]
    whole = b"".join(records)
    content = (whole[:at] + noise + whole[at + len(noise) :])[: len(whole) - cut]
    found, damaged = decode(content)
    expected = []
    place = 0
    for n, record in enumerate(records):
        if content[place : place + len(record)] == record:
            expected += rows(3, first=3 * n)
        place += len(record)
    assert found == expected
    assert damaged == len(content) - len(encode(rows(3))) * (len(expected) // 3)


@given(st.binary(max_size=300))
def test_any_bytes_are_no_rows(content):
    assert decode(content) == ([], len(content))


def test_damage_is_said_with_its_size(folder, caplog):
    with closing(Journal(folder, "HW")) as made:
        made.append(rows(3))
        made.append(rows(3, first=3))
    (path,) = files(folder)
    os.truncate(path, path.stat().st_size - 1)
    assert left(folder) == rows(3)
    assert logged(caplog, str(path), "85 damaged bytes")


def test_a_full_disk_is_said_once_and_ends(tmp_path, caplog):
    with mounted_disk(tmp_path / "disk") as disk:
        folder = owned.private_folder(disk.folder / "journal")
        with closing(Journal(folder, "HW")) as made:
            made.append(rows(1))
            disk.fill()
            for n in range(1, 400):
                made.append(rows(10, first=10 * n))
            assert "full" in made.fault.text or "space" in made.fault.text
            disk.free()
            made.append(rows(1, first=5000))
            assert not made.fault.text
        assert left(folder)[-1:] == rows(1, first=5000)
    assert logged(caplog, "cannot be written") == 1


def test_a_journal_that_was_deleted_is_begun_anew(folder):
    with closing(Journal(folder, "HW")) as made:
        made.append(rows(1))
        for path in files(folder):
            path.unlink()
        folder.rmdir()
        made.append(rows(1, first=1))
    assert left(folder) == rows(1, first=1)


def test_it_moves_to_another_folder_with_all_that_is_in_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "SEGMENT_BYTES", 100)
    other = owned.private_folder(tmp_path / "other")
    with closing(Journal(folder, "HW")) as made, closing(Journal(folder, "H2")) as second:
        made.append(rows(5))
        made.append(rows(5, first=5))
        second.append(rows(2))
        made.move(other)
        second.move(other)
        made.append(rows(5, first=10))
        second.append(rows(1, first=2))
        made.release(7)
    assert left(other) == rows(10, first=5)
    assert left(other, "H2") == rows(3)
    assert not folder.exists()


def test_without_a_folder_nothing_is_kept_and_nothing_fails():
    with closing(Journal(None, "HW")) as made:
        made.append(rows(3))
        assert made.end == 3
        made.release(3)


def test_its_folder_is_private_and_of_one_home(tmp_path):
    one, other = (folder_of(tmp_path / name, tmp_path / "base") for name in ("one", "other"))
    assert one != other
    assert one == folder_of(tmp_path / "one", tmp_path / "base")
    assert stat.S_IMODE(one.stat().st_mode) == 0o700
    assert one.is_relative_to(tmp_path / "base")


def test_a_home_that_was_made_anew_has_another(tmp_path):
    home = tmp_path / "home"
    before = folder_of(home, tmp_path / "base")
    home.rename(tmp_path / "gone")
    assert folder_of(home, tmp_path / "base") != before


def test_a_folder_that_is_open_to_others_is_refused(tmp_path):
    home, base = tmp_path / "home", tmp_path / "base"
    (base / owned.name_for(home)).mkdir(parents=True)
    (base / owned.name_for(home)).chmod(0o755)
    with pytest.raises(ConfigError, match="open to others"):
        folder_of(home, base)
    (base / owned.name_for(home)).rmdir()
    (base / owned.name_for(home)).symlink_to(owned.private_folder(tmp_path / "elsewhere"))
    with pytest.raises(ConfigError):
        folder_of(home, base)


def test_a_folder_that_cannot_be_made_is_a_mistake(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="Journal"):
        folder_of(tmp_path, tmp_path / "file" / "inside")


def test_by_default_it_is_in_memory_where_the_machine_has_a_place_for_it(tmp_path, monkeypatch):
    if not owned.is_tmpfs("/dev/shm"):
        pytest.skip("no tmpfs here")
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    folder = folder_of(tmp_path, None)
    assert str(folder).startswith("/dev/shm/jph-")
    folder.rmdir()
    monkeypatch.setattr(owned, "is_tmpfs", lambda folder: False)
    assert folder_of(tmp_path, None) == tmp_path / "journal"


def test_the_first_process_of_a_container_keeps_it_in_the_home(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setattr(owned.os, "getpid", lambda: 1)
    assert folder_of(tmp_path, None) == tmp_path / "journal"


def test_the_folder_of_the_service_manager_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}/run:/elsewhere")
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(owned, "is_tmpfs", lambda folder: True)
    assert folder_of(tmp_path, None).parent == tmp_path / "run"
