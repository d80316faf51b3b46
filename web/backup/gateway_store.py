"""The store of the gateways in a backup: without what devices sent, which grows without end.

So a backup stays small, and restoring one leaves the readings that are there. They refer to sensors
and boards by numbers, which are those of one store: they stay with whom they have here.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

MARK = "gateway_schema"  # a table that every store of gateways has, and nothing else
SENT = {"attribute", "esp32_reading", "log", "measurement", "measurement_1_hour"}
# What is under way between devices and gateways; configurations go out again by themselves.
TRAFFIC = {"device_seen", "outbox", "recent", "refusal", "refusal_count"}
# Of the tables whose `number` readings refer to, by what their rows are known elsewhere.
NUMBERED = {"esp32_board": ("gateway", "mac"), "sensor": ("identifier",)}

_PARTS = "FROM {}.sqlite_master WHERE name NOT LIKE 'sqlite~_%' ESCAPE '~' AND sql IS NOT NULL"


def is_one(path: Path) -> bool:
    """Tell whether a database is a store of gateways."""
    query = "SELECT 1 FROM sqlite_master WHERE name = ?"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(query, (MARK,)).fetchone() is not None
    except sqlite3.Error:  # whoever copies it will say what is wrong
        return False


def copy(path: Path, target: Path, wait_s: float) -> None:
    """Write a new database with all tables as they are at one moment, those above empty."""
    with closing(_opened(target, wait_s)) as made:
        made.execute("ATTACH ? AS source", (f"{path.as_uri()}?mode=ro",))
        made.execute("BEGIN")
        parts = made.execute(f"SELECT type, sql {_PARTS.format('source')}").fetchall()
        for kind in ("table", "index", "view", "trigger"):
            for sql in (sql for each, sql in parts if each == kind):
                made.execute(sql)
            if kind == "table":
                for name in _tables(made, "main") - SENT - TRAFFIC:
                    made.execute(
                        f"INSERT INTO main.{_quoted(name)} SELECT * FROM source.{_quoted(name)}"
                    )
        made.execute("COMMIT")


def merge(path: Path, target: Path, wait_s: float) -> None:
    """Make a store what the one of a backup was, in one transaction; what devices sent stays.

    Columns and tables that only one of them has, being of another version, stay as they are here.
    """
    with closing(_opened(target, wait_s)) as live:
        live.execute("ATTACH ? AS backup", (str(path),))
        live.execute("BEGIN IMMEDIATE")
        for name in (_tables(live, "main") & _tables(live, "backup")) - SENT - TRAFFIC - {MARK}:
            _replace(live, name)
        live.execute("COMMIT")


def _replace(live: sqlite3.Connection, name: str) -> None:
    table = _quoted(name)
    theirs = _columns(live, "backup", name)
    columns = [column for column in _columns(live, "main", name) if column in theirs]
    values = list(map(_quoted, columns))
    if keys := NUMBERED.get(name):
        kept = ", ".join(map(_quoted, keys))
        live.execute(f"CREATE TEMP TABLE kept AS SELECT number, {kept} FROM main.{table}")
        same = " AND ".join(f"kept.{_quoted(key)} = it.{_quoted(key)}" for key in keys)
        values[columns.index("number")] = f"(SELECT number FROM kept WHERE {same})"
    live.execute(f"DELETE FROM main.{table}")
    live.execute(
        f"INSERT INTO main.{table} ({', '.join(map(_quoted, columns))})"
        f" SELECT {', '.join(values)} FROM backup.{table} AS it"
    )
    if keys:
        live.execute("DROP TABLE kept")


def _opened(path: Path, wait_s: float) -> sqlite3.Connection:
    """Return a connection that begins no transactions by itself and ends without a trace."""
    return sqlite3.connect(path.as_uri(), uri=True, timeout=wait_s, isolation_level=None)


def _tables(database: sqlite3.Connection, schema: str) -> set[str]:
    query = f"SELECT name {_PARTS.format(schema)} AND type = 'table'"
    return {name for (name,) in database.execute(query)}


def _columns(database: sqlite3.Connection, schema: str, table: str) -> list[str]:
    return [row[1] for row in database.execute(f"PRAGMA {schema}.table_info({_quoted(table)})")]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
