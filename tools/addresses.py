"""Which history a command works on: what the configuration names, or a URL of its command line."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import click

from jph.config.model import Component, Config
from jph.errors import ConfigError
from jph.stores.address import StoreAddress, history_address, writer_address
from tools import options

password_file = click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="Holds the password of a PostgreSQL that is named by a URL here.",
)


@dataclass(frozen=True, slots=True)
class Target:
    """A database of PostgreSQL and the role that owns what JPH makes in it."""

    database: str
    role: str
    password_file: Path | None = None


def address_in(config: Config, source: str, codifier: str | None = None) -> StoreAddress:
    """Return where the first HistoryWriter writes, or the component of this Codifier."""
    try:
        if codifier is not None:
            return writer_address(*_settings(_component(config, codifier)))
        place = history_address(config)
    except ConfigError as error:
        raise options.WrongConfig(error, source) from error
    if place is None:
        raise options.WrongConfig(ConfigError("there is no HistoryWriter"), source)
    return place


def target_in(config: Config, source: str, codifier: str | None = None) -> Target:
    """Return the database that the first HistoryWriter on PostgreSQL names, or this component."""
    try:
        if codifier is not None:
            found = [_component(config, codifier)]
        else:
            found = [each for each in config.components.values() if each.type == "HistoryWriter"]
        for component in found:
            place = writer_address(*_settings(component))
            if is_postgres(place.url):
                return target_of(place)
    except ConfigError as error:
        raise options.WrongConfig(error, source) from error
    who = f"{codifier} does not name" if codifier else "no HistoryWriter names"
    mistake = ConfigError(f"{who} a database of PostgreSQL, by an SQL block or a postgresql: URL")
    raise options.WrongConfig(mistake, source)


def others_in(config: Config, owner: StoreAddress, target: Target) -> dict[Target, bool]:
    """Return the other roles that components name for a database, and whether they write."""
    where = urlsplit(owner.url).netloc.rpartition("@")[2]
    found: dict[str, tuple[Target, bool]] = {}
    for component in config.components.values():
        if not isinstance(component.settings.get("SQL"), dict):
            continue
        place = writer_address(*_settings(component))
        other = target_of(place)
        is_here = urlsplit(place.url).netloc.rpartition("@")[2] == where
        if is_here and other.database == target.database and other.role != target.role:
            writes = component.type in ("HistoryWriter", "Statistics")
            before = found.get(other.role, (other, False))
            found[other.role] = (before[0], writes or before[1])
    return dict(found.values())


def target_of(place: StoreAddress) -> Target:
    """Return what a postgresql: URL says.

    Raises:
        ConfigError: it names no database or no role.
    """
    try:
        parts = urlsplit(place.url)
    except ValueError as error:
        raise ConfigError(f"{place.url}: {error}") from error
    query = dict(parse_qsl(parts.query))
    database = query.get("dbname") or unquote(parts.path[1:])
    role = query.get("user") or unquote(parts.username or "")
    if not database or not role:
        raise ConfigError(
            f"{place.url}: names no {'role' if database else 'database'}:"
            " postgresql://user@host:port/database"
        )
    return Target(database, role, place.password_file)


def is_postgres(url: str) -> bool:
    """Tell whether a URL names a database of PostgreSQL."""
    return url.partition(":")[0].lower() == "postgresql"


def _component(config: Config, codifier: str) -> Component:
    component = config.components.get(codifier)
    if component is None:
        raise ConfigError(f"there is no component {codifier}")
    return component


def _settings(component: Component) -> tuple[dict[str, object], str]:
    return dict(component.settings), f"Sensors[{component.index}].Sensor"
