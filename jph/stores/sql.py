"""The common part of the histories in SQLite and in PostgreSQL."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from jph.stores import Row, text_of
from jph.stores.buckets import HOUR, HOUR_MS, TEN_MINUTES_MS, Span, Statistic, end_of
from jph.stores.gaps import read_gaps
from jph.stores.series import Gaps, Series
from jph.stores.span import EVERY_COLUMN, NEVER_MS, parse_field, read_series, read_summary
from jph.stores.span_reader import MAX_MS, Ask, SpanReader

Lend = Callable[[], AbstractContextManager[Any]]  # a connection

OLDEST_OF = (
    "SELECT timestamp, codifier, sequence, value, text FROM measurement"
    " WHERE timestamp >= %(start)s AND timestamp < %(end)s AND codifier IN ({names})"
    " ORDER BY timestamp, codifier, sequence LIMIT %(most)s"
)
MOST_MARKS = 600  # in one piece of work: an hour of 100 Codifiers; whole hours are taken
# The end of the bucket that a reading lies in.
BUCKET = f"(timestamp + {TEN_MINUTES_MS - 1}) / {TEN_MINUTES_MS} * {TEN_MINUTES_MS}"


class SqlHistory:
    """The reading half of a HistoryStore; see there for the calls.

    Args:
        reading: lends a connection that only reads, outside a transaction.
        begin: statement of a transaction that sees the database at one moment.
        ask: function of a cursor, a query and its values.
        reader_of: makes the reader of one Codifier.
    """

    def __init__(
        self, reading: Lend, begin: str, ask: Ask, reader_of: Callable[[Ask, str], SpanReader]
    ) -> None:
        self._reading = reading
        self._begin = begin
        self._ask = ask
        self._reader_of = reader_of

    def read(
        self,
        codifiers: Sequence[str],
        field: str,
        start_ms: int,
        end_ms: int,
        most_points: int = 1000,
    ) -> dict[str, Series]:
        asked = parse_field(field)
        with self._at_one_moment() as ask:
            return {
                codifier: read_series(
                    self._reader_of(ask, codifier), asked, start_ms, end_ms, most_points
                )
                for codifier in codifiers
            }

    def summary(self, codifier: str, start_ms: int, end_ms: int) -> Statistic | None:
        with self._at_one_moment() as ask:
            return read_summary(self._reader_of(ask, codifier), start_ms, end_ms)

    def gaps(self, codifier: str, start_ms: int, end_ms: int, longest_ms: int) -> Gaps | None:
        with self._at_one_moment() as ask:
            return read_gaps(self._reader_of(ask, codifier), start_ms, end_ms, longest_ms)

    @contextmanager
    def _at_one_moment(self) -> Iterator[Ask]:
        """Ask in a transaction, which sees the database at one moment."""
        with self._reading() as connection:
            cursor = connection.cursor()
            cursor.execute(self._begin)
            yield partial(self._ask, cursor)
            cursor.execute("ROLLBACK")

    def read_text(
        self, codifier: str, start_ms: int, end_ms: int, most: int = 1000, *, objects: bool = False
    ) -> list[tuple[int, str]]:
        where = "" if objects else " AND text IS NOT NULL"
        rows = self._rows(codifier, (start_ms - 1, end_ms - 1), most, where)
        return [(time_ms, text_of(*stored)) for time_ms, _, _, *stored in rows]

    def last(self, codifier: str, n: int, since_ms: int = 0) -> list[Row]:
        return self._rows(codifier, (since_ms - 1, MAX_MS), n)

    def oldest(
        self, codifier: str, start_ms: int, end_ms: int, most: int, *, after: int = -1
    ) -> list[Row]:
        with self._reader(codifier) as reader:
            return reader.oldest((start_ms - 1, end_ms - 1), most, after)

    def oldest_of(
        self, codifiers: Sequence[str], start_ms: int, end_ms: int, most: int
    ) -> list[Row]:
        if not codifiers:
            return []
        names = {f"codifier{number}": codifier for number, codifier in enumerate(codifiers)}
        query = OLDEST_OF.format(names=", ".join(f"%({name})s" for name in names))
        with self._at_one_moment() as ask:
            return ask(query, start=start_ms, end=end_ms, most=max(most, 0), **names)

    def buckets(
        self, codifier: str, resolution: int, start_ms: int, end_ms: int, most: int
    ) -> list[tuple[int, Statistic]]:
        with self._reader(codifier) as reader:
            return reader.statistics((start_ms - 1, end_ms - 1), resolution, EVERY_COLUMN, most)

    def _rows(self, codifier: str, span: Span, most: int, where: str = "") -> list[Any]:
        with self._reader(codifier) as reader:
            return reader.rows(span, most, where)

    @contextmanager
    def _reader(self, codifier: str) -> Iterator[SpanReader]:
        with self._reading() as connection:
            yield self._reader_of(partial(self._ask, connection.cursor()), codifier)


def due_hours(ask: Ask, until_ms: int) -> tuple[int, int] | None:
    """Return the first and last mark to compute at once: of whole hours, the oldest."""
    ((first_ms, last_ms, count),) = ask(
        "SELECT min(timestamp), max(timestamp), count(*) FROM (SELECT timestamp FROM pending"
        " WHERE timestamp <= %(until)s ORDER BY timestamp LIMIT %(most)s) AS oldest",
        until=until_ms,
        most=MOST_MARKS + 1,
    )
    if first_ms is None:
        return None
    last_ms = end_of(last_ms, HOUR)
    if count > MOST_MARKS and end_of(first_ms, HOUR) < last_ms:
        last_ms -= HOUR_MS  # the last hour may be cut
    return first_ms, min(last_ms, until_ms)


def dropped_ms(ask: Ask) -> int:
    """Return the time up to which readings were dropped."""
    found = ask("SELECT before_ms FROM dropped WHERE resolution = 0")
    return int(found[0][0]) if found else NEVER_MS


def set_dropped(ask: Ask, resolution: int, before_ms: int) -> None:
    """Note the time up to which a resolution is dropped; an earlier one changes nothing."""
    ask(
        "INSERT INTO dropped VALUES (%(resolution)s, %(before)s) ON CONFLICT (resolution) DO UPDATE"
        " SET before_ms = excluded.before_ms WHERE excluded.before_ms > dropped.before_ms",
        resolution=resolution,
        before=before_ms,
    )
