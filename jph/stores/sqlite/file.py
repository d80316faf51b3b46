"""How JPH opens files of SQLite: with a log beside them, and every commit on the disk.

Source: https://www.sqlite.org/wal.html
"""

import sqlite3
import time
from pathlib import Path

# As the pages of the kernel. 1,024 saves 15 % of the bytes written and takes 40 % more time; 8,192
# costs 25 % more bytes, since the last page of a batch is written again with the next one.
PAGE_SIZE = 4096
BUSY_S = 2.0  # longest wait for another process that writes; a stop has 5 s in all


def connect(path: Path) -> sqlite3.Connection:
    """Open a file for any thread; transactions are begun and ended by statements."""
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)


def set_up(connection: sqlite3.Connection, journal_bytes: int) -> str:
    """Set up a connection; return the journal mode, which is not "wal" on some file systems.

    Args:
        journal_bytes: the log may keep so many after a long reader made it grow.
    """
    connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
    mode = _switch_to_wal(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA journal_size_limit = {journal_bytes}")
    connection.execute("PRAGMA temp_store = MEMORY")  # reading must not need a free disk
    return mode


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the pages that hold something."""
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def code_of(error: BaseException) -> int:
    """Return the code of an error without its extended part, 0 for one that is not of SQLite."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _switch_to_wal(connection: sqlite3.Connection) -> str:
    """Return the journal mode after asking for WAL; SQLite itself does not wait for others here."""
    until_s = time.monotonic() + BUSY_S
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if code_of(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
            time.sleep(0.01)
