"""The revisions of the configuration, in the database of the pages.

No SQLAlchemy here, and no Flask: a start that takes a change back writes one, too.
"""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from jph.clock import time_now_ms
from web.migrations import connection

MOST = 1000  # revisions; the oldest give way
MOST_BYTES = 64 << 20  # of them all, packed

Kind = Literal["found", "saved", "by hand", "update", "fetched", "taken back"]


class Revision(NamedTuple):
    """One state of the configuration.

    Args:
        number: counts up from 1.
        kind: found (the first), saved (on the pages), by hand (the file was edited), update (of the
            network that JPH ships), fetched (changed at its URL), taken back (by JPH, since the
            pages did not come back).
        outcome: what became of it: `state`, `reason`, and `answers`, by Codifier.
    """

    number: int
    made_ms: int
    who: str
    why: str
    kind: Kind
    outcome: Mapping[str, object]


_COLUMNS = "number, made_ms, who, why, kind, outcome"


def add(
    home: Path, text: bytes, who: str, why: str, kind: Kind, made_ms: int | None = None
) -> Revision:
    """Keep a revision; return the newest one instead if that has the same text already.

    Two processes may notice the same edit by hand.

    Raises:
        StoreError: the database cannot be used.
    """
    made_ms = time_now_ms() if made_ms is None else made_ms
    packed = zlib.compress(text)
    with connection(_path(home)) as database:
        database.execute("BEGIN IMMEDIATE")
        row = database.execute(
            f"SELECT {_COLUMNS}, text FROM revision ORDER BY number DESC LIMIT 1"
        ).fetchone()
        if row is not None and row[-1] == packed:
            return _revision(row[:-1])
        number = database.execute(
            "INSERT INTO revision (made_ms, who, why, kind, outcome, text) "
            "VALUES (?, ?, ?, ?, '{}', ?)",
            (made_ms, who, why, kind, packed),
        ).lastrowid
        database.execute(
            "DELETE FROM revision WHERE number <= max(? - ?, coalesce((SELECT max(number) FROM "
            "(SELECT number, sum(length(text)) OVER (ORDER BY number DESC) AS bytes FROM revision) "
            "WHERE bytes > ?), 0)) AND number < ?",
            (number, MOST, MOST_BYTES, number),
        )
    return Revision(number or 0, made_ms, who, why, kind, {})


def remove(home: Path, number: int) -> None:
    """Delete a revision that was not written after all."""
    with connection(_path(home)) as database:
        database.execute("DELETE FROM revision WHERE number = ?", (number,))


def newest(home: Path) -> Revision | None:
    """Return the newest revision, None if there is none yet."""
    found = before(home, None, 1)
    return found[0] if found else None


def find(home: Path, number: int) -> Revision | None:
    """Return one revision, None if it is not kept."""
    with connection(_path(home)) as database:
        row = database.execute(
            f"SELECT {_COLUMNS} FROM revision WHERE number = ?", (number,)
        ).fetchone()
    return _revision(row) if row else None


def before(home: Path, number: int | None, most: int) -> list[Revision]:
    """Return revisions, the newest first; those before a number."""
    with connection(_path(home)) as database:
        rows = database.execute(
            f"SELECT {_COLUMNS} FROM revision WHERE ? IS NULL OR number < ? "
            "ORDER BY number DESC LIMIT ?",
            (number, number, most),
        ).fetchall()
    return [_revision(row) for row in rows]


def text_of(home: Path, number: int) -> bytes | None:
    """Return the document of a revision as it stood in the file, None if it is not kept."""
    with connection(_path(home)) as database:
        row = database.execute("SELECT text FROM revision WHERE number = ?", (number,)).fetchone()
    return zlib.decompress(row[0]) if row else None


def note_outcome(home: Path, number: int, outcome: Mapping[str, object]) -> None:
    """Keep what became of a revision."""
    with connection(_path(home)) as database:
        database.execute(
            "UPDATE revision SET outcome = ? WHERE number = ?", (json.dumps(outcome), number)
        )


def _path(home: Path) -> Path:
    return home.resolve() / "web.sqlite"


def _revision(row: tuple[int, int, str, str, Kind, str]) -> Revision:
    return Revision(*row[:5], json.loads(row[5]))
