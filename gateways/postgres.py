"""A store of gateways in PostgreSQL."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import register_uuid

from gateways.backend import Dialect, Prepare, Turn
from gateways.dialect import URL
from jph.errors import StoreError
from jph.stores.postgres.connection import PostgresServer, cut, has_ended

# The tables or the rights are not as they should be. What else is of the classes of
# these errors is the fault of the data.
_TABLES = (
    "the tables are not as JPH made them: put a copy of the database back, or name another one"
)
NOT_OF_THE_DATA = {
    "3F000": "there is no such schema: make it, or name another one",
    "42501": "this role may not: name the one that owns the tables, or make it their owner",
    "42703": _TABLES,
    "42P01": _TABLES,
}
LOOK_S = 1.0


class PostgresBackend:
    """A database; several programs may write to it at once."""

    dialect: Dialect = "postgresql"
    url = URL
    begin_writing = begin_reading = ""  # the driver begins one by itself
    readers = 8

    def __init__(self, url: str, password_file: Path | None) -> None:
        self._server = PostgresServer(url, password_file)
        self.name = self._server.name
        self.turn = Turn()
        self._watch = _Watch()

    def connect(self, prepare: Prepare, *, reads: bool) -> Any:
        try:
            connection = self._server.connect()
            try:
                register_uuid(conn_or_curs=connection)  # type: ignore[no-untyped-call]
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SET TIME ZONE 'UTC'")
                    # Pages are read in the order of an index. Where the statistics are not of
                    # today, the planner would rather read and sort all that follows.
                    cursor.execute("SET enable_bitmapscan = off")
                prepare(connection)
                connection.autocommit = False
                if reads:
                    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            except BaseException:
                connection.close()
                raise
        except psycopg2.Error as error:
            converted = self.converted(error)
            if converted is error:  # a statement of a step
                converted = self._server.converted(error)
            raise converted from error
        return connection

    def identity(self) -> object:
        return None

    def is_stale(self, connection: Any, identity: object) -> bool:
        return has_ended(connection)

    def converted(self, error: BaseException) -> BaseException:
        if not isinstance(error, psycopg2.Error):
            return error
        code = error.pgcode or ""
        of_the_data = isinstance(
            error, (psycopg2.IntegrityError, psycopg2.DataError, psycopg2.ProgrammingError)
        ) or code.startswith("54")  # a limit of the server's, as of one row
        if not of_the_data:
            return self._server.converted(error)
        advice = NOT_OF_THE_DATA.get(code)
        said = str(error).strip().partition("\n")[0]
        return StoreError(f"{self.name}: {said}: {advice}") if advice else error

    def limited(self, connection: Any, longest_s: float) -> AbstractContextManager[None]:
        return self._watch.lent(connection, longest_s)

    def close(self) -> None:
        self._watch.close()


class _Watch:
    """Cuts connections that wait for a server for too long, as when it is frozen.

    One thread looks at all of them once a second; one for each would cost more than the queries.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lent: dict[int, tuple[float, Any]] = {}  # until when, by the id of the connection
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @contextmanager
    def lent(self, connection: Any, longest_s: float) -> Iterator[None]:
        """Watch a connection for as long as it is used."""
        with self._lock:
            self._lent[id(connection)] = time.monotonic() + longest_s, connection
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._look, args=(self._stop,), name="postgres-watch", daemon=True
                )
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._lent.pop(id(connection), None)

    def close(self) -> None:
        """Cut what is still lent, and end the thread; a later use begins another."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
            for _, connection in self._lent.values():
                cut(connection)
            self._lent.clear()
        if thread is not None:
            thread.join()

    def _look(self, stop: threading.Event) -> None:
        while not stop.wait(LOOK_S):
            with self._lock:  # so that none is cut after it was given back
                now_s = time.monotonic()
                for key in [key for key, (until_s, _) in self._lent.items() if until_s < now_s]:
                    cut(self._lent.pop(key)[1])
