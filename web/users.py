"""Accounts of people in home/web.sqlite: a name and a bcrypt hash.

Loading this module costs 20 MB of memory, so it is imported when the first account is needed and
not before. It has a small Flask application of its own for the database, since the one of the
pages takes no extensions any more once it has answered a request.
"""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import bcrypt
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from jph.clock import time_now_ms
from jph.errors import StoreError

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 72  # bytes: bcrypt takes no more
LONGEST_NAME = 64


class Base(DeclarativeBase):
    pass


db = SQLAlchemy(model_class=Base)


class Account(db.Model):  # type: ignore[name-defined,misc]
    """One person; `stamp` changes with the password and ends the sessions made before."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(primary_key=True)
    password_hash: Mapped[str]
    stamp: Mapped[str]
    created_ms: Mapped[int]


class Accounts:
    """The accounts of one home directory.

    Args:
        home: where web.sqlite is, or will be.
        rounds: cost of bcrypt, as a power of two.

    Raises:
        StoreError: here and in every method, when the file cannot be used.
    """

    def __init__(self, home: Path, *, rounds: int = 12) -> None:
        home.mkdir(parents=True, exist_ok=True)
        path = home / "web.sqlite"
        if not path.exists():
            path.touch(mode=0o600)
        self._rounds = rounds
        # A hash takes a quarter of a second of a core: guesses must not take them all.
        self._hashing = threading.BoundedSemaphore(2)
        self._app = Flask("jph.accounts")
        self._app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{path.resolve()}"
        db.init_app(self._app)
        with self._database():
            db.create_all()

    def close(self) -> None:
        """Close the connections to the file."""
        with self._database():
            db.session.remove()
            db.engine.dispose()

    @cached_property
    def _nobody(self) -> bytes:
        return bcrypt.hashpw(b"", bcrypt.gensalt(self._rounds))

    def names(self) -> list[str]:
        """Return the names of all accounts, sorted."""
        with self._database():
            return list(db.session.scalars(select(Account.name).order_by(Account.name)))

    def set_password(self, name: str, password: str) -> bool:
        """Give an account a password, making it if there is none; True if it was made.

        Raises:
            ValueError: a name or password that cannot be used.
        """
        check_name(name)
        check_password(password)
        with self._hashing:
            hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(self._rounds)).decode()
        with self._database():
            account = db.session.get(Account, name)
            is_new = account is None
            if account is None:
                account = Account(name=name, created_ms=time_now_ms())
                db.session.add(account)
            account.password_hash = hashed
            account.stamp = secrets.token_urlsafe(12)
            db.session.commit()
        return is_new

    def remove(self, name: str) -> bool:
        """Delete an account; False if there was none."""
        with self._database():
            account = db.session.get(Account, name)
            if account is None:
                return False
            db.session.delete(account)
            db.session.commit()
        return True

    def verify(self, name: str, password: str) -> str | None:
        """Return the stamp of the account if the password is right, else None.

        An unknown name takes as long as a wrong password, so that names cannot be probed.
        """
        with self._database():
            account = db.session.get(Account, name)
            nobody = self._nobody
            hashed = account.password_hash.encode() if account else nobody
            stamp: str | None = account.stamp if account else None
        encoded = password.encode()
        with self._hashing:
            is_right = bcrypt.checkpw(encoded[:LONGEST_PASSWORD], hashed)
        return stamp if is_right and len(encoded) <= LONGEST_PASSWORD else None

    def stamp(self, name: str) -> str | None:
        """Return what marks the present password of an account, None if there is no such one."""
        with self._database():
            account = db.session.get(Account, name)
            return account.stamp if account else None

    @contextmanager
    def _database(self) -> Iterator[None]:
        with self._app.app_context():
            try:
                yield
            except SQLAlchemyError as error:
                db.session.rollback()
                raise StoreError(f"the accounts cannot be used: {error}") from error


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
