"""What reading history in SQLite and in PostgreSQL has in common."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from jph.stores import Row, text_of
from jph.stores.series import Series
from jph.stores.span import parse_field, read_series
from jph.stores.span_reader import MAX_MS, SpanReader


class SqlHistory(ABC):
    """The reading half of a HistoryStore in an SQL database; see there for the calls."""

    SPAN_READER: ClassVar[type[SpanReader]]
    BEGIN: ClassVar[str]  # a transaction in which everything is of one moment

    @abstractmethod
    def reading(self) -> AbstractContextManager[Any]:
        """Lend a connection that only reads, outside a transaction; close it after an error."""

    def read(
        self,
        codifiers: Sequence[str],
        field: str,
        start_ms: int,
        end_ms: int,
        most_points: int = 1000,
    ) -> dict[str, Series]:
        asked = parse_field(field)
        with self.reading() as connection:
            cursor = connection.cursor()
            cursor.execute(self.BEGIN)
            found = {
                codifier: read_series(
                    self.SPAN_READER(cursor, codifier), asked, start_ms, end_ms, most_points
                )
                for codifier in codifiers
            }
            cursor.execute("ROLLBACK")
        return found

    def read_text(
        self, codifier: str, start_ms: int, end_ms: int, most: int = 1000, *, objects: bool = False
    ) -> list[tuple[int, str]]:
        where = "" if objects else " AND text IS NOT NULL"
        with self.reading() as connection:
            reader = self.SPAN_READER(connection.cursor(), codifier)
            rows = reader.rows((start_ms - 1, end_ms - 1), most, where)
        return [(time_ms, text_of(*stored)) for time_ms, _, _, *stored in rows]

    def last(self, codifier: str, n: int, since_ms: int = 0) -> list[Row]:
        with self.reading() as connection:
            return self.SPAN_READER(connection.cursor(), codifier).rows((since_ms - 1, MAX_MS), n)
