"""Options, errors and a question that several subcommands share."""

import functools
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from jph.config import loading
from jph.config.model import Config
from jph.errors import ConfigError, JphError, StoreError
from tools import places

T = TypeVar("T")
EX_CONFIG = 78  # listed in RestartPreventExitStatus= of the unit: starting again would not help

_source = click.option(
    "-u",
    "--config",
    "--url",
    "source",
    envvar="JPH_CONFIG",
    metavar="PATH_OR_URL",
    help="The configuration; by default that of the network that runs here.",
)
_home = click.option(
    "--home",
    envvar="JPH_HOME",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for all files that JPH writes; by default that of the network that runs here.",
)


def network(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the arguments `source` and `home`, found where they are not named."""

    @_source
    @_home
    @functools.wraps(command)
    def with_network(
        *arguments: object, source: str | None, home: Path | None, **named: object
    ) -> T:
        place = places.find(source, home)
        document = loading.in_force(place.source, place.home)
        found = [] if source is not None else [f"configuration {document}"]
        found += [] if home is not None else [f"home {place.home}"]
        if found:
            is_of_home = home is not None and document != place.source
            why = "that of the home" if is_of_home else place.reason
            click.echo(f"jph: {', '.join(found)} ({why})", err=True)
        return command(*arguments, source=place.source, home=place.home, **named)

    return with_network


def home(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the argument `home`, found where it is not named."""

    @_home
    @functools.wraps(command)
    def with_home(*arguments: object, home: Path | None, **named: object) -> T:
        place = places.find(os.environ.get("JPH_CONFIG"), home)
        if home is None:
            click.echo(f"jph: home {place.home} ({place.reason})", err=True)
        return command(*arguments, home=place.home, **named)

    return with_home


class Number(click.FloatRange):
    """A finite number, perhaps within bounds; anything else is refused in one line."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number: float = super().convert(value, param, ctx)
        except click.BadParameter as error:
            raise click.ClickException(error.format_message()) from error
        if not math.isfinite(number):
            raise click.ClickException(f"{value} is no finite number; give one such as 21.5")
        return number


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


@contextmanager
def telling_why() -> Iterator[None]:
    """End the program in one line where JPH refuses."""
    try:
        yield
    except JphError as error:
        raise click.ClickException(str(error)) from error


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
