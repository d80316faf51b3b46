"""Graphs that people saved, in the database of the pages: for each a name and what it shows.

What a graph shows is the query of its address; graphs of older pages have settings of their own
form, which are kept as they are. Every function works in the context of an application, and raises
StoreError if the database cannot be used.
"""

from sqlite3 import Connection
from typing import NamedTuple

from flask import current_app

from jph.clock import time_now_ms
from web.migrations import connection

MOST = 300  # of one person
LONGEST_NAME = 200
LONGEST_SETTINGS = 8_000
COLUMNS = "number, owner, name, settings, is_start"


class Graph(NamedTuple):
    """One graph.

    Args:
        number: by which links name it.
        owner: who saved it.
        name: different from those of the owner's other graphs.
        settings: the query of its address.
        is_start: whether its owner sees it first; at most one of each owner.
    """

    number: int
    owner: str
    name: str
    settings: str
    is_start: bool


def of(owner: str) -> list[Graph]:
    """Return the graphs of a person, by name."""
    return _select("owner = ? ORDER BY name COLLATE NOCASE, name", owner)


def start_of(owner: str) -> Graph | None:
    """Return the graph that a person sees first."""
    return next(iter(_select("owner = ? AND is_start", owner)), None)


def get(number: int) -> Graph | None:
    """Return one graph, None if there is none."""
    return next(iter(_select("number = ?", number)), None)


def save(owner: str, name: str, settings: str, *, is_start: bool = False) -> Graph:
    """Add a graph.

    Raises:
        ValueError: the name is taken or unusable, or there are too many.
    """
    _check(name, settings)
    with connection(current_app.config["DATABASE"]) as database:
        (count,) = database.execute(
            "SELECT count(*) FROM graph WHERE owner = ?", (owner,)
        ).fetchone()
        if count >= MOST:
            raise ValueError(f"you have {MOST} graphs: delete one first")
        if _named(database, owner, name) is not None:
            raise ValueError(
                f"you have a graph {name!r} already: choose another name, or update it"
            )
        number = database.execute(
            "INSERT INTO graph (owner, name, settings, changed_ms) VALUES (?, ?, ?, ?)",
            (owner, name, settings, time_now_ms()),
        ).lastrowid
        if is_start:
            _set_start(database, owner, number)
    return Graph(number or 0, owner, name, settings, is_start)


def update(
    graph: Graph,
    *,
    name: str | None = None,
    settings: str | None = None,
    is_start: bool | None = None,
) -> Graph:
    """Change what is given of a graph, and return it as it is now.

    Raises:
        ValueError: the name is taken or unusable.
    """
    name = graph.name if name is None else name
    settings = graph.settings if settings is None else settings
    is_start = graph.is_start if is_start is None else is_start
    _check(name, settings)
    with connection(current_app.config["DATABASE"]) as database:
        if _named(database, graph.owner, name) not in (None, graph.number):
            raise ValueError(f"you have a graph {name!r} already: choose another name")
        database.execute(
            "UPDATE graph SET name = ?, settings = ?, changed_ms = ? WHERE number = ?",
            (name, settings, time_now_ms(), graph.number),
        )
        if is_start != graph.is_start:
            _set_start(database, graph.owner, graph.number if is_start else None)
    return Graph(graph.number, graph.owner, name, settings, is_start)


def delete(number: int) -> None:
    """Delete a graph."""
    with connection(current_app.config["DATABASE"]) as database:
        database.execute("DELETE FROM graph WHERE number = ?", (number,))


def _select(where: str, *values: object) -> list[Graph]:
    with connection(current_app.config["DATABASE"]) as database:
        rows = database.execute(f"SELECT {COLUMNS} FROM graph WHERE {where}", values).fetchall()
    return [Graph(*row)._replace(is_start=bool(row[4])) for row in rows]


def _named(database: Connection, owner: str, name: str) -> int | None:
    row = database.execute(
        "SELECT number FROM graph WHERE owner = ? AND name = ?", (owner, name)
    ).fetchone()
    return row[0] if row else None


def _set_start(database: Connection, owner: str, number: int | None) -> None:
    database.execute("UPDATE graph SET is_start = (number IS ?) WHERE owner = ?", (number, owner))


def _check(name: str, settings: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME:
        raise ValueError(f"a graph needs a name of 1 to {LONGEST_NAME} characters")
    if len(settings) > LONGEST_SETTINGS:
        raise ValueError(f"the settings of a graph have at most {LONGEST_SETTINGS} characters")
