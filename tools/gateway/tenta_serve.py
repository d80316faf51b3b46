"""`jph gateway tenta serve`: Tenta by the environment that its own server is configured by."""

import os
from pathlib import Path

import click

from jph.config.loading import OWN
from tools import options
from tools.gateway.own_network import bring_in_line, network_of

NETWORK = network_of(
    {
        **{"Codifier": "TG", "ShortName": "Tenta", "Name": "Tenta: messages stored"},
        **{"Symbol": "1/min", "Type": "Tenta", "DataType": "json"},
        **{"SensorInterval": 10, "TimeoutWarning": 40, "Sensor": {"Codifiers": "t0-tz"}},
    },
    number=0,
    pages_port=8080,
)
TYPE = "Tenta"
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
        passwords = zip(SECRETS.values(), (found.mqtt_password, found.store_password), strict=True)
        secrets = dict(zip(SECRETS, passwords, strict=True))
        bring_in_line(path, NETWORK, {TYPE: {**found.settings, **more}}, secrets)
    click.echo(f"jph: broker {found.settings['Broker']}, store {found.settings['Store']}", err=True)
    return path
