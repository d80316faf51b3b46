"""`jph doctor`: what this machine has, and what its components miss."""

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from gateways.broker.programs import PROGRAMS
from jph import registry
from jph.config.checks import runs_here
from jph.config.model import Component, Config
from jph.errors import ConfigError
from jph.workers import confinement
from tools import options

_CONFINED = {"Python": "limits-only", "IotTalk": "confine"}  # types, and their usual Sandbox


@click.command()
@options.network
def doctor(source: str, home: Path) -> None:
    """Tell what this machine has, and what the components that run here miss.

    It changes nothing. It ends with status 1 if a component cannot run.
    """
    why_not = confinement.why_not()
    system = os.uname()
    click.echo(f"Python:      {platform.python_version()}, {system.sysname} {system.release}")
    click.echo(f"confinement: {f'none: {why_not}' if why_not else 'Landlock and seccomp'}")
    for name, found in PROGRAMS.items():
        click.echo(f"{f'{name}:':12} {found() or 'not installed'}")
    missing = list(_missing(options.load(source, home), why_not))
    for line in missing:
        click.echo(line, err=True)
    click.echo(f"components:  {f'{len(missing)} cannot run' if missing else 'all can run'}")
    sys.exit(bool(missing))


def _missing(config: Config, why_not: str) -> Iterator[str]:
    """Yield a line for each component of this machine that cannot run."""
    for component in config.components.values():
        if not runs_here(component.entry) or not registry.is_run(component.type):
            continue
        try:
            registry.find(component.type)
        except ConfigError as error:
            yield f"{component.codifier} ({component.type}): {error}"
        else:
            if why_not and _is_confined(component):
                yield (
                    f"{component.codifier} ({component.type}): {why_not}; "
                    'give it "Sandbox": "limits-only" if you trust its functions'
                )


def _is_confined(component: Component) -> bool:
    usual = _CONFINED.get(component.type)
    return usual is not None and component.settings.get("Sandbox", usual) == "confine"
