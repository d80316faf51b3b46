"""`jph user`: the accounts of people who sign in with a name and a password."""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import click

from jph.errors import StoreError
from tools import options


@click.group()
def user() -> None:
    """Manage the accounts of people who sign in with a name and a password."""


role_choice = click.Choice(["viewer", "operator", "admin"])
role_option = functools.partial(
    click.option,
    "--role",
    type=role_choice,
    show_default=True,
    help="What it may do: see; command, too; or change everything.",
)


@user.command()
@click.argument("name")
@role_option(default="admin")
@options.home
def add(name: str, role: str, home: Path) -> None:
    """Make an account. Asks for its password, or reads it as a line from a pipe."""
    with _users(home) as users:
        users.check_name(name)
        if name in users.names():
            raise click.ClickException(
                f"{name} exists already; to change it, run jph user password {name}"
            )
        users.set_password(name, options.ask_password(), users.Role[role.upper()])
    click.echo(f"{name} can sign in")


@user.command("role")
@click.argument("name")
@click.argument("role", type=role_choice)
@options.home
def set_role(name: str, role: str, home: Path) -> None:
    """Change what an account may do."""
    with _users(home) as users:
        if not users.set_role(name, users.Role[role.upper()]):
            raise click.ClickException(f"there is no account {name}; jph user list prints all")
    click.echo(f"{name} is {role} now")


@user.command()
@click.argument("name")
@options.home
def password(name: str, home: Path) -> None:
    """Change the password of an account, which ends its sessions."""
    with _users(home) as users:
        if name not in users.names():
            raise click.ClickException(f"there is no account {name}; jph user list prints all")
        users.set_password(name, options.ask_password())
    click.echo(f"{name} has a new password")


@user.command()
@click.argument("name")
@options.home
def remove(name: str, home: Path) -> None:
    """Delete an account, which ends its sessions."""
    with _users(home) as users:
        if not users.remove(name):
            raise click.ClickException(f"there is no account {name}; jph user list prints all")
    click.echo(f"{name} is removed")


@user.command("list")
@options.home
def list_all(home: Path) -> None:
    """Print the names of all accounts, and their roles."""
    with _users(home) as users:
        for person in users.people():
            click.echo(f"{person.name}\t{person.role.word}")


@contextmanager
def _users(home: Path) -> Iterator[ModuleType]:
    """Yield `web.people.users` on the database of a home; end with its errors in one line."""
    with pages_of(home):
        from web.people import users

        yield users


@contextmanager
def pages_of(home: Path) -> Iterator[None]:
    """Work in the context of the pages of a home directory; end with an error in one line."""
    owner = owner_of(home)
    try:
        from web.app import Application

        with Application(home).app_context():
            yield
    except ImportError as error:
        raise click.ClickException(
            f"to use accounts, run pip install 'jph[web]' ({error})"
        ) from error
    except (StoreError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        if owner is not None:
            for file in home.glob("web.sqlite*"):
                os.chown(file, *owner, follow_symlinks=False)


def owner_of(home: Path) -> tuple[int, int] | None:
    """Return the user and group to give files to: those of a service's home, if root works there.

    Ends the program where another user may not work there.
    """
    try:
        status = home.stat()
        may_write = os.access(home, os.W_OK | os.X_OK)
    except PermissionError:
        may_write = False
    except OSError:  # it is not there yet, or cannot be, which is told when it is used
        return None
    if not may_write:
        raise click.ClickException(f"{home} belongs to another user: run this by sudo")
    return (status.st_uid, status.st_gid) if os.geteuid() == 0 and status.st_uid else None
