import os
import stat
import threading
from contextlib import suppress

import pytest

from jph import files
from jph.errors import StoreError
from jph.files import password_in, rewrite_file, write_file


def beside(path):
    """Return the names that `rewrite_file` uses."""
    return [path.with_name(f".{path.name}.{end}") for end in ("spare", "before")]


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
    assert {path} <= set(tmp_path.iterdir()) <= {path, *beside(path)}


def test_whoever_opened_a_file_reads_it_whole_though_it_is_written_again(tmp_path):
    path = tmp_path / "it"
    for n in range(6):
        rewrite_file(path, bytes([n]) * 100_000)
        with open(path, "rb") as opened:
            start = opened.read(10)
            rewrite_file(path, b"another")
            assert start + opened.read() == bytes([n]) * 100_000


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


def test_a_file_that_is_written_again_and_again_takes_turns_with_another(tmp_path):
    path = tmp_path / "a" / "it"
    inodes = set()
    for n in range(6):
        data = bytes([n]) * (5000 - n % 2 * 4990)
        rewrite_file(path, data, 0o600)
        assert path.read_bytes() == data
        inodes.add(path.stat().st_ino)
    assert len(inodes) == 2
    assert mode_of(path) == 0o600
    assert set(path.parent.iterdir()) == {path, beside(path)[0]}


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
@pytest.mark.parametrize("at", range(4))
def test_a_process_that_ends_within_a_write_leaves_the_file_whole(tmp_path, monkeypatch, call, at):
    path = tmp_path / "it"
    contents = [bytes([n]) * 9000 for n in range(6)]
    for n in range(3):
        rewrite_file(path, contents[n])
    number = [0]

    def killed(real):
        def act(*arguments, **more):
            number[0] += 1
            if number[0] > at:
                raise KeyboardInterrupt
            return real(*arguments, **more)

        return act

    with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(os, call, killed(getattr(os, call)))
        rewrite_file(path, contents[3])
    assert path.read_bytes() in contents[2:4]
    for n in (4, 5, 4):
        before = path.read_bytes()
        with open(path, "rb") as reader:  # an older content that somebody reads stays as it is
            rewrite_file(path, contents[n])
            assert reader.read() == before
        assert path.read_bytes() == contents[n]
    assert set(tmp_path.iterdir()) == {path, beside(path)[0]}


def test_a_rewrite_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "it"
    for data in (b"one", b"two", b"three"):
        rewrite_file(path, data)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(files.os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            rewrite_file(path, b"four, which is longer")
    assert path.read_bytes() == b"three"
    rewrite_file(path, b"five")
    assert path.read_bytes() == b"five"


def test_another_name_of_a_file_that_is_rewritten_keeps_its_content(tmp_path):
    path, backup = tmp_path / "it", tmp_path / "backup"
    for n in range(8):
        rewrite_file(path, bytes([n]) * 10)
        if n == 3:
            os.link(path, backup)
    assert (path.read_bytes(), backup.read_bytes()) == (bytes([7]) * 10, bytes([3]) * 10)


def test_a_file_is_rewritten_where_there_are_no_links(tmp_path, monkeypatch):
    def no_links(*names):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(files.os, "link", no_links)
    for n in range(4):
        rewrite_file(tmp_path / "it", bytes([n]))
    assert (tmp_path / "it").read_bytes() == bytes([3])
    assert list(tmp_path.iterdir()) == [tmp_path / "it"]
