"""Readings on the local disk while their store does not answer: one SQLite file, oldest first out.

Each batch is one row: the readings as JSON, compressed, about 15 bytes each. A batch is on the disk
when `add` returns, and stays there until `remove`; a writer that was killed in between offers it
again.

Source: https://www.sqlite.org/autoinc.html: an id is never given twice, so that `remove` cannot
take a batch that was added meanwhile.
"""

import json
import logging
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from jph.errors import StoreError
from jph.files import Identity, identity_of
from jph.stores import Row
from jph.stores.sqlite.file import (
    ERRORS,
    PAGE_SIZE,
    opened,
    put_aside,
    put_aside_before,
    set_up,
    used_bytes,
)

log = logging.getLogger(__name__)

DEFAULT_BYTES = 1 << 30
JOURNAL_BYTES = 1_000_000
SHRINK_BYTES = 4 << 20  # an empty file larger than this gives its pages back
MOST_DROPPED = 100  # batches that go at once to make room; a few hundred kB
LOST = "jph history repair stores what can be read of the readings that waited there"

CREATE = (
    "CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " readings INTEGER NOT NULL, rows BLOB NOT NULL)"
)


def spool_of(codifier: str, home: Path, most_bytes: int = DEFAULT_BYTES) -> "Spool":
    """Return the spool of one writer, in the home directory."""
    return Spool(home / f"spool-{quote(codifier, safe='')}.sqlite", most_bytes)


class Spool:
    """A bounded queue of rows in a file; any thread may call.

    Every call raises StoreError if the disk or the file cannot be used.

    Args:
        path: of the file, which the first `add` makes.
        most_bytes: size of the file; beyond it the oldest rows are dropped.
    """

    def __init__(self, path: Path, most_bytes: int = DEFAULT_BYTES) -> None:
        self.path = path
        self.most_bytes = most_bytes
        self.dropped = 0  # readings dropped to make room, or with a damaged file
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._identity: Identity = None
        self._offered_of: Identity = None  # the file that `oldest` returned rows of
        self.readings = 0  # that wait here
        if path.exists():
            with suppress(StoreError), self._transaction():  # the next call reports the fault
                pass

    def add(self, rows: Sequence[Row]) -> None:
        """Store rows durably, behind those that are there."""
        text = json.dumps(rows, separators=(",", ":"))
        packed = zlib.compress(text.encode(), 1)
        with self._transaction() as connection:
            dropped = self._make_room(connection, len(packed))
            connection.execute(
                "INSERT INTO batch (readings, rows) VALUES (?, ?)", (len(rows), packed)
            )
            self.readings += len(rows) - dropped
            self._drop(dropped)

    def oldest(self, most_rows: int) -> tuple[list[Row], int]:
        """Return about so many rows, the oldest, and the id for `remove`, 0 if there are none."""
        rows: list[Row] = []
        last_id = 0
        with self._transaction() as connection:
            self._offered_of = self._identity
            for number, packed in connection.execute("SELECT id, rows FROM batch ORDER BY id"):
                try:
                    found = json.loads(zlib.decompress(packed))
                except (zlib.error, ValueError) as error:
                    log.error("%s: skipping a damaged batch: %s", self.path, error)
                    found = []
                last_id = number
                rows += [(ms, code, sequence, v, text) for ms, code, sequence, v, text in found]
                if len(rows) >= most_rows:
                    break
            if not last_id:
                self.readings = 0
                self._shrink(connection)
        return rows, last_id

    def remove(self, last_id: int) -> None:
        """Delete rows up to an id that `oldest` returned, unless they were in another file."""
        with self._transaction() as connection:
            if self._identity == self._offered_of:
                self.readings -= self._delete(connection, last_id)

    def damaged(self) -> list[str]:
        """Return the names of damaged spools that wait for a repair."""
        return [aside.name for aside in put_aside_before(self.path)]

    def look(self) -> None:
        """Begin a new file if the present one was deleted; its readings move there."""
        with self._transaction():
            pass

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            self._disconnect()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            before = self.readings
            try:
                if self._connection is not None and identity_of(self.path) != self._identity:
                    self._move_from(self._connection)
                if self._connection is None:
                    self._connection = self._connect()
                    before = self.readings
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
                self._connection.execute("COMMIT")
            except (*ERRORS, OSError) as error:
                self._disconnect()
                self.readings = before
                if aside := put_aside(self.path, error, LOST):
                    self._lose(aside)
                raise StoreError(f"{self.path}: {error}") from error

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = opened(self.path, self._prepare, LOST, on_aside=self._lose)
        self._identity = identity_of(self.path)
        return connection

    def _move_from(self, deleted: sqlite3.Connection) -> None:
        """Take what waits in a file that was deleted into a new one; SQLite can still read it."""
        self._connection = None
        with closing(deleted):
            connection = self._connect()
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(
                    "INSERT INTO batch (readings, rows) VALUES (?, ?)",
                    deleted.execute("SELECT readings, rows FROM batch ORDER BY id"),
                )
                connection.execute("COMMIT")
                self.readings = self._count(connection)
            finally:
                self._connection = connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        set_up(connection, JOURNAL_BYTES)
        connection.execute(CREATE)
        self.readings = self._count(connection)

    @staticmethod
    def _count(connection: sqlite3.Connection) -> int:
        query = "SELECT coalesce(sum(readings), 0) FROM batch"
        return int(connection.execute(query).fetchone()[0])

    def _disconnect(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _lose(self, aside: Path) -> None:
        self.dropped += self.readings
        self.readings = 0

    def _make_room(self, connection: sqlite3.Connection, size: int) -> int:
        """Delete the oldest batches until there is room; return the number of their readings."""
        dropped = 0
        size += 2 * PAGE_SIZE  # pages that are begun count in full
        while used_bytes(connection) + size > self.most_bytes:
            first_id = connection.execute("SELECT min(id) FROM batch").fetchone()[0]
            if first_id is None:
                break
            dropped += self._delete(connection, first_id + MOST_DROPPED - 1)
        return dropped

    @staticmethod
    def _delete(connection: sqlite3.Connection, last_id: int) -> int:
        query = "SELECT coalesce(sum(readings), 0) FROM batch WHERE id <= ?"
        readings = int(connection.execute(query, (last_id,)).fetchone()[0])
        connection.execute("DELETE FROM batch WHERE id <= ?", (last_id,))
        return readings

    def _shrink(self, connection: sqlite3.Connection) -> None:
        pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
        if pages * PAGE_SIZE > SHRINK_BYTES:
            connection.execute("COMMIT")
            connection.execute("VACUUM")
            connection.execute("BEGIN")

    def _drop(self, readings: int) -> None:
        if readings and not self.dropped:
            log.error("%s is full: the oldest readings are dropped from now on", self.path)
        self.dropped += readings
