"""The history of one Codifier in PostgreSQL.

Times go into a query as literals: the planner leaves out the partitions that lie beyond them.
"""

from typing import Any

from psycopg2.extensions import cursor as Cursor

from jph.stores.buckets import HOUR, HOUR_MS, TEN_MINUTES, Span
from jph.stores.span_reader import WHERE, SpanReader

MOST_READINGS = 20_000  # of one Codifier; each may lie in a page of its own

COUNT = f"SELECT count(*) FROM (SELECT 1{WHERE} LIMIT %(most)s) AS found"
STATISTICS = (
    " FROM statistic WHERE resolution = %(resolution)s AND codifier = %(codifier)s"
    " AND timestamp > %(start)s AND timestamp <= %(later)s"
)
EXTENT = (
    f"SELECT least((SELECT min(timestamp) - 1{WHERE}),"
    f" (SELECT min(timestamp) - {HOUR_MS}{STATISTICS})),"
    f" greatest((SELECT max(timestamp){WHERE}), (SELECT max(timestamp){STATISTICS}))"
)


def ask(cursor: Cursor, query: str, **values: object) -> list[Any]:
    """Return the rows of a query with %(name)s for each value."""
    cursor.execute(query, values)
    return cursor.fetchall() if cursor.description else []


class PostgresSpanReader(SpanReader):
    """The history of one Codifier in PostgreSQL."""

    def extent(self, span: Span) -> Span | None:
        later_ms = span[1] + HOUR_MS
        for resolution in (HOUR, TEN_MINUTES):
            ((start_ms, end_ms),) = self.ask(EXTENT, span, resolution=resolution, later=later_ms)
            if start_ms is not None:
                return start_ms, end_ms
        return None

    def is_quick(self, span: Span) -> bool:
        ((found,),) = self.ask(COUNT, span, most=MOST_READINGS + 1)
        return bool(found <= MOST_READINGS)

    def unmarked(self) -> Span | None:
        return None  # every reading was marked from the beginning
