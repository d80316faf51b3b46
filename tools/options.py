"""Options that several subcommands share."""

from pathlib import Path

import click

from jph import paths
from jph.config import loading
from jph.config.model import Config
from jph.errors import ConfigError
from jph.node.standalone import default_home

EX_CONFIG = 78  # listed in RestartPreventExitStatus= of the unit: starting again would not help

source = click.option(
    "-u",
    "--config",
    "source",
    envvar="JPH_CONFIG",
    default=lambda: str(paths.shipped_config()),
    metavar="PATH_OR_URL",
    help="The configuration; by default the shipped network.",
)
home = click.option(
    "--home",
    envvar="JPH_HOME",
    default=default_home,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for all that is written.",
)


def load(source: str, home: Path) -> Config:
    """Return the configuration, or end the program with its mistakes, a line each."""
    try:
        return loading.load(source, home)
    except ConfigError as error:
        raise WrongConfig(error, source) from error


class WrongConfig(click.ClickException):
    """Ends the program with every mistake of the configuration on a line of its own."""

    exit_code = EX_CONFIG

    def __init__(self, error: ConfigError, source: str) -> None:
        lines = [f"jph: {source}: {mistake}" for mistake in error.mistakes]
        super().__init__("\n".join(lines))

    def show(self, file: object = None) -> None:
        click.echo(self.message, err=True)
