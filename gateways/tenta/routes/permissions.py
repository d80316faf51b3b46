"""Whose a network is: what Tenta keeps, and has no routes for."""

from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from gateways.endpoints import Refuse
from gateways.tenta import people
from gateways.tenta.routes import shapes
from gateways.tenta.routes.networks import NOT_MINE
from gateways.tenta.routes.public import PUBLIC, reading_as_user, writing, writing_as_user
from gateways.tenta.service import Service

PERMISSIONS = "/networks/{network_identifier}/permissions"


@PUBLIC.add(
    "GET",
    PERMISSIONS,
    answer=list[shapes.UserEntry],
    errors=NOT_MINE,
    guard=reading_as_user,
)
def read_permissions(service: Service, network_identifier: UUID, **reader: Any) -> object:
    """Read the users whose network it is, by name."""
    connection: Connection = reader["connection"]
    return [
        {"user_identifier": each.identifier, "user_name": each.name}
        for each in people.members_of(connection, network_identifier)
    ]


@PUBLIC.add(
    "POST",
    PERMISSIONS,
    body=shapes.NewPermission,
    answer=shapes.UserIdentifier,
    code=201,
    errors=(*NOT_MINE, 409),
    guard=writing_as_user,
)
def create_permission(
    service: Service, user: UUID, network_identifier: UUID, body: shapes.NewPermission
) -> object:
    """Make a network another user's, too."""
    with writing(service) as connection:
        found = people.find_user(connection, body.user_name)
        if found is None:
            raise Refuse(404)
        people.allow(connection, found[0], network_identifier)
    return {"user_identifier": found[0]}


@PUBLIC.add(
    "DELETE",
    f"{PERMISSIONS}/{{user_identifier}}",
    answer=dict[str, Any],
    errors=(*NOT_MINE, 409),
    guard=writing_as_user,
)
def delete_permission(
    service: Service, user: UUID, network_identifier: UUID, user_identifier: UUID
) -> object:
    """Take a network from a user.

    409: it is nobody else's.
    """
    with writing(service) as connection:
        members = people.members_of(connection, network_identifier)
        if user_identifier not in {each.identifier for each in members}:
            raise Refuse(404)
        if len(members) == 1:
            raise Refuse(409)
        people.forbid(connection, user_identifier, network_identifier)
    return {}
