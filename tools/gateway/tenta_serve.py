"""`jph gateway tenta serve`: Tenta by the environment that its own server is configured by."""

import json
import os
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from jph.config import document
from jph.config.loading import OWN
from jph.errors import ConfigError
from jph.files import write_file
from tools import options

if TYPE_CHECKING:
    from gateways.tenta.environment import Environment

# What a first start writes; later ones change nothing of it but what the environment says.
NETWORK: dict[str, Any] = {
    "Multicast": {
        "Control-Channel": {
            **{"Address": "239.76.80.1", "Port": 7601},
            **{"Interface": "127.0.0.1", "TTL": 0},
        },
        "Data-Channel": {
            **{"Address": "239.76.80.2", "Port": 7602},
            **{"Interface": "127.0.0.1", "TTL": 0},
        },
    },
    "Sensors": [
        {
            **{"Codifier": "TG", "ShortName": "Tenta", "Name": "Tenta: messages stored"},
            **{"Symbol": "1/min", "Type": "Tenta", "DataType": "json"},
            **{"SensorInterval": 10, "TimeoutWarning": 40, "Sensor": {"Codifiers": "t0-tz"}},
        },
        {
            **{"Codifier": "SC", "Name": "Last states: messages taken", "Symbol": "1/min"},
            **{"Type": "StateCache", "SensorInterval": 10, "Sensor": {"URL": "memory:"}},
        },
        {
            **{"Codifier": "HW", "Name": "History: readings taken", "Symbol": "1/min"},
            **{"Type": "HistoryWriter", "DataType": "json", "SensorInterval": 10},
            "Sensor": {"URL": "sqlite:///history.sqlite"},
        },
        {
            **{"Codifier": "WB", "Name": "Web server", "Type": "Web"},
            "Sensor": {"Host": "127.0.0.1", "Port": 8080},
        },
    ],
}
SECRETS = {"PasswordFile": "tenta-mqtt-password", "StorePasswordFile": "tenta-store-password"}


ENV_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--env-file", type=ENV_FILE, help="A .env file; without it the environment of this process."
)
@click.option("--host", help="Address that the API listens on; 0.0.0.0: all of this machine.")
@click.option("--api-port", type=click.IntRange(1, 65535), help="Port of the API.")
@options.home
@click.pass_context
def serve(
    ctx: click.Context, env_file: Path | None, host: str | None, api_port: int | None, home: Path
) -> None:
    """Run the gateway, the pages and a history by HERMES_… and MQTT_… and POSTGRESQL_….

    The first start writes config.json into the home directory; later ones bring its Tenta component
    in line with the environment, and keep everything else in it.
    """
    from tools.up import up

    path = configured(env_file, home, {"Host": host, "Port": api_port})
    ctx.invoke(up, source=str(path), home=home, port=None, take_over=False)


def configured(env_file: Path | None, home: Path, more: dict[str, object]) -> Path:
    """Return the configuration of a home in line with an environment, or end the program.

    Args:
        env_file: a .env file; None: the environment of this process, which loses its passwords.
        more: further settings of the Tenta component; None: as they are.
    """
    try:
        from gateways.tenta.environment import environment_of, read_file
    except ImportError as error:
        raise click.ClickException(
            f"needs packages ({error}): pip install 'jph[gateways,postgres,web]'"
        ) from error
    values = dict(os.environ)
    with options.wrong_config(str(env_file or "environment")):
        if env_file is not None:
            values = read_file(env_file)
        found = environment_of(values)
    for name in values:
        if name.endswith("_PASSWORD"):  # of these no process that we start needs one
            os.environ.pop(name, None)
    path = home / OWN
    with options.wrong_config(str(path)):
        _write(path, found, more, home)
    click.echo(f"jph: broker {found.settings['Broker']}, store {found.settings['Store']}", err=True)
    return path


def _write(path: Path, found: "Environment", more: dict[str, object], home: Path) -> None:
    """Write what the environment says into the configuration, if it says anything new.

    Raises:
        ConfigError: the file cannot be read or written, or has no Tenta component.
    """
    content = deepcopy(NETWORK)
    if path.exists():
        content = cast(Any, document.parse(document.read(str(path)), str(path)))
    before = deepcopy(content)
    try:
        entries = [each for each in content["Sensors"] if each.get("Type") == "Tenta"]
    except (TypeError, KeyError, AttributeError):
        entries = []
    if not entries:
        raise ConfigError(f"{path} has no component of type Tenta: move it away, or add one")
    settings = entries[0].setdefault("Sensor", {})
    settings.update(found.settings)
    settings.update({name: value for name, value in more.items() if value is not None})
    passwords = dict(zip(SECRETS, (found.mqtt_password, found.store_password), strict=True))
    try:
        for name, password in passwords.items():
            settings.pop(name, None)
            if password is not None:
                file = home / SECRETS[name]
                if not file.exists() or file.read_text(encoding="utf-8") != password:
                    write_file(file, password.encode(), mode=0o600)
                settings[name] = str(file)
        if content != before or not path.exists():
            write_file(path, json.dumps(content, ensure_ascii=False, indent=2).encode() + b"\n")
    except OSError as error:
        raise ConfigError(str(error)) from None
