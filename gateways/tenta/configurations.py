"""Configurations of Tenta's sensors as numbered revisions, inside a transaction of a store.

A revision and the message that brings it to the sensor are written in one transaction. A sensor
needs only the newest, so a message that still waits gives way to the next one. A network is changed
step by step: post a configuration to one sensor, see that it took it, then spread it; what went
wrong is rolled back to the last revision that the sensor took.
"""

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    delete,
    func,
    insert,
    select,
    true,
    update,
)

from gateways.schema import AT_ONCE, put_out
from gateways.tenta.people import now_us
from gateways.tenta.readings import PAGE, Direction
from gateways.tenta.tables import configuration, configuration_schema, sensor

Progress = Literal["none", "waiting", "sent", "taken", "refused"]
Configuration = dict[str, Any]

MOST_MISTAKES = 20
LATELY_US = 60_000_000  # mosquitto writes retained messages to the disk every 30 s


@dataclass(frozen=True, slots=True)
class Outgoing:
    """Where configurations are published.

    Args:
        gateway: Codifier of the gateway.
        base_topic: before all topics; with its slash.
    """

    gateway: str
    base_topic: str = ""


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest revision of a sensor, and what became of it."""

    identifier: UUID
    name: str
    revision: int | None
    progress: Progress
    taken: int | None  # the newest revision that the sensor took


class GoneError(LookupError):
    """There is no such sensor or revision."""


class RefusedError(ValueError):
    """This cannot be done now; the text says why."""


def mistakes_of_json(value: object) -> list[str]:
    """Return why a store cannot keep a value or no sensor can read it; empty: it can."""
    waiting: list[object] = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, str) and "\0" in each:
            return ["the character with the number 0 cannot be stored"]
        elif isinstance(each, float) and not math.isfinite(each):
            return ["a number is too large"]
    return []


def post(connection: Connection, identifier: UUID, value: Configuration, to: Outgoing) -> int:
    """Give a sensor a new configuration; return its revision, which counts from 0 without gaps.

    Raises:
        GoneError: there is no such sensor.
    """
    # The lock keeps other processes from taking the same number; SQLite has one writer anyway.
    query = select(sensor.c.identifier).where(sensor.c.identifier == identifier).with_for_update()
    if connection.scalar(query) is None:
        raise GoneError
    last = connection.scalar(
        select(func.max(configuration.c.revision)).where(
            configuration.c.sensor_identifier == identifier
        )
    )
    revision = 0 if last is None else last + 1
    row = {"sensor_identifier": identifier, "value": value, "revision": revision}
    connection.execute(insert(configuration), {**row, "creation_timestamp": now_us()})
    _put_out(connection, identifier, revision, value, to)
    return revision


def publish_again(connection: Connection, to: Outgoing, *, knows_us: bool = True) -> None:
    """Put the newest configurations into the outbox again that the broker may not have.

    A broker that was killed may have acknowledged some and not written them to its disk. Those are
    the last ones that were published, whenever that was.

    Args:
        knows_us: whether the broker is the same as before; another one has none of them.
    """
    at = configuration.c.publication_timestamp
    if not knows_us:
        return _publish_newest(connection, to, true())
    latest_us = connection.scalar(select(func.max(at)))
    if latest_us is not None:
        _publish_newest(connection, to, at >= latest_us - LATELY_US)


def publish(connection: Connection, to: Outgoing, sensors: Collection[UUID]) -> None:
    """Put the newest configurations of sensors into the outbox."""
    ordered = sorted(sensors)
    for start in range(0, len(ordered), AT_ONCE):
        some = configuration.c.sensor_identifier.in_(ordered[start : start + AT_ONCE])
        _publish_newest(connection, to, some)


def _publish_newest(connection: Connection, to: Outgoing, which: ColumnElement[bool]) -> None:
    """Put those of the newest configurations into the outbox that a condition holds for."""
    of = configuration.c.sensor_identifier
    # Nobody makes a newer revision of them meanwhile; see `post`.
    mine = sensor.c.identifier.in_(select(of).where(which))
    connection.execute(
        select(sensor.c.identifier).where(mine).order_by(sensor.c.identifier).with_for_update()
    )
    last = select(of, func.max(configuration.c.revision).label("last")).group_by(of).subquery()
    query = select(configuration).join(
        last, (last.c.sensor_identifier == of) & (last.c.last == configuration.c.revision)
    )
    for row in connection.execute(query.where(which)).all():
        _put_out(connection, row.sensor_identifier, row.revision, row.value, to)


def _put_out(
    connection: Connection, identifier: UUID, revision: int, value: Configuration, to: Outgoing
) -> None:
    payload = json.dumps({"revision": revision, "configuration": value}).encode()
    topic = f"{to.base_topic}configurations/{identifier}"
    put_out(connection, to.gateway, topic, payload, key=str(identifier), retain=True)


def published(connection: Connection, row: Row[Any]) -> None:
    """Note that the broker has the message of a row of the outbox."""
    revision = json.loads(row.payload)["revision"]
    connection.execute(
        update(configuration)
        .where(
            configuration.c.sensor_identifier == UUID(row.key),
            configuration.c.revision == revision,
            configuration.c.publication_timestamp.is_(None),
        )
        .values(publication_timestamp=now_us())
    )


def page(
    connection: Connection,
    identifier: UUID,
    *,
    direction: Direction = "next",
    revision: int | None = None,
    limit: int = PAGE,
) -> list[Row[Any]]:
    """Return the revisions after or before one, by number; without one the first or the last."""
    number = configuration.c.revision
    query = select(configuration).where(configuration.c.sensor_identifier == identifier)
    if revision is not None:
        query = query.where(number > revision if direction == "next" else number < revision)
    order = number if direction == "next" else number.desc()
    rows = list(connection.execute(query.order_by(order).limit(limit)))
    return rows if direction == "next" else rows[::-1]


def value_of(connection: Connection, identifier: UUID, revision: int) -> Configuration:
    """Return the configuration of a revision.

    Raises:
        GoneError: there is no such revision.
    """
    value: Configuration = _row_of(connection, identifier, revision).value
    return value


def newest(connection: Connection, network: UUID) -> list[Newest]:
    """Return how far each sensor of a network is with its newest revision, by name."""
    of, is_taken = configuration.c.sensor_identifier, configuration.c.success.is_(True)
    last = (
        select(of, func.max(configuration.c.revision).label("last"))
        .add_columns(func.max(configuration.c.revision).filter(is_taken).label("taken"))
        .join(sensor, sensor.c.identifier == of)
        .where(sensor.c.network_identifier == network)
        .group_by(of)
        .subquery()
    )
    is_last = (of == sensor.c.identifier) & (configuration.c.revision == last.c.last)
    query = (
        select(sensor.c.identifier, sensor.c.name, last.c.taken, configuration)
        .select_from(
            sensor.outerjoin(last, last.c.sensor_identifier == sensor.c.identifier).outerjoin(
                configuration, is_last
            )
        )
        .where(sensor.c.network_identifier == network)
        .order_by(sensor.c.name)
    )
    return [
        Newest(row.identifier, row.name, row.revision, progress(row), row.taken)
        for row in connection.execute(query)
    ]


def progress(row: Row[Any]) -> Progress:
    """Return what became of a revision."""
    if row.revision is None:
        return "none"
    if row.success is not None:
        return "taken" if row.success else "refused"
    return "waiting" if row.publication_timestamp is None else "sent"


def spread(
    connection: Connection, identifier: UUID, revision: int, to: Outgoing
) -> dict[UUID, int]:
    """Give the configuration of a sensor to all others of its network that have another one.

    Returns:
        Their new revisions.

    Raises:
        GoneError: there is no such sensor or revision.
        RefusedError: the sensor has not taken it.
    """
    row = _row_of(connection, identifier, revision)
    if progress(row) != "taken":
        raise RefusedError("the sensor has not taken this revision: wait, or post another one")
    network = select(sensor.c.network_identifier).where(sensor.c.identifier == identifier)
    others = select(sensor.c.identifier).where(
        sensor.c.network_identifier == network.scalar_subquery(), sensor.c.identifier != identifier
    )
    posted = {}
    for other in connection.scalars(others.order_by(sensor.c.identifier)).all():
        last = page(connection, other, direction="previous", limit=1)
        if not last or last[0].value != row.value or progress(last[0]) == "refused":
            posted[other] = post(connection, other, row.value, to)
    return posted


def roll_back(
    connection: Connection, identifier: UUID, to: Outgoing, revision: int | None = None
) -> int:
    """Give a sensor an earlier configuration again; return the number of the new revision.

    Args:
        revision: the earlier one; None: the last before the newest that the sensor took.

    Raises:
        GoneError: there is no such sensor or revision, or it took none.
    """
    if revision is None:
        number = configuration.c.revision
        of_sensor = configuration.c.sensor_identifier == identifier
        last = select(func.max(number)).where(of_sensor).scalar_subquery()
        revision = connection.scalar(
            select(func.max(number)).where(
                of_sensor, number < last, configuration.c.success.is_(True)
            )
        )
        if revision is None:
            raise GoneError
    return post(connection, identifier, value_of(connection, identifier, revision), to)


def _row_of(connection: Connection, identifier: UUID, revision: int) -> Row[Any]:
    query = select(configuration).where(
        configuration.c.sensor_identifier == identifier, configuration.c.revision == revision
    )
    row = connection.execute(query).first()
    if row is None:
        raise GoneError
    return row


def schema_of(connection: Connection, owner: UUID) -> Any:
    """Return the JSON Schema of a sensor or a network; None: it has none."""
    table = configuration_schema
    return connection.scalar(select(table.c.document).where(table.c.identifier == owner))


def set_schema(connection: Connection, owner: UUID, document: Any) -> None:
    """Set the JSON Schema that configurations of a sensor or a network have to follow.

    Args:
        document: None: any configuration is allowed.

    Raises:
        RefusedError: it is no JSON Schema.
    """
    if document is not None:
        import jsonschema  # 3 MB, for those who have schemas

        try:
            jsonschema.Draft202012Validator.check_schema(document)
        except jsonschema.SchemaError as error:
            raise RefusedError(f"no JSON Schema: {error.message}") from error
    connection.execute(
        delete(configuration_schema).where(configuration_schema.c.identifier == owner)
    )
    if document is not None:
        row = {"identifier": owner, "document": document}
        connection.execute(insert(configuration_schema), row)


def mistakes(connection: Connection, identifier: UUID, value: Configuration) -> list[str]:
    """Return what is wrong with a configuration of a sensor, by its schema and its network's."""
    found = mistakes_of_json(value)
    network = connection.scalar(
        select(sensor.c.network_identifier).where(sensor.c.identifier == identifier)
    )
    for owner in (identifier, network):
        schema = schema_of(connection, owner) if owner else None
        if schema is not None and not found:
            found = _mistakes_by(schema, value)
    return found


def _mistakes_by(schema: Any, value: object) -> list[str]:
    from jsonschema import Draft202012Validator
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    # Without a registry of our own the library would fetch what a schema refers to.
    validator = Draft202012Validator(schema, registry=Registry())
    try:
        return [
            "".join(f"{part}: " for part in error.absolute_path) + error.message
            for _, error in zip(range(MOST_MISTAKES), validator.iter_errors(value), strict=False)
        ]
    except Unresolvable as error:
        return [f"the schema refers to {error.ref}, which is not part of it"]
    except RecursionError:
        return ["the schema refers to itself without an end"]
