"""Who is signed in. It is kept here and not in the cookie, so that signing out ends it everywhere.

A cookie holds a random token, and the database of the pages only its hash. Every function works in
the context of an application, and raises StoreError if the database cannot be used. No SQLAlchemy
here: whoever comes by a link does not load it.
"""

import hashlib
import secrets
from contextlib import AbstractContextManager
from sqlite3 import Connection
from typing import NamedTuple

from flask import current_app

from jph.clock import time_now_ms
from web.migrations import connection
from web.people.access import Role

LIFETIME_MS = 30 * 24 * 3_600_000  # since it was used last
SEEN_EVERY_MS = 3_600_000  # how often its use is noted
LONGEST_AGENT = 200  # characters
MOST = 1000  # the one that was not used for longest gives way

# Of a session s: it belongs to the owner, or to an account whose password did not change since.
VALID = """
    (s.name IS NULL OR EXISTS
        (SELECT 1 FROM account AS a WHERE a.name = s.name AND a.stamp = s.stamp))
"""


class Session(NamedTuple):
    """A session that has not ended; its name is None for the owner."""

    name: str | None
    seen_ms: int
    role: int = Role.ADMIN


class Entry(NamedTuple):
    """A session in the list of those of one person."""

    number: int
    began_ms: int
    seen_ms: int
    address: str
    agent: str
    is_this: bool


def begin(name: str | None, stamp: str | None = None, *, address: str = "", agent: str = "") -> str:
    """Begin a session and return its token.

    Args:
        name: of the account; None for the owner, who came by a link.
        stamp: of the account; the session ends when it changes.
        address: where it began.
        agent: what the browser calls itself.
    """
    token = secrets.token_urlsafe(32)
    now_ms = time_now_ms()
    with _transaction() as database:
        database.execute(
            "INSERT INTO session (token_hash, name, stamp, seen_ms, began_ms, address, agent) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (_hash(token), name, stamp, now_ms, now_ms, address, agent[:LONGEST_AGENT]),
        )
        database.execute(
            f"DELETE FROM session AS s WHERE seen_ms <= ? OR NOT {VALID}", (now_ms - LIFETIME_MS,)
        )
        database.execute(
            "DELETE FROM session WHERE token_hash NOT IN "
            "(SELECT token_hash FROM session ORDER BY seen_ms DESC LIMIT ?)",
            (MOST,),
        )
    return token


def find(token: str) -> Session | None:
    """Return the session of a token, None if it ended."""
    now_ms = time_now_ms()
    with _transaction() as database:
        row = database.execute(
            "SELECT s.name, seen_ms, coalesce(role, ?) FROM session AS s "
            "LEFT JOIN account AS owner ON owner.name = s.name "
            f"WHERE token_hash = ? AND seen_ms > ? AND {VALID}",
            (Role.ADMIN, _hash(token), now_ms - LIFETIME_MS),
        ).fetchone()
        if row is None:
            return None
        session = Session(*row)
        if now_ms - session.seen_ms > SEEN_EVERY_MS:
            database.execute(
                "UPDATE session SET seen_ms = ? WHERE token_hash = ?", (now_ms, _hash(token))
            )
    return session


def end(token: str) -> None:
    """End a session."""
    with _transaction() as database:
        database.execute("DELETE FROM session WHERE token_hash = ?", (_hash(token),))


def entries(name: str | None, token: str) -> list[Entry]:
    """Return the sessions of somebody, the one used last first.

    Args:
        name: of the account; None for the owner.
        token: of the session that asks.
    """
    with _transaction() as database:
        rows = database.execute(
            "SELECT rowid, began_ms, seen_ms, address, agent, token_hash = ? FROM session AS s "
            f"WHERE s.name IS ? AND seen_ms > ? AND {VALID} ORDER BY seen_ms DESC, rowid DESC",
            (_hash(token), name, time_now_ms() - LIFETIME_MS),
        )
        return [Entry(n, b, s, a, g, bool(this)) for n, b, s, a, g, this in rows]


def end_number(name: str | None, number: int) -> bool:
    """End a session of somebody by its number; False if they have no such one."""
    with _transaction() as database:
        query = "DELETE FROM session WHERE name IS ? AND rowid = ?"
        return database.execute(query, (name, number)).rowcount > 0


def end_all(name: str | None) -> int:
    """End all sessions of somebody; return how many there were."""
    with _transaction() as database:
        return database.execute("DELETE FROM session WHERE name IS ?", (name,)).rowcount


def has_accounts() -> bool:
    """Tell whether anybody has an account."""
    with _transaction() as database:
        return bool(database.execute("SELECT EXISTS(SELECT 1 FROM account)").fetchone()[0])


def admins() -> list[str]:
    """Return the names of the admins, sorted."""
    with _transaction() as database:
        query = "SELECT name FROM account WHERE role >= ? ORDER BY name"
        return [str(name) for (name,) in database.execute(query, (int(Role.ADMIN),))]


def last_seen() -> dict[str, int]:
    """Return when each account was used last, ms, as far as its sessions tell."""
    with _transaction() as database:
        return dict(
            database.execute(
                "SELECT name, max(seen_ms) FROM session WHERE name IS NOT NULL GROUP BY name"
            )
        )


def _transaction() -> AbstractContextManager[Connection]:
    return connection(current_app.config["DATABASE"])


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
