"""The history of one Codifier in SQLite."""

import re
import sqlite3
from functools import lru_cache
from typing import Any

from jph.stores.buckets import Span
from jph.stores.span_reader import SpanReader

# Rows of all Codifiers that may be looked at for one of them: about 120 ms.
MOST_SCANNED = 1_000_000
MOST_READINGS = 20_000  # and of its own
PROBES = 8  # samples of a span, each a 1/PROBE_PART of it
PROBE_PART = 800

SAMPLE = (
    "SELECT count(*), total(codifier = %(codifier)s) FROM (SELECT codifier FROM measurement"
    " WHERE timestamp > %(start)s AND timestamp <= %(end)s LIMIT %(most)s)"
)


def ask(connection: sqlite3.Connection | sqlite3.Cursor, query: str, **values: object) -> list[Any]:
    """Return the rows of a query with %(name)s for each value."""
    return connection.execute(_in_sqlite(query), values).fetchall()


@lru_cache
def _in_sqlite(query: str) -> str:
    """Return a query with :name for each %(name)s."""
    return re.sub(r"%\((\w+)\)s", r":\1", query)


class SqliteSpanReader(SpanReader):
    """The history of one Codifier in SQLite."""

    def extent(self, span: Span) -> Span | None:
        query = "SELECT first_ms - 1, last_ms FROM series WHERE codifier = %(codifier)s"
        return next(iter(self.ask(query)), None)

    def is_quick(self, span: Span) -> bool:
        """Tell whether its readings, and all others in the span, are few enough to be read.

        A sample of one row in a hundred tells.
        """
        start_ms, end_ms = span
        width_ms = -(-(end_ms - start_ms) // PROBE_PART)
        left = MOST_SCANNED * PROBES // PROBE_PART
        own_left = MOST_READINGS * PROBES // PROBE_PART
        for probe in range(PROBES):
            probe_ms = start_ms + (end_ms - start_ms) * probe // PROBES
            sample = (probe_ms, min(probe_ms + width_ms, end_ms))
            ((rows, own),) = self.ask(SAMPLE, sample, most=left + 1)
            left, own_left = left - rows, own_left - own
            if left < 0 or own_left < 0:
                return False
        return True

    def unmarked(self) -> Span | None:
        return next(iter(self.ask("SELECT first_ms - 1, last_ms FROM unmarked")), None)

    def rows(self, span: Span, most: int, where: str = "") -> list[Any]:
        known = self.known(span)  # no scan for nothing
        return super().rows(known, most, where) if known else []

    def oldest(self, span: Span, most: int, after: int) -> list[Any]:
        known = self.known(span)
        if known is None:
            return []
        return super().oldest(known, most, after if known[0] == span[0] else -1)
