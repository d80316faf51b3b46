"""Writing a backup as a stream, while everything is at work."""

import gzip
import hashlib
import io
import json
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import IO

from jph.errors import StoreError
from web.backup import content, gateway_store

LEVEL = 4  # of gzip: half the time of the usual 9, and 3 % more bytes
WAIT_S = 30.0  # for others that write
TRIES = 50


def write(
    out: IO[bytes],
    home: Path,
    config: bytes,
    history: Path | None = None,
    *,
    whole: bool = False,
    told: Callable[[int], object] = lambda size: None,
) -> list[str]:
    """Write a backup; return the names of the files that were too large for it.

    Args:
        out: it need not be able to seek.
        config: the document of the configuration.
        history: the file of the history, if that is to be in it.
        whole: with all that devices of gateways sent.
        told: called with each number of bytes that were read of files.

    Raises:
        StoreError: a file cannot be read, or a database not copied.
    """
    digests: dict[str, str] = {}
    left_out: list[str] = []
    packed = gzip.GzipFile(fileobj=out, mode="wb", compresslevel=LEVEL, filename="")
    with packed, tarfile.open(fileobj=packed, mode="w|") as tar:

        def add(name: str, file: IO[bytes], size: int) -> None:
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = size, 0o600, int(time.time())
            reader = _Digesting(file, told)
            tar.addfile(info, reader)
            digests[name] = reader.digest.hexdigest()

        def add_bytes(name: str, data: bytes) -> None:
            add(name, io.BytesIO(data), len(data))

        head = {
            "format": content.FORMAT,
            "jph": version("jph"),
            "made_ms": time.time_ns() // 1_000_000,
            "history": history is not None,
        }
        add_bytes(content.HEAD, json.dumps(head).encode())
        add_bytes(content.CONFIG, config)
        for name, path in content.files(home, history):
            try:
                if content.is_database(name):
                    with _copy(path) as (copy, size):
                        add(name, copy, size)
                elif path.stat().st_size > content.LARGEST:
                    left_out.append(name)
                else:
                    add_bytes(name, path.read_bytes())
            except FileNotFoundError:
                continue  # it was only there for a moment
            except (OSError, sqlite3.Error) as error:
                raise StoreError(f"{path} cannot be copied: {error}") from error
        for name, path in large(home, history, whole=whole):
            try:
                with _snapshot(path) as (file, size):
                    add(name, file, size)
            except (OSError, sqlite3.Error) as error:
                raise StoreError(f"{path} cannot be copied: {error}") from error
        data = json.dumps(digests).encode()
        info = tarfile.TarInfo(content.DIGESTS)
        info.size, info.mode = len(data), 0o600
        tar.addfile(info, io.BytesIO(data))
    return left_out


def large(home: Path, history: Path | None, *, whole: bool) -> Iterator[tuple[str, Path]]:
    """Yield the name in a backup and the path of each database that may be of any size."""
    if whole:
        for name, path in content.files(home, history):
            if content.is_database(name) and gateway_store.is_one(path):
                yield content.WHOLE + name.removeprefix(content.HOME), path
    if history is not None and history.exists():
        yield content.HISTORY, history


class _Digesting:
    """A file that computes the digest of what is read from it."""

    def __init__(self, file: IO[bytes], told: Callable[[int], object]) -> None:
        self._file = file
        self._told = told
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        self._told(len(data))
        return data


@contextmanager
def _copy(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Give a copy of a database as it is at one moment, without its sessions and readings."""
    with tempfile.TemporaryDirectory(prefix="jph-backup-") as folder:
        target = Path(folder, "copy.sqlite")
        if gateway_store.is_one(path):
            gateway_store.copy(path, target, WAIT_S)
            with target.open("rb") as file:
                yield file, target.stat().st_size
            return
        with (
            closing(
                sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=WAIT_S)
            ) as source,
            closing(sqlite3.connect(target, isolation_level=None)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            tables = copy.execute("SELECT name FROM sqlite_master WHERE name = 'session'")
            if path.name == "web.sqlite" and tables.fetchone():
                copy.execute("DELETE FROM session")
                copy.execute("VACUUM")
        with target.open("rb") as file:
            yield file, target.stat().st_size


@contextmanager
def _snapshot(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Give a large database as it is at one moment, without a copy of it.

    While nobody writes, everything in the log is brought into the file. A reader that begins then
    needs no page of the log, and as long as it reads, SQLite brings no other one into the file; so
    this stays what it is, while others go on to write into the log. Only where there is no log do
    they have to wait.

    Nothing else of this process may have the file open: to close it ends all locks of the process.

    Source: https://www.sqlite.org/walformat.html (WAL_READ_LOCK), howtocorrupt.html (2.2)
    """
    with (
        closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as writer,
        closing(sqlite3.connect(path, timeout=WAIT_S, isolation_level=None)) as reader,
        path.open("rb") as file,
    ):
        (mode,) = reader.execute("PRAGMA journal_mode").fetchone()
        for _ in range(TRIES):
            if mode != "wal":
                break
            writer.execute("BEGIN IMMEDIATE")
            _, frames, moved = reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            if frames == moved:
                break
            writer.execute("ROLLBACK")  # somebody still reads from the log
            time.sleep(0.1)
        else:
            raise StoreError(f"{path}: others read from it all the time: try again")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if mode == "wal":
            writer.execute("ROLLBACK")
        size = reader.execute("PRAGMA page_count").fetchone()[0]
        size *= reader.execute("PRAGMA page_size").fetchone()[0]
        yield file, size
        reader.execute("COMMIT")
