"""`jph user`: the accounts of people who sign in with name and password."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jph.errors import StoreError
from tools import options

if TYPE_CHECKING:
    from web.users import Accounts


@click.group()
def user() -> None:
    """Accounts of people who sign in with name and password."""


@user.command()
@click.argument("name")
@options.home
def add(name: str, home: Path) -> None:
    """Make an account; asks for its password, or reads it as a line from a pipe."""
    with _open(home) as accounts:
        _check_name(name)
        if name in accounts.names():
            raise click.ClickException(f"{name} exists already; jph user password changes it")
        _set(accounts, name)
    click.echo(f"{name} can sign in")


@user.command()
@click.argument("name")
@options.home
def password(name: str, home: Path) -> None:
    """Give an account another password, which ends its sessions."""
    with _open(home) as accounts:
        if name not in accounts.names():
            raise click.ClickException(f"there is no account {name}")
        _set(accounts, name)
    click.echo(f"{name} has a new password")


@user.command()
@click.argument("name")
@options.home
def remove(name: str, home: Path) -> None:
    """Delete an account, which ends its sessions."""
    with _open(home) as accounts:
        if not accounts.remove(name):
            raise click.ClickException(f"there is no account {name}")
    click.echo(f"{name} is removed")


@user.command("list")
@options.home
def list_all(home: Path) -> None:
    """Print the names of all accounts."""
    with _open(home) as accounts:
        for name in accounts.names():
            click.echo(name)


@contextmanager
def _open(home: Path) -> Iterator["Accounts"]:
    try:
        from web.users import Accounts
    except ImportError as error:
        raise click.ClickException(f"accounts need pip install 'jph[web]' ({error})") from error
    try:
        with closing(Accounts(home)) as accounts:
            yield accounts
    except (StoreError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _set(accounts: "Accounts", name: str) -> None:
    from web.users import check_password

    if sys.stdin.isatty():
        given = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    else:
        given = sys.stdin.readline().rstrip("\r\n")
    try:
        check_password(given)
        accounts.set_password(name, given)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


def _check_name(name: str) -> None:
    from web.users import check_name

    try:
        check_name(name)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
