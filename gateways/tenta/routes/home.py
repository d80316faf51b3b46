"""What our own pages and tools ask a gateway of Tenta, by the token of the home directory.

Times are ms since 1970, as elsewhere in JPH.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, JsonValue
from sqlalchemy import Connection, select

from gateways import home, schema
from gateways.endpoints import Endpoints, Query, Refuse, Strict
from gateways.tenta import configurations, readings
from gateways.tenta.routes import shapes
from gateways.tenta.service import Service
from gateways.tenta.tables import network, sensor

HOME = Endpoints(
    {
        "device": shapes.Identifier,
        "network": shapes.Identifier,
        "owner": shapes.Identifier,
        "revision": Annotated[int, Field(ge=0, lt=shapes.MOST_INT4)],
    },
    prefix="/jph",
    for_browsers=False,
)
LOG_LINES = 64


class Posted(Strict):
    """A configuration."""

    configuration: shapes.Configuration


class Earlier(Strict):
    """Where to roll back to; without a revision the last one that the sensor took."""

    revision: shapes.Revision | None = None


class SchemaBody(Strict):
    """The JSON Schema of configurations; null: any is allowed."""

    document: dict[str, JsonValue] | bool | None


class LogQuery(Query):
    """A page of a log; without a time the last one."""

    before_ms: Annotated[int | None, Field(ge=0, lt=shapes.MOST_INT4 * 1000)] = None


@contextmanager
def of_this_home(service: Service, path: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Let programs ask that know the token of the home directory."""
    home.check_token(service.token)
    try:
        yield {}
    except configurations.GoneError as error:
        raise Refuse(404, "there is no such device or revision") from error
    except configurations.RefusedError as error:
        raise Refuse(409, str(error)) from error


def _route(method: str, path: str, **declared: Any) -> Callable[..., Any]:
    return HOME.add(method, path, guard=of_this_home, **declared)


@_route("GET", "/state")
def read_gateway(service: Service) -> object:
    """Read the state of the gateway."""
    return home.state(service.store, service.outgoing.gateway, service.state())


@_route("GET", "/refusals")
def read_refusals(service: Service) -> object:
    """Read the refused messages that are kept, newest first."""
    return home.refusals(service.store, service.outgoing.gateway)


@_route("GET", "/devices")
def read_devices(service: Service) -> object:
    """Read all sensors, with what they sent last and the Codifiers that it has."""
    codifiers = service.codifiers()
    with service.store.reading() as connection:
        seen = _seen(connection, service.outgoing.gateway)
        query = (
            select(sensor.c.identifier, sensor.c.name, network.c.name, network.c.identifier)
            .join(network, network.c.identifier == sensor.c.network_identifier)
            .order_by(network.c.name, sensor.c.name)
        )
        return [
            {
                "identifier": identifier,
                "name": name,
                "network": of,
                "network_identifier": of_identifier,
                "seen_ms": _ms(seen.get(str(identifier))),
                "attributes": [
                    {
                        "attribute": attribute,
                        "value": value,
                        "at_ms": at_us // 1000,
                        "codifier": codifiers.get((str(identifier), attribute))
                        or codifiers.get((f"{of}/{name}", attribute)),
                    }
                    for attribute, (value, at_us) in sorted(
                        readings.latest(connection, identifier).items()
                    )
                ],
            }
            for identifier, name, of, of_identifier in connection.execute(query).all()
        ]


def _seen(connection: Connection, gateway: str) -> dict[str, int]:
    columns = schema.device_seen.c
    query = select(columns.device, columns.last_us).where(columns.gateway == gateway)
    return {device: last_us for device, last_us in connection.execute(query)}


def _ms(time_us: int | None) -> int | None:
    return None if time_us is None else time_us // 1000


@_route("GET", "/devices/{device}/revisions", query=shapes.RevisionPage)
def read_revisions(service: Service, device: UUID, query: shapes.RevisionPage) -> object:
    """Read a page of 64 revisions of a sensor, by number."""
    with service.store.reading() as connection:
        _check_device(connection, device)
        rows = configurations.page(
            connection, device, direction=query.direction, revision=query.revision
        )
    return [
        {
            "revision": row.revision,
            "configuration": row.value,
            "progress": configurations.progress(row),
            "created_ms": _ms(row.creation_timestamp),
            "published_ms": _ms(row.publication_timestamp),
            "acknowledged_ms": _ms(row.acknowledgment_timestamp),
            "received_ms": _ms(row.receipt_timestamp),
        }
        for row in rows
    ]


@_route("GET", "/devices/{device}/logs", query=LogQuery)
def read_device_log(service: Service, device: UUID, query: LogQuery) -> object:
    """Read the last lines of a sensor's log, newest first."""
    before_us = None if query.before_ms is None else query.before_ms * 1000
    with service.store.reading() as connection:
        _check_device(connection, device)
        rows = readings.logs(
            connection, device, direction="previous", creation_us=before_us, limit=LOG_LINES
        )
    return [
        {
            "at_ms": row.creation_us // 1000,
            "severity": row.severity,
            "message": row.message,
            "subject": row.subject,
            "details": row.details,
            "revision": row.revision,
        }
        for row in reversed(rows)
    ]


def _check_device(connection: Connection, device: UUID) -> None:
    if connection.scalar(select(sensor.c.name).where(sensor.c.identifier == device)) is None:
        raise configurations.GoneError


@_route("POST", "/devices/{device}/configurations", body=Posted, code=201)
def post_configuration(service: Service, device: UUID, body: Posted) -> object:
    """Give a sensor a configuration, if it follows the schemas of the sensor and its network.

    409: it does not; `mistakes` says where.
    """
    value = body.configuration
    with service.store.reading() as connection:
        found = configurations.mistakes(connection, device, value)
    if found:
        raise Refuse(409, found[0], mistakes=found)
    with service.store.writing() as connection:
        revision = configurations.post(connection, device, value, service.outgoing)
    service.wake()
    return {"revision": revision}


@_route("POST", "/devices/{device}/configurations/back", body=Earlier, code=201)
def roll_back(service: Service, device: UUID, body: Earlier) -> object:
    """Give a sensor an earlier configuration again."""
    with service.store.writing() as connection:
        revision = configurations.roll_back(connection, device, service.outgoing, body.revision)
    service.wake()
    return {"revision": revision}


@_route("POST", "/devices/{device}/revisions/{revision}/spread", code=201)
def spread(service: Service, device: UUID, revision: int) -> object:
    """Give a configuration that a sensor took to all others of its network.

    409: the sensor has not taken it.
    """
    with service.store.writing() as connection:
        posted = configurations.spread(connection, device, revision, service.outgoing)
    service.wake()
    return {"revisions": posted}


@_route("GET", "/networks")
def read_all_networks(service: Service) -> object:
    """Read all networks, by name."""
    with service.store.reading() as connection:
        query = select(network.c.identifier, network.c.name).order_by(network.c.name)
        rows = connection.execute(query).all()
    return [{"identifier": identifier, "name": name} for identifier, name in rows]


@_route("GET", "/networks/{network}/configurations")
def read_progress(service: Service, network: UUID) -> object:
    """Read which sensors of a network have taken their newest configuration, and who refused."""
    with service.store.reading() as connection:
        return configurations.newest(connection, network)


@_route("GET", "/schemas/{owner}")
def read_schema(service: Service, owner: UUID) -> object:
    """Read the JSON Schema of a sensor or a network."""
    with service.store.reading() as connection:
        return {"document": configurations.schema_of(connection, owner)}


@_route("PUT", "/schemas/{owner}", body=SchemaBody)
def write_schema(service: Service, owner: UUID, body: SchemaBody) -> object:
    """Set the JSON Schema of a sensor or a network.

    409: it is no JSON Schema.
    """
    with service.store.writing() as connection:
        for table in (sensor, network):
            if connection.scalar(select(table.c.name).where(table.c.identifier == owner)):
                break
        else:
            raise configurations.GoneError
        configurations.set_schema(connection, owner, body.document)
    return {"document": body.document}
