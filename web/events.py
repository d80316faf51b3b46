"""What happened to components: outages, halts, restarts, alerts, notes; in home/web.sqlite.

No SQLAlchemy and no Flask here: the records of a running server write it, too.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from web.migrations import connection

MOST = 200_000  # events; the oldest give way
KINDS = ("active", "silent", "failing", "halted", "restart", "configuration", "alert", "note")


class Event(NamedTuple):
    """One event.

    Args:
        time_ms: when it happened, ms since 1970.
        codifier: whom it happened to; empty for the whole network.
        kind: one of KINDS; the first four say which status a component has from now on.
        text: the reason, or what a person wrote.
        who: the person behind it, empty for nobody.
        number: in the order in which events were added; 0: not added yet.
    """

    time_ms: int
    codifier: str
    kind: str
    text: str = ""
    who: str = ""
    number: int = 0


def database_of(home: Path) -> Path:
    """Return the path of the database of a home."""
    return home.resolve() / "web.sqlite"


def add(home: Path, events: Iterable[Event]) -> None:
    """Add events.

    Raises:
        StoreError: the database cannot be used; none is added.
    """
    with connection(database_of(home)) as database:
        database.executemany(
            "INSERT INTO event (time_ms, codifier, kind, text, who) VALUES (?, ?, ?, ?, ?)",
            [event[:5] for event in events],
        )
        database.execute(
            "DELETE FROM event WHERE number <= (SELECT max(number) FROM event) - ?", (MOST,)
        )


def between(
    home: Path,
    start_ms: int,
    end_ms: int,
    codifiers: Iterable[str] | None = None,
    *,
    most: int = 1000,
) -> list[Event]:
    """Return the events with start_ms <= time < end_ms, oldest first; the newest if there are more.

    Args:
        codifiers: whose; None: all. Those of the whole network are always among them.

    Raises:
        StoreError: the database cannot be used.
    """
    wanted = None if codifiers is None else ["", *codifiers]
    among = "" if wanted is None else f" AND codifier IN ({', '.join('?' * len(wanted))})"
    with connection(database_of(home)) as database:
        rows = database.execute(
            "SELECT time_ms, codifier, kind, text, who, number FROM event "
            f"WHERE time_ms >= ? AND time_ms < ?{among} ORDER BY time_ms DESC, number DESC LIMIT ?",
            (start_ms, end_ms, *(wanted or ()), most),
        ).fetchall()
    return [Event(*row) for row in reversed(rows)]


def remove(home: Path, number: int) -> bool:
    """Delete the note with a number; False if there is none. Other events stay."""
    with connection(database_of(home)) as database:
        found = database.execute(
            "DELETE FROM event WHERE number = ? AND kind = 'note'", (number,)
        ).rowcount
    return found > 0
