"""What sensors of Tenta sent, read in pages inside a transaction of a store.

The data points of one time and revision make one measurement, of equal ones the last. Pages are
ordered by time, oldest first, in both directions; of lines or measurements of exactly one time some
are passed over if they lie on the edge of a page, as in Tenta.

Strategy: the index on (sensor, time) gives the times of a page, and then its rows, which are put
together here, since grouping in SQL would read all that follows.
"""

import math
from collections import defaultdict
from contextlib import closing
from datetime import datetime
from typing import Any, Literal, NamedTuple, cast
from uuid import UUID

from sqlalchemy import Connection, text

from gateways.schema import datetime_of, microseconds_of
from gateways.tenta.tables import HOUR_US

Direction = Literal["next", "previous"]

PAGE = 64
FIRST_US, LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999


class MeasurementRow(NamedTuple):
    """The data points of one time and revision."""

    revision: int | None
    creation_us: int
    value: dict[str, float]


class LogRow(NamedTuple):
    """One line of a sensor's log; subject and details where it sent these."""

    severity: str
    message: str
    revision: int | None
    creation_us: int
    subject: str | None
    details: str | None


class LogAggregate(NamedTuple):
    """Equal lines of a log; the revisions are those of the first and the last of them."""

    severity: str
    message: str
    min_revision: int | None
    max_revision: int | None
    min_creation_us: int
    max_creation_us: int
    lines: int


def measurements(
    connection: Connection,
    identifier: UUID,
    *,
    direction: Direction = "next",
    creation_us: int | None = None,
    limit: int = PAGE,
) -> list[MeasurementRow]:
    """Return the measurements after or before a time, oldest first; none if the sensor is unknown.

    Args:
        direction: `next`: those that follow; `previous`: those that lie before.
        creation_us: the time; None: from the beginning, or from the end.
    """
    groups: dict[tuple[int, int | None], dict[str, float]] = {}
    for at_us, revision, name, value in _points(
        connection, identifier, direction, creation_us, times=limit
    ):
        group = groups.setdefault((at_us, revision), {})
        if math.isfinite(value) and (direction == "next" or name not in group):
            group[name] = value
    rows = [MeasurementRow(key[1], key[0], value) for key, value in groups.items()][:limit]
    return rows if direction == "next" else rows[::-1]


def latest(connection: Connection, identifier: UUID) -> dict[str, tuple[float, int]]:
    """Return the last value and its time (us) of the attributes that a sensor sent lately."""
    newest: dict[str, tuple[float, int]] = {}
    for at_us, _, name, value in _points(connection, identifier, "previous", None, times=PAGE):
        newest.setdefault(name, (value, at_us))
    return newest


def averages(
    connection: Connection, identifier: UUID, since_us: int
) -> dict[str, list[tuple[int, float]]]:
    """Return the hourly averages of each attribute: beginning of the hour (us) and average."""
    if connection.dialect.name == "postgresql":
        query = (
            "SELECT attribute, bucket_timestamp, sum / count FROM measurement_1_hour"
            " WHERE sensor_identifier = :sensor AND bucket_timestamp > :since AND sum <> 'Infinity'"
            " ORDER BY bucket_timestamp"
        )
        values: dict[str, Any] = {"sensor": identifier, "since": timestamp_of(since_us)}
    else:
        query = (
            "SELECT name, hour * 3600000000, sum / count FROM measurement_1_hour JOIN attribute"
            " ON attribute = number WHERE sensor = (SELECT number FROM sensor"
            " WHERE identifier = :sensor) AND hour > :since AND sum < 9e999 ORDER BY hour"
        )
        values = {"sensor": identifier.hex, "since": since_us // HOUR_US}
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for name, time, average in connection.execute(text(query), values):
        found[name].append((as_microseconds(time), average))
    return dict(found)


def activity(
    connection: Connection, identifier: UUID, since_us: int, span_us: int
) -> list[tuple[int, int]]:
    """Return how many measurements a sensor sent in spans of time: beginning (us) and count.

    A measurement may have several attributes: of each hour the one that came most often counts.

    Args:
        span_us: a multiple of an hour.
    """
    of_sensor, values = _of_sensor(connection, identifier)
    if connection.dialect.name == "postgresql":
        hour = "bucket_timestamp"
        since: object = timestamp_of(since_us)
    else:
        hour, since = "hour", since_us // HOUR_US
    query = (
        f"SELECT {hour}, max(count) FROM measurement_1_hour WHERE {of_sensor} AND {hour} > :since"
        f" GROUP BY {hour} ORDER BY {hour}"
    )
    counts: dict[int, int] = defaultdict(int)
    for time, count in connection.execute(text(query), {**values, "since": since}):
        at_us = time * HOUR_US if isinstance(time, int) else microseconds_of(time)
        counts[at_us // span_us * span_us] += count
    return list(counts.items())


def logs(
    connection: Connection,
    identifier: UUID,
    *,
    direction: Direction = "next",
    creation_us: int | None = None,
    limit: int = PAGE,
) -> list[LogRow]:
    """Return the lines of a log after or before a time, oldest first; see `measurements`."""
    of_sensor, values = _of_sensor(connection, identifier)
    columns = "severity, message, revision, creation_timestamp, subject, details"
    query = f"SELECT {columns} FROM log WHERE {of_sensor} AND {_part(direction)}"
    values |= {"cursor": _cursor_time(connection, direction, creation_us), "most": limit}
    rows = [
        LogRow(row[0], row[1], row[2], as_microseconds(row[3]), row[4], row[5])
        for row in connection.execute(text(query), values)
    ]
    return rows if direction == "next" else rows[::-1]


def log_aggregates(
    connection: Connection, identifier: UUID, *, by_subject: bool = False
) -> list[LogAggregate]:
    """Return equal warnings and errors of a sensor together, those that came last at the end.

    Args:
        by_subject: lines with the same subject are equal, whatever their details.
    """
    of_sensor, values = _of_sensor(connection, identifier)
    name = "coalesce(subject, message)" if by_subject else "message"
    revision = (
        f"(SELECT revision FROM log WHERE {of_sensor} AND severity = same.severity"
        f" AND {name} = same.name AND creation_timestamp = same.{{}} LIMIT 1)"
    )
    grouped = (
        f"SELECT severity, {name} AS name, min(creation_timestamp) AS first,"
        f" max(creation_timestamp) AS last, count(*) AS lines FROM log WHERE {of_sensor}"
        f" AND severity IN ('warning', 'error') GROUP BY severity, {name}"
    )
    query = (
        f"SELECT severity, name, {revision.format('first')}, {revision.format('last')},"
        f" first, last, lines FROM ({grouped}) AS same ORDER BY last"
    )
    return [
        LogAggregate(
            row[0], row[1], row[2], row[3], as_microseconds(row[4]), as_microseconds(row[5]), row[6]
        )
        for row in connection.execute(text(query), values)
    ]


def _points(
    connection: Connection,
    identifier: UUID,
    direction: Direction,
    creation_us: int | None,
    *,
    times: int,
) -> list[tuple[int, int | None, str, float]]:
    """Return data points in the order of their times: time (us), revision, attribute, value.

    Args:
        times: how many different times there may be.
    """
    of_sensor, values = _of_sensor(connection, identifier)
    values |= {"cursor": _cursor_time(connection, direction, creation_us), "most": times}
    is_postgres = connection.dialect.name == "postgresql"
    name = "attribute" if is_postgres else "name"
    joined = "" if is_postgres else " JOIN attribute ON attribute = number"
    furthest, sign, back, order = (
        ("max", ">", "<=", "ASC") if direction == "next" else ("min", "<", ">=", "DESC")
    )
    query = (
        f"SELECT creation_timestamp, revision, {name}, value FROM measurement{joined}"
        f" WHERE {of_sensor} AND creation_timestamp {sign} :cursor AND creation_timestamp {back}"
        f" (SELECT {furthest}(creation_timestamp) FROM (SELECT DISTINCT creation_timestamp"
        f" FROM measurement WHERE {of_sensor} AND {_part(direction)}) AS times)"
        f" ORDER BY creation_timestamp {order}"
    )
    rows = _raw(connection, query, values)
    if is_postgres:
        known = {time: microseconds_of(time) for time in {row[0] for row in rows}}
        return [(known[row[0]], row[1], row[2], row[3]) for row in rows]
    return rows


def _raw(connection: Connection, query: str, values: dict[str, Any]) -> list[Any]:
    """Return rows as the driver has them: to make others of hundreds takes as long as the query."""
    with closing(connection.execute(text(query), values)) as result:
        rows: list[Any] = cast(Any, result).cursor.fetchall()
        return rows


def _of_sensor(connection: Connection, identifier: UUID) -> tuple[str, dict[str, Any]]:
    """Return the condition on the tables that grow, and its value."""
    if connection.dialect.name == "postgresql":
        return "sensor_identifier = :sensor", {"sensor": identifier}
    number = connection.scalar(
        text("SELECT number FROM sensor WHERE identifier = :hex"), {"hex": identifier.hex}
    )
    return "sensor = :sensor", {"sensor": number}


def _part(direction: Direction) -> str:
    sign, order = (">", "ASC") if direction == "next" else ("<", "DESC")
    return f"creation_timestamp {sign} :cursor ORDER BY creation_timestamp {order} LIMIT :most"


def _cursor_time(
    connection: Connection, direction: Direction, creation_us: int | None
) -> int | datetime | str:
    """Return the time to begin at, for the database."""
    if creation_us is None:
        creation_us = FIRST_US - 1 if direction == "next" else LAST_US + 1
    if connection.dialect.name == "postgresql":
        return timestamp_of(creation_us)
    return min(max(creation_us, FIRST_US - 1), LAST_US + 1)


def timestamp_of(time_us: int) -> datetime | str:
    """Return any time as PostgreSQL understands it."""
    if time_us < FIRST_US:
        return "-infinity"
    return datetime_of(time_us) if time_us <= LAST_US else "infinity"


def as_microseconds(time: int | datetime) -> int:
    """Return a time of either database in microseconds."""
    return microseconds_of(time) if isinstance(time, datetime) else time
