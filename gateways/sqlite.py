"""A store of gateways in one SQLite file, with a log beside it; every commit is on the disk."""

import sqlite3
import threading
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from gateways.backend import Dialect, Prepare, Turn
from jph.errors import StoreError
from jph.files import identity_of
from jph.stores.sqlite.file import ADVICE, ERRORS, code_of, connect, opened, put_aside, set_up

JOURNAL_BYTES = 32 << 20
AGAIN = "users, sensors and readings begin anew: put a copy back if you have one"

# Several stores of one file write in turn.
_turns: WeakValueDictionary[str, Turn] = WeakValueDictionary()
_turns_lock = threading.Lock()


class SqliteBackend:
    """One file, with a log beside it; every commit is on the disk."""

    dialect: Dialect = "sqlite"
    url = "sqlite://"
    begin_writing = "BEGIN IMMEDIATE"
    begin_reading = "BEGIN"
    # Each row takes and gives back the lock of the interpreter: of eight threads that ask, two
    # that read side by side get a sixth less done than one while the others wait for it.
    readers = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        with _turns_lock:
            self.turn = _turns.setdefault(str(path.absolute()), Turn())

    def connect(self, prepare: Prepare, *, reads: bool) -> sqlite3.Connection:
        def set_up_and_prepare(connection: sqlite3.Connection) -> None:
            if set_up(connection, JOURNAL_BYTES) != "wal":
                raise StoreError(
                    f"{self.path}: its file system allows no WAL: name a file on a local disk"
                )
            connection.execute("PRAGMA foreign_keys = ON")
            # KB; the usual 2,000 for each connection bring no more readings or pages a second.
            connection.execute("PRAGMA cache_size = -256")
            prepare(connection)

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return opened(self.path, set_up_and_prepare, AGAIN, connecting=connect, mode=0o600)
        except OSError as error:
            raise StoreError(
                f"{self.path} cannot be made ({error.strerror}): let JPH write to this folder, or "
                "name another file"
            ) from error

    def identity(self) -> object:
        return identity_of(self.path)

    def is_stale(self, connection: sqlite3.Connection, identity: object) -> bool:
        return identity_of(self.path) != identity  # the file was deleted or put back

    def converted(self, error: BaseException) -> BaseException:
        if not isinstance(error, ERRORS):
            return error
        if aside := put_aside(self.path, error, AGAIN):
            return StoreError(f"{self.path} was damaged; it is {aside.name} now: {AGAIN}")
        advice = ADVICE.get(code_of(error))
        return StoreError(f"{self.path}: {error}: {advice}") if advice else error

    def limited(self, connection: Any, longest_s: float) -> AbstractContextManager[None]:
        return nullcontext()

    def close(self) -> None:
        pass
