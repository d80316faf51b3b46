"""All rows of a history as they are stored, by time, for copying.

The stores' own calls return points for graphs. These read rows over connections of their own, since
copying takes longer than any other reader should.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as SqliteConnection
from typing import TYPE_CHECKING, Any

from jph.errors import StoreError
from jph.stores import Row
from jph.stores.address import StoreAddress
from tools.addresses import connected, file_of, is_postgres, opened

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PostgresConnection

MOST_ROWS = 100_000  # of a span at once: 20 MB of memory
FEW_ROWS = 20_000  # below it the next span may be twice as long
FIRST_SPAN_MS = 3_600_000
LONGEST_SPAN_MS = 32 * 86_400_000
FIRST_MS = -(1 << 62)  # before every time
LAST_MS = 1 << 62

SPAN = (
    "SELECT timestamp, codifier, sequence, value, text FROM measurement"
    " WHERE timestamp > {0} AND timestamp <= {0}"
)
# The key begins with the Codifier: each is looked up, and the next one found by the key too.
CODIFIERS = (
    "WITH RECURSIVE found AS ((SELECT codifier FROM measurement ORDER BY codifier LIMIT 1)"
    " UNION ALL SELECT (SELECT codifier FROM measurement WHERE codifier > found.codifier"
    " ORDER BY codifier LIMIT 1) FROM found WHERE found.codifier IS NOT NULL)"
    " SELECT codifier FROM found WHERE codifier IS NOT NULL"
)
EDGE = (
    "SELECT {edge}(time_ms) FROM unnest(%s::text[]) AS codifiers (code), LATERAL"
    " (SELECT timestamp AS time_ms FROM measurement WHERE codifier = code AND timestamp > %s"
    " ORDER BY timestamp {order} LIMIT 1) AS found"
)


class SqliteRows:
    """The rows of an SQLite file, whose key begins with the time.

    Here and in PostgresRows, a span is start_ms < timestamp <= end_ms.
    """

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection
        self._connection.execute("SELECT 1 FROM measurement LIMIT 1")  # an error without the table

    def counts(self, start_ms: int, end_ms: int) -> Counter[str]:
        """Return how many rows each Codifier has in a span."""
        # Grouping in SQLite would sort all rows in a temporary file.
        query = "SELECT codifier FROM measurement WHERE timestamp > ? AND timestamp <= ?"
        rows = self._connection.execute(query, (start_ms, end_ms))
        return Counter(codifier for (codifier,) in rows)

    def first(self, after_ms: int) -> int | None:
        """Return the first time after another one, None if there is none."""
        return self._edge("min", after_ms)

    def last(self) -> int | None:
        """Return the newest time, None if there are no rows."""
        return self._edge("max", FIRST_MS)

    def span(self, start_ms: int, end_ms: int, most: int) -> list[Row]:
        """Return at most `most` rows of a span, in any order."""
        query = f"{SPAN.format('?')} LIMIT ?"
        return self._connection.execute(query, (start_ms, end_ms, most)).fetchall()

    def of_codifier(self, codifier: str, start_ms: int, end_ms: int) -> list[Row]:
        """Return the rows of one Codifier in a span."""
        query = f"{SPAN.format('?')} AND codifier = ?"
        return self._connection.execute(query, (start_ms, end_ms, codifier)).fetchall()

    def _edge(self, edge: str, after_ms: int) -> int | None:
        query = f"SELECT {edge}(timestamp) FROM measurement WHERE timestamp > ?"
        found: int | None = self._connection.execute(query, (after_ms,)).fetchone()[0]
        return found


class PostgresRows:
    """The rows of a database in PostgreSQL, whose key begins with the Codifier."""

    def __init__(self, connection: "PostgresConnection") -> None:
        connection.set_session(readonly=True, autocommit=True)
        self._connection = connection
        self._codifiers = [row[0] for row in self._ask(CODIFIERS)]

    def counts(self, start_ms: int, end_ms: int) -> Counter[str]:
        """Return how many rows each Codifier has in a span."""
        query = "SELECT codifier, count(*) FROM measurement WHERE timestamp > %s"
        return Counter(dict(self._ask(f"{query} AND timestamp <= %s GROUP BY 1", start_ms, end_ms)))

    def first(self, after_ms: int) -> int | None:
        """Return the first time after another one, None if there is none."""
        return self._edge("min", "ASC", after_ms)

    def last(self) -> int | None:
        """Return the newest time, None if there are no rows."""
        return self._edge("max", "DESC", FIRST_MS)

    def span(self, start_ms: int, end_ms: int, most: int) -> list[Row]:
        """Return at most `most` rows of a span, in any order."""
        query = f"{SPAN.format('%s')} AND codifier = ANY (%s) LIMIT %s"
        return self._ask(query, start_ms, end_ms, self._codifiers, most)

    def of_codifier(self, codifier: str, start_ms: int, end_ms: int) -> list[Row]:
        """Return the rows of one Codifier in a span."""
        return self._ask(f"{SPAN.format('%s')} AND codifier = %s", start_ms, end_ms, codifier)

    def _edge(self, edge: str, order: str, after_ms: int) -> int | None:
        query = EDGE.format(edge=edge, order=order)
        found: int | None = self._ask(query, self._codifiers, after_ms)[0][0]
        return found

    def _ask(self, query: str, *values: object) -> list[Any]:
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()


Rows = SqliteRows | PostgresRows


@contextmanager
def open_rows(place: StoreAddress, home: Path) -> Iterator[Rows]:
    """Open the rows of a history for reading.

    Raises:
        ConfigError: no such history.
        StoreError: not now; also from every call.
    """
    if is_postgres(place.url):
        with connected(place, home) as (connection, _):
            yield PostgresRows(connection)
        return
    file = file_of(place, home)
    if not file.is_file():
        raise StoreError(f"{file}: there is no such file")
    with opened(file) as database:
        yield SqliteRows(database)


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
