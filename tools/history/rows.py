"""All rows of a history as they are stored, by time, without regard to what they are good for.

A store's own calls make points for graphs; these here are for copying. They have connections of
their own, since they may take longer than any reader should.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol

from jph.errors import ConfigError, StoreError
from jph.stores import Row, open_history
from jph.stores.address import StoreAddress
from tools.addresses import is_postgres

ROW = "timestamp, codifier, sequence, value, text"
MOST_ROWS = 100_000  # of a span at once: 20 MB of memory
FEW_ROWS = 20_000  # below it the next span may be twice as long
FIRST_SPAN_MS = 3_600_000
LONGEST_SPAN_MS = 32 * 86_400_000
FIRST_MS = -(1 << 62)  # before every time
LAST_MS = 1 << 62


class Rows(Protocol):
    """The rows of one history. Spans are start_ms < timestamp <= end_ms."""

    name: str

    def counts(self, start_ms: int, end_ms: int) -> dict[str, int]:
        """Return how many rows each Codifier has in a span."""

    def first(self, after_ms: int) -> int | None:
        """Return the first time after another one, None if there is none."""

    def last(self) -> int | None:
        """Return the newest time."""

    def span(self, start_ms: int, end_ms: int, most: int) -> list[Row]:
        """Return some `most` rows of a span, in any order."""

    def of_codifier(self, codifier: str, start_ms: int, end_ms: int) -> list[Row]:
        """Return the rows of one Codifier in a span."""


def spans(rows: Rows, after_ms: int, until_ms: int) -> Iterator[tuple[int, list[Row]]]:
    """Yield all rows of a span in pieces, oldest first, each with the time that it goes up to."""
    width_ms = FIRST_SPAN_MS
    while (first_ms := rows.first(after_ms)) is not None and first_ms <= until_ms:
        start_ms = first_ms - 1
        while True:
            end_ms = min(start_ms + width_ms, until_ms)
            found = rows.span(start_ms, end_ms, MOST_ROWS + 1)
            if len(found) <= MOST_ROWS:
                break
            if end_ms - start_ms == 1:
                found = rows.span(start_ms, end_ms, LAST_MS)
                break
            width_ms = (end_ms - start_ms) // 2
        after_ms = end_ms
        yield after_ms, found
        if len(found) < FEW_ROWS:
            width_ms = min(width_ms * 2, LONGEST_SPAN_MS)


@contextmanager
def open_rows(place: StoreAddress, home: Path) -> Iterator[Rows]:
    """Open the rows of a history for reading.

    Raises:
        ConfigError: no such history.
        StoreError: not now; also from every call.
    """
    if is_postgres(place.url):
        open_history(place.url, home, place.password_file).close()  # says what is wrong with it
        import psycopg2

        from jph.stores.postgres.connection import PostgresServer
        from tools.history.postgres_rows import PostgresRows

        server = PostgresServer(place.url, place.password_file)
        try:
            with closing(server.connect()) as connection:
                connection.set_session(readonly=True, autocommit=True)
                yield PostgresRows(server.name, connection)
        except psycopg2.Error as error:
            raise server.converted(error) from error
        return
    scheme, _, path = place.url.partition(":")
    if scheme != "sqlite" or not path.startswith("///"):
        open_history(place.url, home).close()
        raise ConfigError(f"no rows can be read from {scheme}:")
    file = home / path[3:]
    if not file.is_file():
        raise StoreError(f"{file}: there is no such file")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT 1 FROM measurement LIMIT 1")
            yield SqliteRows(str(file), connection)
    except sqlite3.Error as error:
        raise StoreError(f"{file}: {error}") from error


class SqliteRows:
    """Rows of an SQLite file, whose key begins with the time."""

    def __init__(self, name: str, connection: sqlite3.Connection) -> None:
        self.name = name
        self._connection = connection

    def counts(self, start_ms: int, end_ms: int) -> dict[str, int]:
        """Return how many rows each Codifier has in a span."""
        # Grouping in SQLite would sort all rows in a temporary file.
        found: dict[str, int] = defaultdict(int)
        query = "SELECT codifier FROM measurement WHERE timestamp > ? AND timestamp <= ?"
        for (codifier,) in self._connection.execute(query, (start_ms, end_ms)):
            found[codifier] += 1
        return dict(found)

    def first(self, after_ms: int) -> int | None:
        """Return the first time after another one, None if there is none."""
        return self._one("SELECT min(timestamp) FROM measurement WHERE timestamp > ?", after_ms)

    def last(self) -> int | None:
        """Return the newest time."""
        return self._one("SELECT max(timestamp) FROM measurement")

    def span(self, start_ms: int, end_ms: int, most: int) -> list[Row]:
        """Return some `most` rows of a span."""
        query = f"SELECT {ROW} FROM measurement WHERE timestamp > ? AND timestamp <= ? LIMIT ?"
        return self._connection.execute(query, (start_ms, end_ms, most)).fetchall()

    def of_codifier(self, codifier: str, start_ms: int, end_ms: int) -> list[Row]:
        """Return the rows of one Codifier in a span."""
        query = f"SELECT {ROW} FROM measurement WHERE timestamp > ? AND timestamp <= ?"
        values = (start_ms, end_ms, codifier)
        return self._connection.execute(f"{query} AND codifier = ?", values).fetchall()

    def _one(self, query: str, *values: int) -> int | None:
        found: int | None = self._connection.execute(query, values).fetchone()[0]
        return found
