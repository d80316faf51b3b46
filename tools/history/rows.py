"""All rows of a history as they are stored, by time, for copying.

The stores themselves return points for graphs. These functions read rows over connections of their
own, since copying takes longer than any reader of a store should.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jph.errors import StoreError
from jph.stores import Row
from jph.stores.address import StoreAddress
from tools.addresses import connected, file_of, is_postgres, opened

MOST_ROWS = 100_000  # of a span at once: 20 MB of memory
FEW_ROWS = 20_000  # below it the next span may be twice as long
FIRST_SPAN_MS = 3_600_000
LONGEST_SPAN_MS = 32 * 86_400_000
FIRST_MS = -(1 << 62)  # before every time
LAST_MS = 1 << 62

HAS_QUARANTINE = {  # the table is made when it is first needed
    "SQLite": "SELECT 1 FROM sqlite_master WHERE name = 'quarantine'",
    "PostgreSQL": "SELECT 1 FROM pg_class WHERE oid = to_regclass('quarantine')",
}
QUARANTINE = "SELECT timestamp, codifier, sequence, value, text FROM quarantine"
SPAN = (
    "SELECT timestamp, codifier, sequence, value, text FROM measurement"
    " WHERE timestamp > ? AND timestamp <= ?"
)
# The key begins with the Codifier, so each is looked up by the key, after the one before.
CODIFIERS = (
    "WITH RECURSIVE found AS ((SELECT codifier FROM measurement ORDER BY codifier LIMIT 1)"
    " UNION ALL SELECT (SELECT codifier FROM measurement WHERE codifier > found.codifier"
    " ORDER BY codifier LIMIT 1) FROM found WHERE found.codifier IS NOT NULL)"
    " SELECT codifier FROM found WHERE codifier IS NOT NULL"
)
EDGE = (
    "SELECT {edge}(time_ms) FROM unnest(?::text[]) AS codifiers (code), LATERAL"
    " (SELECT timestamp AS time_ms FROM measurement WHERE codifier = code AND timestamp > ?"
    " ORDER BY timestamp {order} LIMIT 1) AS found"
)


class Rows:
    """The rows of a history in SQLite, where the key begins with the time, or in PostgreSQL.

    A span is start_ms < timestamp <= end_ms.

    Args:
        ask: runs a query, with a ? for each of the values.
        codifiers: all of them in PostgreSQL, where the key begins with the Codifier; else None.
    """

    def __init__(
        self, ask: Callable[..., Iterable[Any]], codifiers: Sequence[str] | None = None
    ) -> None:
        self._ask = ask
        self._codifiers = codifiers

    def counts(self, start_ms: int, end_ms: int) -> Counter[str]:
        """Return how many rows each Codifier has in a span."""
        where = "FROM measurement WHERE timestamp > ? AND timestamp <= ?"
        if self._codifiers is None:  # grouping in SQLite would sort all rows in a temporary file
            rows = self._ask(f"SELECT codifier {where}", start_ms, end_ms)
            return Counter(codifier for (codifier,) in rows)
        query = f"SELECT codifier, count(*) {where} GROUP BY 1"
        return Counter(dict(self._ask(query, start_ms, end_ms)))

    def first(self, after_ms: int) -> int | None:
        """Return the first time after another one, None if there is none."""
        return self._edge("min", "ASC", after_ms)

    def last(self) -> int | None:
        """Return the newest time, None if there are no rows."""
        return self._edge("max", "DESC", FIRST_MS)

    def span(self, start_ms: int, end_ms: int, most: int) -> list[Row]:
        """Return at most `most` rows of a span, in any order."""
        if self._codifiers is None:
            return list(self._ask(f"{SPAN} LIMIT ?", start_ms, end_ms, most))
        query = f"{SPAN} AND codifier = ANY (?) LIMIT ?"
        return list(self._ask(query, start_ms, end_ms, self._codifiers, most))

    def of_codifier(self, codifier: str, start_ms: int, end_ms: int) -> list[Row]:
        """Return the rows of one Codifier in a span."""
        return list(self._ask(f"{SPAN} AND codifier = ?", start_ms, end_ms, codifier))

    def quarantine(self) -> list[Row]:
        """Return the rows whose time cannot be right, 32 MB at most."""
        has = HAS_QUARANTINE["SQLite" if self._codifiers is None else "PostgreSQL"]
        return list(self._ask(QUARANTINE)) if list(self._ask(has)) else []

    def _edge(self, edge: str, order: str, after_ms: int) -> int | None:
        if self._codifiers is None:
            query = f"SELECT {edge}(timestamp) FROM measurement WHERE timestamp > ?"
            rows = self._ask(query, after_ms)
        else:
            rows = self._ask(EDGE.format(edge=edge, order=order), self._codifiers, after_ms)
        found: int | None
        [(found,)] = rows
        return found


@contextmanager
def open_rows(place: StoreAddress, home: Path) -> Iterator[Rows]:
    """Open the rows of a history for reading.

    Raises:
        ConfigError: the URL names no history store.
        StoreError: the store cannot be read now; every call of the rows may raise it too.
    """
    if is_postgres(place.url):
        with connected(place, home) as (connection, _), connection.cursor() as cursor:
            connection.set_session(readonly=True, autocommit=True)

            def ask(query: str, *values: object) -> list[Any]:
                cursor.execute(query.replace("?", "%s"), values)
                return cursor.fetchall()

            yield Rows(ask, [codifier for (codifier,) in ask(CODIFIERS)])
        return
    file = file_of(place, home)
    if not file.is_file():
        raise StoreError(f"{file}: there is no such file")
    with opened(file) as database:
        database.execute("SELECT 1 FROM measurement LIMIT 1")  # an error without the table
        yield Rows(lambda query, *values: database.execute(query, values))


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
