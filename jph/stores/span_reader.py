"""The history of one Codifier in an SQL database: the queries that SQLite and PostgreSQL share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

from jph.stores.buckets import Span, Statistic

MAX_MS = 1 << 62  # later than every reading, and an integer for both databases
MOST = 1 << 62  # rows: no limit

# SQLite walks its key only in this full order; the Codifier is always the same one.
NEWEST = " ORDER BY timestamp DESC, codifier DESC, sequence DESC LIMIT %(most)s"
SPAN = "codifier = %(codifier)s AND timestamp > %(start)s AND timestamp <= %(end)s"
WHERE = f" FROM measurement WHERE {SPAN}"
NUMBERS = f"{WHERE} AND value IS NOT NULL"
ROWS = f"SELECT timestamp, codifier, sequence, value, text{WHERE}"
TIMES = f"SELECT timestamp{WHERE} ORDER BY timestamp, codifier, sequence LIMIT %(most)s"
READINGS = f"SELECT timestamp, value{NUMBERS} ORDER BY timestamp, sequence LIMIT %(most)s"
GROUPS = (
    "SELECT (timestamp - %(origin)s - 1) / %(width)s AS cell, min(timestamp), max(timestamp),"
    f" avg(value), max(value), min(value), count(*){NUMBERS} GROUP BY cell ORDER BY cell"
)
STATISTICS = (
    "SELECT timestamp, {columns} FROM statistic"
    f" WHERE resolution = %(resolution)s AND {SPAN} ORDER BY timestamp LIMIT %(most)s"
)
OLDEST = (
    f"{ROWS} AND (timestamp > %(first)s OR sequence > %(after)s)"
    " ORDER BY timestamp, codifier, sequence LIMIT %(most)s"
)
# Means are scaled by a power of two, so that their sum stays a double.
MERGED = (
    "SELECT (timestamp - %(half)s - %(origin)s - 1) / %(width)s AS cell,"
    " min(timestamp) - %(half)s, max(timestamp) - %(half)s,"
    f" sum(mean * {2.0**-40!r} * count) / sum(count) * {2.0**40!r},"
    " max(max), min(min), CAST(sum(count) AS bigint) FROM statistic"
    f" WHERE resolution = %(resolution)s AND {SPAN} GROUP BY cell ORDER BY cell"
)
MARKS = f"SELECT timestamp FROM pending WHERE {SPAN} ORDER BY timestamp"

Ask = Callable[..., list[Any]]  # a query with %(name)s, and values by name, to its rows
Labelled = tuple[int, Statistic]  # with the end of its bucket


class Cell(NamedTuple):
    """The readings of one point: number of the cell, their first and last timestamp."""

    cell: int
    first_ms: int
    last_ms: int
    statistic: Statistic


class SpanReader(ABC):
    """The history of one Codifier. Spans are (start, end].

    Args:
        ask: in a transaction, where several answers have to be of one moment.
        codifier: whose history.
    """

    def __init__(self, ask: Ask, codifier: str) -> None:
        self._ask = ask
        self._codifier = codifier

    @abstractmethod
    def extent(self, span: Span) -> Span | None:
        """Return a span with all readings, at least with those of a span; None: there are none."""

    @abstractmethod
    def is_quick(self, span: Span) -> bool:
        """Tell whether a span has so few readings that all of them can be read."""

    @abstractmethod
    def unmarked(self) -> Span | None:
        """Return a span in which no bucket is computed and none is marked."""

    def known(self, span: Span) -> Span | None:
        """Return the part of a span outside which there are no readings; None: there are none."""
        extent = self.extent(span) if span[0] < span[1] else None
        if extent is None:
            return None
        start_ms, end_ms = max(span[0], extent[0]), min(span[1], extent[1])
        return (start_ms, end_ms) if start_ms < end_ms else None

    def ask(self, query: str, span: Span = (0, 0), **values: object) -> list[Any]:
        """Return the rows of a query with %(codifier)s, %(start)s, %(end)s and these values."""
        start_ms, end_ms = (min(max(ms, -MAX_MS), MAX_MS) for ms in span)
        return self._ask(query, codifier=self._codifier, start=start_ms, end=end_ms, **values)

    def dropped_ms(self) -> dict[int, int]:
        """Return up to where each resolution was dropped; RAW for readings."""
        return dict(self.ask("SELECT resolution, before_ms FROM dropped"))

    def marks(self, span: Span) -> list[int]:
        """Return the ends of 10-minute buckets that are not computed."""
        return [end_ms for (end_ms,) in self.ask(MARKS, span)]

    def rows(self, span: Span, most: int, where: str = "") -> list[Any]:
        """Return the newest `most` rows that meet a further condition, oldest first."""
        return self.ask(f"{ROWS}{where}{NEWEST}", span, most=max(most, 0))[::-1]

    def oldest(self, span: Span, most: int, after: int) -> list[Any]:
        """Return the oldest `most` rows; of its first ms only those with a sequence above after."""
        return self.ask(OLDEST, span, first=span[0] + 1, after=after, most=max(most, 0))

    def readings(self, span: Span, most: int = MOST) -> list[tuple[int, float]]:
        """Return the first `most` numbers with their timestamps, oldest first."""
        return self.ask(READINGS, span, most=most)

    def times(self, span: Span, most: int = MOST) -> list[int]:
        """Return the timestamps of the first `most` readings of any kind, oldest first."""
        return [time_ms for (time_ms,) in self.ask(TIMES, span, most=most)]

    def groups(self, span: Span, origin_ms: int, width_ms: int) -> list[Cell]:
        """Return means, highest and lowest by cell, (timestamp - origin - 1) // width, in order."""
        return _cells(self.ask(GROUPS, span, origin=origin_ms, width=width_ms))

    def merged_statistics(
        self, span: Span, resolution: int, half_ms: int, origin_ms: int, width_ms: int
    ) -> list[Cell]:
        """Return the same, made of statistics that lie half_ms before the ends of their buckets."""
        values = {"half": half_ms, "origin": origin_ms, "width": width_ms}
        return _cells(self.ask(MERGED, span, resolution=resolution, **values))

    def statistics(
        self, span: Span, resolution: int, columns: str, most: int = MOST
    ) -> list[Labelled]:
        """Return the first statistics of buckets whose ends lie in the span, oldest first."""
        query = STATISTICS.format(columns=columns)
        rows = self.ask(query, span, resolution=resolution, most=most)
        return [(row[0], Statistic._make(row[1:])) for row in rows]


def _cells(rows: list[Any]) -> list[Cell]:
    """Return cells with their means, which rounding brings beyond the highest of equal numbers."""
    return [
        Cell(cell, first, last, Statistic(min(max(mean, low), high), None, mean, high, low, 0.0, n))
        for cell, first, last, mean, high, low, n in rows
    ]
