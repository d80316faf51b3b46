"""The audit list: who commanded and changed what, and from where; in the database of the pages."""

import logging
import re
from typing import NamedTuple

from flask import current_app, request

from jph.clock import time_now_ms
from jph.errors import StoreError
from web.migrations import connection
from web.people.access import who

log = logging.getLogger(__name__)

MOST = 20_000  # entries; the oldest give way
REFUSED = "sign in refused"
MOST_REFUSED = 500  # of these entries, so that a stranger who guesses pushes no other one out
LONGEST_DETAIL = 2_000  # characters


class Entry(NamedTuple):
    """One entry; `number` counts up."""

    number: int
    time_ms: int
    who: str
    address: str
    action: str
    subject: str
    detail: str


def note(action: str, subject: str = "", detail: str = "", *, name: str | None = None) -> None:
    """Note what the person behind the present request did.

    A list that cannot be written stops nobody: the log has the entry, too.

    Args:
        action: one word, such as halt or sign-in.
        subject: what it was done to, such as a Codifier.
        detail: what else there is to know, such as a value or what came of it.
        name: who did it, if it is not who is signed in.
    """
    person = who() if name is None else name
    address = request.remote_addr or ""
    log.info("%s (%s): %s %s %s", person or "a stranger", address, action, subject, detail)
    row = (time_now_ms(), person, address, action, subject, detail[:LONGEST_DETAIL])
    try:
        with connection(current_app.config["DATABASE"]) as database:
            database.execute(
                "INSERT INTO audit (time_ms, who, address, action, subject, detail) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
            database.execute(
                "DELETE FROM audit WHERE number <= (SELECT max(number) FROM audit) - ?", (MOST,)
            )
            if action == REFUSED:
                database.execute(
                    "DELETE FROM audit WHERE action = ? AND number NOT IN "
                    "(SELECT number FROM audit WHERE action = ? ORDER BY number DESC LIMIT ?)",
                    (REFUSED, REFUSED, MOST_REFUSED),
                )
    except StoreError as error:
        log.error("the audit list cannot be written: %s", error)


def entries(
    before: int | None = None,
    most: int = 100,
    *,
    person: str = "",
    action: str = "",
    text: str = "",
) -> list[Entry]:
    """Return entries, the newest first, those before a number.

    Args:
        person, action: only theirs and these; empty: all.
        text: stands in the subject, the detail or the address.

    Raises:
        StoreError: the database cannot be used.
    """
    like = "%" + re.sub(r"([%_\\])", r"\\\1", text) + "%"
    with connection(current_app.config["DATABASE"]) as database:
        rows = database.execute(
            "SELECT number, time_ms, who, address, action, subject, detail FROM audit "
            "WHERE (? IS NULL OR number < ?) AND ? IN ('', who) AND ? IN ('', action) "
            "AND subject || ' ' || detail || ' ' || address LIKE ? ESCAPE '\\' "
            "ORDER BY number DESC LIMIT ?",
            (before, before, person, action, like, most),
        )
        return [Entry(*row) for row in rows]


def choices() -> tuple[list[str], list[str]]:
    """Return the names and the actions of all entries, sorted.

    Raises:
        StoreError: the database cannot be used.
    """
    with connection(current_app.config["DATABASE"]) as database:
        found = [
            [str(row[0]) for row in database.execute(f"SELECT DISTINCT {column} FROM audit")]
            for column in ("who", "action")
        ]
    return sorted(name for name in found[0] if name), sorted(found[1])
