"""`jph token`: tokens, with which programs ask the pages of closed networks."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from tools import options
from tools.user import pages_of, role_option

if TYPE_CHECKING:
    from web.people.tokens import Token


@click.group()
def token() -> None:
    """Manage the tokens of programs that ask the pages."""


@token.command()
@click.argument("name")
@role_option(default="viewer")
@click.option("--days", type=float, help="How long it is valid; without it until it is removed.")
@options.home
def add(name: str, role: str, days: float | None, home: Path) -> None:
    """Make a token for the program NAME, and print it. Nobody can see it again."""
    with pages_of(home):
        from web.people import tokens
        from web.people.access import Role

        made = tokens.make(name, Role[role.upper()], "jph token", days)
    click.echo(made)


@token.command("list")
@options.home
def list_all(home: Path) -> None:
    """Print number, name, role, last use and end of all tokens."""
    with pages_of(home):
        from web.people import tokens
        from web.people.access import Role

        for found in tokens.all_tokens():
            role = Role(found.role).word
            click.echo(f"{found.number}\t{found.name}\t{role}\t{_used(found)}\t{_end(found)}")


@token.command()
@click.argument("number", type=int)
@options.home
def remove(number: int, home: Path) -> None:
    """Remove a token by its number, which ends its use at once."""
    with pages_of(home):
        from web.people import tokens

        found = tokens.remove(number)
    if found is None:
        raise click.ClickException(f"there is no token {number}; jph token list prints all")
    click.echo(f"{found.name} is removed")


def _used(found: "Token") -> str:
    return "never used" if found.seen_ms is None else f"used {_day(found.seen_ms)}"


def _end(found: "Token") -> str:
    if found.end_ms is None:
        return "does not end"
    return f"{'ended' if found.has_ended else 'ends'} {_day(found.end_ms)}"


def _day(time_ms: int) -> str:
    from datetime import datetime

    return f"{datetime.fromtimestamp(time_ms / 1000):%Y-%m-%d}"
