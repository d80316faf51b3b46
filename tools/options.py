"""Options, errors and a question that several subcommands share."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from jph import paths
from jph.config import loading
from jph.config.model import Config
from jph.errors import ConfigError, StoreError
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
    help="Folder for all files that JPH writes.",
)


class WrongConfig(click.ClickException):
    """Ends the program with each mistake of the configuration on a line of its own."""

    exit_code = EX_CONFIG

    def __init__(self, mistakes: Iterable[str], source: str) -> None:
        super().__init__("\n".join(f"jph: {source}: {mistake}" for mistake in mistakes))

    def show(self, file: object = None) -> None:
        click.echo(self.message, err=True)


@contextmanager
def wrong_config(source: str) -> Iterator[None]:
    """End the program if the configuration, or a file that it names, has mistakes."""
    try:
        yield
    except ConfigError as error:
        raise WrongConfig(error.mistakes, source) from error
    except StoreError as error:
        raise WrongConfig([str(error)], source) from error


def load(source: str, home: Path) -> Config:
    """Return the configuration, or end the program and print its mistakes."""
    with wrong_config(source):
        return loading.load(source, home)


def ask_password() -> str:
    """Ask for a password twice on a terminal, or read it as a line from a pipe."""
    if sys.stdin.isatty():
        given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
        return given
    return sys.stdin.readline().rstrip("\r\n")
