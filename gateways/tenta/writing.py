"""What sensors of Tenta sent, written in batches inside a transaction of a store.

Duplicates are kept, as in Tenta: something may be wrong at a sensor, which people want to see.

Strategy. PostgreSQL gets rows by COPY in its binary form, SQLite by one prepared statement in the
order of the key. Hours are summed here first, so that a batch updates each once.

Source: https://www.postgresql.org/docs/15/sql-copy.html, section "Binary Format".
"""

import io
import math
import struct
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, bindparam, select, text, update

from gateways.schema import AT_ONCE, datetime_of
from gateways.tenta.tables import HOUR_US, configuration, sensor

LARGEST_SUM = 8e307  # two of them are no more than a double holds
KNOWN = {
    dialect: select(sensor.c.identifier, text(number)).where(
        sensor.c.identifier.in_(bindparam("identifiers", expanding=True))
    )
    for dialect, number in {"sqlite": "number", "postgresql": "0"}.items()
}
EPOCH_2000_US = 946_684_800_000_000  # of timestamps in PostgreSQL


@dataclass(slots=True)
class Batch:
    """What is written at once, in the order it came.

    Args:
        measurements: sensor, creation (us), revision, receipt (us), attribute to value (finite).
        logs: sensor, creation (us), revision, receipt (us), severity, message, subject, details.
        acknowledgments: sensor, revision, acknowledgment (us), success, receipt (us).
    """

    measurements: list[tuple[UUID, int, int | None, int, Mapping[str, float]]] = field(
        default_factory=list
    )
    logs: list[tuple[UUID, int, int | None, int, str, str, str | None, str | None]] = field(
        default_factory=list
    )
    acknowledgments: list[tuple[UUID, int, int, bool, int]] = field(default_factory=list)

    @property
    def sensors(self) -> set[UUID]:
        """All sensors of the batch."""
        kinds = (self.measurements, self.logs, self.acknowledgments)
        return {row[0] for rows in kinds for row in rows}


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a batch.

    Args:
        readings: data points that were written.
        unknown: sensors that there are not, of which nothing was written.
    """

    readings: int
    logs: int
    acknowledgments: int
    unknown: frozenset[UUID]


def known(connection: Connection, identifiers: Collection[UUID]) -> dict[UUID, int]:
    """Return which of the sensors there are; their number, which only SQLite has, or 0."""
    query = KNOWN[connection.dialect.name]
    found: dict[UUID, int] = {}
    for some in _portions(identifiers):
        rows = connection.execute(query, {"identifiers": some})
        found.update((identifier, number) for identifier, number in rows)
    return found


def write(connection: Connection, batch: Batch) -> Written:
    """Write a batch with its hourly sums; what is of unknown sensors is left out."""
    sensors = batch.sensors
    there = known(connection, sensors)
    measurements = [row for row in batch.measurements if row[0] in there]
    logs = [row for row in batch.logs if row[0] in there]
    acknowledgments = [row for row in batch.acknowledgments if row[0] in there]
    if measurements:
        sums = _sums(measurements)
        if connection.dialect.name == "postgresql":
            _copy_measurements(connection, measurements)
            _add_sums_postgres(connection, sums)
        else:
            attributes = _attributes(connection, {name for _, _, name in sums})
            _insert_measurements(connection, measurements, there, attributes)
            _add_sums_sqlite(connection, sums, there, attributes)
    if logs:
        _insert_logs(connection, logs, there)
    if acknowledgments:
        _acknowledge(connection, acknowledgments)
    unknown = frozenset(sensors - there.keys())
    readings = sum(len(row[4]) for row in measurements)
    return Written(readings, len(logs), len(acknowledgments), unknown)


Sums = dict[tuple[UUID, int, str], tuple[float, int]]  # of a sensor, hour since 1970, attribute


def _sums(measurements: Iterable[tuple[UUID, int, int | None, int, Mapping[str, float]]]) -> Sums:
    values: dict[tuple[UUID, int, str], list[float]] = defaultdict(list)
    for identifier, creation_us, _, _, points in measurements:
        hour = creation_us // HOUR_US
        for name, value in points.items():
            values[identifier, hour, name].append(value)
    sums = {}
    # Two writers that lock in one order never wait for each other.
    for key in sorted(values, key=lambda key: (key[0].int, key[1], key[2])):
        total = sum(values[key])
        too_large = not -LARGEST_SUM < total < LARGEST_SUM
        sums[key] = math.inf if too_large else total, len(values[key])
    return sums


_HEAD = struct.Struct(">hi16siqiq").pack  # columns, sensor, creation, receipt
_REVISION = struct.Struct(">ii").pack
_NO_REVISION = struct.pack(">i", -1)
_VALUE = struct.Struct(">id").pack
COPY = (
    "COPY measurement (sensor_identifier, creation_timestamp, receipt_timestamp, revision,"
    " attribute, value) FROM STDIN (FORMAT binary)"
)
ADD_POSTGRES = (
    "INSERT INTO measurement_1_hour AS old"
    " (sensor_identifier, attribute, bucket_timestamp, sum, count) VALUES %s"
    " ON CONFLICT (sensor_identifier, bucket_timestamp, attribute) DO UPDATE SET sum = CASE"
    f" WHEN abs(old.sum) < {LARGEST_SUM} AND abs(excluded.sum) < {LARGEST_SUM}"
    " THEN old.sum + excluded.sum ELSE 'Infinity' END, count = old.count + excluded.count"
)


def _copy_measurements(connection: Connection, measurements: Iterable[Any]) -> None:
    from jph.stores.postgres.binary_copy import HEADER, TRAILER

    names: dict[str, bytes] = {}
    parts = [HEADER]
    for identifier, creation_us, revision, receipt_us, points in measurements:
        times = (8, creation_us - EPOCH_2000_US, 8, receipt_us - EPOCH_2000_US)
        head = _HEAD(6, 16, identifier.bytes, *times)
        head += _NO_REVISION if revision is None else _REVISION(4, revision)
        for name, value in points.items():
            encoded = names.get(name)
            if encoded is None:
                raw = storable(name).encode()
                encoded = names[name] = struct.pack(">i", len(raw)) + raw
            parts += (head, encoded, _VALUE(8, value))
    parts.append(TRAILER)
    with _cursor(connection) as cursor:
        cursor.copy_expert(COPY, io.BytesIO(b"".join(parts)))


def _add_sums_postgres(connection: Connection, sums: Sums) -> None:
    from psycopg2.extras import execute_values

    rows = [
        (str(identifier), storable(name), datetime_of(hour * HOUR_US), *sum_and_count)
        for (identifier, hour, name), sum_and_count in sums.items()
    ]
    with _cursor(connection) as cursor:
        template = "(%s::uuid, %s, %s, %s, %s)"
        execute_values(cursor, ADD_POSTGRES, rows, template, page_size=AT_ONCE)


INSERT = (
    "INSERT INTO measurement SELECT ?1, ?2, ?3, coalesce(max(n) + 1, 0), ?4, ?5, ?6"
    " FROM measurement WHERE sensor = ?1 AND creation_timestamp = ?2 AND attribute = ?3"
)
ADD_SQLITE = (
    "INSERT INTO measurement_1_hour VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (sensor, hour, attribute) DO UPDATE SET sum = CASE"
    f" WHEN abs(sum) < {LARGEST_SUM} AND abs(excluded.sum) < {LARGEST_SUM}"
    " THEN sum + excluded.sum ELSE 9e999 END, count = count + excluded.count"
)


def _insert_measurements(
    connection: Connection,
    measurements: Sequence[Any],
    numbers: Mapping[UUID, int],
    attributes: Mapping[str, int],
) -> None:
    # Stable: of equal ones the last stays the last.
    ordered = sorted(measurements, key=lambda row: (numbers[row[0]], row[1]))
    rows = (
        (
            numbers[identifier],
            creation_us,
            attributes[name],
            value,
            revision,
            receipt_us - creation_us,
        )
        for identifier, creation_us, revision, receipt_us, points in ordered
        for name, value in points.items()
    )
    with _cursor(connection) as cursor:
        cursor.executemany(INSERT, rows)


def _add_sums_sqlite(
    connection: Connection, sums: Sums, numbers: Mapping[UUID, int], attributes: Mapping[str, int]
) -> None:
    rows = [
        (numbers[identifier], hour, attributes[name], *sum_and_count)
        for (identifier, hour, name), sum_and_count in sums.items()
    ]
    with _cursor(connection) as cursor:
        cursor.executemany(ADD_SQLITE, sorted(rows))


ATTRIBUTES = text("SELECT name, number FROM attribute WHERE name IN :names").bindparams(
    bindparam("names", expanding=True)
)


def _attributes(connection: Connection, names: Collection[str]) -> dict[str, int]:
    """Return the numbers that attributes have in SQLite; new ones get theirs."""
    stored = {name: storable(name) for name in names}
    found: dict[str, int] = {}
    for some in _portions(set(stored.values())):
        found.update((row[0], row[1]) for row in connection.execute(ATTRIBUTES, {"names": some}))
    for name in sorted(set(stored.values()) - found.keys()):
        insert = text("INSERT INTO attribute (name) VALUES (:name) RETURNING number")
        found[name] = connection.scalar(insert, {"name": name}) or 0
    return {name: found[as_stored] for name, as_stored in stored.items()}


def storable(words: str) -> str:
    """Return a text that both databases hold: NUL becomes its symbol, half a character a mark."""
    return words.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "replace").decode()


LOG_COLUMNS = "revision, creation_timestamp, receipt_timestamp, severity, message, subject, details"


def _insert_logs(connection: Connection, logs: Iterable[Any], numbers: Mapping[UUID, int]) -> None:
    is_postgres = connection.dialect.name == "postgresql"
    rows = []
    for identifier, creation_us, revision, receipt_us, *words in logs:
        times = creation_us, receipt_us
        rows.append(
            (
                str(identifier) if is_postgres else numbers[identifier],
                revision,
                *(map(datetime_of, times) if is_postgres else times),
                *(None if some is None else storable(some) for some in words),
            )
        )
    with _cursor(connection) as cursor:
        if is_postgres:
            from psycopg2.extras import execute_values

            into = f"INSERT INTO log (sensor_identifier, {LOG_COLUMNS}) VALUES %s"
            template = "(%s::uuid, %s, %s, %s, %s, %s, %s, %s)"
            execute_values(cursor, into, rows, template, page_size=AT_ONCE)
        else:
            into = f"INSERT INTO log (sensor, {LOG_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
            cursor.executemany(into, rows)


def _acknowledge(connection: Connection, acknowledgments: Iterable[Any]) -> None:
    """Note what sensors made of revisions; the first acknowledgment of each counts."""
    columns = configuration.c
    statement = (
        update(configuration)
        .where(
            columns.sensor_identifier == bindparam("of_sensor"),
            columns.revision == bindparam("of_revision"),
            columns.acknowledgment_timestamp.is_(None),
        )
        .values(
            acknowledgment_timestamp=bindparam("at"),
            receipt_timestamp=bindparam("received"),
            success=bindparam("succeeded"),
        )
    )
    names = ("of_sensor", "of_revision", "at", "succeeded", "received")
    connection.execute(statement, [dict(zip(names, row, strict=True)) for row in acknowledgments])


def _portions(items: Collection[Any]) -> Iterable[list[Any]]:
    ordered = list(items)
    return (ordered[start : start + AT_ONCE] for start in range(0, len(ordered), AT_ONCE))


def _cursor(connection: Connection) -> Any:
    """Return a cursor of the driver, for a `with` statement."""
    return closing(connection.connection.cursor())
