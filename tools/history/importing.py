"""Importing the tables of older networks, sensor_<codifier>(timestamp, value), into a history.

Such a row has no sequence number. It gets 0, or the first free number if several readings of its
Codifier have the same time. A reading that the history has with the same time and value, from the
bus or from an earlier import, is the same reading and is not stored again.

The writer of such a network cut floats to 12 digits, and kept only the number of a JSON object. So
the same value is one that agrees in 12 digits; and where these are those of a float32, which almost
every float on the bus is, the import stores that float32.
"""

import json
import shlex
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jph.bus.wire import is_codifier
from jph.errors import StoreError
from jph.stores import HistoryStore, Row, open_history, row_of
from jph.stores.address import StoreAddress
from jph.stores.buckets import RESOLUTIONS
from jph.stores.postgres.schema import identifier, literal, view_names
from tools.addresses import connected
from tools.history.copying import append
from tools.history.rows import FIRST_MS, Rows, open_rows
from tools.progress import Position, Progress

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

PREFIX = "sensor_"
CHUNK_ROWS = 10_000
LOCK_S = 10
OLD = "_old"  # suffix of a table that was imported

NUMBERS = ("int2", "int4", "int8", "numeric", "float8", "float4")
TABLES = (
    "SELECT relname, has_table_privilege(pg_class.oid, 'SELECT'),"
    " json_object_agg(lower(attname), json_build_array(attname, typname))"
    " FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
    " JOIN pg_type ON pg_type.oid = atttypid"
    " WHERE relkind IN ('r', 'p') AND NOT relispartition AND pg_table_is_visible(pg_class.oid)"
    " AND starts_with(lower(relname), 'sensor_') AND attnum > 0 AND NOT attisdropped"
    " AND lower(attname) IN ('timestamp', 'value') GROUP BY relname, pg_class.oid ORDER BY relname"
)
OWNER = (
    "SELECT pg_get_userbyid(relowner), pg_has_role(relowner, 'USAGE')"
    " FROM pg_class WHERE oid = to_regclass(%s) AND relkind IN ('r', 'p')"
)
MAY_CREATE = "SELECT has_schema_privilege(current_schema(), 'CREATE'), current_schema()"


@dataclass(frozen=True, slots=True)
class OldTable:
    """A table of an older network, with the readings of one Codifier."""

    name: str
    codifier: str
    time: str  # SQL of the time of a row, ms
    value: str  # SQL of its value
    is_readable: bool

    @property
    def names(self) -> list[str]:
        """Return its name and those that the tables of its statistics have."""
        return [self.name, *(f"{self.name}_{each}" for each in RESOLUTIONS)]


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
        StoreError: a store or table cannot be used, or a wanted Codifier has no table.
        ClickException: the role lacks a permission; with the command that grants it.
    """
    with (
        closing(open_history(goal.url, home, goal.password_file)) as target,
        connected(origin, home) as (connection, server),
    ):
        target.last("@@", 0)  # raises an error if the history cannot be used
        tables, unknown = _find_tables(connection, configured, wanted, zone)
        _check_permissions(connection, tables, server, renames)
        connection.rollback()
        for name in unknown:
            hint = "not in the configuration; give its Codifier by --codifier to import it"
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
                _import_table(connection, table, target, stored, position, table.codifier)
            if not renames:
                continue
            connection.rollback()
            with connection.cursor() as cursor:  # no other session writes until the commit
                cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_S}s'")
                cursor.execute(f"LOCK TABLE {identifier(table.name)} IN ACCESS EXCLUSIVE MODE")
            with open_rows(goal, home) as stored:  # now the rows that were added meanwhile
                _import_table(connection, table, target, stored, position, "the last of them")
            for old in _rename(connection, table):
                click.echo(f"renamed to {old}")
            connection.commit()
            position.set(None)
            click.echo(f"its view: jph generateSQL -l '{table.codifier}' | psql")


def _find_tables(
    connection: "Connection", configured: Sequence[str], wanted: Sequence[str], zone: str
) -> tuple[list[OldTable], list[str]]:
    """Return the old tables of the wanted Codifiers, and names of tables of unknown ones.

    Args:
        configured: the Codifiers of the network, to which names in lower case are assigned.
    """
    names = {view: code for code, view in view_names([*configured, *wanted]).items()}
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_timezone_names WHERE lower(name) = lower(%s)", (zone,))
        if cursor.fetchone() is None:
            raise StoreError(f"the server does not know the time zone {zone}; give another one")
        cursor.execute(TABLES)
        found = cursor.fetchall()
        known = {*configured, *wanted}
        tables, unknown = [], []
        for name, is_readable, columns in found:
            suffix = name[len(PREFIX) :]
            codifier = names.get(name) or (suffix if suffix in known else None)
            if len(columns) == 2 and codifier and (codifier in wanted or not wanted):
                time, value = _time(zone, *columns["timestamp"]), _value(*columns["value"])
                tables.append(OldTable(name, codifier, time, value, is_readable))
            elif len(columns) == 2 and not codifier and is_codifier(suffix):
                unknown.append(name)
    return tables, unknown


def _check_permissions(
    connection: "Connection", tables: Iterable[OldTable], server: str, renames: bool
) -> None:
    """End with the command to run if the role may not read, or rename, all tables.

    The tables of existing networks were made by a superuser. A table changes hands only to be
    renamed, which its owner alone may do; who owned it keeps all other rights.
    """
    info = connection.info
    role = identifier(info.user)
    grants: list[str] = []
    with connection.cursor() as cursor:
        for table in tables:
            if not table.is_readable and not renames:
                grants.append(f"GRANT SELECT ON {identifier(table.name)} TO {role};")
            for name in map(identifier, table.names if renames else ()):
                cursor.execute(OWNER, (name,))
                for owner, is_ours in cursor:
                    if not is_ours:
                        grants.append(f"ALTER TABLE {name} OWNER TO {role};")
                        grants.append(f"GRANT ALL ON {name} TO {identifier(owner)};")
        cursor.execute(MAY_CREATE)
        may_create, schema = cursor.fetchone() or (True, "public")
        if renames and not may_create:
            grants.append(f"GRANT CREATE ON SCHEMA {identifier(schema)} TO {role};")
    if grants:
        psql = ["sudo", "-u", "postgres", "psql", "-p", str(info.port), "-d", info.dbname, "-c"]
        raise click.ClickException(
            f"{server}: the role {info.user} may not {'rename' if renames else 'read'} all of these"
            " tables; run this command on the machine of the server, then the import again:\n"
            f"    {shlex.join([*psql, ' '.join(grants)])}"
        )


def _import_table(
    connection: "Connection",
    table: OldTable,
    target: HistoryStore,
    stored: Rows,
    position: Position,
    label: str,
) -> None:
    """Import the rows of a table from a position on, oldest first, and print their numbers.

    Args:
        connection: to its database; nothing is changed there.
        target: history that gets the readings.
        stored: rows of the same history.
        label: what the rows are, in the line that is printed.
    """
    after_ms = position.get()
    if after_ms is None or not stored.of_codifier(table.codifier, after_ms - 1, after_ms):
        after_ms = FIRST_MS  # also if this is another history by now, or was emptied
    source = f"FROM {identifier(table.name)} WHERE {table.time} >= {after_ms}"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) {source}")
        progress = Progress(table.name, (cursor.fetchone() or (0,))[0])
    read = new = empty = 0
    with connection.cursor("old_rows") as cursor:  # in the server: rows come as they are needed
        cursor.itersize = CHUNK_ROWS
        cursor.execute(f"SELECT {table.time}, {table.value} {source} ORDER BY 1")
        for chunk in _chunks(cursor):
            rows = [row for row in (_row(table.codifier, *each) for each in chunk) if row]
            empty += len(chunk) - len(rows)
            if rows:
                before = stored.of_codifier(table.codifier, rows[0][0] - 1, rows[-1][0])
                rows = list(_numbered(rows, before))
                new += append(target, rows) if rows else 0
            read += len(chunk)
            progress.add(len(chunk))
            if chunk[-1][0] is not None:
                position.set(chunk[-1][0])
    progress.end()
    unused = f", {empty:,} had no value" if empty else ""
    click.echo(f"{table.name}: {label}: {read:,} rows, {new:,} new{unused}")


def _rename(connection: "Connection", table: OldTable) -> list[str]:
    """Rename a table, and those of its statistics, so that views can take their names."""
    renamed = []
    with connection.cursor() as cursor:
        for name in table.names:
            cursor.execute(
                "SELECT 1 FROM pg_class WHERE oid = to_regclass(%s) AND relkind IN ('r', 'p')",
                (identifier(name),),
            )
            if cursor.fetchone():
                old = f"{name}{OLD}"
                cursor.execute(f"ALTER TABLE {identifier(name)} RENAME TO {identifier(old)}")
                renamed.append(old)
    return renamed


def _time(zone: str, name: str, kind: str) -> str:
    column = identifier(name)
    if kind in NUMBERS:
        return f"({column})::bigint"
    if kind == "timestamp":
        column = f"({column} AT TIME ZONE {literal(zone)})"
    elif kind != "timestamptz":
        raise StoreError(f"the column {name} has the type {kind}, not that of a time")
    return f"(extract(epoch FROM {column}) * 1000)::bigint"


def _value(name: str, kind: str) -> str:
    column = identifier(name)
    # Read a float of 4 bytes as the bus carries it, not as the nearest short decimal.
    return f"{column}::float8" if kind in ("float4", "numeric") else column


def _chunks(rows: Iterable[tuple[int | None, object]]) -> Iterator[list[tuple[int | None, object]]]:
    """Yield rows in chunks; rows of the same time are in the same chunk."""
    chunk: list[tuple[int | None, object]] = []
    for row in rows:
        if len(chunk) >= CHUNK_ROWS and row[0] != chunk[-1][0]:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _row(codifier: str, time_ms: int | None, value: object) -> Row | None:
    """Return the row for a value as if it came over the bus; None if time or value is missing."""
    if time_ms is None or value is None:
        return None
    if isinstance(value, bool):
        value = int(value)
    elif isinstance(value, float):
        value = _restored(value)
    elif isinstance(value, str):
        value = _object(value) or value
    elif isinstance(value, list):
        value = json.dumps(value, ensure_ascii=False)
    elif not isinstance(value, int | float | dict):
        value = str(value)
    return row_of((codifier, time_ms, 0, value, "", 0, ("", 0)))


def _restored(number: float) -> float:
    """Return the float32 that was cut to these 12 digits, else the number itself."""
    try:
        [whole] = struct.unpack("<f", struct.pack("<f", number))
    except OverflowError:
        return number
    return whole if _cut(whole) == _cut(number) else number


def _cut(number: float) -> float:
    return float(f"{number:.12g}")


def _object(text: str) -> dict[str, object] | None:
    """Return the JSON object in a text, if the bus could carry it."""
    if not text.startswith("{"):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "value" in found else None


def _numbered(rows: Iterable[Row], stored: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows that are not stored, with their sequence numbers, in order of time."""
    taken: dict[int, set[int]] = defaultdict(set)
    known: dict[int, set[tuple[object, object]]] = defaultdict(set)
    for time_ms, _, sequence, value, text in stored:
        taken[time_ms].add(sequence)
        known[time_ms].add((value, text))
        if value is not None:  # an older table has nothing but the number, cut to 12 digits
            known[time_ms] |= {(value, None), (_cut(value), None)}
    for time_ms, codifier, _, value, text in sorted(rows, key=_by_time_and_content):
        if not known[time_ms].isdisjoint({(value, text), (value and _cut(value), text)}):
            continue
        known[time_ms].add((value, text))
        sequence = next(number for number in count() if number not in taken[time_ms])
        taken[time_ms].add(sequence)
        yield time_ms, codifier, sequence, value, text


def _by_time_and_content(row: Row) -> tuple[int, bool, float, str]:
    return row[0], row[3] is None, row[3] or 0.0, row[4] or ""
