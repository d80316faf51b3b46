"""How many messages of each component were lost, by the minute; in home/web.sqlite.

The bus counts losses for as long as a process runs, and no history has them: so they are noted
here, for the trial of a rule about them. A row says how many of a minute did not reach these pages.
"""

from collections.abc import Iterable
from pathlib import Path

from web.history.events import database_of
from web.history.loss_counter import Row
from web.migrations import connection

MOST = 200_000  # minutes of components; the oldest give way


def add(home: Path, rows: Iterable[Row]) -> None:
    """Add to what was lost in some minutes.

    Raises:
        StoreError: the database cannot be used; nothing is added.
    """
    with connection(database_of(home)) as database:
        database.executemany(
            "INSERT INTO loss (time_ms, codifier, lost) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET lost = lost + excluded.lost",
            rows,
        )
        (count,) = database.execute("SELECT count(*) FROM loss").fetchone()
        if count <= MOST:
            return
        kept = MOST * 9 // 10  # so that this is seldom done
        (oldest_ms,) = database.execute(
            "SELECT time_ms FROM loss WHERE codifier != '' ORDER BY time_ms DESC LIMIT 1 OFFSET ?",
            (kept,),
        ).fetchone()
        database.execute("DELETE FROM loss WHERE codifier != '' AND time_ms < ?", (oldest_ms,))
        database.execute(
            "UPDATE loss SET time_ms = ? WHERE codifier = '' AND time_ms < ?",
            (oldest_ms, oldest_ms),
        )


def between(home: Path, codifier: str, start_ms: int, end_ms: int) -> list[tuple[int, int]]:
    """Return how many messages were lost in each minute with start_ms <= begin < end_ms.

    Raises:
        StoreError: the database cannot be used.
    """
    with connection(database_of(home)) as database:
        return database.execute(
            "SELECT time_ms, lost FROM loss WHERE codifier = ? AND time_ms >= ? AND time_ms < ?"
            " ORDER BY time_ms",
            (codifier, start_ms, end_ms),
        ).fetchall()


def since(home: Path) -> int:
    """Return since when losses are noted, as far as they are kept, in ms since 1970.

    Raises:
        StoreError: the database cannot be used.
    """
    with connection(database_of(home)) as database:
        return int(database.execute("SELECT time_ms FROM loss WHERE codifier = ''").fetchone()[0])
