"""Users, sessions, permissions, networks and sensors of Tenta, inside a transaction of a store.

Tokens are 64 hexadecimal digits, of which the store has the SHA-512. Of passwords it has a bcrypt
hash; those of an existing database of Tenta, by argon2, are understood if argon2-cffi is installed.
"""

import logging
import secrets
import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha384, sha512
from typing import NamedTuple
from uuid import UUID, uuid4

import bcrypt
from sqlalchemy import Connection, and_, bindparam, delete, insert, literal, select, update

from gateways.tenta.tables import network, permission, sensor, session, user

log = logging.getLogger(__name__)

COST = 11  # of bcrypt, as a power of two: 0.15 s on a PC
ARGON2 = "$argon2"


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may do with a network or a sensor.

    Args:
        user: who asks.
        exists: whether there is what is asked for.
        is_member: whether it is the user's.
    """

    user: UUID
    exists: bool
    is_member: bool


class Named(NamedTuple):
    """A network or a sensor."""

    identifier: UUID
    name: str


def now_us() -> int:
    """Return the present time, us."""
    return time.time_ns() // 1000


def hash_password(password: str) -> str:
    """Return the hash of a password; takes a while."""
    return bcrypt.hashpw(_shortened(password), bcrypt.gensalt(COST)).decode()


def is_password(password: str, hashed: str) -> bool:
    """Tell whether a password has this hash; takes a while."""
    if hashed.startswith(ARGON2):
        return _is_password_of_argon2(password, hashed)
    try:
        return bcrypt.checkpw(_shortened(password), hashed.encode())
    except ValueError:  # no hash of bcrypt
        return False


def _shortened(password: str) -> bytes:
    """Return 64 characters that stand for a password of any length: bcrypt takes 72."""
    return b64encode(sha384(password.encode()).digest())


def _is_password_of_argon2(password: str, hashed: str) -> bool:
    try:
        from argon2 import PasswordHasher
        from argon2.exceptions import InvalidHashError, VerificationError
    except ImportError:
        log.error("a password is kept as Tenta kept it: pip install argon2-cffi to let its user in")
        return False
    try:
        return PasswordHasher().verify(hashed, password)
    except (InvalidHashError, VerificationError):
        return False


def create_user(connection: Connection, name: str, password_hash: str) -> UUID:
    """Create a user.

    Raises:
        IntegrityError: the name is taken.
    """
    row = {"name": name, "password_hash": password_hash, "creation_timestamp": now_us()}
    identifier = uuid4()
    connection.execute(insert(user), {"identifier": identifier, **row})
    return identifier


def put_user(connection: Connection, name: str, password_hash: str) -> UUID:
    """Create a user, or give it another password, which ends its sessions."""
    found = find_user(connection, name)
    if found is None:
        return create_user(connection, name, password_hash)
    identifier = found[0]
    connection.execute(
        update(user).where(user.c.identifier == identifier).values(password_hash=password_hash)
    )
    connection.execute(delete(session).where(session.c.user_identifier == identifier))
    return identifier


def remove_user(connection: Connection, name: str) -> bool:
    """Remove a user, its sessions and permissions; False: there is none of this name."""
    return connection.execute(delete(user).where(user.c.name == name)).rowcount > 0


def find_user(connection: Connection, name: str) -> tuple[UUID, str] | None:
    """Return identifier and password hash of a user."""
    query = select(user.c.identifier, user.c.password_hash).where(user.c.name == name)
    found = connection.execute(query).first()
    return (found[0], found[1]) if found else None


def create_session(connection: Connection, of: UUID) -> str:
    """Return a new token of a user."""
    token = secrets.token_hex(32)
    row = {"access_token_hash": _hash_of(token), "creation_timestamp": now_us()}
    connection.execute(insert(session), {"user_identifier": of, **row})
    return token


def _hash_of(token: str) -> str:
    return sha512(token.encode()).hexdigest()


_OF_TOKEN = session.c.access_token_hash == bindparam("token")
_MINE = and_(
    permission.c.user_identifier == session.c.user_identifier,
    permission.c.network_identifier == bindparam("network"),
)
_USER = select(session.c.user_identifier, literal(True), literal(True)).where(_OF_TOKEN)
_NETWORK = (
    select(
        session.c.user_identifier,
        network.c.identifier.is_not(None),
        permission.c.user_identifier.is_not(None),
    )
    .select_from(
        session.outerjoin(network, network.c.identifier == bindparam("network")).outerjoin(
            permission, _MINE
        )
    )
    .where(_OF_TOKEN)
)
_SENSOR = (
    select(
        session.c.user_identifier,
        sensor.c.identifier.is_not(None),
        permission.c.user_identifier.is_not(None),
    )
    .select_from(
        session.outerjoin(
            sensor,
            and_(
                sensor.c.identifier == bindparam("sensor"),
                sensor.c.network_identifier == bindparam("network"),
            ),
        ).outerjoin(permission, _MINE)
    )
    .where(_OF_TOKEN)
)


def access(
    connection: Connection,
    token: str,
    network_identifier: UUID | None = None,
    sensor_identifier: UUID | None = None,
) -> Access | None:
    """Return what the bearer of a token may do; None: the token is not valid.

    Args:
        network_identifier: what is asked for; None: nothing in particular.
        sensor_identifier: of a sensor in the network.
    """
    values: dict[str, object] = {"token": _hash_of(token)}
    query = _USER
    if network_identifier is not None:
        values["network"] = network_identifier
        query = _NETWORK
    if sensor_identifier is not None:
        values["sensor"] = sensor_identifier
        query = _SENSOR
    found = connection.execute(query, values).first()
    return Access(found[0], bool(found[1]), bool(found[2])) if found else None


def create_network(connection: Connection, name: str, owner: UUID) -> UUID:
    """Create a network that is the user's.

    Raises:
        IntegrityError: the name is taken, or the user is gone.
    """
    identifier = uuid4()
    row = {"identifier": identifier, "name": name, "creation_timestamp": now_us()}
    connection.execute(insert(network), row)
    allow(connection, owner, identifier)
    return identifier


def allow(connection: Connection, who: UUID, what: UUID) -> None:
    """Make a network the user's.

    Raises:
        IntegrityError: it is already, or one of them is gone.
    """
    row = {"user_identifier": who, "network_identifier": what, "creation_timestamp": now_us()}
    connection.execute(insert(permission), row)


def forbid(connection: Connection, who: UUID, what: UUID) -> bool:
    """Take a network from a user; False: it is not the user's."""
    query = delete(permission).where(
        permission.c.user_identifier == who, permission.c.network_identifier == what
    )
    return connection.execute(query).rowcount > 0


def members_of(connection: Connection, of: UUID) -> Sequence[Named]:
    """Return the users whose network it is, by name."""
    query = (
        select(user.c.identifier, user.c.name)
        .join(permission, permission.c.user_identifier == user.c.identifier)
        .where(permission.c.network_identifier == of)
        .order_by(user.c.name)
    )
    return [Named(*row) for row in connection.execute(query)]


def networks_of(connection: Connection, of: UUID) -> Sequence[Named]:
    """Return the networks of a user, by name."""
    query = (
        select(network.c.identifier, network.c.name)
        .join(permission, permission.c.network_identifier == network.c.identifier)
        .where(permission.c.user_identifier == of)
        .order_by(network.c.name)
    )
    return [Named(*row) for row in connection.execute(query)]


def create_sensor(connection: Connection, of: UUID, name: str) -> UUID:
    """Create a sensor in a network.

    Raises:
        IntegrityError: the name is taken there, or the network is gone.
    """
    row = {"name": name, "network_identifier": of, "creation_timestamp": now_us()}
    identifier = uuid4()
    connection.execute(insert(sensor), {"identifier": identifier, **row})
    return identifier


def sensors_of(connection: Connection, of: UUID) -> Sequence[Named]:
    """Return the sensors of a network, by name."""
    query = select(sensor.c.identifier, sensor.c.name).where(sensor.c.network_identifier == of)
    return [Named(*row) for row in connection.execute(query.order_by(sensor.c.name))]


def rename_sensor(connection: Connection, identifier: UUID, name: str) -> bool:
    """Give a sensor another name; False: it is gone.

    Raises:
        IntegrityError: the name is taken in its network.
    """
    query = update(sensor).where(sensor.c.identifier == identifier).values(name=name)
    return connection.execute(query).rowcount > 0
