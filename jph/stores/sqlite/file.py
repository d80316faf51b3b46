"""How JPH opens files of SQLite: with a log beside them, and every commit on the disk.

A file that is damaged is put aside: renamed, together with its log, to a name that tells when, such
as history.damaged-2026-11-27T19-40-12.sqlite. Several processes may find the damage at once, and
SQLite must never take the log of one file for that of another. So whoever opens a file holds a
shared lock on its folder meanwhile, whoever renames it an exclusive one. A connection that is still
open to a renamed file may be closed: SQLite sees that the file was moved, and leaves the new one
alone.

Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/howtocorrupt.html
"""

import fcntl
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path

from jph.files import Identity, changed_ns, identity_of

log = logging.getLogger(__name__)

# As the pages of the kernel. 1,024 saves 15 % of the bytes written and takes 40 % more time; 8,192
# costs 25 % more bytes, since the last page of a batch is written again with the next one.
PAGE_SIZE = 4096
BUSY_S = 2.0  # longest wait for another process that writes; a stop has 5 s in all

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_BUSY: "another program keeps it locked: end that program",
    sqlite3.SQLITE_READONLY: "it is read-only: check its owner, permissions and mount",
    sqlite3.SQLITE_PERM: "access is denied: check its owner and permissions",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: check owner, permissions and free space",
    sqlite3.SQLITE_IOERR: "the disk fails: check its free space and the kernel log",
    sqlite3.SQLITE_CORRUPT: "parts of it seem damaged: if this stays, move it away",
    sqlite3.SQLITE_NOTADB: "it is not an SQLite database: move it away or name another file",
}
MAGIC = b"SQLite format 3\0"
SUFFIXES = (".sqlite", ".sqlite3", ".db")
# A damaged name of a table may stand in the message of an error, and be no UTF-8.
ERRORS = (sqlite3.Error, UnicodeDecodeError)
UNDECODABLE = "Could not decode to UTF-8"  # of Python, without a code of SQLite
ASIDE = ".damaged-"  # in the names of files that were put aside
REPAIRED = ".repaired-"  # and of those whose content was taken over

SOUND_S = 600.0  # a file that was looked at and is sound is not looked at again for so long


_looking = threading.Lock()
_were_there: set[Path] = set()  # files that this process had open
_sound_s: dict[tuple[Identity, int], float] = {}  # of a file as it was last changed


def connect(path: Path) -> sqlite3.Connection:
    """Open a file for any thread; transactions are begun and ended by statements."""
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)


def opened(
    path: Path,
    prepare: Callable[[sqlite3.Connection], object],
    note: str,
    *,
    connecting: Callable[[Path], sqlite3.Connection] = connect,
    mode: int = 0o644,
    on_aside: Callable[[Path], object] = lambda aside: None,
) -> sqlite3.Connection:
    """Open a file and prepare the connection; put a damaged file aside and begin a new one.

    Args:
        prepare: what may find the damage.
        note: what that means for people, and what to do, for the log.
        mode: of a new file, before the umask.
        on_aside: called with the new name of a damaged file, before the new one is prepared.

    Raises:
        OSError: a new file cannot be made.
        ERRORS, and what `prepare` raises.
    """

    def open_it() -> sqlite3.Connection:
        with _locked(path.parent, fcntl.LOCK_SH):
            if not path.exists():
                _make(path, mode)
            connection = connecting(path)
            try:
                prepare(connection)
            except BaseException:
                connection.close()
                raise
        _were_there.add(path)
        return connection

    try:
        return open_it()
    except ERRORS as error:
        aside = put_aside(path, error, note)
        if aside is None:
            raise
        on_aside(aside)
    return open_it()


def put_aside(path: Path, error: BaseException, note: str) -> Path | None:
    """Rename a file, and its log, if it is damaged; return its new name.

    Args:
        error: which suggests that.
        note: what this means for people, and what to do, for the log.

    Returns:
        None: the file is sound or cannot be judged now, or another process was first.
    """
    code = code_of(error)
    is_text = UNDECODABLE in str(error)
    if not (code in DAMAGED or is_text or (code == sqlite3.SQLITE_CANTOPEN and path.is_dir())):
        return None
    found = identity_of(path)
    if found is None or not _is_known_damaged(path, found, is_text):
        return None
    try:
        with _locked(path.parent, fcntl.LOCK_EX):
            if identity_of(path) != found:
                return None
            aside = _name_aside(path)
            # First the log: a new file would take it for its own, and SQLite would empty it.
            for suffix in ("-wal", "-journal", ""):
                with suppress(FileNotFoundError):
                    path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
            path.with_name(path.name + "-shm").unlink(missing_ok=True)
            _were_there.discard(path)
    except OSError as refusal:
        log.error("%s is damaged, but cannot be put aside (%s): move it away", path, refusal)
        return None
    log.error(
        "%s was damaged (%s); it is %s now, and a new one begins: %s", path, error, aside, note
    )
    return aside


def set_repaired(aside: Path) -> Path:
    """Rename a file that was put aside and is done with, with its log; return its new name."""
    repaired = aside.with_name(aside.name.replace(ASIDE, REPAIRED))
    for suffix in ("-wal", "-journal", ""):
        with suppress(FileNotFoundError):
            aside.with_name(aside.name + suffix).rename(repaired.with_name(repaired.name + suffix))
    return repaired


def put_aside_before(path: Path) -> list[Path]:
    """Return the damaged files that were put aside in the place of a file, oldest first."""
    with suppress(OSError):
        return sorted(path.parent.glob(f"{_escaped(path.stem)}{ASIDE}*{_escaped(path.suffix)}"))
    return []


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
    if isinstance(error, UnicodeDecodeError):
        return sqlite3.SQLITE_CORRUPT
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _make(path: Path, mode: int) -> None:
    """Make an empty file, and say so if it was deleted; another process may be first."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode))
        if path in _were_there:
            log.error("%s was deleted: a new one begins", path)


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    """Hold a lock on a folder; some file systems of a network have none, and go without."""
    try:
        number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:  # there is no such folder, or it must not be read
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(number, kind)
        yield
    finally:
        os.close(number)


def _is_known_damaged(path: Path, identity: Identity, is_text: bool) -> bool:
    """Look at a file, but not again and again, since a large one takes minutes."""
    state = identity, changed_ns(path)
    sound_s = _sound_s.get(state)
    if sound_s is not None and time.monotonic() < sound_s + SOUND_S:
        return False
    if not _looking.acquire(blocking=False):
        return False  # another thread is at it
    try:
        if _is_damaged(path, is_text):
            return True
        _sound_s[state] = time.monotonic()
        return False
    finally:
        _looking.release()


def _is_damaged(path: Path, is_text: bool) -> bool:
    """Tell whether a file is damaged for certain, by looking at all of it on a new connection.

    Args:
        is_text: read all rows, too, since the check of SQLite takes any bytes for a text.
    """
    try:
        if path.is_dir():
            return path.suffix in SUFFIXES  # not /srv, which a wrong URL names
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
        if start != MAGIC:
            return bool(start)  # an empty file is a new one
        with closing(connect(path)) as connection:
            (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            if str(verdict) == "ok" and is_text:
                query = "SELECT name FROM sqlite_master WHERE type = 'table'"
                for (name,) in connection.execute(query).fetchall():
                    for _ in connection.execute(f'SELECT * FROM "{name}"'):
                        pass
            return str(verdict) != "ok"
    except ERRORS as error:
        return code_of(error) in DAMAGED or UNDECODABLE in str(error)
    except OSError:
        return False


def _name_aside(path: Path) -> Path:
    stem = f"{path.stem}{ASIDE}{time.strftime('%Y-%m-%dT%H-%M-%S', time.gmtime())}"
    aside = path.with_name(f"{stem}{path.suffix}")
    for number in count(2):
        if not aside.exists():
            break
        aside = path.with_name(f"{stem}-{number}{path.suffix}")
    return aside


def _escaped(text: str) -> str:
    return "".join(f"[{char}]" if char in "*?[" else char for char in text)


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
