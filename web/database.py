"""The one database of the pages, home/web.sqlite: its session, its migrations, its errors.

To keep another kind of thing in it (graphs, tokens, revisions of the configuration), write one
module of models beside web/users.py, with classes derived from `db.Model` that are used inside
`transaction()`, and add one step to the end of STEPS that makes their tables: no more is needed.

SQLAlchemy takes 22 MB and a quarter of a second to load. So views import the modules of models
inside functions, where they are needed, and a server without accounts never loads this one.
"""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from flask.globals import app_ctx
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import URL, NullPool
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import DeclarativeBase, Session

from jph.errors import StoreError

# Step n brings a file from version n to n + 1. Add steps; never change one that was released.
STEPS: tuple[tuple[str, ...], ...] = (
    # Files that were made before versions were counted have this table, and version 0.
    (
        """
        CREATE TABLE IF NOT EXISTS account (
            name VARCHAR NOT NULL PRIMARY KEY,
            password_hash VARCHAR NOT NULL,
            stamp VARCHAR NOT NULL,
            created_ms INTEGER NOT NULL
        )
        """,
    ),
)


class Base(DeclarativeBase):
    pass


BUSY_S = 5.0  # longest wait for another process that writes
# No models for `flask shell`, since Flask takes those before the first request only.
db = SQLAlchemy(model_class=Base, add_models_to_shell=False)
_binding = threading.Lock()


@contextmanager
def transaction() -> Iterator[Session]:
    """Give a session of the present application's database, and commit at the end.

    Objects that it returns are valid inside only. Transactions must not be nested.

    Raises:
        StoreError: the file cannot be used; nothing of the transaction is kept.
    """
    path = _bind(app_ctx.app)
    try:
        with db.session() as session:
            yield session
            session.commit()
    except SQLAlchemyError as error:
        raise _converted(error, path) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open the file; make it, or bring it up to date, if that is needed.

    Raises:
        StoreError: the file cannot be made, or is of a newer JPH.
        sqlite3.Error: it cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=0o600)
    except OSError as error:
        raise StoreError(
            f"{path}: the database of the pages cannot be made ({error.strerror}): "
            "let JPH write to this folder, or name another one with --home"
        ) from error
    connection = sqlite3.connect(path, timeout=BUSY_S)
    try:
        _upgrade(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _upgrade(connection: sqlite3.Connection, path: Path) -> None:
    """Take the steps that the file lacks, each in a transaction of its own."""
    while (version := _version(connection)) < len(STEPS):
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            if _version(connection) == version:  # else another process took this step just now
                for statement in STEPS[version]:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
    if version > len(STEPS):
        raise StoreError(
            f"{path}: written by a newer JPH (version {version}, known up to {len(STEPS)}): "
            "install that one, or move the file away to start with an empty one"
        )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _bind(app: Flask) -> Path:
    """Bind the database to an application, if that has not been done; return the path of its file.

    Each transaction opens the file again, which takes less than 0.2 ms: a copy that was put back is
    used at once, a file that a newer JPH changed is refused at once, and there is nothing to close.
    """
    path: Path = app.config["DATABASE"]
    with _binding:
        if "sqlalchemy" not in app.extensions:
            app.config["SQLALCHEMY_DATABASE_URI"] = URL.create("sqlite", database=str(path))
            app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
                "creator": lambda: connect(path),
                "poolclass": NullPool,
            }
            db.init_app(app)
    return path


def _converted(error: SQLAlchemyError, path: Path) -> StoreError:
    cause = getattr(error, "orig", None) or error
    if type(cause) is sqlite3.DatabaseError:  # its subclasses are for all that is not damage
        return StoreError(
            f"{path}: damaged, or not a database ({cause}): put a copy of it back, "
            "or move the file away to start with an empty one"
        )
    return StoreError(f"{path}: the database of the pages cannot be used now ({cause})")
