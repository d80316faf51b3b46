"""Accounts of people in the database of the pages: a name and a bcrypt hash.

The password of an account may be elsewhere, in the database of the history
(web/people/history_users.py). Then there is none here, and the stamp tells which one somebody
signed in with last.

Every function works in the context of an application, and raises StoreError if the database
cannot be used.
"""

import functools
import hashlib
import secrets
from collections.abc import Callable
from typing import NamedTuple

import bcrypt
from sqlalchemy import select
from sqlalchemy.orm import Mapped, mapped_column

from jph.clock import time_now_ms
from web.people.access import Role
from web.people.database import db, transaction

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 72  # bytes: bcrypt takes no more
LONGEST_NAME = 64
ROUNDS = 12  # cost of bcrypt, as a power of two


class Account(db.Model):  # type: ignore[name-defined,misc]
    """One person; `stamp` changes with the password and ends the sessions made before."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(primary_key=True)
    password_hash: Mapped[str]
    stamp: Mapped[str]
    created_ms: Mapped[int]
    role: Mapped[int] = mapped_column(default=Role.ADMIN)


class Person(NamedTuple):
    """An account as it is listed; `is_elsewhere` if the history's database has its password."""

    name: str
    role: Role
    created_ms: int
    is_elsewhere: bool


def people() -> list[Person]:
    """Return all accounts, sorted by name."""
    with transaction() as session:
        return [
            Person(a.name, Role(a.role), a.created_ms, not a.password_hash)
            for a in session.scalars(select(Account).order_by(Account.name))
        ]


def names() -> list[str]:
    """Return the names of all accounts, sorted."""
    with transaction() as session:
        return list(session.scalars(select(Account.name).order_by(Account.name)))


def set_password(name: str, password: str, role: Role | None = None) -> bool:
    """Give an account a password, making it if there is none; True if it was made.

    Args:
        role: of the account; None leaves it, and makes an admin of a new one.

    Raises:
        ValueError: a name or password that cannot be used.
    """
    check_name(name)
    check_password(password)
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode()
    with transaction() as session:
        account = session.get(Account, name)
        is_new = account is None
        if account is None:
            account = Account(name=name, created_ms=time_now_ms())
            session.add(account)
        account.password_hash = hashed
        account.stamp = secrets.token_urlsafe(12)
        if role is not None:
            account.role = role
    return is_new


def set_role(name: str, role: Role) -> bool:
    """Give an account a role, which holds at once; False if there is none."""
    with transaction() as session:
        account = session.get(Account, name)
        if account is None:
            return False
        account.role = role
    return True


def remove(name: str) -> bool:
    """Delete an account; False if there was none."""
    with transaction() as session:
        account = session.get(Account, name)
        if account is None:
            return False
        session.delete(account)
    return True


def verify(
    name: str, password: str, elsewhere: Callable[[str], str | None] = lambda name: None
) -> str | None:
    """Return the stamp of the account if the password is right, else None.

    An unknown name takes as long as a wrong password, so that names cannot be probed.

    Args:
        elsewhere: returns the hash of somebody who has no password here, None for nobody.
    """
    hashed, stamp = None, None
    with transaction() as session:
        account = session.get(Account, name)
        if account is not None and account.password_hash:
            hashed, stamp = account.password_hash, account.stamp
    is_here = hashed is not None
    if not is_here and (hashed := elsewhere(name)):
        stamp = hashlib.sha256(hashed.encode()).hexdigest()[:16]
    encoded = password.encode()
    try:
        is_right = bcrypt.checkpw(
            encoded[:LONGEST_PASSWORD], hashed.encode() if hashed else _nobody(ROUNDS)
        )
    except ValueError:  # no hash of bcrypt
        is_right = False
    if stamp is None or not is_right or len(encoded) > LONGEST_PASSWORD:
        return None
    if not is_here:
        _note(name, stamp)
    return stamp


def _note(name: str, stamp: str) -> None:
    """Note that somebody whose password is elsewhere signed in; a new one ends older sessions.

    At first they may do what they could on the older pages: see and command.
    """
    with transaction() as session:
        account = session.get(Account, name)
        if account is None:
            account = Account(
                name=name, password_hash="", created_ms=time_now_ms(), role=Role.OPERATOR
            )
            session.add(account)
        account.stamp = stamp


def stamp(name: str) -> str | None:
    """Return what marks the present password of an account, None if there is no such one."""
    with transaction() as session:
        account = session.get(Account, name)
        return account.stamp if account else None


def check_name(name: str) -> None:
    """Raise ValueError for a name that no account can have."""
    if not name or len(name) > LONGEST_NAME or name != name.strip() or not name.isprintable():
        raise ValueError(f"a name has 1 to {LONGEST_NAME} visible characters, not {name!r}")


def check_password(password: str) -> None:
    """Raise ValueError for a password that is too short or too long."""
    if len(password) < SHORTEST_PASSWORD:
        raise ValueError(f"a password has at least {SHORTEST_PASSWORD} characters")
    if len(password.encode()) > LONGEST_PASSWORD:
        raise ValueError(f"a password has at most {LONGEST_PASSWORD} bytes")


@functools.cache
def _nobody(rounds: int) -> bytes:
    return bcrypt.hashpw(b"", bcrypt.gensalt(rounds))
