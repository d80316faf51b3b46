"""The history that a command works on: its address, and connections of the command to it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

import click

from jph.config.model import Component, Config
from jph.errors import ConfigError, StoreError
from jph.stores import open_history
from jph.stores.address import StoreAddress, writer_address
from tools import options

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

password_file = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="File with the password for the PostgreSQL URLs of this command.",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A database of PostgreSQL and the role that owns the tables of JPH in it."""

    server: str  # host and port
    database: str
    role: str
    password_file: Path | None


def address_for(
    url: str | None,
    password_file: Path | None,
    source: str,
    home: Path,
    writer: str | None = None,
) -> StoreAddress:
    """Return the history that a URL names, or without one, that of the configuration."""
    if url is not None:
        return StoreAddress(url, password_file)
    config = options.load(source, home)
    with options.wrong_config(source):
        for place in _places(config, writer):
            return place
        raise ConfigError("there is no HistoryWriter in Sensors; add one, or give a URL")


def target_in(config: Config, codifier: str | None) -> Target:
    """Return the database that the first HistoryWriter on PostgreSQL names, or this component.

    Raises:
        ConfigError: no component names one, or one of its settings is wrong.
    """
    for place in _places(config, codifier):
        if is_postgres(place.url):
            return _target(place)
    subject = f"{codifier} does not name" if codifier else "no HistoryWriter names"
    raise ConfigError(f"{subject} a database of PostgreSQL, by an SQL block or a postgresql: URL")


def others_in(config: Config, target: Target) -> dict[Target, bool]:
    """Return the other roles that components use in a database, and whether they write to it."""
    found: dict[str, tuple[Target, bool]] = {}
    for component in config.components.values():
        if not isinstance(component.settings.get("SQL"), dict):
            continue
        other = _target(_address(component))
        is_here = (other.server, other.database) == (target.server, target.database)
        if is_here and other.role != target.role:
            first, writes = found.get(other.role, (other, False))
            writes = writes or component.type in ("HistoryWriter", "Statistics")
            found[other.role] = first, writes
    return dict(found.values())


def codifiers_in(config: Config) -> list[str]:
    """Return the Codifiers whose readings may be in the history: of components and proxies."""
    components = config.components.values()
    proxies = (proxy for component in components for proxy in component.serves)
    return list(dict.fromkeys([*config.components, *proxies]))


def is_postgres(url: str) -> bool:
    """Tell whether a URL names a database of PostgreSQL."""
    return url.partition(":")[0].lower() == "postgresql"


@contextmanager
def connected(place: StoreAddress, home: Path) -> Iterator[tuple["Connection", str]]:
    """Connect to a history in PostgreSQL; yield the connection and a name for messages.

    Raises:
        ConfigError: the URL is wrong.
        StoreError: the driver raised an error, here or in the caller's block.
    """
    open_history(place.url, home, place.password_file).close()  # raises ConfigError
    import psycopg2

    from jph.stores.postgres.connection import PostgresServer

    server = PostgresServer(place.url, place.password_file)
    try:
        with closing(server.connect()) as connection:
            yield connection, server.name
    except psycopg2.Error as error:
        raise server.converted(error) from error


def file_of(place: StoreAddress, home: Path) -> Path:
    """Return the file of a history that is not in PostgreSQL.

    Raises:
        ConfigError: the URL names no SQLite file.
    """
    scheme, _, path = place.url.partition(":")
    if scheme.lower() != "sqlite" or not path.startswith("///"):
        open_history(place.url, home).close()  # raises ConfigError
    return home / path[3:]


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Open an SQLite file to read it.

    Raises:
        StoreError: SQLite raised an error, here or in the caller's block.
    """
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StoreError(f"{file}: {error}") from error


def _places(config: Config, codifier: str | None) -> Iterator[StoreAddress]:
    """Return where each HistoryWriter writes, or only the component of this Codifier."""
    if codifier is None:
        return map(_address, (c for c in config.components.values() if c.type == "HistoryWriter"))
    if codifier not in config.components:
        raise ConfigError(f"there is no component {codifier} in the configuration")
    return iter([_address(config.components[codifier])])


def _address(component: Component) -> StoreAddress:
    return writer_address(component.settings, f"Sensors[{component.index}].Sensor")


def _target(place: StoreAddress) -> Target:
    try:
        parts = urlsplit(place.url)
    except ValueError as error:
        raise ConfigError(f"{place.url}: {error}") from error
    query = dict(parse_qsl(parts.query))
    database = query.get("dbname") or unquote(parts.path[1:])
    role = query.get("user") or unquote(parts.username or "")
    if not database or not role:
        raise ConfigError(
            f"{place.url} names no {'role' if database else 'database'};"
            " write postgresql://user@host:port/database"
        )
    return Target(parts.netloc.rpartition("@")[2], database, role, place.password_file)
