"""History in PostgreSQL as reading.py asks for it.

Times go into a query as literals: the planner leaves out the partitions that lie beyond them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from jph.stores.buckets import HOUR, HOUR_MS, TEN_MINUTES, Span, Statistic
from jph.stores.span import Cell, Labelled

MOST_READINGS = 20_000  # of one Codifier that may be looked at; each may lie in a page of its own

WHERE = (
    " FROM measurement WHERE codifier = %(codifier)s AND timestamp > %(start)s"
    " AND timestamp <= %(end)s"
)
NUMBERS = f"{WHERE} AND value IS NOT NULL"
READINGS = f"SELECT timestamp, value{NUMBERS} ORDER BY timestamp, sequence LIMIT %(most)s"
COUNT = f"SELECT count(*) FROM (SELECT 1{WHERE} LIMIT %(most)s) AS found"
GROUPS = (
    "SELECT (timestamp - %(origin)s - 1) / %(width)s AS cell, min(timestamp), max(timestamp),"
    f" avg(value), max(value), min(value), count(*){NUMBERS} GROUP BY cell ORDER BY cell"
)
STATISTICS = (
    "SELECT timestamp, {columns} FROM statistic"
    " WHERE resolution = %(resolution)s AND codifier = %(codifier)s"
    " AND timestamp > %(start)s AND timestamp <= %(end)s ORDER BY timestamp"
)
EXTENT = (
    f"SELECT least((SELECT min(timestamp) - 1{WHERE}), (SELECT min(timestamp) - {HOUR_MS}"
    " FROM statistic WHERE resolution = %(resolution)s AND codifier = %(codifier)s"
    " AND timestamp > %(start)s AND timestamp <= %(later)s)),"
    f" greatest((SELECT max(timestamp){WHERE}), (SELECT max(timestamp)"
    " FROM statistic WHERE resolution = %(resolution)s AND codifier = %(codifier)s"
    " AND timestamp > %(start)s AND timestamp <= %(later)s))"
)
MARKS = (
    "SELECT timestamp FROM pending WHERE codifier = %(codifier)s"
    " AND timestamp > %(start)s AND timestamp <= %(end)s ORDER BY timestamp"
)


@contextmanager
def snapshot(connection: Connection) -> Iterator[Cursor]:
    """Have all that is read inside be of one moment."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        cursor.execute("SET LOCAL jit = off")  # compiling would take longer than the queries
        yield cursor
        cursor.execute("COMMIT")


class PostgresSpanReader:
    """The history of one Codifier; see span.SpanReader for the calls."""

    def __init__(self, cursor: Cursor, codifier: str) -> None:
        self._cursor = cursor
        self._codifier = codifier

    def extent(self, span: Span) -> Span | None:
        """Return a span that holds everything there is of a span, None if there is nothing."""
        later_ms = span[1] + HOUR_MS
        for resolution in (HOUR, TEN_MINUTES):
            found = self._ask(EXTENT, span, resolution=resolution, later=later_ms)[0]
            if found[0] is not None:
                return int(found[0]), int(found[1])
        return None

    def dropped_ms(self) -> dict[int, int]:
        """Return up to where each resolution was dropped; RAW for readings."""
        self._cursor.execute("SELECT resolution, before_ms FROM dropped")
        return dict(self._cursor.fetchall())

    def is_quick(self, span: Span) -> bool:
        """Tell whether its readings are few enough to be looked at."""
        found: int = self._ask(COUNT, span, most=MOST_READINGS + 1)[0][0]
        return found <= MOST_READINGS

    def marks(self, span: Span) -> list[int]:
        """Return the ends of 10-minute buckets that are not computed."""
        return [row[0] for row in self._ask(MARKS, span)]

    def unmarked(self) -> Span | None:
        """Return None: every reading was marked from the beginning."""
        return None

    def readings(self, span: Span, most: int | None = None) -> list[tuple[int, float]]:
        """Return the first `most` numbers with their timestamps, oldest first."""
        rows = self._ask(READINGS, span, most=most)  # LIMIT NULL is none
        return [(row[0], row[1]) for row in rows]

    def groups(self, span: Span, origin_ms: int, width_ms: int) -> list[Cell]:
        """Return means, highest and lowest by cell, in order."""
        return [
            Cell(cell, first_ms, last_ms, Statistic(mean, None, mean, high, low, 0.0, count))
            for cell, first_ms, last_ms, mean, high, low, count in self._ask(
                GROUPS, span, origin=origin_ms, width=width_ms
            )
        ]

    def statistics(self, span: Span, resolution: int, columns: str) -> list[Labelled]:
        """Return the statistics of the buckets whose ends lie in the span, oldest first."""
        rows = self._ask(STATISTICS.format(columns=columns), span, resolution=resolution)
        return [(row[0], Statistic._make(row[1:])) for row in rows]

    def _ask(self, query: str, span: Span, **values: int | None) -> list[tuple[int, ...]]:
        # What no bigint holds is no time of a reading.
        start_ms, end_ms = (min(max(ms, -(1 << 62)), 1 << 62) for ms in span)
        asked = {"codifier": self._codifier, "start": start_ms, "end": end_ms, **values}
        self._cursor.execute(query, asked)
        rows: list[tuple[int, ...]] = self._cursor.fetchall()
        return rows
