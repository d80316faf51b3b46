"""Databases of Tenta and hermes as their versions made them, read in one form.

    today's               user, network, sensor, …; a row for each data point; log.message
    before it             the same tables; a row for each measurement, its values as JSON;
                          log.subject, log.details; acknowledgement_timestamp
    of the first hermes   users, networks, sensors, …, with names such as user_identifier

TimescaleDB may be there or not. What columns there are tells the version; nothing is written.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extras import register_uuid

from gateways.schema import microseconds_of
from jph.errors import StoreError
from jph.stores.postgres.connection import PostgresServer

AT_ONCE = 10_000  # rows from the server
# Of each kind of row the tables, and by our names of the columns theirs: the first that is there.
_CREATED = ("creation_timestamp",)
_SENSOR = ("sensor_identifier",)
_KINDS: dict[str, tuple[Sequence[str], dict[str, Sequence[str]]]] = {
    "user": (
        ("user", "users"),
        {
            "identifier": ("identifier", "user_identifier"),
            "name": ("name", "username", "user_name"),
            "creation_timestamp": _CREATED,
            "password_hash": ("password_hash",),
        },
    ),
    "network": (
        ("network", "networks"),
        {
            "identifier": ("identifier", "network_identifier"),
            "name": ("name", "network_name"),
            "creation_timestamp": _CREATED,
        },
    ),
    "sensor": (
        ("sensor", "sensors"),
        {
            "identifier": ("identifier", "sensor_identifier"),
            "name": ("name", "sensor_name"),
            "network_identifier": ("network_identifier",),
            "creation_timestamp": _CREATED,
        },
    ),
    "permission": (
        ("permission", "permissions"),
        {
            "user_identifier": ("user_identifier",),
            "network_identifier": ("network_identifier",),
            "creation_timestamp": _CREATED,
        },
    ),
    "session": (
        ("session", "sessions"),
        {
            "access_token_hash": ("access_token_hash",),
            "user_identifier": ("user_identifier",),
            "creation_timestamp": _CREATED,
        },
    ),
    "configuration": (
        ("configuration", "configurations"),
        {
            "sensor_identifier": _SENSOR,
            "value": ("value", "configuration"),
            "revision": ("revision",),
            "creation_timestamp": _CREATED,
            "publication_timestamp": ("publication_timestamp",),
            "acknowledgment_timestamp": ("acknowledgment_timestamp", "acknowledgement_timestamp"),
            "receipt_timestamp": ("receipt_timestamp", "ack_reception_timestamp"),
            "success": ("success",),
        },
    ),
    "measurement": (
        ("measurement", "measurements"),
        {
            "sensor_identifier": _SENSOR,
            "creation_timestamp": _CREATED,
            "revision": ("revision",),
            "receipt_timestamp": ("receipt_timestamp", *_CREATED),
            "attribute": ("attribute",),
            "value": ("value", "measurement"),
        },
    ),
    "log": (
        ("log", "logs"),
        {
            "sensor_identifier": _SENSOR,
            "creation_timestamp": _CREATED,
            "revision": ("revision",),
            "receipt_timestamp": ("receipt_timestamp", *_CREATED),
            "severity": ("severity",),
            "message": ("message", "subject"),
            "subject": ("subject",),
            "details": ("details",),
        },
    ),
}
# Columns that one version or the other has not.
_OPTIONAL = {"attribute", "subject", "details", "publication_timestamp"}
# Times of the years 1 to 9999: others Python does not hold, and no sensor means them.
_WITHIN = (
    "creation_timestamp >= '0001-01-01 00:00+00' AND creation_timestamp < '10000-01-01 00:00+00'"
)


class Original:
    """A database of Tenta or hermes, seen at one moment.

    Raises:
        ConfigError: no such URL.
        StoreError: it is away, or none of theirs.
    """

    def __init__(self, url: str, password_file: Path | None = None) -> None:
        self._server = PostgresServer(url, password_file)
        self.name = self._server.name
        self._connection = self._server.connect()
        try:
            self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            register_uuid(conn_or_curs=self._connection)  # type: ignore[no-untyped-call]
            with self._asking() as cursor:
                cursor.execute("SET TIME ZONE 'UTC'")
                self._queries = self._described(cursor)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the session."""
        self._connection.close()

    def rows(self, kind: str) -> Iterator[dict[str, Any]]:
        """Yield users, networks, sensors and so on by our names; times are in microseconds."""
        for row in self._stream(kind, f"{self._queries[kind]} WHERE {_WITHIN}"):
            yield {
                name: microseconds_of(value) if isinstance(value, datetime) else value
                for name, value in zip(_KINDS[kind][1], row, strict=True)
            }

    def count(self, kind: str) -> tuple[int, int]:
        """Return how many rows there are of measurements or logs, and how many without a time."""
        with self._asking() as cursor:
            count = f"SELECT count(*), count(*) FILTER (WHERE NOT ({_WITHIN})) FROM"
            cursor.execute(f"{count} ({self._queries[kind]}) AS all_of_it")
            rows, without = cursor.fetchone()
            return rows - without, without

    def measurements(self) -> Iterator[tuple[Any, int, int | None, int, Mapping[str, Any]]]:
        """Yield measurements, oldest first, as in a Batch; values may be of any kind."""
        query = f"{self._queries['measurement']} WHERE {_WITHIN} ORDER BY creation_timestamp"
        for sensor, created, revision, received, attribute, value in self._stream("m", query):
            if attribute is not None:
                values = {attribute: value}
            else:
                values = value if isinstance(value, dict) else {"value": value}
            yield sensor, microseconds_of(created), revision, microseconds_of(received), values

    def logs(self) -> Iterator[tuple[Any, ...]]:
        """Yield lines of logs, oldest first, as in a Batch."""
        query = f"{self._queries['log']} WHERE {_WITHIN} ORDER BY creation_timestamp"
        for (
            sensor,
            created,
            revision,
            received,
            severity,
            message,
            subject,
            details,
        ) in self._stream("l", query):
            words = message if subject is None or not details else f"{subject}; {details}"
            times = microseconds_of(created), revision, microseconds_of(received)
            yield sensor, *times, severity, words, subject, details

    def _stream(self, name: str, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield rows as the server sends them, a portion at a time."""
        with self._asking(f"jph_{name}") as cursor:
            cursor.itersize = AT_ONCE
            cursor.execute(query)
            yield from cursor

    @contextmanager
    def _asking(self, name: str | None = None) -> Iterator[Any]:
        """Give a cursor, with a name one of the server's; its errors are those of a store."""
        try:
            with self._connection.cursor(name) as cursor:
                yield cursor
        except psycopg2.Error as error:
            raise self._server.converted(error) from error

    def _described(self, cursor: Any) -> dict[str, str]:
        """Return the query of each kind of row, by the columns that there are."""
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema()"
        )
        there: dict[str, set[str]] = {}
        for table, column in cursor.fetchall():
            there.setdefault(table, set()).add(column)
        return {kind: self._query(kind, there) for kind in _KINDS}

    def _query(self, kind: str, there: Mapping[str, set[str]]) -> str:
        tables, columns = _KINDS[kind]
        for table in tables:
            if table not in there:
                continue
            selected = []
            for ours, theirs in columns.items():
                found = next((name for name in theirs if name in there[table]), None)
                if found is None and ours not in _OPTIONAL:
                    break
                selected.append(f"{found or 'NULL'} AS {ours}")
            else:
                # As a query of its own: conditions then name the columns as we do.
                return f'SELECT * FROM (SELECT {", ".join(selected)} FROM "{table}") AS theirs'
        raise StoreError(
            f"{self.name}: has no table {' or '.join(tables)} as Tenta or hermes make it: name "
            "their database, and a role that may read it"
        )


def finite(values: Mapping[str, Any]) -> dict[str, float]:
    """Return those values that are numbers a double holds."""
    numbers = {}
    for name, value in values.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                continue
            if math.isfinite(number):
                numbers[name] = number
    return numbers
