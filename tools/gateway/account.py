"""`jph gateway account`: who may publish on the broker that JPH runs."""

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from tools import options


@click.group()
def account() -> None:
    """Add, remove and list the accounts of devices at the broker that JPH runs.

    The broker takes a change within a second.
    """


@account.command()
@click.argument("name")
@click.option(
    "--all", "all_devices", is_flag=True, help="It may publish for every device, not only as NAME."
)
@click.option(
    "--program",
    is_flag=True,
    help="It is a program, such as Home Assistant: it reads all and gives commands.",
)
@click.option("--ask", is_flag=True, help="Ask for the password, instead of making one.")
@options.home
def add(name: str, all_devices: bool, program: bool, ask: bool, home: Path) -> None:
    """Add an account, or change its password; a password that was made is shown once.

    NAME is the identifier of the sensor that uses it. Piped text is the password: its first line.
    """
    from gateways.broker import accounts

    if all_devices and program:
        raise click.UsageError("--all is for devices, --program for programs: make two accounts")
    given = options.ask_password() if ask or not sys.stdin.isatty() else ""
    password = given or secrets.token_urlsafe(18)
    with options.telling_why():
        rights = {"all_devices": all_devices, "program": program}
        accounts.add(home, name, password, **rights, is_made=not given)
    click.echo(f"{name} may {_right(accounts.accounts(home)[name])}")
    if not given:
        click.echo(f"password: {password}")


@account.command()
@click.argument("name")
@options.home
def remove(name: str, home: Path) -> None:
    """Remove an account; its connections end with the next one that they make."""
    from gateways.broker import accounts

    with options.telling_why():
        accounts.remove(home, name)
    click.echo(f"{name} is removed")


@account.command("list")
@options.home
def list_(home: Path) -> None:
    """List the accounts."""
    from gateways.broker import accounts

    with options.telling_why():
        found = accounts.accounts(home)
    for name, entry in sorted(found.items()):
        click.echo(f"{name}  may {_right(entry)}")
    if not found:
        click.echo("there are no accounts; add one: jph gateway account add NAME")


def _right(entry: Mapping[str, str | bool]) -> str:
    if entry.get("program"):
        return "read all and give commands"
    return "publish for every device" if entry.get("all") else "publish under its own name"
