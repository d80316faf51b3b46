"""One run of `jph history import`: its tables one after the other, and what it says of them."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click
import psycopg2
from psycopg2.extensions import connection as Connection

from jph.errors import StoreError
from jph.stores import HistoryStore, open_history
from jph.stores.address import StoreAddress
from jph.stores.postgres.connection import PostgresServer
from tools.history.rows import open_rows
from tools.history.tables import OldTable, find_tables, import_table, lock, rename
from tools.progress import Positions


class Importing:
    """One run."""

    def __init__(
        self,
        origin: StoreAddress,
        goal: StoreAddress,
        target: HistoryStore,
        home: Path,
        again: bool,
    ) -> None:
        open_history(origin.url, home, origin.password_file).close()  # says what is wrong with it
        self._server = PostgresServer(origin.url, origin.password_file)
        self._goal = goal
        self._target = target
        self._home = home
        self._again = again
        self._positions = Positions(home)

    def run(
        self, configured: Sequence[str], wanted: Sequence[str], zone: str, is_renamed: bool
    ) -> None:
        """Import tables; see find_tables for the arguments.

        Raises:
            StoreError: a store or table cannot be used, or there is no such table.
        """
        try:
            with closing(self._server.connect()) as connection:
                tables, unknown = find_tables(connection, configured, wanted, zone)
                connection.rollback()
                for name in unknown:
                    click.echo(
                        f"{name}: left out, not in the configuration; name it by --codifier",
                        err=True,
                    )
                found = {table.codifier for table in tables}
                for codifier in wanted:
                    if codifier not in found:
                        raise StoreError(f"{self._server.name}: no table sensor_{codifier}")
                for table in tables:
                    self._import(connection, table)
                    if is_renamed:
                        self._rename(connection, table)
                if not tables:
                    click.echo(f"{self._server.name}: no tables to import", err=True)
        except psycopg2.Error as error:
            raise self._server.converted(error) from error

    def _name(self, table: OldTable) -> str:
        return f"import {self._server.name} {table.name} -> {self._goal.url} {table.codifier}"

    def _import(self, connection: Connection, table: OldTable, is_rest: bool = False) -> None:
        name = self._name(table)
        after_ms = None if self._again and not is_rest else self._positions.get(name)
        with open_rows(self._goal, self._home) as stored:
            if after_ms is not None:
                # The history may be another one by now, or was emptied: from the beginning then.
                is_there = stored.of_codifier(table.codifier, after_ms - 1, after_ms)
                after_ms = after_ms if is_there else None
            done = import_table(
                connection,
                table,
                self._target,
                stored,
                after_ms,
                lambda position_ms: self._positions.set(name, position_ms),
            )
        empty = f", {done.empty:,} had no value" if done.empty else ""
        what = "the last of them" if is_rest else table.codifier
        click.echo(f"{table.name}: {what}: {done.read:,} rows, {done.new:,} new{empty}")

    def _rename(self, connection: Connection, table: OldTable) -> None:
        """Import what came meanwhile and rename the table, with nobody writing to it."""
        connection.rollback()
        lock(connection, table)
        self._import(connection, table, is_rest=True)
        for old in rename(connection, table):
            click.echo(f"renamed to {old}")
        connection.commit()
        self._positions.set(self._name(table), None)
        click.echo(f"its view: jph generateSQL -l '{table.codifier}' | psql")
