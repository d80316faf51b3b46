"""`jph db`: the version of the tables of a history, and bringing them up to date."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import click

from jph.errors import ConfigError, StoreError
from jph.stores import open_history
from jph.stores.address import StoreAddress
from tools import addresses, options

codifier = click.option(
    "-c", "--code", "writer", metavar="CODE", help="Of this HistoryWriter, not of the first."
)
url = click.argument("url", required=False)


@click.group()
def db() -> None:
    """The tables of a history; URL names it, else the configuration."""


@db.command()
@url
@addresses.password_file
@codifier
@options.source
@options.home
def status(
    url: str | None, password_file: Path | None, writer: str | None, source: str, home: Path
) -> None:
    """Print which version the tables have, and which this JPH needs. Changes nothing."""
    place = _place(url, password_file, writer, source, home)
    with _errors():
        have, need = _versions(place, home)
    verdict = "up to date" if have == need else "run: jph db upgrade" if have < need else "too new"
    click.echo(f"{place.url}: version {have} of {need}, {verdict}")


@db.command()
@url
@addresses.password_file
@codifier
@options.source
@options.home
def upgrade(
    url: str | None, password_file: Path | None, writer: str | None, source: str, home: Path
) -> None:
    """Bring the tables up to date, or make them where there are none.

    Several at once are harmless, and so is doing it again. Back up before.
    """
    place = _place(url, password_file, writer, source, home)
    with _errors():
        if addresses.is_postgres(place.url):
            have, need = _upgrade_postgres(place, home)
            how = ""
        else:
            have, _ = _versions(place, home)
            with closing(open_history(place.url, home)) as store:
                store.last("@@", 0)  # raises, where the file cannot be used
            _, need = _versions(place, home)
            how = ", as every start of JPH does with an SQLite file"
    if have == need:
        click.echo(f"{place.url}: version {have}, up to date")
    else:
        click.echo(f"{place.url}: version {have} -> {need}{how}")


def _place(
    url: str | None, password_file: Path | None, writer: str | None, source: str, home: Path
) -> StoreAddress:
    if url is not None:
        return StoreAddress(url, password_file)
    return addresses.address_in(options.load(source, home), source, writer)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (ConfigError, StoreError) as error:
        raise click.ClickException(str(error)) from error


def _versions(place: StoreAddress, home: Path) -> tuple[int, int]:
    """Return the version of the tables, 0 if there are none, and that of this JPH."""
    if not addresses.is_postgres(place.url):
        return _versions_of_file(place, home)
    open_history(place.url, home, place.password_file).close()  # names what is wrong with a URL
    import psycopg2

    from jph.stores.postgres import schema
    from jph.stores.postgres.connection import PostgresServer

    server = PostgresServer(place.url, place.password_file)
    try:
        with closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT to_regclass('schema_version') IS NOT NULL")
            if cursor.fetchone() == (False,):
                return 0, schema.VERSION
            cursor.execute("SELECT version FROM schema_version")
            row = cursor.fetchone()
            return (int(row[0]) if row else 0), schema.VERSION
    except psycopg2.Error as error:
        raise server.converted(error) from error


def _versions_of_file(place: StoreAddress, home: Path) -> tuple[int, int]:
    from jph.stores.sqlite.history import STEPS

    scheme, _, path = place.url.partition(":")
    if scheme != "sqlite" or not path.startswith("///"):
        open_history(place.url, home).close()  # says what is wrong with it
    file = home / path[3:]
    if not file.exists():
        return 0, len(STEPS)
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0]), len(STEPS)
    except sqlite3.Error as error:
        raise StoreError(f"{file}: {error}") from error


def _upgrade_postgres(place: StoreAddress, home: Path) -> tuple[int, int]:
    """Take the steps that are missing, in one transaction; return the versions before and after."""
    _versions(place, home)
    import psycopg2

    from jph.stores.postgres import schema
    from jph.stores.postgres.connection import PostgresServer

    server = PostgresServer(place.url, place.password_file)
    try:
        with closing(server.connect()) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (schema.LOCK,))
            cursor.execute("SELECT to_regclass('schema_version') IS NOT NULL")
            have = 0
            if cursor.fetchone() == (True,):
                cursor.execute("SELECT version FROM schema_version")
                row = cursor.fetchone()
                have = int(row[0]) if row else 0
            if have > schema.VERSION:
                raise StoreError(
                    f"{server.name}: its tables are of a newer JPH (version {have}, known up to"
                    f" {schema.VERSION}): install that one"
                )
            if have < schema.VERSION:
                for statement in schema.create(have):
                    cursor.execute(statement)
            connection.commit()
            return have, schema.VERSION
    except psycopg2.Error as error:
        raise server.converted(error) from error
