"""`jph db`: show the version of the tables of a history, and upgrade them."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import click

from jph.errors import StoreError
from jph.stores import open_history
from jph.stores.address import StoreAddress
from jph.stores.postgres import schema
from jph.stores.sqlite.history import STEPS
from tools import addresses, options


@click.group()
def db() -> None:
    """Show or upgrade the tables of the history at URL, by default that of the configuration."""


def _command(act: Callable[[StoreAddress, Path], None]) -> click.Command:
    """Turn a function of a history and the home directory into a command."""

    @db.command(act.__name__, help=act.__doc__)
    @click.argument("url", required=False)
    @addresses.password_file
    @click.option(
        "-c", "--code", "writer", metavar="CODE", help="The HistoryWriter, if not the first one."
    )
    @options.network
    def command(
        url: str | None, password_file: Path | None, writer: str | None, source: str, home: Path
    ) -> None:
        place = addresses.address_for(url, password_file, source, home, writer)
        with options.telling_why():
            act(place, home)

    return command


@_command
def status(place: StoreAddress, home: Path) -> None:
    """Print the version of the tables, and the version that this JPH needs. Changes nothing."""
    have, need = _versions(place, home)
    verdict = (
        "up to date"
        if have == need
        else "run: jph db upgrade"
        if have < need
        else "too new, install a newer JPH"
    )
    click.echo(f"{place.url}: version {have} of {need}, {verdict}")


@_command
def upgrade(place: StoreAddress, home: Path) -> None:
    """Upgrade the tables, or make them if there are none. Make a backup before.

    You may run it again, or several times at once.
    """
    have, need = _versions(place, home, upgrades=True)
    how = ""
    if not addresses.is_postgres(place.url):
        how = ", as every start of JPH does with an SQLite file"
        with closing(open_history(place.url, home)) as store:
            store.last("@@", 0)  # raises an error if the file cannot be used
    if have == need:
        click.echo(f"{place.url}: version {have}, up to date")
    else:
        click.echo(f"{place.url}: version {have} -> {need}{how}")


def _versions(place: StoreAddress, home: Path, *, upgrades: bool = False) -> tuple[int, int]:
    """Return the version of the tables, 0 if there are none, and that of this JPH.

    Args:
        upgrades: first take the missing steps in PostgreSQL, all of them or none.
    """
    if not addresses.is_postgres(place.url):
        file = addresses.file_of(place, home)
        if not file.exists():
            return 0, len(STEPS)
        with addresses.opened(file) as database:
            return int(database.execute("PRAGMA user_version").fetchone()[0]), len(STEPS)
    with addresses.connected(place, home) as (connection, name), connection.cursor() as cursor:
        if upgrades:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (schema.LOCK,))
        have = 0
        cursor.execute("SELECT to_regclass('schema_version') IS NOT NULL")
        if cursor.fetchone() == (True,):
            cursor.execute("SELECT version FROM schema_version")
            row = cursor.fetchone()
            have = int(row[0]) if row else 0
        if upgrades and have > schema.VERSION:
            raise StoreError(
                f"{name}: a newer JPH made its tables (version {have}, this one knows"
                f" {schema.VERSION}); install the newer one"
            )
        if upgrades and have < schema.VERSION:
            for statement in schema.create(have):
                cursor.execute(statement)
            connection.commit()
    return have, schema.VERSION
