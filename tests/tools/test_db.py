import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from jph import paths
from jph.stores import open_history
from jph.stores.postgres import schema as postgres_schema
from jph.stores.sqlite import history as sqlite
from tests.tools.program import jph
from tools.db import db

SCHEMAS = Path(__file__).parents[1] / "data" / "schemas"
POSTGRES = sorted(SCHEMAS.glob("postgres-*.sql"))
SQLITE = sorted(SCHEMAS.glob("sqlite-*.sql"))
TIME_MS = 1_700_000_000_000
ROWS = [(TIME_MS + n, "T1", n, float(n), None) for n in range(9)]
# The oldest columns, which every schema has.
INSERT = "INSERT INTO measurement (timestamp, codifier, sequence, value, text) VALUES "
VALUES = ", ".join(
    f"({time_ms}, '{code}', {n}, {value}, NULL)" for time_ms, code, n, value, _ in ROWS
)


def run(home, *arguments):
    told = {"JPH_CONFIG": str(paths.shipped_config())}
    return CliRunner().invoke(db, [*arguments, "--home", str(home)], env=told)


def version_of(path):
    return int(path.stem.rpartition("-")[2])


def test_every_landed_schema_is_kept():
    assert [version_of(path) for path in POSTGRES] == list(range(1, postgres_schema.VERSION + 1))
    assert [version_of(path) for path in SQLITE] == list(range(1, len(sqlite.STEPS) + 1))


def columns_of(server, database):
    """Return the columns, keys and partitioning of the tables."""
    return server.execute(
        "SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, relkind,"
        " pg_get_partkeydef(pg_class.oid), (SELECT string_agg(pg_get_indexdef(indexrelid), ';')"
        " FROM pg_index WHERE indrelid = pg_class.oid) FROM pg_class JOIN pg_attribute"
        " ON attrelid = pg_class.oid AND attnum > 0"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        " AND relname !~ '[0-9]{8}$' ORDER BY 1, attnum",
        database,
    )


@pytest.mark.parametrize("path", [None, *POSTGRES], ids=lambda path: path.stem if path else "none")
def test_postgresql_is_upgraded_from_every_schema(path, postgres_server, postgres_url, tmp_path):
    database = postgres_url.rpartition("/")[2]
    version, today = 0, postgres_schema.VERSION
    if path:
        version = version_of(path)
        script = f"{path.read_text()}{INSERT}{VALUES};"
        assert postgres_server.psql(script, database).returncode == 0
    assert f"version {version} of {today}" in run(tmp_path, "status", postgres_url).output
    before = f"version {version} -> {today}" if version < today else f"version {today}, up to date"
    assert run(tmp_path, "upgrade", postgres_url).output == f"{postgres_url}: {before}\n"
    again = run(tmp_path, "upgrade", postgres_url)
    assert again.output == f"{postgres_url}: version {today}, up to date\n"
    assert f"version {today} of {today}, up to date" in run(tmp_path, "status", postgres_url).output
    with closing(open_history(postgres_url, tmp_path)) as store:
        assert store.append(ROWS) == (0 if path else len(ROWS))
        assert store.last("T1", 99) == ROWS
    fresh = postgres_server.create_database()
    try:
        postgres_server.psql(";\n".join([*postgres_schema.create(), ""]), fresh)
        assert columns_of(postgres_server, database) == columns_of(postgres_server, fresh)
    finally:
        postgres_server.drop_database(fresh)


@pytest.mark.parametrize("path", SQLITE, ids=lambda path: path.stem)
def test_sqlite_is_upgraded_from_every_schema(path, tmp_path):
    version, today = version_of(path), len(sqlite.STEPS)
    with closing(sqlite3.connect(tmp_path / "history.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(path.read_text())
        connection.execute(f"{INSERT}{VALUES}")
        connection.execute(f"INSERT INTO series VALUES ('T1', {TIME_MS}, {TIME_MS + 8})")
        connection.commit()
    url = "sqlite:///history.sqlite"
    assert f"version {version} of {today}" in run(tmp_path, "status", url).output
    output = run(tmp_path, "upgrade", url).output
    if version < today:
        assert output == f"{url}: version {version} -> {today}, as every start of JPH does" + (
            " with an SQLite file\n"
        )
    else:
        assert output == f"{url}: version {today}, up to date\n"
    assert "up to date" in run(tmp_path, "status", url).output
    with closing(open_history(url, tmp_path)) as store:
        assert store.append(ROWS) == 0
        assert store.last("T1", 99) == ROWS


@pytest.fixture
def next_version(monkeypatch):
    """Have the schema of tomorrow, with one step more."""
    step = ("CREATE TABLE tomorrow (a integer)", "INSERT INTO tomorrow VALUES (1)")
    monkeypatch.setattr(postgres_schema, "STEPS", (*postgres_schema.STEPS, step))
    monkeypatch.setattr(postgres_schema, "VERSION", postgres_schema.VERSION + 1)


def test_upgrades_at_once_take_each_step_once(
    next_version, postgres_server, postgres_url, tmp_path
):
    postgres_server.psql(POSTGRES[-1].read_text(), postgres_url.rpartition("/")[2])
    with ThreadPoolExecutor(4) as pool:
        from tools import db as module

        place = module.StoreAddress(postgres_url)
        results = list(
            pool.map(lambda _: module._versions(place, tmp_path, upgrades=True), range(4))
        )
    today = postgres_schema.VERSION
    assert sorted(results) == [(today - 1, today)] + [(today, today)] * 3
    database = postgres_url.rpartition("/")[2]
    assert postgres_server.execute("SELECT * FROM tomorrow", database) == [(1,)]


def test_a_step_that_fails_changes_nothing(next_version, postgres_server, postgres_url, tmp_path):
    database = postgres_url.rpartition("/")[2]
    postgres_server.psql(POSTGRES[-1].read_text() + "CREATE TABLE tomorrow (b text);", database)
    result = run(tmp_path, "upgrade", postgres_url)
    assert result.exit_code == 1
    assert "already exists" in result.output
    version = postgres_server.execute("SELECT version FROM schema_version", database)
    assert version == [(postgres_schema.VERSION - 1,)]


def test_a_database_of_a_newer_jph_is_left_alone(postgres_server, postgres_url, tmp_path):
    database = postgres_url.rpartition("/")[2]
    run(tmp_path, "upgrade", postgres_url)
    postgres_server.execute("UPDATE schema_version SET version = 99", database)
    assert "too new" in run(tmp_path, "status", postgres_url).output
    result = run(tmp_path, "upgrade", postgres_url)
    assert result.exit_code == 1
    assert "newer" in result.output and "version 99" in result.output


def test_the_configuration_names_the_history(tmp_path):
    ended = jph(tmp_path, "db", "upgrade")
    assert ended.returncode == 0
    found = f"configuration {paths.shipped_config()} (the shipped network)"
    assert ended.stderr == f"jph: {found}\n"
    assert ended.stdout.startswith("sqlite:///history.sqlite: version 0 -> ")
    assert (tmp_path / "history.sqlite").exists()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://jph@127.0.0.1:1/none", "127.0.0.1:1"),
        ("postgresql://jph:secret@127.0.0.1:1/none", "PasswordFile"),
        ("mysql://x/y", "mysql:"),
        ("sqlite://relative", "sqlite:////absolute"),
    ],
)
@pytest.mark.parametrize("command", ["status", "upgrade"])
def test_a_mistake_is_one_clear_line(command, url, reason, tmp_path):
    result = run(tmp_path, command, url)
    assert result.exit_code == 1
    assert reason in result.output
    assert result.output.count("\n") == 1
    assert "secret" not in result.output


def test_a_file_of_another_program_is_left_alone(tmp_path):
    with closing(sqlite3.connect(tmp_path / "other.sqlite")) as connection:
        connection.execute("CREATE TABLE mine (a)")
    result = run(tmp_path, "upgrade", "sqlite:///other.sqlite")
    assert result.exit_code == 1
    assert "another program" in result.output
