"""What devices sent and what is known of them, in one SQLite file or in PostgreSQL.

    store = Store.open("sqlite:///gateways.sqlite", home, steps=tables.STEPS)
    with store.writing() as connection:     # one at a time; commits at the end
        …
    with store.reading() as connection:     # sees the database at one moment
        …

A store that is away is opened all the same: each call tries again and raises StoreError until it is
back. Errors that the data itself causes (a constraint, a value out of range) stay those of
SQLAlchemy or of the driver, since trying again would not help.

The schema grows in numbered steps, a row of their own in `gateway_schema` for each part: `gateways`
for what all gateways share, `tenta` and so on for each protocol. Several gateways may use one
store, and a gateway that is added later finds only its own part missing.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateways import schema
from gateways.backend import Backend
from gateways.sqlite import SqliteBackend
from gateways.steps import Step
from jph.errors import ConfigError, StoreError

DEFAULT_STORE = "sqlite:///gateways.sqlite"
WAIT_S = 30.0  # longest wait for a connection
READING_S = 30.0  # longest use of one that reads; a server that is frozen says nothing at all
WRITING_S = 120.0
LOCK = 0x6A706867  # advisory lock for changing the tables, "jphg"

SCHEMA = "CREATE TABLE IF NOT EXISTS gateway_schema (part TEXT PRIMARY KEY, version INT NOT NULL)"


class Store:
    """One database of the gateways; see `open`."""

    def __init__(self, backend: Backend, steps: Sequence[Step]) -> None:
        self._backend = backend
        self._steps = (*schema.STEPS, *steps)
        self.name = backend.name
        self.dialect = backend.dialect
        self._writer = self._engine(backend.begin_writing, 1, reads=False)
        self._readers = self._engine(backend.begin_reading, backend.readers, reads=True)

    @classmethod
    def open(
        cls, url: str, home: Path, password_file: Path | None = None, steps: Sequence[Step] = ()
    ) -> "Store":
        """Return the store that a URL names; it may be away now.

        Args:
            url: `sqlite:///file-in-home`, `sqlite:////absolute/file` or
                `postgresql://user@host:port/database`.
            password_file: holds the password of the role; read at each connection.
            steps: of the parts beyond `gateways`; those that the database lacks are taken when it
                is first used.

        Raises:
            ConfigError: no such URL.
        """
        kind = url.partition(":")[0]
        if kind == "sqlite":
            path = url.partition(":")[2]
            if not path.startswith("///") or path in ("///", "////"):
                raise ConfigError(
                    "the URL of SQLite must be sqlite:///file-in-home or sqlite:////absolute"
                )
            return cls(SqliteBackend(home / path[3:]), steps)
        if kind in ("postgresql", "postgres"):
            try:
                from gateways.postgres import PostgresBackend
            except ImportError as error:
                raise ConfigError(f"{url}: needs a package: pip install 'jph[postgres]'") from error
            return cls(PostgresBackend(url, password_file), steps)
        raise ConfigError(f"{url}: a store of gateways is sqlite:///… or postgresql://…")

    @contextlib.contextmanager
    def writing(self, longest_s: float = WRITING_S) -> Iterator[Connection]:
        """Give a transaction that writes, one at a time in the process; commit at the end.

        Raises:
            StoreError: the database is away, locked or full; nothing of the transaction is kept.
        """
        with self._backend.turn, self._transaction(self._writer, longest_s) as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self, longest_s: float = READING_S) -> Iterator[Connection]:
        """Give a transaction that reads and sees the database at one moment.

        Raises:
            StoreError: the database is away.
        """
        with self._transaction(self._readers, longest_s) as connection:
            yield connection

    @contextlib.contextmanager
    def _transaction(self, engine: Engine, longest_s: float) -> Iterator[Connection]:
        try:
            with (
                engine.connect() as connection,
                self._backend.limited(connection.connection.dbapi_connection, longest_s),
                connection.begin(),
            ):
                yield connection
        except DBAPIError as error:
            raise self._converted(error, error.orig or error) from error
        except PoolTimeoutError as error:
            raise StoreError(f"{self.name}: all connections are busy: try again") from error
        except Exception as error:
            converted = self._converted(error, error)
            if converted is error:
                raise
            raise converted from error

    def _converted(self, outer: BaseException, error: BaseException) -> BaseException:
        converted = self._backend.converted(error)
        return outer if converted is error else converted

    def close(self) -> None:
        """Close all connections; a call that still waits for a server fails."""
        self._backend.close()
        self._writer.dispose()
        self._readers.dispose()

    def _engine(self, begin: str, size: int, *, reads: bool) -> Engine:
        backend = self._backend
        engine = create_engine(
            backend.url,
            creator=lambda: backend.connect(self._prepare, reads=reads),
            poolclass=QueuePool,
            pool_size=size,
            max_overflow=0,
            pool_timeout=WAIT_S,
            pool_reset_on_return="rollback",
        )

        def remember(_: Any, record: Any) -> None:
            record.info["identity"] = backend.identity()

        def check(connection: Any, record: Any, _: Any) -> None:
            if backend.is_stale(connection, record.info.get("identity")):
                raise DisconnectionError  # the pool makes a new one

        event.listen(engine, "connect", remember)
        event.listen(engine, "checkout", check)
        event.listen(engine, "begin", lambda connection: _begin(connection, begin))
        return engine

    def _prepare(self, connection: Any) -> None:
        """Take the steps that a database lacks, in one transaction, on a driver's connection."""
        cursor = connection.cursor()
        try:
            if self._versions(cursor) == self._known():
                return
            cursor.execute("BEGIN IMMEDIATE" if self.dialect == "sqlite" else "BEGIN")
            if self.dialect == "postgresql":
                cursor.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            cursor.execute(SCHEMA)
            versions = self._versions(cursor)  # another process may have been first
            for part, known in self._known().items():
                version = versions[part]
                if version > known:
                    raise StoreError(
                        f"{self.name}: written by a newer JPH ({part}, version {version}, known up "
                        f"to {known}): install that one or name another store"
                    )
                for step in [step for step in self._steps if step.part == part][version:]:
                    for statement in getattr(step, self.dialect):
                        cursor.execute(statement)
                cursor.execute(
                    f"INSERT INTO gateway_schema VALUES ('{part}', {known})"
                    " ON CONFLICT (part) DO UPDATE SET version = excluded.version"
                )
            cursor.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(Exception):
                cursor.execute("ROLLBACK")
            raise
        finally:
            cursor.close()

    def _known(self) -> dict[str, int]:
        known: dict[str, int] = {}
        for step in self._steps:
            known[step.part] = known.get(step.part, 0) + 1
        return known

    def _versions(self, cursor: Any) -> dict[str, int]:
        """Return the version of each part that we know, 0 where it is missing."""
        there = (
            "SELECT 1 FROM sqlite_master WHERE name = 'gateway_schema'"
            if self.dialect == "sqlite"
            else "SELECT 1 WHERE to_regclass('gateway_schema') IS NOT NULL"
        )
        cursor.execute(there)
        versions: dict[str, int] = {}
        if cursor.fetchone():
            cursor.execute("SELECT part, version FROM gateway_schema")
            versions = dict(cursor.fetchall())
        return {part: versions.get(part, 0) for part in self._known()}


def _begin(connection: Connection, statement: str) -> None:
    cursor = cast(Any, connection.connection.dbapi_connection).cursor()
    try:
        if statement:
            cursor.execute(statement)
    finally:
        cursor.close()
