"""`jph user`: the accounts of people who sign in with name and password."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from jph.errors import StoreError
from tools import options


@click.group()
def user() -> None:
    """Accounts of people who sign in with name and password."""


@user.command()
@click.argument("name")
@options.home
def add(name: str, home: Path) -> None:
    """Make an account; asks for its password, or reads it as a line from a pipe."""
    with _database(home):
        from web import users

        users.check_name(name)
        if name in users.names():
            raise click.ClickException(f"{name} exists already; jph user password changes it")
        users.set_password(name, _asked_password())
    click.echo(f"{name} can sign in")


@user.command()
@click.argument("name")
@options.home
def password(name: str, home: Path) -> None:
    """Give an account another password, which ends its sessions."""
    with _database(home):
        from web import users

        if name not in users.names():
            raise click.ClickException(f"there is no account {name}")
        users.set_password(name, _asked_password())
    click.echo(f"{name} has a new password")


@user.command()
@click.argument("name")
@options.home
def remove(name: str, home: Path) -> None:
    """Delete an account, which ends its sessions."""
    with _database(home):
        from web import users

        if not users.remove(name):
            raise click.ClickException(f"there is no account {name}")
    click.echo(f"{name} is removed")


@user.command("list")
@options.home
def list_all(home: Path) -> None:
    """Print the names of all accounts."""
    with _database(home):
        from web import users

        for name in users.names():
            click.echo(name)


@contextmanager
def _database(home: Path) -> Iterator[None]:
    """Use the database of a home directory, and show what is wrong as one line."""
    try:
        from web import users  # noqa: F401 - shows here what is not installed
        from web.app import Application
    except ImportError as error:
        raise click.ClickException(f"accounts need pip install 'jph[web]' ({error})") from error
    try:
        with Application(home).app_context():
            yield
    except (StoreError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _asked_password() -> str:
    if sys.stdin.isatty():
        given: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return given
    return sys.stdin.readline().rstrip("\r\n")
