"""The environment that Tenta and hermes are configured by, as settings of a Tenta component.

The names are theirs: `HERMES_MQTT_URL`, or the same without `HERMES_`, from the process or a `.env`
file.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from dotenv import dotenv_values

from jph.errors import ConfigError

PREFIX = "HERMES_"
GROUPS = ("MQTT_", "POSTGRESQL_")  # names that begin so are known below, or a mistake
NAMES = {
    "MQTT_URL",
    "MQTT_HOSTNAME",
    "MQTT_PORT",
    "MQTT_IDENTIFIER",
    "MQTT_USERNAME",
    "MQTT_PASSWORD",
    "MQTT_BASE_TOPIC",
    "POSTGRESQL_URL",
    "POSTGRESQL_HOSTNAME",
    "POSTGRESQL_PORT",
    "POSTGRESQL_USERNAME",
    "POSTGRESQL_IDENTIFIER",
    "POSTGRESQL_PASSWORD",
    "POSTGRESQL_DATABASE",
}
# For docker compose, or for what the server says of itself: nothing here depends on them.
FOR_OTHERS = {"ENVIRONMENT", "COMMIT_SHA", "BRANCH_NAME", "MQTT_PASSWORD_FILE", "MQTT_DATA_PATH"}
FOR_OTHERS |= {"POSTGRESQL_DATA_PATH"}


@dataclass(frozen=True, slots=True)
class Environment:
    """Settings of a Tenta component, and the passwords that belong into files."""

    settings: Mapping[str, object]
    mqtt_password: str | None = field(default=None, repr=False)
    store_password: str | None = field(default=None, repr=False)


def read_file(path: Path) -> dict[str, str]:
    """Return the names and values of a `.env` file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        values = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(error)) from None
    if not values:
        raise ConfigError(f"{path} has no names, or is not there; see deploy/tenta/.env.example")
    return {name: value or "" for name, value in values.items()}


def environment_of(values: Mapping[str, str]) -> Environment:
    """Return what the environment of a Tenta or hermes server means.

    Raises:
        ConfigError: with every name that is unknown, twice there, missing, or wrong.
    """
    mistakes: list[str] = []
    known = _known(values, mistakes)

    def text(*names: str) -> str:
        return next((known[name] for name in names if known.get(name)), "")

    def port(name: str, usual: int) -> int:
        given = text(name) or str(usual)
        number = int(given) if re.fullmatch("[0-9]{1,5}", given) else 0
        if not 0 < number < 65536:
            mistakes.append(f"{name}: {given!r} is no port; give a number from 1 to 65535")
            return usual
        return number

    broker_host = text("MQTT_URL", "MQTT_HOSTNAME")
    store_host = text("POSTGRESQL_URL", "POSTGRESQL_HOSTNAME")
    mistakes += [
        f"{name} is missing: give the name or address of the machine"
        for name, host in (("MQTT_URL", broker_host), ("POSTGRESQL_URL", store_host))
        if not host
    ]
    mistakes += [
        f"{name}: {host!r} is an address with more than a host; give only the host"
        for name, host in (("MQTT_URL", broker_host), ("POSTGRESQL_URL", store_host))
        if set(host) & set("/@?#")
    ]
    broker_port, store_port = port("MQTT_PORT", 1883), port("POSTGRESQL_PORT", 5432)
    broker_user = text("MQTT_USERNAME", "MQTT_IDENTIFIER")
    store_user = text("POSTGRESQL_USERNAME", "POSTGRESQL_IDENTIFIER")
    base = text("MQTT_BASE_TOPIC")
    if base and not base.endswith("/"):
        mistakes.append(f"MQTT_BASE_TOPIC: {base!r} must end with /")
    if mistakes:
        raise ConfigError(mistakes)
    settings: dict[str, object] = {
        "Broker": _url("mqtts" if broker_port == 8883 else "mqtt", broker_user, broker_host)
        + f":{broker_port}",
        "Store": _url("postgresql", store_user or "postgres", store_host)
        + f":{store_port}/{quote(text('POSTGRESQL_DATABASE') or 'database', safe='')}",
        "BaseTopic": base,
        "Flavour": "hermes" if any(name.startswith(PREFIX) for name in values) else "tenta",
    }
    return Environment(settings, text("MQTT_PASSWORD") or None, text("POSTGRESQL_PASSWORD") or None)


def _known(values: Mapping[str, str], mistakes: list[str]) -> dict[str, str]:
    """Return the values by their names without `HERMES_`."""
    known: dict[str, str] = {}
    for given, value in values.items():
        name = given.removeprefix(PREFIX)
        if name in FOR_OTHERS:
            continue
        if name not in NAMES:
            if name != given or name.startswith(GROUPS):
                mistakes.append(f"{given} is unknown; known are {', '.join(sorted(NAMES))}")
            continue
        if known.setdefault(name, value) != value:
            mistakes.append(f"{PREFIX}{name} and {name} differ: remove one of them")
    return known


def _url(scheme: str, user: str, host: str) -> str:
    return f"{scheme}://{quote(user, safe='') + '@' if user else ''}{host}"
