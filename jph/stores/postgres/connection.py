"""Connections to PostgreSQL: made when they are needed, lent, and thrown away after an error.

Every error of the server or the network becomes a StoreError that tells what to do. The next call
connects again.
"""

import os
import re
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import parse_dsn

from jph.errors import ConfigError, StoreError
from jph.files import password_in

PORT = 5432
# A network that was cut is noticed within 15 s: 5 s of silence and 3 probes, or 12 s in which
# nothing that we sent was acknowledged.
OPTIONS = {
    "application_name": "jph",
    "client_encoding": "UTF8",
    "connect_timeout": "5",
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": "12000",
}

PROVISION = "run: jph generateSQL -d | psql"
ADVICE = {
    "25006": "this server is a standby or read-only: name the primary",
    "3F000": f"there is no such schema: {PROVISION}",
    "40P01": "two programs waited for each other: JPH tries again",
    "42501": f"the role lacks a permission: {PROVISION}",
    "42703": "the tables are of another version: run: jph db upgrade",
    "42P01": f"there are no tables: {PROVISION}",
    "53100": "the disk of the server is full: free some space there",
    "53200": "the server is out of memory: end other programs there",
    "53300": "the server has no connection left: end other programs or raise max_connections",
    "55P03": "another program locks the tables for long: end that program",
    "57014": "the server took too long: see whether its machine is overloaded",
    "58030": "the disk of the server fails: see the log of the server",
}
# Errors before there is a session have no code, and may be in another language.
WORDS = (
    (r'database ".*" does not exist', f"there is no such database: {PROVISION}"),
    (r"too many (clients|connections)|connection slots", ADVICE["53300"]),
    (r"password|authentication|pg_hba\.conf|role \".*\"", "check role, password file, pg_hba.conf"),
    (r"starting up|shutting down|recovery", "the server is not ready yet: JPH tries again"),
    (r"", "check that the server runs and is reachable"),
)


class PostgresServer:
    """One database, as a URL names it.

    Args:
        url: `postgresql://user@host:port/database`, with the parameters that libpq knows.
        password_file: read at each connection, so that a changed password needs no restart.

    Raises:
        ConfigError: no such URL.
    """

    def __init__(self, url: str, password_file: Path | None = None) -> None:
        try:
            self._parameters = {**OPTIONS, **parse_dsn(url)}
        except psycopg2.Error as error:
            raise ConfigError(f"{url}: {_first_line(error)}") from error
        if "dbname" not in self._parameters:
            raise ConfigError(f"{url}: names no database: postgresql://user@host:{PORT}/database")
        self._password_file = password_file
        host = self._parameters.get("host", "")
        port = self._parameters.get("port", str(PORT))
        self.name = f"postgresql://{host}:{port}/{self._parameters['dbname']}"

    def connect(self) -> Connection:
        """Return a new connection.

        Raises:
            StoreError: the server does not accept one now.
        """
        parameters = dict(self._parameters)
        if self._password_file is not None:
            parameters["password"] = password_in(self._password_file)
        try:
            connection: Connection = psycopg2.connect(**parameters)
            return connection
        except psycopg2.Error as error:
            raise self.converted(error) from error

    def converted(self, error: psycopg2.Error) -> StoreError:
        """Return an error of the driver as a StoreError that tells what to do."""
        text = _first_line(error)
        if error.pgcode is None:
            advice = next(advice for words, advice in WORDS if re.search(words, text))
        else:
            advice = ADVICE.get(error.pgcode, "")
        return StoreError(f"{self.name}: {text}{': ' if advice else ''}{advice}")


class Connections:
    """Connections of one kind to a server; each is lent to one thread at a time.

    Args:
        prepare: called with each new connection.
        most_idle: connections that are kept open.
        longest_s: cut a connection that is lent for so long; None: never.
    """

    def __init__(
        self,
        server: PostgresServer,
        prepare: Callable[[Connection], None],
        most_idle: int,
        longest_s: float | None = None,
    ) -> None:
        self._server = server
        self._prepare = prepare
        self._most_idle = most_idle
        self._longest_s = longest_s
        self._idle: list[Connection] = []
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection; roll back at the end, if the borrower has not committed.

        Raises:
            StoreError: in place of every error of the driver.
        """
        connection = self._take()
        keep = False
        try:
            is_new = connection is None
            connection = connection or self._server.connect()
            with _cut_after(self._longest_s, connection):
                if is_new:
                    self._prepare(connection)
                yield connection
                if not connection.autocommit:
                    connection.rollback()
            keep = True
        except psycopg2.Error as error:
            raise self._server.converted(error) from error
        finally:
            if connection is not None:
                self._give_back(connection, keep)

    def close(self) -> None:
        """Close idle connections now, and lent ones when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self) -> Connection | None:
        while True:
            with self._lock:
                if self._closed:
                    raise StoreError(f"{self._server.name}: closed")
                if not self._idle:
                    return None
                connection = self._idle.pop()
            if not has_ended(connection):
                return connection
            connection.close()

    def _give_back(self, connection: Connection, keep: bool) -> None:
        with self._lock:
            if keep and not self._closed and len(self._idle) < self._most_idle:
                self._idle.append(connection)
                return
        connection.close()


@contextmanager
def _cut_after(longest_s: float | None, connection: Connection) -> Iterator[None]:
    """Make a call that waits for the server fail after a time.

    Limits that the server itself keeps do not help if it is stopped or waits for its disk.
    """
    if longest_s is None:
        yield
        return
    timer = threading.Timer(longest_s, cut, (connection,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # or it might cut the next borrower


def cut(connection: Connection) -> None:
    """Make calls that wait for the server fail at once."""
    with suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(connection.fileno())) as it:
        it.shutdown(socket.SHUT_RDWR)


def has_ended(connection: Connection) -> bool:
    """Return whether the server ended a session, which makes its socket readable."""
    if connection.closed:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _first_line(error: psycopg2.Error) -> str:
    text = " ".join(str(error).strip().partition("\n")[0].split())
    return text or type(error).__name__
