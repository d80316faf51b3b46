"""The tables and views of a history in PostgreSQL, as SQL text; nothing here connects.

    schema_version  one row: the number of steps below that the database has been through
    measurement     every reading, one partition for each week, measurement_20261119 being that of
                    the seven days from then; measurement_default holds what lies beyond them
    statistic       statistics of 10 minutes and hours, labelled by their end, in partitions of 13
                    and 52 weeks, statistic_10min_20261119; statistic_default holds the rest
    pending         the ends of 10-minute buckets that got readings and were not computed since
    dropped         up to where readings (resolution 0) and statistics were dropped
    quarantine      readings whose time cannot be right; made when it is first needed

All times are ms since 1970, UTC; a bucket is (start, end].

Marks. A writer marks the buckets of its numbers in the same transaction, by MARK, which locks each
mark, new or old, until it commits. A program that computes locks the marks first (`SELECT … FOR
UPDATE SKIP LOCKED`), reads the numbers in a later statement and deletes the marks in the same
transaction. So no reading comes between: either it was committed and is computed, or its mark was
locked and stays. Keep that transaction short: late readings of such a bucket wait for it.

Write several rows of a table in the order of its key: then two writers never wait for each other.

Source: https://www.postgresql.org/docs/15/ddl-partitioning.html
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from jph.stores.buckets import HOUR, RAW, RESOLUTIONS, TEN_MINUTES

WEEK_MS = 604_800_000
FIRST_WEEK = 1565  # the week in which 2000 began; a clock that was never set is before it
LOCK = 0x6A7068  # advisory lock for changing the tables, "jph"

# One step for each schema version. A released step never changes; a change is a new step.
# Each may be repeated, since `jph generateSQL` prints them for databases that it cannot see.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)",
        "INSERT INTO schema_version SELECT 0 WHERE NOT EXISTS (SELECT FROM schema_version)",
        'CREATE TABLE IF NOT EXISTS measurement (codifier text COLLATE "C" NOT NULL,'
        " timestamp bigint NOT NULL, sequence bigint NOT NULL, value double precision, text text,"
        " PRIMARY KEY (codifier, timestamp, sequence)) PARTITION BY RANGE (timestamp)",
        "CREATE TABLE IF NOT EXISTS measurement_default PARTITION OF measurement DEFAULT",
        "CREATE TABLE IF NOT EXISTS statistic (resolution smallint NOT NULL,"
        ' codifier text COLLATE "C" NOT NULL, timestamp bigint NOT NULL,'
        " mean double precision NOT NULL, mode double precision, median double precision NOT NULL,"
        " max double precision NOT NULL, min double precision NOT NULL,"
        " stdev double precision NOT NULL, count bigint NOT NULL,"
        " PRIMARY KEY (resolution, codifier, timestamp))"
        " PARTITION BY RANGE (resolution, timestamp)",
        "CREATE TABLE IF NOT EXISTS statistic_default PARTITION OF statistic DEFAULT",
        # Marks that are set again are rewritten: room in the page keeps them in one place.
        'CREATE TABLE IF NOT EXISTS pending (codifier text COLLATE "C" NOT NULL,'
        " timestamp bigint NOT NULL, PRIMARY KEY (timestamp, codifier)) WITH (fillfactor = 40)",
        "CREATE TABLE IF NOT EXISTS dropped (resolution smallint PRIMARY KEY,"
        " before_ms bigint NOT NULL)",
    ),
)
VERSION = len(STEPS)

QUARANTINE = (  # not a step: an older JPH can use the database, too
    'CREATE TABLE IF NOT EXISTS quarantine (timestamp bigint NOT NULL, codifier text COLLATE "C"'
    " NOT NULL, sequence bigint NOT NULL, value double precision, text text,"
    " PRIMARY KEY (codifier, timestamp, sequence))"
)

# Partitions apart.
TABLES = ("schema_version", "measurement", "statistic", "pending", "dropped", "quarantine")

# The marks of a batch, from a query of (codifier, end of the bucket) in this order.
MARK = (
    "INSERT INTO pending (codifier, timestamp) {query} ON CONFLICT (codifier, timestamp)"
    " DO UPDATE SET timestamp = EXCLUDED.timestamp"
)

# The table of each resolution, and the weeks in one of its partitions; statistics have few rows.
TABLES_OF = {RAW: ("measurement", 1), TEN_MINUTES: ("statistic", 13), HOUR: ("statistic", 52)}

# The columns of a Codifier's view beside the timestamp, by its DataType, and which rows it leaves
# out. A graph asks for "value", and wants a number wherever there is one.
_NUMBER = ('value AS "value"', " AND value IS NOT NULL")
_COLUMNS = {
    "bool": ('(value <> 0) AS "value"', " AND value IS NOT NULL"),
    "string": ('coalesce(text, value::text) AS "value"', ""),
    # A number alone is stored without its text, see `jph.stores.row_of`.
    "json": ("""value AS "value", coalesce(text, '{"value":' || value || '}') AS text""", ""),
}


class Partition(NamedTuple):
    """A partition, and its span: start_ms <= timestamp < end_ms."""

    name: str
    start_ms: int
    end_ms: int


def identifier(name: str) -> str:
    """Quote the name of a table, view, role or database."""
    _refuse_nul(name)
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote text for either value of standard_conforming_strings."""
    _refuse_nul(text)
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return f"E{quoted}" if "\\" in text else quoted


def create(version: int = 0) -> list[str]:
    """Return the statements that bring a schema of this version up to date; 0: there is none.

    Run them in one transaction that holds the advisory lock LOCK. Each may be repeated.
    """
    steps = [statement for step in STEPS[version:] for statement in step]
    return [
        *steps,
        f"UPDATE schema_version SET version = {VERSION} WHERE version < {VERSION}",
    ]


def has_partition(week: int, now_ms: int) -> bool:
    """Tell whether a week gets a partition of its own: from 2000 to one week ahead."""
    return FIRST_WEEK <= week <= now_ms // WEEK_MS + 1


def partition(week: int, resolution: int = RAW) -> Partition:
    """Return the partition that a week lies in, of readings or of statistics."""
    table, weeks = TABLES_OF[resolution]
    first = week // weeks * weeks
    start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(weeks=first)
    suffix = "".join(f"_{name}" for name, known in RESOLUTIONS.items() if known == resolution)
    name = f"{table}{suffix}_{start:%Y%m%d}"
    return Partition(name, first * WEEK_MS, (first + weeks) * WEEK_MS)


def partition_of(name: str, resolution: int = RAW) -> Partition | None:
    """Return the partition of a name, None for a table that is no such partition."""
    try:
        start = datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return None
    found = partition(int(start.timestamp()) * 1000 // WEEK_MS, resolution)
    return found if found.name == name else None


def add_partition(week: int, resolution: int = RAW) -> str:
    """Return the statement that makes the partition of a week, if there is none.

    It is made aside and attached, which lets readers and writers of other weeks go on. Rows that
    belong to it move over from the default partition: their clock was ahead of this one.
    """
    name, start_ms, end_ms = partition(week, resolution)
    table, _ = TABLES_OF[resolution]
    is_ours = f"timestamp >= {start_ms} AND timestamp < {end_ms}"
    first, end = f"{start_ms}", f"{end_ms}"
    if resolution != RAW:
        is_ours += f" AND resolution = {resolution}"
        first, end = f"{resolution}, {first}", f"{resolution}, {end}"
    return (
        "DO $$ BEGIN"
        f" PERFORM pg_advisory_xact_lock({LOCK});"
        # Lock before asking: only the lock of a table makes a session notice new partitions.
        f" LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE;"
        # Not to_regclass: if the transaction asked it before, its cache misses a table that another
        # one committed while this one waited for the advisory lock.
        " IF NOT EXISTS (SELECT FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        f" WHERE inhparent = '{table}'::regclass AND relname = '{name}') THEN"
        f" CREATE TABLE {name} (LIKE {table} INCLUDING ALL);"
        f" WITH moved AS (DELETE FROM {table}_default WHERE {is_ours} RETURNING *)"
        f" INSERT INTO {name} SELECT * FROM moved;"
        f" ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({end});"
        " END IF; END $$"
    )


def view_names(codifiers: Iterable[str]) -> dict[str, str]:
    """Return the name of the view of each Codifier, to be quoted.

    Programs write sensor_A4 without quotes, which PostgreSQL reads as sensor_a4; so that is the
    name for a Codifier of letters and digits. Where several differ only in case, it is that of the
    one in lower case, else of the first; the others, and those with other characters, have the
    exact name, sensor_A4, which needs quotes.
    """
    given = list(dict.fromkeys(codifiers))
    taken = {codifier for codifier in given if codifier == codifier.lower()}
    names = {}
    for codifier in given:
        lower = codifier.lower()
        if codifier.isascii() and codifier.isalnum() and (codifier == lower or lower not in taken):
            taken.add(lower)
            names[codifier] = f"sensor_{lower}"
        else:
            names[codifier] = f"sensor_{codifier}"
    return names


def create_views(
    codifiers: Sequence[str], data_types: Mapping[str, str] | None = None
) -> list[str]:
    """Return the statements that make the three views of each Codifier.

    A table of such a name is left alone: it is one of older programs, to be imported and dropped.

    Args:
        codifiers: all of the network, in the order of the configuration.
        data_types: the DataType of those with readings that are not numbers: bool, string or json.
    """
    types = data_types or {}
    statements = []
    for codifier, name in view_names(codifiers).items():
        columns, there = _COLUMNS.get(types.get(codifier, ""), _NUMBER)
        where = f"WHERE codifier = {literal(codifier)}"
        statements.append(
            create_view(name, f"SELECT timestamp, {columns} FROM measurement {where}{there}")
        )
        for suffix, resolution in RESOLUTIONS.items():
            query = (
                "SELECT timestamp, mean, mode, median, max, min, stdev FROM statistic"
                f" {where} AND resolution = {resolution}"
            )
            statements.append(create_view(f"{name}_{suffix}", query))
    return statements


def create_view(name: str, query: str) -> str:
    """Return the statement that makes a view, unless there is something else of that name."""
    view = f"VIEW {identifier(name)}"
    create = f"EXECUTE {literal(f'CREATE OR REPLACE {view} AS {query}')};"
    # A view cannot change the type of a column, as when a DataType was changed.
    again = f"EXECUTE {literal(f'DROP {view}')}; {create}"
    make = f"BEGIN {create} EXCEPTION WHEN invalid_table_definition THEN {again} END"
    table = literal(identifier(name))
    body = (
        "BEGIN IF NOT EXISTS (SELECT FROM pg_class WHERE"
        f" oid = to_regclass({table}) AND relkind <> 'v') THEN {make}; END IF; END"
    )
    return f"DO {literal(body)}"


def _refuse_nul(text: str) -> None:
    if "\0" in text:
        raise ValueError("PostgreSQL has no text with a NUL character in it")
