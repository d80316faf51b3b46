"""One run of `jph history import`: one table after the other, with a line about each."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import click

from jph.errors import StoreError
from jph.stores import open_history
from jph.stores.address import StoreAddress
from tools.addresses import connected
from tools.history.rows import open_rows
from tools.history.tables import find_tables, import_table, lock, rename
from tools.progress import Position


def import_all(
    origin: StoreAddress,
    goal: StoreAddress,
    home: Path,
    configured: Sequence[str],
    wanted: Sequence[str],
    *,
    zone: str,
    again: bool,
    renames: bool,
) -> None:
    """Import the old tables of the wanted Codifiers, by default of all that are configured.

    Args:
        origin: database of the older network.
        goal: history that gets the readings.
        zone: time zone of times that name none.
        again: begin each table at its first row, not where the last run ended.
        renames: rename each table at its end.

    Raises:
        StoreError: a store or table cannot be used, or a Codifier has no table.
    """
    with (
        closing(open_history(goal.url, home, goal.password_file)) as target,
        connected(origin, home) as (connection, server),
    ):
        target.last("@@", 0)  # raises an error if the history cannot be used
        tables, unknown = find_tables(connection, configured, wanted, zone)
        connection.rollback()
        for name in unknown:
            hint = "not in the configuration; name its Codifier with --codifier to import it"
            click.echo(f"{name}: left out, {hint}", err=True)
        for codifier in wanted:
            if codifier not in {table.codifier for table in tables}:
                raise StoreError(f"{server}: no table sensor_{codifier}")
        if not tables:
            click.echo(f"{server}: no tables to import", err=True)
        for table in tables:
            name = f"import {server} {table.name} -> {goal.url} {table.codifier}"
            position = Position(home, name)
            if again:
                position.set(None)
            with open_rows(goal, home) as stored:
                import_table(connection, table, target, stored, position, table.codifier)
            if not renames:
                continue
            connection.rollback()
            lock(connection, table)
            with open_rows(goal, home) as stored:  # now the rows that were added meanwhile
                import_table(connection, table, target, stored, position, "the last of them")
            for old in rename(connection, table):
                click.echo(f"renamed to {old}")
            connection.commit()
            position.set(None)
            click.echo(f"its view: jph generateSQL -l '{table.codifier}' | psql")
