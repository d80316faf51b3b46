"""Readings whose time cannot be right, kept apart from the history until a person decides.

    quarantine  timestamp, codifier, sequence, value, text: as `measurement`, in one piece

A sender with a wrong clock, or a stranger, would otherwise spread readings over decades: a
partition of PostgreSQL for each week, and statistics for each 10 minutes. The table is made when it
is first needed. It is bounded, since anybody on the bus can fill it.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from jph.errors import StoreError
from jph.stores import Quarantined, Row

DAY_MS = 86_400_000
PAST_MS = 365 * DAY_MS  # older than that, a reading does not come from a live bus
FUTURE_MS = DAY_MS
MOST_BYTES = 32 << 20
ROW_BYTES = 64  # beside its text
COUNT_S = 60.0  # between two counts, since others may move or drop readings
FORBIDDEN = ("42501", "3F000")  # PostgreSQL: this role may make no table

Ask = Callable[..., list[Any]]
Lend = Callable[[], AbstractContextManager[Any]]

COUNT = f"SELECT count(*), count(*) * {ROW_BYTES} + coalesce(sum(length(text)), 0) FROM quarantine"
INSERT = (
    "INSERT INTO quarantine VALUES"
    " (%(timestamp)s, %(codifier)s, %(sequence)s, %(value)s, %(text)s) ON CONFLICT DO NOTHING"
)
SUMMARY = (
    "SELECT codifier, count(*), min(timestamp), max(timestamp) FROM quarantine"
    " GROUP BY codifier ORDER BY codifier"
)
ROWS = (
    "SELECT timestamp, codifier, sequence, value, text FROM quarantine"
    " WHERE codifier = %(codifier)s ORDER BY timestamp, sequence LIMIT %(most)s"
)
REMOVE = (
    "DELETE FROM quarantine WHERE timestamp = %(timestamp)s AND codifier = %(codifier)s"
    " AND sequence = %(sequence)s"
)
DROP = "DELETE FROM quarantine WHERE codifier = %(codifier)s"


def split(rows: Sequence[Row], now_ms: int) -> tuple[Sequence[Row], list[Row]]:
    """Return the rows whose time may be right, and the others."""
    first_ms, last_ms = now_ms - PAST_MS, now_ms + FUTURE_MS
    absurd = [row for row in rows if not first_ms <= row[0] <= last_ms]
    if not absurd:
        return rows, absurd
    return [row for row in rows if first_ms <= row[0] <= last_ms], absurd


class Quarantine:
    """The quarantine of one history; see QuarantineStore for the calls.

    Args:
        reading: lends a connection that only reads.
        writing: lends a connection in a transaction.
        ask: function of a cursor, a query and its values.
        has: query that finds the table.
        create: statements that make it.
        commit: commits, where the lender does not.
    """

    def __init__(
        self,
        reading: Lend,
        writing: Lend,
        ask: Callable[..., list[Any]],
        has: str,
        create: Sequence[str],
        commit: Callable[[Any], object] = lambda connection: None,
    ) -> None:
        self.readings = 0
        self.dropped = 0
        self._reading = reading
        self._writing = writing
        self._ask = ask
        self._has = has
        self._create = create
        self._commit = commit
        self._bytes = 0
        self._counted_s: float | None = None

    def add(self, rows: Sequence[Row]) -> None:
        try:
            with self._writing() as connection:
                ask = partial(self._ask, connection.cursor())
                for statement in self._create:
                    ask(statement)
                self._count(ask)
                kept = []
                for row in rows:
                    self._bytes += ROW_BYTES + len(row[4] or "")
                    if self._bytes <= MOST_BYTES:
                        kept.append(row)
                for timestamp, codifier, sequence, value, text in kept:
                    text = None if text is None else text.replace("\0", "\N{SYMBOL FOR NULL}")
                    ask(
                        INSERT,
                        timestamp=timestamp,
                        codifier=codifier,
                        sequence=sequence,
                        value=value,
                        text=text,
                    )
                self._commit(connection)
            self.readings += len(kept)
        except StoreError as error:
            if getattr(error.__cause__, "pgcode", None) not in FORBIDDEN:
                raise
            kept = []
        self.dropped += len(rows) - len(kept)

    def look(self) -> None:
        if self._counted_s is None or time.monotonic() > self._counted_s + COUNT_S:
            self._within(self._reading, self._count)

    def summary(self) -> list[Quarantined]:
        return [Quarantined(*row) for row in self._within(self._reading, lambda ask: ask(SUMMARY))]

    def rows(self, codifier: str, most: int) -> list[Row]:
        found = self._within(self._reading, lambda ask: ask(ROWS, codifier=codifier, most=most))
        return [(time_ms, code, sequence, v, text) for time_ms, code, sequence, v, text in found]

    def remove(self, rows: Sequence[Row]) -> None:

        def delete(ask: Ask) -> None:
            for timestamp, codifier, sequence, _, _ in rows:
                ask(REMOVE, timestamp=timestamp, codifier=codifier, sequence=sequence)

        self._within(self._writing, delete)

    def drop(self, codifier: str) -> None:
        self._within(self._writing, lambda ask: ask(DROP, codifier=codifier))

    def _within(self, lend: Lend, act: Callable[[Ask], Any]) -> Any:
        """Call a function with a connection if there is a table; else return an empty list."""
        with lend() as connection:
            ask = partial(self._ask, connection.cursor())
            result = act(ask) if ask(self._has) else []
            self._commit(connection)
        return result

    def _count(self, ask: Ask) -> None:
        now_s = time.monotonic()
        if self._counted_s is None or now_s > self._counted_s + COUNT_S:
            self._counted_s = now_s
            ((self.readings, self._bytes),) = ask(COUNT)
