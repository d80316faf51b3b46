"""Tokens, with which programs ask: each with a name, a role and perhaps an end.

The database of the pages has only their hashes. Every function works in the context of an
application, and raises StoreError if the database cannot be used.
"""

import hashlib
import secrets
from typing import NamedTuple

from flask import current_app

from jph.clock import time_now_ms
from web.migrations import connection
from web.people.access import Role
from web.serving.security import TOKEN

SEEN_EVERY_MS = 600_000  # how often its use is noted
MOST = 500
LONGEST_NAME = 64
DAY_MS = 86_400_000
MOST_DAYS = 3650


class Token(NamedTuple):
    """A token without its secret; `end_ms` is None for one that does not end."""

    number: int
    name: str
    role: int
    made_ms: int
    made_by: str
    end_ms: int | None
    seen_ms: int | None

    @property
    def has_ended(self) -> bool:
        """Tell whether it is too old to be taken."""
        return self.end_ms is not None and self.end_ms <= time_now_ms()


COLUMNS = ", ".join(Token._fields)


def make(name: str, role: Role, made_by: str, days: float | None = None) -> str:
    """Make a token and return it; nobody can read it again.

    Args:
        name: says what program it is for.
        days: how long it is valid; None: until it is removed.

    Raises:
        ValueError: a name or a time that cannot be, or there are too many.
    """
    if not name or len(name) > LONGEST_NAME or name != name.strip() or not name.isprintable():
        raise ValueError(f"the name of a token has 1 to {LONGEST_NAME} visible characters")
    if days is not None and not 0 < days <= MOST_DAYS:
        raise ValueError(f"a token ends after 1 to {MOST_DAYS} days, or not at all")
    token = TOKEN + secrets.token_urlsafe(32)
    now_ms = time_now_ms()
    end_ms = None if days is None else now_ms + round(days * DAY_MS)
    with connection(current_app.config["DATABASE"]) as database:
        (count,) = database.execute("SELECT count(*) FROM token").fetchone()
        if count >= MOST:
            raise ValueError(f"there are {MOST} tokens already: remove those that nobody uses")
        database.execute(
            "INSERT INTO token (token_hash, name, role, made_ms, made_by, end_ms) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (_hash(token), name, int(role), now_ms, made_by, end_ms),
        )
    return token


def find(token: str) -> Token | None:
    """Return what a token stands for, None if it is unknown or has ended."""
    if not token.startswith(TOKEN):
        return None
    with connection(current_app.config["DATABASE"]) as database:
        row = database.execute(
            f"SELECT {COLUMNS} FROM token WHERE token_hash = ?", (_hash(token),)
        ).fetchone()
        if row is None or (found := Token(*row)).has_ended:
            return None
        now_ms = time_now_ms()
        if found.seen_ms is None or abs(now_ms - found.seen_ms) > SEEN_EVERY_MS:
            database.execute(
                "UPDATE token SET seen_ms = ? WHERE number = ?", (now_ms, found.number)
            )
    return found


def all_tokens() -> list[Token]:
    """Return all tokens, the newest first."""
    with connection(current_app.config["DATABASE"]) as database:
        rows = database.execute(f"SELECT {COLUMNS} FROM token ORDER BY number DESC")
        return [Token(*row) for row in rows]


def remove(number: int) -> Token | None:
    """Remove a token, which ends its use at once; return what it was, None if there is none."""
    with connection(current_app.config["DATABASE"]) as database:
        row = database.execute(
            f"DELETE FROM token WHERE number = ? RETURNING {COLUMNS}", (number,)
        ).fetchone()
    return Token(*row) if row else None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
