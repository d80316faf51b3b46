"""The file of the pages, home/web.sqlite: its tables, version by version.

No SQLAlchemy here: sessions need none (web/people/sessions.py).
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from flask import current_app

from jph.errors import StoreError
from jph.stores.sqlite.file import ERRORS, opened, put_aside

AGAIN = "put a copy of it back, or make the accounts again with jph user add"
BUSY_S = 5.0  # longest wait for another process that writes
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
    (
        # Of a token only the hash; no name for the owner, who came by a link.
        """
        CREATE TABLE session (
            token_hash BLOB NOT NULL PRIMARY KEY,
            name VARCHAR,
            stamp VARCHAR,
            seen_ms INTEGER NOT NULL
        )
        """,
    ),
    (
        # Accounts from before roles could do all that there was: 3 is the admin.
        "ALTER TABLE account ADD COLUMN role INTEGER NOT NULL DEFAULT 3",
        """
        CREATE TABLE audit (
            number INTEGER PRIMARY KEY,
            time_ms INTEGER NOT NULL,
            who VARCHAR NOT NULL,
            address VARCHAR NOT NULL,
            action VARCHAR NOT NULL,
            subject VARCHAR NOT NULL,
            detail VARCHAR NOT NULL
        )
        """,
        """
        CREATE TABLE event (
            number INTEGER PRIMARY KEY,
            time_ms INTEGER NOT NULL,
            codifier VARCHAR NOT NULL,
            kind VARCHAR NOT NULL,
            text VARCHAR NOT NULL,
            who VARCHAR NOT NULL
        )
        """,
        "CREATE INDEX event_times ON event (time_ms)",
        "CREATE INDEX event_codifiers ON event (codifier, time_ms)",
    ),
    (
        # Numbers are never given again; the text is packed by zlib, the outcome is JSON.
        """
        CREATE TABLE revision (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            made_ms INTEGER NOT NULL,
            who VARCHAR NOT NULL,
            why VARCHAR NOT NULL,
            kind VARCHAR NOT NULL,
            outcome VARCHAR NOT NULL,
            text BLOB NOT NULL
        )
        """,
    ),
    # When the pages ran, and so noted what happened.
    ("CREATE TABLE watch (begin_ms INTEGER NOT NULL PRIMARY KEY, end_ms INTEGER NOT NULL)",),
    (
        "ALTER TABLE session ADD COLUMN began_ms INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE session ADD COLUMN address VARCHAR NOT NULL DEFAULT ''",
        "ALTER TABLE session ADD COLUMN agent VARCHAR NOT NULL DEFAULT ''",
        """
        CREATE TABLE token (
            number INTEGER PRIMARY KEY,
            token_hash BLOB NOT NULL UNIQUE,
            name VARCHAR NOT NULL,
            role INTEGER NOT NULL,
            made_ms INTEGER NOT NULL,
            made_by VARCHAR NOT NULL,
            end_ms INTEGER,
            seen_ms INTEGER
        )
        """,
    ),
    (
        """
        CREATE TABLE graph (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            owner VARCHAR NOT NULL,
            name VARCHAR NOT NULL,
            settings VARCHAR NOT NULL,
            is_start BOOLEAN NOT NULL DEFAULT 0,
            changed_ms INTEGER NOT NULL,
            UNIQUE (owner, name)
        )
        """,
    ),
    (
        """
        CREATE TABLE diagram (
            number INTEGER PRIMARY KEY,
            name VARCHAR NOT NULL,
            mimetype VARCHAR NOT NULL,
            picture BLOB NOT NULL,
            width REAL NOT NULL,
            height REAL NOT NULL,
            places VARCHAR NOT NULL,
            version INTEGER NOT NULL,
            picture_version INTEGER NOT NULL,
            changed_ms INTEGER NOT NULL
        )
        """,
    ),
    (
        # Browsers that are told of alerts; is_account: `who` signed in by an account of this file.
        """
        CREATE TABLE push (
            endpoint VARCHAR NOT NULL PRIMARY KEY,
            p256dh VARCHAR NOT NULL,
            auth VARCHAR NOT NULL,
            site VARCHAR NOT NULL,
            who VARCHAR NOT NULL,
            is_account BOOLEAN NOT NULL,
            made_ms INTEGER NOT NULL
        )
        """,
    ),
    (
        # Messages that were lost in a minute; the row without a Codifier says since when.
        """
        CREATE TABLE loss (
            time_ms INTEGER NOT NULL,
            codifier VARCHAR NOT NULL,
            lost INTEGER NOT NULL,
            PRIMARY KEY (codifier, time_ms)
        ) WITHOUT ROWID
        """,
        "INSERT INTO loss VALUES (strftime('%s', 'now') * 1000, '', 0)",
    ),
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the file; make it, or bring it up to date, if that is needed.

    A damaged file is put aside, and a new one begun.

    Raises:
        StoreError: the file cannot be made, or is of a newer JPH.
        sqlite3.Error: it cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return opened(
            path,
            lambda connection: _upgrade(connection, path),
            AGAIN,
            connecting=lambda path: sqlite3.connect(path, timeout=BUSY_S),
            mode=0o600,
            on_aside=_show,
        )
    except OSError as error:
        raise StoreError(
            f"{path}: the database of the pages cannot be made ({error.strerror}): "
            "let JPH write to this folder, or name another one with --home"
        ) from error


@contextmanager
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a connection in a transaction, and commit at the end.

    Raises:
        StoreError: the file cannot be used; nothing of the transaction is kept.
    """
    try:
        with closing(connect(path)) as database, database:
            yield database
    except ERRORS as error:
        raise converted(error, path) from error


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


def converted(error: BaseException, path: Path) -> StoreError:
    """Return an error of the file in words, after putting the file aside if it is damaged."""
    if aside := put_aside(path, error, AGAIN):
        _show(aside)
        return StoreError(f"{path} was damaged; it is {aside.name} now: {AGAIN}")
    return StoreError(f"{path}: the database of the pages cannot be used now ({error})")


def _show(aside: Path) -> None:
    """Tell people on the pages that a damaged file was put aside; `jph user` has no pages."""
    if current_app and "jph" in current_app.extensions:
        current_app.extensions["jph"].note_damage(f"It is {aside.name} now: {AGAIN}.")
