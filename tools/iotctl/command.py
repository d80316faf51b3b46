"""`iotctl`: start and stop the servers of IoTtalk, which are components of JPH.

csm is the component IotTalk. ccm and gui are the pages, with the editor of graphs. Each runs in the
foreground, as a service manager or a container wants it.
"""

import code
import os
import sys
from collections.abc import Callable
from contextlib import closing
from functools import wraps
from pathlib import Path
from typing import Any

import click

from jph.config.loading import OWN
from tools import options
from tools.gateway.own_network import bring_in_line, network_of
from tools.iotctl import ini, pid_file

NETWORK = network_of(
    {
        **{"Codifier": "IT", "ShortName": "IoTtalk", "Name": "IoTtalk: messages taken"},
        **{"Symbol": "1/min", "Type": "IotTalk", "DataType": "json"},
        **{"SensorInterval": 10, "TimeoutWarning": 40, "Sensor": {"Codifiers": "i0-iz"}},
    },
    number=2,
    pages_port=8080,
)
# Which components a server is; ccm and gui are one.
_PAGES = ("SC", "HW", "WB")
_SERVERS = {"csm": ("csm.pid", ("IT",)), "ccm": ("gui.pid", _PAGES), "gui": ("gui.pid", _PAGES)}
_STOP_S = 20.0
_NOT_RUNNING = 3  # the exit status of a service manager for it


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-d", "--debug", is_flag=True, help="Log everything.")
@click.option(
    "-c",
    "--config",
    "path",
    metavar="INI_PATH",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The ini file; without one the usual values hold.",
)
@click.version_option(package_name="jph", prog_name="iotctl")
@click.pass_context
def main(ctx: click.Context, debug: bool, path: Path | None) -> None:
    """Start and stop IoTtalk's servers."""
    ctx.obj = path
    if debug:
        os.environ["JPH_DEBUG"] = "1"


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command what the ini file says, and the folder that it names."""

    @wraps(command)
    def with_settings(**named: Any) -> None:
        path = click.get_current_context().obj
        with options.wrong_config(str(path or "iotctl")):
            settings, ignored = ini.read(path)
        if ignored:
            click.echo(f"iotctl: means nothing here: {', '.join(ignored)}", err=True)
        try:
            settings.userdir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise click.ClickException(f"userdir {settings.userdir}: {error.strerror}") from error
        command(settings, **named)

    return with_settings


_server = click.argument("server", type=click.Choice(list(_SERVERS)))


@main.command()
@click.argument("server", type=click.Choice(["ccm"]), required=False)
@_with_settings
def initdb(settings: ini.Settings, server: str | None) -> None:
    """Make the tables of the database; csm would do so at its first start."""
    with closing(_store(settings)) as store:
        click.echo(f"{store.name} has the tables of IoTtalk")


@main.command()
@_server
@_with_settings
def start(settings: ini.Settings, server: str) -> None:
    """Run a server until SIGINT, SIGTERM, or `iotctl stop`."""
    _run(settings, server)


@main.command()
@_server
@_with_settings
def stop(settings: ini.Settings, server: str) -> None:
    """Stop a server, and wait for its end."""
    pid = _end(settings, server)
    click.echo(f"{server} does not run" if pid is None else f"{server} stopped")


@main.command()
@_server
@_with_settings
def restart(settings: ini.Settings, server: str) -> None:
    """Stop a server if it runs, and run it here."""
    _end(settings, server)
    _run(settings, server)


@main.command()
@_server
@_with_settings
def status(settings: ini.Settings, server: str) -> None:
    """Tell whether a server runs; with status 3 it does not."""
    pid = pid_file.holder(settings.userdir / _SERVERS[server][0])
    click.echo(f"{server} does not run" if pid is None else f"{server} runs, process {pid}")
    sys.exit(_NOT_RUNNING if pid is None else 0)


@main.command()
@_with_settings
def shell(settings: ini.Settings) -> None:
    """Open Python with the database: `store`, its `connection`, and its `tables`."""
    from gateways.iottalk import tables

    with closing(_store(settings)) as store, store.reading() as connection:
        names = {"store": store, "connection": connection, "tables": tables}
        code.interact(f"{store.name}: {', '.join(names)}", local=names, exitmsg="")


@main.command()
@click.argument("dest", type=click.Path(path_type=Path))
def genconf(dest: Path) -> None:
    """Write an ini file with the usual values to DEST, a file or a folder."""
    path = dest / "iottalk.ini" if dest.is_dir() else dest
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(ini.sample())
    except FileExistsError:
        raise click.ClickException(f"{path} exists; remove it, or name another one") from None
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from error
    click.echo(path)


def _store(settings: ini.Settings) -> Any:
    """Return the store with its tables, open."""
    try:
        from gateways.iottalk import tables
        from gateways.store import Store
    except ImportError as error:
        raise click.ClickException(_needs(error)) from error
    with options.telling_why():
        store = Store.open(str(settings.core["Store"]), settings.userdir, None, tables.STEPS)
        with store.writing():
            return store


def _run(settings: ini.Settings, server: str) -> None:
    from tools.up import run

    name, codifiers = _SERVERS[server]
    home, path = settings.userdir, settings.userdir / OWN
    with pid_file.held(home / name) as is_ours:
        if not is_ours:
            pid = pid_file.holder(home / name)
            raise click.ClickException(f"{server} runs already, process {pid}; iotctl restart?")
        said = {"IotTalk": settings.core, "Web": settings.gui}
        secrets = {"PasswordFile": ("iottalk-mqtt-password", settings.password)}
        with options.wrong_config(str(path)):
            bring_in_line(path, NETWORK, said, secrets)
        click.get_current_context().invoke(
            run, codifiers=codifiers, source=str(path), home=home, port=None, take_over=False
        )


def _end(settings: ini.Settings, server: str) -> int | None:
    try:
        return pid_file.end_holder(settings.userdir / _SERVERS[server][0], _STOP_S)
    except (TimeoutError, PermissionError) as error:
        why = str(error) or f"it has not ended within {_STOP_S:g} s"
        raise click.ClickException(f"{server}: {why}") from error


def _needs(error: ImportError) -> str:
    return f"needs packages ({error}): pip install 'jph[gateways,web]'"


if __name__ == "__main__":
    main()
