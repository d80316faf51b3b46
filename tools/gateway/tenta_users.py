"""`jph gateway tenta user`: who may ask the API of Tenta, and whose a network is."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tools import options
from tools.gateway.tenta_component import component_in, store_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from gateways.tenta import people

_code = click.option(
    "-c", "--code", metavar="CODE", help="The Tenta component, if not the first one."
)


@click.group()
def user() -> None:
    """Add, remove and list the users of the API, also while the gateway runs."""


@user.command()
@click.argument("name")
@click.option(
    "--network", "networks", multiple=True, metavar="NETWORK", help="A network that is NAME's, too."
)
@click.option("--ask", is_flag=True, help="Ask for the password, instead of making one.")
@_code
@options.network
def add(
    name: str, networks: tuple[str, ...], ask: bool, code: str | None, source: str, home: Path
) -> None:
    """Add a user, or give it another password, which ends its sessions.

    A password that was made is shown once. Piped text is the password: its first line.
    """
    from pydantic import ValidationError
    from sqlalchemy import select

    from gateways.tenta import people
    from gateways.tenta.routes.shapes import Credentials
    from gateways.tenta.tables import network

    given = options.ask_password() if ask or not sys.stdin.isatty() else ""
    password = given or secrets.token_urlsafe(18)
    try:
        Credentials(user_name=name, password=password)
    except ValidationError as error:
        raise click.ClickException(
            "a name has up to 64 of a to z, 0 to 9 and single - between them,"
            " and a password 8 to 256 characters"
        ) from error
    hashed = people.hash_password(password)
    with _writing(code, source, home) as connection:
        query = select(network.c.name, network.c.identifier)
        known = {found: identifier for found, identifier in connection.execute(query)}
        for each in networks:
            if each not in known:
                there = ", ".join(sorted(known)) or "none yet"
                raise click.ClickException(f"there is no network {each}; there are: {there}")
        identifier = people.put_user(connection, name, hashed)
        theirs = {each.identifier for each in people.networks_of(connection, identifier)}
        for each in {known[it] for it in networks} - theirs:
            people.allow(connection, identifier, each)
        click.echo(_line(connection, people.Named(identifier, name)))
    if not given:
        click.echo(f"password: {password}")


@user.command()
@click.argument("name")
@_code
@options.network
def remove(name: str, code: str | None, source: str, home: Path) -> None:
    """Remove a user; its networks stay."""
    from gateways.tenta import people

    with _writing(code, source, home) as connection:
        if not people.remove_user(connection, name):
            raise click.ClickException(f"there is no user {name}")
    click.echo(f"{name} is removed")


@user.command("list")
@_code
@options.network
def list_(code: str | None, source: str, home: Path) -> None:
    """List the users and their networks."""
    from sqlalchemy import select

    from gateways.tenta import people, tables

    columns = tables.user.c
    with _writing(code, source, home) as connection:
        query = select(columns.identifier, columns.name).order_by(columns.name)
        found = [people.Named(*row) for row in connection.execute(query).all()]
        for each in found:
            click.echo(_line(connection, each))
    if not found:
        click.echo("there are no users; add one: jph gateway tenta user add NAME")


def _line(connection: "Connection", one: "people.Named") -> str:
    from gateways.tenta import people

    networks = ", ".join(each.name for each in people.networks_of(connection, one.identifier))
    return f"{one.name}  has {networks or 'no network'}"


@contextmanager
def _writing(code: str | None, source: str, home: Path) -> "Iterator[Connection]":
    """Give a transaction in the store of a Tenta component; ends the program if it is away."""
    from gateways.store import Store
    from gateways.tenta import tables

    with options.wrong_config(source):
        url, password_file = store_of(component_in(options.load(source, home), code))
    with (
        options.telling_why(),
        closing(Store.open(url, home, password_file, tables.STEPS)) as store,
        store.writing() as connection,
    ):
        yield connection
