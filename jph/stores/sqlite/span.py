"""History in SQLite as reading.py asks for it."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from jph.stores.buckets import Span, Statistic
from jph.stores.span import Cell, Labelled

# Rows of all Codifiers that may be looked at for one of them: about 120 ms.
MOST_SCANNED = 1_000_000
MOST_READINGS = 20_000  # and of its own
PROBES = 8  # samples of a span, each a 1/PROBE_PART of it
PROBE_PART = 800

WHERE = "timestamp > ? AND timestamp <= ? AND codifier = ?"
READINGS = (
    f"SELECT timestamp, value FROM measurement WHERE {WHERE} AND value IS NOT NULL"
    " ORDER BY timestamp, sequence LIMIT ?"
)
GROUPS = (
    "SELECT (timestamp - ? - 1) / ? AS cell, min(timestamp), max(timestamp), avg(value),"
    " max(value), min(value), count(*)"
    f" FROM measurement WHERE {WHERE} AND value IS NOT NULL GROUP BY cell"
)
STATISTICS = (
    "SELECT timestamp, {columns} FROM statistic"
    " WHERE timestamp > ? AND timestamp <= ? AND codifier = ? AND resolution = ? ORDER BY timestamp"
)
MARKS = f"SELECT timestamp FROM pending WHERE {WHERE} ORDER BY timestamp"
SAMPLE = (
    "SELECT count(*), total(codifier = ?) FROM"
    " (SELECT codifier FROM measurement WHERE timestamp > ? AND timestamp <= ? LIMIT ?)"
)


@contextmanager
def snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """Have all that is read inside be of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


class SqliteSpanReader:
    """The history of one Codifier; see span.SpanReader for the calls."""

    def __init__(self, connection: sqlite3.Connection, codifier: str) -> None:
        self._connection = connection
        self._codifier = codifier

    def extent(self, span: Span) -> Span | None:
        """Return a span that holds everything there is, None if there is nothing."""
        known = self._connection.execute(
            "SELECT first_ms - 1, last_ms FROM series WHERE codifier = ?", (self._codifier,)
        ).fetchone()
        return known and (known[0], known[1])

    def dropped_ms(self) -> dict[int, int]:
        """Return up to where each resolution was dropped; RAW for readings."""
        return dict(self._connection.execute("SELECT resolution, before_ms FROM dropped"))

    def is_quick(self, span: Span) -> bool:
        """Tell whether its readings, and those of all others, are few enough to be looked at.

        A sample of one row in a hundred tells.
        """
        start_ms, end_ms = span
        width_ms = -(-(end_ms - start_ms) // PROBE_PART)
        left = MOST_SCANNED * PROBES // PROBE_PART
        own_left = MOST_READINGS * PROBES // PROBE_PART
        for probe in range(PROBES):
            probe_ms = start_ms + (end_ms - start_ms) * probe // PROBES
            sample = (self._codifier, probe_ms, min(probe_ms + width_ms, end_ms), left + 1)
            rows, own = self._connection.execute(SAMPLE, sample).fetchone()
            left, own_left = left - rows, own_left - own
            if left < 0 or own_left < 0:
                return False
        return True

    def marks(self, span: Span) -> list[int]:
        """Return the ends of 10-minute buckets that are not computed."""
        return [row[0] for row in self._connection.execute(MARKS, (*span, self._codifier))]

    def unmarked(self) -> Span | None:
        """Return a span in which nothing is computed and nothing marked."""
        row = self._connection.execute("SELECT first_ms - 1, last_ms FROM unmarked").fetchone()
        return row and (row[0], row[1])

    def readings(self, span: Span, most: int | None = None) -> list[tuple[int, float]]:
        """Return the first `most` numbers with their timestamps, oldest first."""
        limit = -1 if most is None else most
        return self._connection.execute(READINGS, (*span, self._codifier, limit)).fetchall()

    def groups(self, span: Span, origin_ms: int, width_ms: int) -> list[Cell]:
        """Return means, highest and lowest by cell, in order."""
        rows = self._connection.execute(GROUPS, (origin_ms, width_ms, *span, self._codifier))
        return [
            Cell(cell, first_ms, last_ms, Statistic(mean, None, mean, high, low, 0.0, count))
            for cell, first_ms, last_ms, mean, high, low, count in rows
        ]

    def statistics(self, span: Span, resolution: int, columns: str) -> list[Labelled]:
        """Return the statistics of the buckets whose ends lie in the span, oldest first."""
        rows = self._connection.execute(
            STATISTICS.format(columns=columns), (*span, self._codifier, resolution)
        )
        return [(row[0], Statistic._make(row[1:])) for row in rows]
