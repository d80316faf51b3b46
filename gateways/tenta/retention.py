"""How long readings, hourly averages and logs of Tenta's sensors are kept: by age and by size.

They are dropped piece by piece, each in a transaction of its own, so that what arrives never waits
long. By size the oldest day of measurements goes first, again and again; the last day stays. In
PostgreSQL the size is that of the readings there are, at what one takes: its files keep their size
after rows are deleted, and use the room again.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from gateways.store import Store
from gateways.tenta.readings import timestamp_of
from gateways.tenta.tables import HOUR_US
from jph.faults import Fault
from jph.settings import setting

log = logging.getLogger(__name__)

DAY_US = 86_400_000_000
PIECE = 5000  # rows
READING_BYTES = 165  # in PostgreSQL, with its index and its hours (bench/gateway_reads.py)


@dataclass(frozen=True, slots=True)
class Keep:
    """What of Tenta's readings is kept; None: all of it."""

    measurement_days: float | None = setting(
        None, key="MeasurementDays", gt=0, doc="age of measurements, days"
    )
    hour_days: float | None = setting(
        None, key="HourDays", gt=0, doc="age of hourly averages, days"
    )
    log_days: float | None = setting(56.0, key="LogDays", gt=0, doc="age of logs, days")
    most_mb: float | None = setting(None, key="MostMB", gt=0, doc="size of all measurements, MB")


class Retention:
    """Drops what is not to be kept, and logs it.

    Args:
        goes_on: asked before each piece.
    """

    def __init__(
        self, store: Store, keep: Keep, goes_on: Callable[[], bool] = lambda: True
    ) -> None:
        self._store = store
        self._keep = keep
        self._goes_on = goes_on
        self._too_large = Fault(log)

    def apply(self, now_us: int) -> dict[str, int]:
        """Drop what is too old, then measurements beyond the size; return the rows by table.

        Raises:
            StoreError: the store is away; what was dropped so far stays so.
        """
        keep = self._keep
        ages = {
            "measurement": keep.measurement_days,
            "measurement_1_hour": keep.hour_days,
            "log": keep.log_days,
        }
        dropped = {
            table: self._drop_before(table, now_us - int(days * DAY_US))
            for table, days in ages.items()
            if days is not None
        }
        if keep.most_mb is not None:
            shortened = self._shorten(now_us, keep.most_mb)
            dropped["measurement"] = dropped.get("measurement", 0) + shortened
        dropped = {table: rows for table, rows in dropped.items() if rows}
        for table, rows in dropped.items():
            log.info("dropped %d rows of %s, which Keep does not keep", rows, table)
        return dropped

    def _drop_before(self, table: str, before_us: int) -> int:
        """Drop the rows of all sensors that are older than a time; return how many."""
        dropped = 0
        with self._store.reading() as connection:
            sensors = list(_sensors(connection))
        for sensor in sensors:
            while self._goes_on():
                with self._store.reading() as connection:
                    due = _piece(connection, table, sensor, before_us)
                if due is None:
                    break
                with self._store.writing() as connection:
                    dropped += connection.execute(text(due[0]), due[1]).rowcount
        return dropped

    def _shorten(self, now_us: int, most_mb: float) -> int:
        dropped = 0
        with self._store.reading() as connection:
            rows = _rows(connection)

        def size_mb() -> float:
            if rows is not None:
                return (rows - dropped) * READING_BYTES / 1e6
            with self._store.reading() as connection:
                return _used_bytes(connection) / 1e6

        while self._goes_on() and size_mb() > most_mb:
            with self._store.reading() as connection:
                oldest_us = _oldest_us(connection)
            if oldest_us is None or oldest_us >= now_us - DAY_US:
                large = f"the measurements take {size_mb():.0f} MB, more than MostMB {most_mb:g}"
                self._too_large.note(f"{large}, and the last day is kept: raise MostMB")
                break
            dropped += self._drop_before("measurement", min(oldest_us + DAY_US, now_us - DAY_US))
        else:
            self._too_large.end(f"the measurements take {size_mb():.0f} MB, which MostMB allows")
        return dropped


def _sensors(connection: Connection) -> Iterator[Any]:
    """Yield what sensors are called in the tables that grow."""
    is_postgres = connection.dialect.name == "postgresql"
    yield from connection.scalars(
        text(f"SELECT {'identifier' if is_postgres else 'number'} FROM sensor")
    )


def _piece(
    connection: Connection, table: str, sensor: Any, before_us: int
) -> tuple[str, dict[str, Any]] | None:
    """Return the statement that drops the oldest rows of a sensor, None if none are too old."""
    column, before = "creation_timestamp", before_us
    if connection.dialect.name == "postgresql":
        of_sensor = "sensor_identifier = :sensor"
        column = "bucket_timestamp" if table == "measurement_1_hour" else column
        before = timestamp_of(before_us)  # type: ignore[assignment]
    else:
        of_sensor = "sensor = :sensor"
        if table == "measurement_1_hour":
            column, before = "hour", before_us // HOUR_US
    values = {"sensor": sensor, "before": before}
    where = f"{of_sensor} AND {column} < :before"
    ordered = f"SELECT {column} FROM {table} WHERE {where} ORDER BY {column} LIMIT 1"
    if connection.execute(text(ordered), values).first() is None:
        return None
    delete = f"DELETE FROM {table} WHERE {where}"
    last = connection.execute(text(f"{ordered} OFFSET {PIECE}"), values).first()
    if last is None:
        return delete, values
    return f"{delete} AND {column} <= :last", {**values, "last": last[0]}


def _rows(connection: Connection) -> int | None:
    """Return how many readings PostgreSQL holds, by its own count; None for SQLite."""
    if connection.dialect.name != "postgresql":
        return None
    # The table itself, or the parts of a hypertable.
    query = (
        "SELECT sum(n_live_tup) FROM pg_stat_user_tables WHERE relid = 'measurement'::regclass"
        " OR relid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'measurement'::regclass)"
    )
    return int(connection.scalar(text(query)) or 0)


def _used_bytes(connection: Connection) -> int:
    query = (
        "SELECT (page_count - freelist_count) * page_size FROM pragma_page_count,"
        " pragma_freelist_count, pragma_page_size"
    )
    return int(connection.scalar(text(query)) or 0)


def _oldest_us(connection: Connection) -> int | None:
    """Return the time of the oldest measurement."""
    if connection.dialect.name == "postgresql":
        key, of_sensor = "identifier", "sensor_identifier"
        time = "(extract(epoch FROM creation_timestamp) * 1000000)::bigint"
    else:
        key, of_sensor, time = "number", "sensor", "creation_timestamp"
    oldest = (
        f"(SELECT {time} FROM measurement WHERE {of_sensor} = device.{key}"
        " ORDER BY creation_timestamp LIMIT 1)"
    )
    oldest_us: int | None = connection.scalar(text(f"SELECT min({oldest}) FROM sensor AS device"))
    return oldest_us
