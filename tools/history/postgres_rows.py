"""All rows of a history in PostgreSQL; see `Rows` in rows.py."""

from psycopg2.extensions import connection as Connection

from jph.stores import Row

_FIRST_MS = -(1 << 62)  # before every time
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
SPAN = (
    "SELECT timestamp, codifier, sequence, value, text FROM measurement"
    " WHERE codifier = ANY (%s) AND timestamp > %s AND timestamp <= %s LIMIT %s"
)
COUNTS = (
    "SELECT codifier, count(*) FROM measurement WHERE timestamp > %s AND timestamp <= %s GROUP BY 1"
)


class PostgresRows:
    """Rows of a database."""

    def __init__(self, name: str, connection: Connection) -> None:
        self.name = name
        self._connection = connection
        self._codifiers = [row[0] for row in self._ask(CODIFIERS)]

    def counts(self, start_ms: int, end_ms: int) -> dict[str, int]:
        """Return how many rows each Codifier has in a span."""
        return dict(self._ask(COUNTS, start_ms, end_ms))

    def first(self, after_ms: int) -> int | None:
        """Return the first time after another one, None if there is none."""
        return self._edge("min", "ASC", after_ms)

    def last(self) -> int | None:
        """Return the newest time."""
        return self._edge("max", "DESC", _FIRST_MS)

    def span(self, start_ms: int, end_ms: int, most: int) -> list[Row]:
        """Return some `most` rows of a span."""
        return self._ask(SPAN, self._codifiers, start_ms, end_ms, most)

    def of_codifier(self, codifier: str, start_ms: int, end_ms: int) -> list[Row]:
        """Return the rows of one Codifier in a span."""
        return self._ask(SPAN, [codifier], start_ms, end_ms, None)

    def _edge(self, edge: str, order: str, after_ms: int) -> int | None:
        query = EDGE.format(edge=edge, order=order)
        found: int | None = self._ask(query, self._codifiers, after_ms)[0][0]
        return found

    def _ask(self, query: str, *values: object) -> list[tuple]:  # type: ignore[type-arg]
        with self._connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()
