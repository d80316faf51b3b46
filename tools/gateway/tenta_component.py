"""The Tenta component that a command means, and its store."""

from collections.abc import Mapping
from pathlib import Path

from jph.config.model import Component, Config
from jph.errors import ConfigError

TYPE = "Tenta"


def component_in(config: Config, code: str | None) -> Component:
    """Return a Tenta component, by its Codifier or the first one.

    Raises:
        ConfigError: there is none.
    """
    for component in config.components.values():
        if component.type == TYPE and code in (None, component.codifier):
            return component
    which = f"no component {code} of type {TYPE}" if code else f"no component of type {TYPE}"
    raise ConfigError(f"there is {which} in Sensors: add one")


def store_of(component: Component) -> tuple[str, Path | None]:
    """Return the URL of the store of a component and its password file."""
    from gateways.store import DEFAULT_STORE

    settings: Mapping[str, object] = component.settings
    password = settings.get("StorePasswordFile")
    url = str(settings.get("Store") or DEFAULT_STORE)
    return url, Path(str(password)) if password else None
