"""Restoring a backup: all of it is checked before anything changes, and what was there is kept."""

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, Any

from jph.config import checks, document
from jph.errors import ConfigError, StoreError
from web.backup import content, gateway_store
from web.backup.writing import WAIT_S, write
from web.migrations import STEPS

MOST = 512 << 20  # bytes of all files but the history
CHUNK = 1 << 20
BROKEN = (tarfile.TarError, zlib.error, EOFError, OSError, KeyError, ValueError, TypeError)


@dataclass(slots=True)
class Backup:
    """A backup that was checked; its files lie in a folder of their own.

    Args:
        files: by their name in the backup.
    """

    made_ms: int
    config: bytes
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def has_history(self) -> bool:
        """Tell whether the history is in it."""
        return content.HISTORY in self.files

    @property
    def stores(self) -> dict[str, Path]:
        """The stores of gateways that are in it with all that devices sent, by their place."""
        return {
            content.HOME + name.removeprefix(content.WHOLE): path
            for name, path in self.files.items()
            if name.startswith(content.WHOLE)
        }


@contextmanager
def unpacked(source: IO[bytes], home: Path, *, history: bool = True) -> Iterator[Backup]:
    """Give a backup, unpacked beside the home directory's files and checked.

    Args:
        source: read to its end; it need not be able to seek.
        history: unpack the history, too, and all that devices of gateways sent.

    Raises:
        StoreError: it is no complete backup, or holds what cannot be used; nothing has changed.
    """
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=home) as folder:
        try:
            backup = _unpack(source, Path(folder), home, history)
        except BROKEN as error:
            raise StoreError(f"this is no complete backup of JPH: {error}") from error
        for name, path in backup.files.items():
            if content.is_database(name):
                _check_database(name, path)
        _check_config(backup.config)
        yield backup


def keep(home: Path, config: bytes) -> Path:
    """Write a backup of what is there now, without the history; return its path.

    Raises:
        StoreError: it cannot be written.
    """
    path = _free(home, "before-restore", ".jph")
    try:
        with open(path, "xb", opener=private) as file:
            write(file, home, config)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _free(folder: Path, stem: str, suffix: str) -> Path:
    """Return a path with the present time in its name, where nothing is yet."""
    stem = f"{stem}-{time.strftime('%Y-%m-%dT%H-%M-%S')}"
    paths = (folder / f"{stem}{f'-{n}' if n > 1 else ''}{suffix}" for n in count(1))
    return next(path for path in paths if not path.exists())


def private(path: str, flags: int) -> int:
    """Open a file that its owner alone may read, as an `opener`."""
    return os.open(path, flags, 0o600)


def apply(backup: Backup, home: Path, history: Path | None = None) -> Path | None:
    """Put the files of a backup into the home directory; return where the old history is.

    Files that the backup has not stay. The database of the pages is replaced in one transaction, so
    that pages may be served meanwhile.

    Args:
        history: where that of this network is; None: leave it alone.

    Raises:
        StoreError: somebody uses the history, or a file cannot be written.
    """
    aside = None
    try:
        if backup.has_history and history is not None:
            aside = _put(backup.files[content.HISTORY], history, 0o644)
        for name, path in backup.stores.items():
            _put(path, content.place_of(name, home), 0o600)  # it has hashes of passwords
        for name, path in backup.files.items():
            if content.is_large(name) or name in backup.stores:
                continue
            target = content.place_of(name, home)
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or not content.is_database(name):
                os.replace(path, target)
            elif gateway_store.is_one(path) and gateway_store.is_one(target):
                gateway_store.merge(path, target, WAIT_S)
            else:
                _copy_into(path, target)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{home}: the backup is restored in part only: {error}") from error
    return aside


def _unpack(source: IO[bytes], folder: Path, home: Path, history: bool) -> Backup:
    head: dict[str, Any] | None = None
    texts: dict[str, bytes] = {}
    files: dict[str, Path] = {}
    found: dict[str, str] = {}
    room = MOST
    with gzip.GzipFile(fileobj=source) as packed, tarfile.open(fileobj=packed, mode="r|") as tar:
        for member in tar:
            name, stream = member.name, tar.extractfile(member)
            if stream is None or name in found or content.DIGESTS in texts:
                raise ValueError(f"it holds {name[:80]!r} in a way that no backup does")
            if not content.is_large(name) and (room := room - member.size) < 0:
                raise ValueError(f"its files have more than {MOST >> 20} MiB")
            if name in (content.HEAD, content.CONFIG, content.DIGESTS):
                texts[name] = data = stream.read()
                found[name] = hashlib.sha256(data).hexdigest()
                if name == content.HEAD:
                    head = _head(data)
                continue
            if head is None:
                raise ValueError(f"it does not begin with {content.HEAD}")
            content.place_of(name, home)
            files[name] = folder / str(len(files))
            keeps = history or not content.is_large(name)
            found[name] = _extract(stream, files[name] if keeps else None)
            if not keeps:
                del files[name]
        while packed.read(CHUNK):  # to the end, where gzip has its own check
            pass
    digests = json.loads(texts[content.DIGESTS])
    del found[content.DIGESTS]
    if digests != found:
        wrong = sorted(set(digests) ^ set(found)) or [n for n in found if found[n] != digests[n]]
        raise ValueError(f"{', '.join(wrong[:3])} is not what was written")
    assert head is not None
    return Backup(int(head["made_ms"]), texts[content.CONFIG], files)


def _head(data: bytes) -> dict[str, Any]:
    head = json.loads(data)
    if not isinstance(head, dict) or not isinstance(head.get("format"), int):
        raise ValueError("its beginning is that of another program")
    if head["format"] > content.FORMAT:
        raise StoreError("this backup was written by a newer JPH: install that one")
    return head


def _extract(stream: IO[bytes], target: Path | None) -> str:
    digest = hashlib.sha256()
    with open(target or os.devnull, "wb", opener=private) as file:
        while data := stream.read(CHUNK):
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def _check_database(name: str, path: Path) -> None:
    try:
        with closing(sqlite3.connect(path)) as database:
            (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            (version,) = database.execute("PRAGMA user_version").fetchone()
    except sqlite3.Error as error:
        verdict, version = str(error), 0
    if verdict != "ok":
        raise StoreError(f"{name} in this backup is damaged: {verdict}")
    if name == content.PAGES and version > len(STEPS):
        raise StoreError("this backup was written by a newer JPH: install that one")


def _check_config(text: bytes) -> None:
    try:
        mistakes, _ = checks.check(document.parse(text))
    except ConfigError as error:
        mistakes = error.mistakes
    if mistakes:
        raise StoreError(f"the configuration in this backup has mistakes: {'; '.join(mistakes)}")


def _copy_into(path: Path, target: Path) -> None:
    """Make a database what another one is, in one transaction."""
    with (
        closing(sqlite3.connect(path)) as source,
        closing(sqlite3.connect(target, timeout=WAIT_S)) as live,
    ):
        source.backup(live)


def _put(path: Path, target: Path, mode: int) -> Path | None:
    """Put a database in the place of another, which nobody may use; return where that is now."""
    aside = None
    if target.exists():
        with closing(sqlite3.connect(target, timeout=1.0, isolation_level=None)) as own:
            try:
                own.execute("PRAGMA locking_mode = EXCLUSIVE")
                own.execute("BEGIN EXCLUSIVE")
                own.execute("COMMIT")
                own.execute("PRAGMA journal_mode = DELETE")  # takes the log into the file
            except sqlite3.OperationalError as error:
                raise StoreError(
                    f"{target} is in use ({error}): stop JPH, then restore again"
                ) from error
        aside = _free(target.parent, f"{target.stem}.before-restore", target.suffix)
        target.rename(aside)
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            target.with_name(target.name + suffix).unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, target)
    target.chmod(mode)
    return aside
