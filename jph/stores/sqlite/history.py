"""History in one SQLite file.

    measurement  timestamp (ms), codifier, sequence, value, text: every reading, keyed by the first
                 three; the table is its own index, so a reading is written in one place only
    series       codifier, first_ms, last_ms: where its readings begin and end
    statistic    resolution (minutes), codifier, timestamp (end of the bucket), mean, …: the
                 statistics of 10 minutes and of hours
    pending      timestamp, codifier: ends of 10-minute buckets that got readings and were not
                 computed since; `taken` while they are being computed, until more readings come
    unmarked     first_ms, last_ms: readings from before there were marks, at most one row
    dropped      resolution (0: readings), before_ms: all of it up to this time was dropped
    quarantine   as measurement: readings whose time cannot be right

Strategy: a batch is sorted by key and appended at the right edge of the tree, which fills pages and
touches each only once or twice: 33 bytes of file and 120 bytes written per reading, with the log,
its index and checkpoints (bench/history_bytes.py). An index by Codifier would write one page for
each Codifier and batch, 400 bytes more. So a span is read by a scan, at ten million rows per second
and more; `series` spares a rare or absent Codifier a scan of everything; and long spans are read
from `statistic` (jph/stores/span.py).

One connection writes at a time; others read, and in WAL mode neither waits for the other.

Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/withoutrowid.html
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path

from jph.errors import ConfigError, StoreError
from jph.files import Identity, device_of, identity_of
from jph.stores import HistoryStore, Row
from jph.stores.buckets import TEN_MINUTES_MS
from jph.stores.quarantine import Quarantine
from jph.stores.sql import SqlHistory
from jph.stores.sqlite.file import (
    ADVICE,
    ERRORS,
    code_of,
    opened,
    put_aside,
    put_aside_before,
    set_up,
)
from jph.stores.sqlite.span import SqliteSpanReader, ask
from jph.stores.sqlite.statistics import SqliteStatistics

# Pages, 4 MB: a quarter of an hour at 100 readings/s. More saves nothing, each page is
# written once to the log and once to the file; less makes more fsyncs.
WAL_AUTOCHECKPOINT = 1000
JOURNAL_BYTES = 8 << 20
MOST_IDLE = 5  # connections kept open, 2 MB each at most

# One step per schema version. A released step never changes; a change is a new step.
STEPS = (
    (
        "CREATE TABLE measurement (timestamp INTEGER NOT NULL, codifier TEXT NOT NULL,"
        " sequence INTEGER NOT NULL, value REAL, text TEXT,"
        " PRIMARY KEY (timestamp, codifier, sequence)) WITHOUT ROWID",
        "CREATE TABLE series (codifier TEXT NOT NULL PRIMARY KEY, first_ms INTEGER NOT NULL,"
        " last_ms INTEGER NOT NULL) WITHOUT ROWID",
    ),
    (
        "CREATE TABLE statistic (resolution INTEGER NOT NULL, codifier TEXT NOT NULL,"
        " timestamp INTEGER NOT NULL, mean REAL NOT NULL, mode REAL, median REAL NOT NULL,"
        " max REAL NOT NULL, min REAL NOT NULL, stdev REAL NOT NULL, count INTEGER NOT NULL,"
        " PRIMARY KEY (resolution, codifier, timestamp)) WITHOUT ROWID",
        "CREATE TABLE pending (timestamp INTEGER NOT NULL, codifier TEXT NOT NULL,"
        " taken INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (timestamp, codifier)) WITHOUT ROWID",
        "CREATE TABLE unmarked (first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL)",
        # Marking all readings here would take minutes; Statistics does it bit by bit.
        "INSERT INTO unmarked SELECT * FROM"
        " (SELECT min(first_ms) AS first_ms, max(last_ms) FROM series) WHERE first_ms IS NOT NULL",
        "CREATE TABLE dropped (resolution INTEGER NOT NULL PRIMARY KEY,"
        " before_ms INTEGER NOT NULL)",
    ),
)

INSERT = "INSERT INTO measurement VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
EXTEND = (
    "INSERT INTO series VALUES (?, ?, ?) ON CONFLICT (codifier) DO UPDATE SET"
    " first_ms = min(first_ms, excluded.first_ms), last_ms = max(last_ms, excluded.last_ms)"
)
# A mark that is set already costs no write, unless its bucket is being computed.
MARK = (
    "INSERT INTO pending (timestamp, codifier) VALUES (?, ?)"
    " ON CONFLICT DO UPDATE SET taken = 0 WHERE taken"
)
HAS_QUARANTINE = "SELECT 1 FROM sqlite_master WHERE name = 'quarantine'"
QUARANTINE = (  # not a step: an older JPH can use the file, too
    "CREATE TABLE IF NOT EXISTS quarantine (timestamp INTEGER NOT NULL, codifier TEXT NOT NULL,"
    " sequence INTEGER NOT NULL, value REAL, text TEXT,"
    " PRIMARY KEY (codifier, timestamp, sequence)) WITHOUT ROWID"
)
# After these errors a connection can be used again; after others it is closed.
HARMLESS = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)

MISTAKES = (sqlite3.ProgrammingError, sqlite3.InterfaceError)  # the caller's, not the store's

REPAIR = "jph history repair takes over what can be read of the old one"


def open_sqlite(url: str, home: Path, password_file: Path | None = None) -> HistoryStore:
    """Open the file that a URL names, relative to home unless there are four slashes."""
    path = url.partition(":")[2]
    if not path.startswith("///") or path in ("///", "////"):
        raise ConfigError("the URL of SQLite must be sqlite:///file-in-home or sqlite:////absolute")
    return SqliteHistory(home / path[3:])


class SqliteHistory(SqlHistory):
    """History in one SQLite file; see HistoryStore for the calls."""

    def __init__(self, path: Path) -> None:
        super().__init__(self.reading, "BEGIN", ask, SqliteSpanReader)
        self.statistics = SqliteStatistics(path, self.reading, self.writing)
        self.quarantine = Quarantine(self.reading, self.writing, ask, HAS_QUARANTINE, (QUARANTINE,))
        self.path = path
        self._closed = False
        self._writing = threading.Lock()
        self._idle: list[tuple[Identity, sqlite3.Connection]] = []
        self._idle_lock = threading.Lock()
        self._device: int | None = None  # of the file system, once it was seen
        with suppress(StoreError), self.reading():  # what is away now may come back
            pass

    def append(self, rows: Sequence[Row]) -> int:
        ordered = sorted(rows, key=itemgetter(0, 1, 2))
        last = {codifier: timestamp_ms for timestamp_ms, codifier, *_ in ordered}
        first = {codifier: timestamp_ms for timestamp_ms, codifier, *_ in reversed(ordered)}
        spans = [(codifier, first[codifier], last[codifier]) for codifier in sorted(last)]
        marks = {
            (-(-row[0] // TEN_MINUTES_MS) * TEN_MINUTES_MS, row[1])
            for row in ordered
            if row[3] is not None
        }
        with self.writing() as connection:
            before = connection.total_changes
            connection.executemany(INSERT, ordered)
            added = connection.total_changes - before
            connection.executemany(EXTEND, spans)
            connection.executemany(MARK, sorted(marks))
        return added

    def close(self) -> None:
        """Close all connections; SQLite moves the log into the file with the last one."""
        with self._writing, self._idle_lock:
            self._closed = True
            for _, connection in self._idle:
                connection.close()
            self._idle.clear()

    def damaged(self) -> list[str]:
        return [aside.name for aside in put_aside_before(self.path)]

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection in a transaction that is committed at the end, to one thread."""
        with self._writing, self.reading() as connection:
            before = identity_of(self.path)
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
            if identity_of(self.path) != before:
                raise StoreError(f"{self.path} was removed or replaced while it was written")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection; close it instead of keeping it after an error that harmed it."""
        connection = None
        keep = False
        try:
            identity, connection = self._take()
            yield connection
            keep = True
        except ERRORS as error:
            if isinstance(error, MISTAKES):
                raise
            with suppress(*ERRORS):
                if connection is not None and connection.in_transaction:
                    connection.execute("ROLLBACK")
                keep = code_of(error) in HARMLESS
            if aside := put_aside(self.path, error, REPAIR):
                text = f"{self.path} was damaged; it is {aside.name} now, and a new one begins"
                raise StoreError(f"{text}: {REPAIR}") from error
            raise self._converted(error) from error
        finally:
            with self._idle_lock:
                if keep and connection and not self._closed and len(self._idle) < MOST_IDLE:
                    self._idle.append((identity, connection))
                elif connection is not None:
                    connection.close()

    def _take(self) -> tuple[Identity, sqlite3.Connection]:
        with self._idle_lock:
            if self._closed:
                raise StoreError(f"{self.path}: closed")
            identity, connection = self._idle.pop() if self._idle else (None, None)
        if connection is not None:
            if identity == identity_of(self.path):
                return identity, connection
            connection.close()  # the file was removed or replaced: it would take rows to nowhere
        self._make_folder()
        try:
            connection = opened(self.path, self._prepare, REPAIR)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be made ({error.strerror})") from error
        identity = identity_of(self.path)
        if identity is not None:
            self._device = identity[0]
        return identity, connection

    def _make_folder(self) -> None:
        folder = self.path.parent
        try:
            if self._device not in (None, device_of(folder)):  # not to be made below its mount
                raise StoreError(f"{self.path}: its file system is away: mount it again")
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot make the folder of the history, {folder} ({error.strerror}): make it, "
                "or name another file"
            ) from error

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Set up a connection, and the file where it is new or of an older version."""
        version = self._version(connection)
        if set_up(connection, JOURNAL_BYTES) != "wal":
            raise StoreError(
                f"{self.path}: its file system allows no WAL: name a file on a local disk"
            )
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT}")
        if version < len(STEPS):
            connection.execute("BEGIN IMMEDIATE")
            for step in STEPS[self._version(connection) :]:  # another process may have been first
                for statement in step:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(STEPS)}")
            connection.execute("COMMIT")

    def _version(self, connection: sqlite3.Connection) -> int:
        query = "PRAGMA user_version"
        version = int(connection.execute(query).fetchone()[0])
        if not version and connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
            version = int(connection.execute(query).fetchone()[0])  # made by another just now?
            if not version:
                raise StoreError(
                    f"{self.path} is the database of another program: name another file"
                )
        if version > len(STEPS):
            raise StoreError(
                f"{self.path}: written by a newer JPH (version {version}, known up to "
                f"{len(STEPS)}): install that one or name another file"
            )
        return version

    def _converted(self, error: Exception) -> StoreError:
        code = code_of(error)
        if code == sqlite3.SQLITE_CANTOPEN and self.path.is_dir():
            return StoreError(f"{self.path} is a folder, but the history is a file: name another")
        advice = ADVICE.get(code, "")
        return StoreError(f"{self.path}: {error}{': ' if advice else ''}{advice}")
