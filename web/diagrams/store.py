"""Diagrams in the database of the pages: a picture, and what is placed on it.

No SQLAlchemy here. Every function works in the context of an application.

Raises:
    StoreError: the database of the pages cannot be used.
"""

import json
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from sqlite3 import Connection
from typing import Any, NamedTuple

from flask import current_app

from jph.bus.wire import is_codifier
from jph.clock import time_now_ms
from web.diagrams.pictures import Picture
from web.migrations import connection

MOST = 100  # diagrams
MOST_PLACES = 150  # of one; the live stream of a page takes 200 Codifiers
LONGEST_NAME = 100
LONGEST_LABEL = 60
SIZES = ("small", "medium", "large")


class Place(NamedTuple):
    """A component on a picture.

    Args:
        x, y: its middle, as parts of the width and the height, from the upper left corner.
        label: in place of the name of the component; empty: that name.
        size: one of SIZES.
        low, high: limits of the value, beyond which it is shown as out of them.
    """

    codifier: str
    x: float
    y: float
    label: str = ""
    size: str = "medium"
    low: float | None = None
    high: float | None = None


class Diagram(NamedTuple):
    """A diagram without its picture.

    Args:
        version: counts its changes, so that nobody overwrites what they have not seen.
        picture_version: counts its pictures.
    """

    number: int
    name: str
    mimetype: str
    width: float
    height: float
    places: tuple[Place, ...]
    version: int
    picture_version: int


_COLUMNS = "number, name, mimetype, width, height, places, version, picture_version"


def all_diagrams() -> list[tuple[int, str]]:
    """Return number and name of all diagrams, by name."""
    with _transaction() as database:
        rows = database.execute("SELECT number, name FROM diagram").fetchall()
    return sorted(rows, key=lambda row: (row[1].casefold(), row[0]))


def find(number: int) -> Diagram | None:
    """Return a diagram, None if there is none."""
    with _transaction() as database:
        row = database.execute(
            f"SELECT {_COLUMNS} FROM diagram WHERE number = ?", (number,)
        ).fetchone()
    if row is None:
        return None
    found = Diagram(*row)
    return found._replace(places=tuple(Place(*place) for place in json.loads(row[5])))


def picture_of(number: int) -> tuple[str, bytes] | None:
    """Return media type and bytes of a picture."""
    with _transaction() as database:
        row: tuple[str, bytes] | None = database.execute(
            "SELECT mimetype, picture FROM diagram WHERE number = ?", (number,)
        ).fetchone()
    return row


def add(name: str, picture: Picture, places: tuple[Place, ...] = ()) -> int:
    """Add a diagram; return its number.

    Raises:
        ValueError: there are too many.
    """
    with _transaction() as database:
        (count,) = database.execute("SELECT count(*) FROM diagram").fetchone()
        if count >= MOST:
            raise ValueError(f"there are {MOST} diagrams already: remove one that nobody needs")
        cursor = database.execute(
            "INSERT INTO diagram (name, mimetype, picture, width, height, places, version, "
            "picture_version, changed_ms) VALUES (?, ?, ?, ?, ?, ?, 1, 1, ?)",
            (
                name,
                picture.mimetype,
                picture.data,
                picture.width,
                picture.height,
                json.dumps(places),
                time_now_ms(),
            ),
        )
    return cursor.lastrowid or 0


def change(number: int, name: str, places: tuple[Place, ...], base: int) -> bool:
    """Change name and places of a diagram; False: its version is not base any more."""
    with _transaction() as database:
        return bool(
            database.execute(
                "UPDATE diagram SET name = ?, places = ?, changed_ms = ?, version = version + 1 "
                "WHERE number = ? AND version = ?",
                (name, json.dumps(places), time_now_ms(), number, base),
            ).rowcount
        )


def change_picture(number: int, picture: Picture) -> bool:
    """Give a diagram another picture; False if there is no such diagram."""
    with _transaction() as database:
        return bool(
            database.execute(
                "UPDATE diagram SET mimetype = ?, picture = ?, width = ?, height = ?, "
                "changed_ms = ?, version = version + 1, picture_version = picture_version + 1 "
                "WHERE number = ?",
                (*picture, time_now_ms(), number),
            ).rowcount
        )


def remove(number: int) -> bool:
    """Remove a diagram; False if there is none."""
    with _transaction() as database:
        return bool(database.execute("DELETE FROM diagram WHERE number = ?", (number,)).rowcount)


def checked_name(given: object) -> str:
    """Return a name of a diagram.

    Raises:
        ValueError: it is empty or too long.
    """
    name = " ".join(given.split()) if isinstance(given, str) else ""
    if not name or len(name) > LONGEST_NAME:
        raise ValueError(f"the name of a diagram has 1 to {LONGEST_NAME} characters")
    return name


def checked_places(given: object) -> tuple[Place, ...]:
    """Return places as a browser sent them.

    Raises:
        ValueError: what is wrong with them.
    """
    if not isinstance(given, list) or len(given) > MOST_PLACES:
        raise ValueError(f"a diagram has at most {MOST_PLACES} values")
    return tuple(_place(one) for one in given)


def _place(given: object) -> Place:
    if not isinstance(given, Mapping):
        raise ValueError("a value is an object")
    codifier = given.get("codifier")
    if not isinstance(codifier, str) or not is_codifier(codifier):
        raise ValueError("a value has a Codifier")
    label, size = given.get("label", ""), given.get("size", "medium")
    if not isinstance(label, str) or len(label) > LONGEST_LABEL:
        raise ValueError(f"a label has at most {LONGEST_LABEL} characters")
    if size not in SIZES:
        raise ValueError(f"a size is one of {', '.join(SIZES)}")
    x, y = (_number(given, name) for name in "xy")
    if x is None or y is None or not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError("a value lies on the picture")
    low, high = (_number(given, name) for name in ("low", "high"))
    if low is not None and high is not None and low > high:
        raise ValueError("the lower limit is above the upper one")
    return Place(codifier, round(x, 5), round(y, 5), " ".join(label.split()), size, low, high)


def _number(given: Mapping[str, Any], name: str) -> float | None:
    number = given.get(name)
    if number is None:
        return None
    if isinstance(number, bool) or not isinstance(number, int | float) or abs(number) > 1e300:
        raise ValueError(f"{name} is a number")
    if not math.isfinite(number):
        raise ValueError(f"{name} is a number")
    return float(number)


def _transaction() -> AbstractContextManager[Connection]:
    return connection(current_app.config["DATABASE"])
