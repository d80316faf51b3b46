"""Configurations, measurements and logs of a sensor."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from gateways.endpoints import Refuse
from gateways.tenta import configurations, people, readings
from gateways.tenta.routes import shapes
from gateways.tenta.routes.networks import NOT_MINE, WEEK_US
from gateways.tenta.routes.public import PUBLIC, reading_as_user, writing_as_user
from gateways.tenta.service import Flavour, Service

SENSOR = "/networks/{network_identifier}/sensors/{sensor_identifier}"


def seconds(time_us: int | None) -> float | None:
    """Return a time as the API has it."""
    return None if time_us is None else time_us / 1e6


def _microseconds(time_s: float | None) -> int | None:
    """Return a cursor as it was before it became seconds."""
    return None if time_s is None else round(time_s * 1e6)


@PUBLIC.add(
    "POST",
    f"{SENSOR}/configurations",
    body=shapes.Configuration,
    answer=shapes.NewRevision,
    code=201,
    errors=NOT_MINE,
    guard=writing_as_user,
    example={"measurement_interval": 8.5, "cache": True, "strategy": "default"},
)
def create_configuration(
    service: Service,
    user: UUID,
    network_identifier: UUID,
    sensor_identifier: UUID,
    body: configurations.Configuration,
) -> object:
    """Give a sensor a configuration.

    It gets the next revision number and is sent to the sensor.
    """
    try:
        with service.store.writing() as connection:
            revision = configurations.post(connection, sensor_identifier, body, service.outgoing)
    except configurations.GoneError as error:
        raise Refuse(404) from error
    service.wake()
    return {"revision": revision}


@PUBLIC.add(
    "GET",
    f"{SENSOR}/configurations",
    query=shapes.RevisionPage,
    answer=list[shapes.ConfigurationEntry],
    errors=NOT_MINE,
    guard=reading_as_user,
)
def read_configurations(
    service: Service, sensor_identifier: UUID, query: shapes.RevisionPage, **reader: Any
) -> object:
    """Read a page of 64 configurations, by revision."""
    connection: Connection = reader["connection"]
    rows = configurations.page(
        connection, sensor_identifier, direction=query.direction, revision=query.revision
    )
    return [configuration_entry(row) for row in rows]


def configuration_entry(row: Row[Any]) -> dict[str, object]:
    """Return a configuration as the API has it."""
    return {
        "value": row.value,
        "revision": row.revision,
        "creation_timestamp": seconds(row.creation_timestamp),
        "publication_timestamp": seconds(row.publication_timestamp),
        "acknowledgment_timestamp": seconds(row.acknowledgment_timestamp),
        "receipt_timestamp": seconds(row.receipt_timestamp),
        "success": row.success,
    }


@PUBLIC.add(
    "GET",
    f"{SENSOR}/measurements",
    query=shapes.MeasurementPage,
    answer=list[shapes.MeasurementEntry] | dict[str, list[shapes.HourlyAverage]],
    errors=NOT_MINE,
    guard=reading_as_user,
)
def read_measurements(
    service: Service, sensor_identifier: UUID, query: shapes.MeasurementPage, **reader: Any
) -> object:
    """Read a page of 64 measurements, by time, or hourly averages."""
    connection: Connection = reader["connection"]
    if query.aggregate:
        since_us = people.now_us() - 4 * WEEK_US
        return {
            name: [{"bucket_timestamp": at_us / 1e6, "average": average} for at_us, average in some]
            for name, some in readings.averages(connection, sensor_identifier, since_us).items()
        }
    cursor_us = _microseconds(query.creation_timestamp)
    return [
        {"revision": row.revision, "creation_timestamp": row.creation_us / 1e6, "value": row.value}
        for row in readings.measurements(
            connection, sensor_identifier, direction=query.direction, creation_us=cursor_us
        )
    ]


@PUBLIC.add(
    "GET",
    f"{SENSOR}/logs",
    query=shapes.LogPage,
    answer=list[shapes.LogEntry] | list[shapes.HermesLogEntry],
    errors=NOT_MINE,
    guard=reading_as_user,
)
def read_logs(
    service: Service, sensor_identifier: UUID, query: shapes.LogPage, **reader: Any
) -> object:
    """Read a page of 64 lines of the log of a sensor, by time."""
    connection: Connection = reader["connection"]
    rows = readings.logs(
        connection,
        sensor_identifier,
        direction=query.direction,
        creation_us=_microseconds(query.creation_timestamp),
    )
    return [log_entry(row, service.flavour) for row in rows]


def log_entry(row: readings.LogRow, flavour: Flavour) -> dict[str, object]:
    """Return a line of a log as the API has it."""
    at = {"revision": row.revision, "creation_timestamp": seconds(row.creation_us)}
    if flavour == "hermes":
        subject = row.message if row.subject is None else row.subject
        return {"severity": row.severity, "subject": subject, "details": row.details, **at}
    return {"severity": row.severity, "message": row.message, **at}


@PUBLIC.add(
    "GET",
    f"{SENSOR}/logs/aggregates",
    answer=list[shapes.LogAggregateEntry] | list[shapes.HermesLogAggregateEntry],
    errors=NOT_MINE,
    guard=reading_as_user,
)
def read_log_aggregates(service: Service, sensor_identifier: UUID, **reader: Any) -> object:
    """Read the warnings and errors of a sensor, equal ones together."""
    connection: Connection = reader["connection"]
    is_hermes = service.flavour == "hermes"
    return [
        {
            "severity": row.severity,
            "subject" if is_hermes else "message": row.message,
            "min_revision": row.min_revision,
            "max_revision": row.max_revision,
            "min_creation_timestamp": seconds(row.min_creation_us),
            "max_creation_timestamp": seconds(row.max_creation_us),
            "count": row.lines,
        }
        for row in readings.log_aggregates(connection, sensor_identifier, by_subject=is_hermes)
    ]
