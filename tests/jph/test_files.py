import os
import stat
import threading

import pytest

from jph import files
from jph.errors import StoreError
from jph.files import password_in, write_file


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_with_its_folder_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a" / "b" / "it"
    write_file(path, b"one")
    write_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_secret_is_its_owners_from_the_beginning(tmp_path, monkeypatch):
    seen = []
    fsync = os.fsync

    def watching(descriptor):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(files.os, "fsync", watching)
    write_file(tmp_path / "key", b"secret", mode=0o600)
    assert seen == [0o600] and mode_of(tmp_path / "key") == 0o600


def test_others_may_read_what_is_no_secret(tmp_path):
    before = os.umask(0o022)
    try:
        write_file(tmp_path / "it", b"")
    finally:
        os.umask(before)
    assert mode_of(tmp_path / "it") == 0o644


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "it"
    write_file(path, b"one")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_file(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_reads_meanwhile_sees_one_or_the_other(tmp_path):
    path = tmp_path / "it"
    contents = [bytes([n]) * 100_000 for n in range(4)]
    write_file(path, contents[0])
    written = threading.Event()

    def write():
        for n in range(100):
            write_file(path, contents[n % 4])
        written.set()

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    while not written.is_set():
        assert path.read_bytes() in contents
    for writer in writers:
        writer.join(30)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content", [b"hunter2", b"hunter2\n", b"hunter2\r\nsecond line\n", b"hunter2\n\n"]
)
def test_the_password_is_the_first_line(tmp_path, content):
    (tmp_path / "password").write_bytes(content)
    assert password_in(tmp_path / "password") == "hunter2"


def test_a_password_keeps_its_spaces_and_letters(tmp_path):
    (tmp_path / "password").write_bytes(" hünter 2 ".encode())
    assert password_in(tmp_path / "password") == " hünter 2 "


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "has no password in its first line"),
        (b"\nhunter2\n", "has no password in its first line"),
        (b"hun\0ter2\n", "has no password in its first line"),
        (b"hunter2\xff\n", "it is no text"),
        (None, "No such file or directory"),
    ],
)
def test_what_is_no_password_is_said_without_repeating_it(tmp_path, content, reason):
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        password_in(path)
    assert reason in str(caught.value) and str(path) in str(caught.value)
    assert "hun" not in str(caught.value)


def test_a_file_gets_the_mode_of_the_one_that_it_replaces(tmp_path):
    path = tmp_path / "it"
    path.write_text("one")
    path.chmod(0o604)
    write_file(path, b"two", like=path)
    assert (path.read_bytes(), mode_of(path)) == (b"two", 0o604)
