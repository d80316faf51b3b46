"""What happened to components: outages, halts, restarts, alerts, notes; in home/web.sqlite.

No SQLAlchemy and no Flask here: the records of a running server write it, too.
"""

from collections.abc import Iterable
from pathlib import Path
from sqlite3 import Connection
from typing import NamedTuple

from web.migrations import connection

MOST = 200_000  # events; the oldest give way
MOST_OF_ONE = 5_000  # of one component, so that a flapping one leaves room for the others
MOST_MS = 5 * 366 * 24 * 3_600_000  # their age
SETTLED = 1_000  # events after one whose time can be trusted to be past
MOST_WATCHES = 2_000
STATUSES = ("active", "silent", "failing", "halted")
KINDS = (*STATUSES, "restart", "configuration", "alert", "note")

_COLUMNS = "time_ms, codifier, kind, text, who, number"
_IS_STATUS = "kind IN ('active', 'silent', 'failing', 'halted')"


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


def add(home: Path, events: Iterable[Event]) -> list[int]:
    """Add events; return their numbers.

    Raises:
        StoreError: the database cannot be used; none is added.
    """
    added = list(events)
    with connection(database_of(home)) as database:
        numbers = [
            database.execute(
                "INSERT INTO event (time_ms, codifier, kind, text, who) VALUES (?, ?, ?, ?, ?)",
                event[:5],
            ).lastrowid
            or 0
            for event in added
        ]
        if added:
            _make_room(database, added)
    return numbers


def _make_room(database: Connection, added: list[Event]) -> None:
    """Delete what is too old, and the oldest of what is too much."""
    database.execute(
        "DELETE FROM event WHERE number <= (SELECT max(number) FROM event) - ?", (MOST,)
    )
    # Not by the newest one: a note may be about a time to come, and a clock that is years ahead for
    # a moment would delete all others.
    database.execute(
        "DELETE FROM event WHERE time_ms < (SELECT time_ms FROM event ORDER BY number DESC"
        " LIMIT 1 OFFSET ?) - ?",
        (SETTLED, MOST_MS),
    )
    for codifier in {event.codifier for event in added} - {""}:
        database.execute(
            "DELETE FROM event WHERE number IN (SELECT number FROM event WHERE codifier = ?"
            " AND kind != 'note' ORDER BY time_ms DESC, number DESC LIMIT -1 OFFSET ?)",
            (codifier, MOST_OF_ONE),
        )


def between(
    home: Path,
    start_ms: int,
    end_ms: int,
    codifiers: Iterable[str] | None = None,
    *,
    most: int = 1000,
    before: tuple[int, int] | None = None,
) -> list[Event]:
    """Return the events with start_ms <= time < end_ms, oldest first; the newest if there are more.

    Args:
        codifiers: whose; None: all. Those of the whole network are always among them.
        before: time and number of an event; only those in front of it.

    Raises:
        StoreError: the database cannot be used.
    """
    wanted = None if codifiers is None else ["", *codifiers]
    among = "" if wanted is None else f" AND codifier IN ({', '.join('?' * len(wanted))})"
    among += " AND (time_ms, number) < (?, ?)" if before else ""
    with connection(database_of(home)) as database:
        rows = database.execute(
            f"SELECT {_COLUMNS} FROM event WHERE time_ms >= ? AND time_ms < ?{among}"
            " ORDER BY time_ms DESC, number DESC LIMIT ?",
            (start_ms, end_ms, *(wanted or ()), *(before or ()), most),
        ).fetchall()
    return [Event(*row) for row in reversed(rows)]


def remove(home: Path, number: int) -> bool:
    """Delete the note with a number; False if there is none. Other events stay."""
    with connection(database_of(home)) as database:
        found = database.execute(
            "DELETE FROM event WHERE number = ? AND kind = 'note'", (number,)
        ).rowcount
    return found > 0


def statuses(home: Path, codifier: str, start_ms: int, end_ms: int) -> list[Event]:
    """Return the status changes of a component in a span, after the last one before it.

    Raises:
        StoreError: the database cannot be used.
    """
    with connection(database_of(home)) as database:
        before = database.execute(
            f"SELECT {_COLUMNS} FROM event WHERE codifier = ? AND time_ms < ? AND {_IS_STATUS}"
            " ORDER BY time_ms DESC, number DESC LIMIT 1",
            (codifier, start_ms),
        ).fetchall()
        inside = database.execute(
            f"SELECT {_COLUMNS} FROM event WHERE codifier = ? AND time_ms >= ? AND time_ms < ?"
            f" AND {_IS_STATUS} ORDER BY time_ms, number",
            (codifier, start_ms, end_ms),
        ).fetchall()
    return [Event(*row) for row in (*before, *inside)]


def last_statuses(home: Path) -> dict[str, Event]:
    """Return the last status change of each component.

    Raises:
        StoreError: the database cannot be used.
    """
    with connection(database_of(home)) as database:
        rows = database.execute(
            f"SELECT {_COLUMNS} FROM (SELECT *, row_number() OVER (PARTITION BY codifier"
            f" ORDER BY time_ms DESC, number DESC) AS place FROM event WHERE {_IS_STATUS})"
            " WHERE place = 1"
        ).fetchall()
    return {event.codifier: event for event in (Event(*row) for row in rows)}


def watch(home: Path, begin_ms: int, end_ms: int) -> None:
    """Note that the pages ran in a span; the end of one that began then moves on.

    Raises:
        StoreError: the database cannot be used.
    """
    with connection(database_of(home)) as database:
        database.execute("INSERT OR REPLACE INTO watch VALUES (?, ?)", (begin_ms, end_ms))
        database.execute(
            "DELETE FROM watch WHERE begin_ms NOT IN"
            " (SELECT begin_ms FROM watch ORDER BY begin_ms DESC LIMIT ?)",
            (MOST_WATCHES,),
        )


def watches(home: Path) -> list[tuple[int, int]]:
    """Return the spans in which the pages ran, (begin, end) in ms, oldest first.

    Raises:
        StoreError: the database cannot be used.
    """
    with connection(database_of(home)) as database:
        return database.execute("SELECT begin_ms, end_ms FROM watch ORDER BY begin_ms").fetchall()
