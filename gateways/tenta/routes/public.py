"""Where the public routes are declared, and who may ask them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from gateways.endpoints import Endpoints, Refuse, bearer
from gateways.tenta import people
from gateways.tenta.routes.shapes import Identifier
from gateways.tenta.service import Service

PUBLIC = Endpoints(
    {name: Identifier for name in ("network_identifier", "sensor_identifier", "user_identifier")}
)


@contextmanager
def reading_as_user(service: Service, path: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Let a user of what the path names read; gives `connection` and `user`.

    Raises:
        Refuse: the token is not valid (401), there is no such network or sensor (404), or it is not
            the user's (403).
    """
    token = bearer()
    if token is None:
        raise Refuse(401)
    with service.store.reading() as connection:
        yield {"connection": connection, "user": _user(connection, token, path)}


@contextmanager
def writing_as_user(service: Service, path: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Let a user of what the path names write, in a transaction of its own; gives `user`.

    Raises:
        Refuse: as above.
    """
    with reading_as_user(service, path) as given:
        user = given["user"]
    yield {"user": user}


@contextmanager
def writing(service: Service, conflict: int = 409) -> Iterator[Connection]:
    """Give a transaction that writes; what contradicts the store is refused with a status."""
    try:
        with service.store.writing() as connection:
            yield connection
    except IntegrityError as error:
        raise Refuse(conflict) from error


def _user(connection: Connection, token: str, path: Mapping[str, Any]) -> UUID:
    found = people.access(
        connection, token, path.get("network_identifier"), path.get("sensor_identifier")
    )
    if found is None:
        raise Refuse(401)
    if not found.exists:
        raise Refuse(404)
    if not found.is_member:
        raise Refuse(403)
    return found.user
