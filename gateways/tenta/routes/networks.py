"""Networks, and the sensors in them."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from gateways.endpoints import Refuse
from gateways.tenta import people
from gateways.tenta.readings import activity
from gateways.tenta.routes import shapes
from gateways.tenta.routes.public import PUBLIC, reading_as_user, writing, writing_as_user
from gateways.tenta.service import Service

WEEK_US = 7 * 86_400_000_000
FOUR_HOURS_US = 4 * 3_600_000_000
NOT_MINE = (401, 403, 404)


@PUBLIC.add(
    "POST",
    "/networks",
    body=shapes.NewNetwork,
    answer=shapes.NetworkIdentifier,
    code=201,
    errors=(401, 409),
    guard=writing_as_user,
)
def create_network(service: Service, user: UUID, body: shapes.NewNetwork) -> object:
    """Create a network, which is the user's."""
    with writing(service) as connection:
        identifier = people.create_network(connection, body.network_name, user)
    return {"network_identifier": identifier}


@PUBLIC.add(
    "GET",
    "/networks",
    answer=list[shapes.NetworkEntry],
    errors=(401,),
    guard=reading_as_user,
)
def read_networks(service: Service, connection: Connection, user: UUID) -> object:
    """Read the networks of the user, by name."""
    return [
        {"network_identifier": each.identifier, "network_name": each.name}
        for each in people.networks_of(connection, user)
    ]


@PUBLIC.add(
    "GET",
    "/networks/{network_identifier}",
    answer=list[shapes.SensorActivity],
    errors=NOT_MINE,
    guard=reading_as_user,
)
def read_network(service: Service, network_identifier: UUID, **reader: Any) -> object:
    """Read how many measurements each sensor of a network sent in the last four weeks.

    Of the first generation of Tenta. Counted is the attribute that came most often.
    """
    connection: Connection = reader["connection"]
    since_us = people.now_us() - 4 * WEEK_US
    found = []
    for each in people.sensors_of(connection, network_identifier):
        counts = activity(connection, each.identifier, since_us, FOUR_HOURS_US)
        found.append(
            {
                "sensor_identifier": each.identifier,
                "sensor_name": each.name,
                "bucket_timestamps": [at_us / 1e6 for at_us, _ in counts],
                "measurements_counts": [count for _, count in counts],
            }
        )
    return found


@PUBLIC.add(
    "POST",
    "/networks/{network_identifier}/sensors",
    body=shapes.NewSensor,
    answer=shapes.SensorIdentifier,
    code=201,
    errors=(*NOT_MINE, 409),
    guard=writing_as_user,
)
def create_sensor(
    service: Service, user: UUID, network_identifier: UUID, body: shapes.NewSensor
) -> object:
    """Create a sensor in a network."""
    with writing(service) as connection:
        identifier = people.create_sensor(connection, network_identifier, body.sensor_name)
    return {"sensor_identifier": identifier}


@PUBLIC.add(
    "GET",
    "/networks/{network_identifier}/sensors",
    answer=list[shapes.SensorEntry],
    errors=NOT_MINE,
    guard=reading_as_user,
)
def read_sensors(service: Service, network_identifier: UUID, **reader: Any) -> object:
    """Read the sensors of a network, by name."""
    return [
        {"sensor_identifier": each.identifier, "sensor_name": each.name}
        for each in people.sensors_of(reader["connection"], network_identifier)
    ]


@PUBLIC.add(
    "PUT",
    "/networks/{network_identifier}/sensors/{sensor_identifier}",
    body=shapes.NewSensor,
    answer=dict[str, Any],
    errors=(*NOT_MINE, 409),
    guard=writing_as_user,
)
def update_sensor(
    service: Service,
    user: UUID,
    network_identifier: UUID,
    sensor_identifier: UUID,
    body: shapes.NewSensor,
) -> object:
    """Give a sensor another name."""
    with writing(service) as connection:
        is_there = people.rename_sensor(connection, sensor_identifier, body.sensor_name)
    if not is_there:
        raise Refuse(404)
    return {}
