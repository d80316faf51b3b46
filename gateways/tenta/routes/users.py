"""Status, users and authentication."""

from flask import request

from gateways.endpoints import Refuse
from gateways.tenta import people
from gateways.tenta.routes import shapes
from gateways.tenta.routes.public import PUBLIC, writing
from gateways.tenta.service import Service


@PUBLIC.add("GET", "/status", answer=shapes.Status)
def read_status(service: Service) -> shapes.Status:
    """Read the status of the server."""
    host, port = service.mqtt
    return {
        "environment": service.environment,
        "commit_sha": service.version,
        "branch_name": "jph",
        "start_timestamp": service.started_s,
        "mqtt_hostname": host,
        "mqtt_port": port,
    }


@PUBLIC.add(
    "POST",
    "/users",
    body=shapes.Credentials,
    answer=shapes.SignedIn,
    code=201,
    errors=(403, 409, 429),
)
def create_user(service: Service, body: shapes.Credentials) -> object:
    """Create a user.

    Answers with a token of that user. 403: this server lets nobody register.
    """
    if not service.registration:
        raise Refuse(403)
    address = request.remote_addr
    service.failed_addresses.check(address)
    with service.store.reading() as connection:
        is_taken = people.find_user(connection, body.user_name) is not None
    if is_taken:
        raise Refuse(409)
    service.failed_addresses.failed(address)  # so that nobody fills the store with users
    with service.passwords.turn():
        password_hash = people.hash_password(body.password)
    with writing(service) as connection:
        user = people.create_user(connection, body.user_name, password_hash)
        token = people.create_session(connection, user)
    return {"user_identifier": user, "access_token": token}


@PUBLIC.add(
    "POST",
    "/authentication",
    body=shapes.Credentials,
    answer=shapes.SignedIn,
    code=201,
    errors=(401, 404, 429),
)
def create_session(service: Service, body: shapes.Credentials) -> object:
    """Sign in.

    Answers with a new token. 429: the address failed too often in the last minute.
    """
    address = request.remote_addr
    service.failed_addresses.check(address)
    service.failed_names.check((body.user_name, address))
    with service.store.reading() as connection:
        found = people.find_user(connection, body.user_name)
    is_right = False
    if found is not None:
        with service.passwords.turn():
            is_right = people.is_password(body.password, found[1])
    if found is None or not is_right:
        service.failed_addresses.failed(address)
        service.failed_names.failed((body.user_name, address))
        raise Refuse(404 if found is None else 401)
    with writing(service, conflict=404) as connection:  # the user may have been deleted meanwhile
        token = people.create_session(connection, found[0])
    return {"user_identifier": found[0], "access_token": token}
