"""SQL for psql that makes and empties a history in PostgreSQL.

All of it may be run again. Names and texts of the configuration are quoted, so that none of them
can end a statement; psql replaces no variables inside quotes.

Source: https://www.postgresql.org/docs/15/app-psql.html (\\gexec, \\connect)
"""

from collections.abc import Iterable, Mapping, Sequence

from jph.errors import ConfigError
from jph.stores.buckets import RESOLUTIONS
from jph.stores.postgres import schema
from jph.stores.postgres.schema import identifier, literal
from jph.stores.sql import BUCKET

LONGEST_NAME = 63  # bytes; PostgreSQL cuts a longer name, and then does not find it again
KEPT_DATABASES = ("postgres", "template0", "template1")

# People who sign in to the pages, and the graphs that they keep in those of existing networks.
WEB = (
    "CREATE TABLE IF NOT EXISTS web_user (name text PRIMARY KEY, password_hash text NOT NULL)",
    "CREATE TABLE IF NOT EXISTS web_graph (name text, email text, settings text,"
    " PRIMARY KEY (name, email))",
)
# The names by which programs of existing networks read and write them. Where there are tables of
# these names, they are of such a network, and stay.
WEB_VIEWS = {
    "users": "SELECT name AS email, password_hash AS password FROM web_user",
    "graphs": "SELECT name, email, settings FROM web_graph",
}
TRUNCATE = "TRUNCATE measurement, statistic, pending, dropped;"
OURS = (*schema.TABLES, "web_user", "web_graph")
# Without ON_ERROR_STOP, psql would go on in the wrong database if the right one is missing.
BEGIN = ("\\set ON_ERROR_STOP on", "\\encoding UTF8", "SET client_min_messages = warning;")


def check_name(name: str) -> str:
    """Return the name of a role or database unchanged.

    Raises:
        ConfigError: PostgreSQL or psql cannot use it.
    """
    if not name or len(name.encode()) > LONGEST_NAME:
        raise ConfigError(f"a name in PostgreSQL has 1 to {LONGEST_NAME} bytes, not {name!r}")
    if any(letter in name for letter in "\0\r\n"):
        raise ConfigError(f"psql accepts no name with a line break; change {name!r}")
    return name


def drop(database: str, role: str) -> list[str]:
    """Return SQL that drops a database with all readings, and its role.

    The role stays if it owns something in other databases, or runs the script itself.

    Raises:
        ConfigError: the database belongs to the server.
    """
    if database in KEPT_DATABASES:
        raise ConfigError(f"the database {database} belongs to the server; -f does not drop it")
    keep = "WHEN dependent_objects_still_exist OR object_in_use THEN NULL;"
    body = f"BEGIN DROP ROLE IF EXISTS {identifier(role)}; EXCEPTION {keep} END"
    return [
        *connect("postgres"),
        f"DROP DATABASE IF EXISTS {identifier(database)} WITH (FORCE);",
        f"DO {literal(body)};",
    ]


def make_role(role: str, password: str | None) -> list[str]:
    """Return SQL that makes a role which may sign in, and sets its password unless that is None."""
    name, text = identifier(role), literal(role)
    create = literal(f"CREATE ROLE {name} LOGIN")
    alter = literal(f"ALTER ROLE {name} LOGIN")
    lines = [
        f"SELECT {create} WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {text}) \\gexec",
        f"SELECT {alter} FROM pg_roles WHERE rolname = {text} AND NOT rolcanlogin \\gexec",
    ]
    if password is not None:
        lines.append(f"ALTER ROLE {name} PASSWORD {literal(password)};")
    return lines


def join(role: str) -> list[str]:
    """Return SQL that makes the user of the script a member of a role, unless it is a superuser.

    Only a member may make a database for a role, and make tables as that role.
    """
    grant = literal(f"GRANT {identifier(role)} TO CURRENT_USER")
    return [f"SELECT {grant} WHERE NOT pg_has_role({literal(role)}, 'USAGE') \\gexec"]


def make_database(database: str, role: str) -> list[str]:
    """Return SQL that makes a database for a role, unless there is one of that name."""
    create = f"CREATE DATABASE {identifier(database)} OWNER {identifier(role)}"
    # Independent of the locale of the server; texts are compared by their bytes anyway.
    create += " ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    missing = f"NOT EXISTS (SELECT FROM pg_database WHERE datname = {literal(database)})"
    return [f"SELECT {literal(create)} WHERE {missing} \\gexec"]


def connect(database: str) -> list[str]:
    """Return commands of psql that connect to another database of the same server."""
    value = database.replace("\\", "\\\\").replace("'", "\\'")
    target = identifier(f"dbname='{value}'")
    return [f"\\connect -reuse-previous=on {target}", *BEGIN[1:], "SET search_path = public;"]


def become(role: str) -> list[str]:
    """Return SQL that makes the role the owner of all objects that follow."""
    return [f"SET ROLE {identifier(role)};"]


def grant(database: str, role: str, views: Iterable[str]) -> list[str]:
    """Return SQL that lets a role make tables, and gives it those of JPH that others made."""
    name, text = identifier(role), literal(role)
    tables, view_names = ", ".join(map(literal, OURS)), ", ".join(map(literal, views))
    loop = (
        "DECLARE name text; BEGIN FOR name IN SELECT oid::regclass::text FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace"
        f" AND relowner <> (SELECT oid FROM pg_roles WHERE rolname = {text})"
        f" AND (relkind IN ('r', 'p') AND relname IN ({tables})"
        f" OR relkind = 'v' AND relname IN ({view_names})"
        " OR relispartition AND relkind = 'r' AND pg_partition_root(oid)"
        " IN (to_regclass('public.measurement'), to_regclass('public.statistic')))"
        f" LOOP EXECUTE format('ALTER TABLE %s OWNER TO %I', name, {text}); END LOOP; END"
    )
    return [
        f"GRANT CONNECT, TEMPORARY ON DATABASE {identifier(database)} TO {name};",
        f"GRANT USAGE, CREATE ON SCHEMA public TO {name};",
        f"DO {literal(loop)};",
    ]


def grant_to_other(database: str, owner: str, role: str, writes: bool) -> list[str]:
    """Return SQL that lets another role write, as a member of the owner, or only read."""
    name = identifier(role)
    if writes:
        return [f"GRANT {identifier(owner)} TO {name};"]
    return [
        f"GRANT CONNECT ON DATABASE {identifier(database)} TO {name};",
        f"GRANT USAGE ON SCHEMA public TO {name};",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name};",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {identifier(owner)} IN SCHEMA public"
        f" GRANT SELECT ON TABLES TO {name};",
    ]


def make_tables() -> list[str]:
    """Return SQL that makes the tables or brings older ones up to date, in one transaction."""
    lock = f"DO {literal(f'BEGIN PERFORM pg_advisory_xact_lock({schema.LOCK}); END')};"
    steps = [f"{statement};" for statement in (*schema.create(), *_web())]
    return ["BEGIN;", lock, *steps, "COMMIT;"]


def _web() -> list[str]:
    return [*WEB, *(schema.create_view(name, query) for name, query in WEB_VIEWS.items())]


def make_views(
    codifiers: Sequence[str], data_types: Mapping[str, str], only: str | None
) -> list[str]:
    """Return SQL that makes the views of these Codifiers, or of only one of them."""
    statements = schema.create_views(codifiers, data_types)
    if only is not None:
        each = 1 + len(RESOLUTIONS)
        at = each * codifiers.index(only)
        statements = statements[at : at + each]
    return [f"{statement};" for statement in statements]


def view_names(codifiers: Iterable[str]) -> list[str]:
    """Return the names of all views, those of these Codifiers among them."""
    return [
        *WEB_VIEWS,
        *(
            f"{name}{suffix}"
            for name in schema.view_names(codifiers).values()
            for suffix in ("", *(f"_{each}" for each in RESOLUTIONS))
        ),
    ]


def empty(codifier: str) -> list[str]:
    """Return SQL that deletes the readings and statistics of one Codifier."""
    return [
        f"DELETE FROM {table} WHERE codifier = {literal(codifier)};"
        for table in ("measurement", "statistic", "pending")
    ]


def rebuild_statistics(codifier: str | None) -> list[str]:
    """Return SQL that has the Statistics component compute all intervals of a Codifier again.

    Old results stay until new ones replace them. Results of readings that were dropped to save
    room stay for ever; other results without readings are deleted. The SQL marks one partition
    after the other, since marking makes writers wait.

    Args:
        codifier: None for all Codifiers.
    """
    where = "" if codifier is None else f" AND codifier = {literal(codifier)}"
    lines = []
    for table, bucket, numbers in (
        ("measurement", BUCKET, "value IS NOT NULL"),
        ("statistic", "timestamp", "true"),
    ):
        begin, _, end = schema.MARK.partition("{query}")
        begin = literal(f"{begin}SELECT DISTINCT codifier, {bucket} FROM ")
        end = literal(f" WHERE {numbers}{where} ORDER BY 1, 2{end}")
        lines.append(
            f"SELECT {begin} || relid::regclass || {end}"
            f" FROM pg_partition_tree({literal(table)}) WHERE isleaf \\gexec"
        )
    return lines


def set_user(name: str, password_hash: str) -> list[str]:
    """Return SQL that adds a person to `users`, or changes the password of one."""
    return [
        *(f"{statement};" for statement in _web()),
        f"INSERT INTO users (email, password) VALUES ({literal(name)}, {literal(password_hash)})"
        " ON CONFLICT (email) DO UPDATE SET password = EXCLUDED.password;",
    ]
