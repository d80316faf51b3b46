"""The partitions of a history in PostgreSQL, which are made before a row needs them."""

import math
import time
from collections.abc import Iterable

from psycopg2.extensions import connection as Connection

from jph.stores.postgres import schema

PARTITION_CHECK_S = 60.0  # others may drop a partition: it is looked for again after this time
CLOCK = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"


class Partitions:
    """Makes the partitions that are missing, and remembers which are there."""

    def __init__(self) -> None:
        self._looked_s: dict[tuple[int, int], float] = {}  # when each was there, monotonic

    def make(self, connection: Connection, weeks: Iterable[tuple[int, int]]) -> None:
        """Make what is missing for some weeks, given as (week, resolution).

        Each is made in a transaction of its own.
        """
        now_s = time.monotonic()
        limit_s = now_s - PARTITION_CHECK_S
        wanted = sorted(it for it in weeks if self._looked_s.get(it, -math.inf) <= limit_s)
        if not wanted:
            return
        with connection.cursor() as cursor:
            cursor.execute(CLOCK)
            now_ms = (cursor.fetchone() or (0,))[0]
            for week, resolution in wanted:
                if schema.has_partition(week, now_ms):
                    name = schema.partition(week, resolution).name
                    cursor.execute("SELECT to_regclass(%s)", (name,))
                    if cursor.fetchone() == (None,):
                        cursor.execute(schema.add_partition(week, resolution))
                        connection.commit()
                self._looked_s[week, resolution] = now_s

    def forget(self) -> None:
        """Look for all of them again, since some were dropped."""
        self._looked_s.clear()
