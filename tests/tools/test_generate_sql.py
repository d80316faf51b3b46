import contextlib
import json
import re

import bcrypt
import psycopg2
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from jph.config.loading import load
from jph.stores import open_history
from jph.stores.address import history_address
from tests.helpers import LOOPBACK, naming, new_bus
from tools import provision
from tools.generate_sql import generate_sql

ODD = ["\"'", ";-", 'A"', "''", "$$", "\\'", "a4", "A4", "%s", "{}", ":a", "--"]
DATABASE = 'jph "it\'s" a=b \\ %s'
ROLE = "J P'H\"; --\\"
PASSWORD = 'it\'s "very" \\ secret; :x $$'


@pytest.fixture
def network(tmp_path, postgres_server):
    """Return a function that prints SQL for a network whose database is not there yet."""
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    block = {"Database": DATABASE, "User": ROLE, "Password": str(file)}
    block |= {"Host": LOOPBACK, "Port": postgres_server.port}
    writer = {"Codifier": "HW", "Type": "jphPostgreSQL", "Sensor": {"SQL": block}}
    sensors = [{"Codifier": code, "Type": "External"} for code in ODD]
    sensors[2]["DataType"] = "string"
    document = tmp_path / "config.json"
    document.write_text(json.dumps(new_bus().document(writer, *sensors)))

    def run(*arguments):
        return CliRunner().invoke(
            generate_sql, [*arguments, "-u", str(document), "--home", str(tmp_path)]
        )

    run.document = document
    run.password_file = file
    yield run
    postgres_server.execute(f"DROP DATABASE IF EXISTS {provision.identifier(DATABASE)}")
    postgres_server.execute(f"DROP ROLE IF EXISTS {provision.identifier(ROLE)}")


@pytest.fixture
def provisioned(network, postgres_server):
    twice(postgres_server, network("-d"))
    return network


@pytest.fixture
def store(provisioned, tmp_path):
    """Return the history of the network, opened as its writer does."""
    config = load(str(provisioned.document), tmp_path)
    place = history_address(config)
    with contextlib.closing(open_history(place.url, tmp_path, place.password_file)) as store:
        yield store


def twice(server, result, user="jph"):
    """Run the printed SQL two times by psql."""
    assert result.exit_code == 0, result.output
    for _ in range(2):
        ended = server.psql(result.stdout, user=user)
        assert (ended.returncode, ended.stderr) == (0, "")


def test_a_database_is_made_and_everything_in_it_is_the_roles_own(provisioned, postgres_server):
    owner = "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding) FROM pg_database"
    rows = postgres_server.execute(f"{owner} WHERE datname = %s", values=(DATABASE,))
    assert rows == [(ROLE, "UTF8")]
    owners = postgres_server.execute(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class"
        " WHERE relnamespace = 'public'::regnamespace",
        DATABASE,
    )
    assert owners == [(ROLE,)]


def test_a_role_that_may_make_roles_and_databases_may_run_all_of_it(network, postgres_server):
    maker = "maker of databases"
    postgres_server.execute(f'CREATE ROLE "{maker}" LOGIN CREATEDB CREATEROLE')
    document = json.loads(network.document.read_text())
    writers = document["Sensors"][0]["Sensor"]["SQL"]
    for code, type_, user in (("W1", "Web", "reading"), ("S1", "Statistics", "computing")):
        other = {**writers, "User": f"{user} {postgres_server.port}"}
        document["Sensors"].append({"Codifier": code, "Type": type_, "Sensor": {"SQL": other}})
    network.document.write_text(json.dumps(document))
    try:
        for options in (
            "-d",
            "-d -f",
            "-l a4",
            "-s a4",
            "-S",
            "-t a4",
            "-T",
            "-p anna:correct-horse",
        ):
            twice(postgres_server, network(*options.split()), user=maker)
        owners = "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relname ~ '^sensor'"
        assert postgres_server.execute(owners, DATABASE) == [(ROLE,)]
        readers = f"reading {postgres_server.port}"
        with contextlib.closing(postgres_server.connect(DATABASE, readers)) as connection:
            connection.cursor().execute("SELECT * FROM measurement, sensor_a4")
    finally:
        postgres_server.execute(f"DROP DATABASE IF EXISTS {provision.identifier(DATABASE)}")
        for role in (f"reading {postgres_server.port}", f"computing {postgres_server.port}"):
            postgres_server.execute(f'DROP ROLE IF EXISTS "{role}"')
        postgres_server.execute(f'DROP ROLE "{maker}"')


def test_the_writer_signs_in_by_its_password_and_the_views_show_what_it_stores(
    provisioned, store, postgres_server
):
    if not postgres_server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'needs_password'"):
        postgres_server.execute("CREATE ROLE needs_password NOLOGIN")
    postgres_server.execute(f"GRANT needs_password TO {provision.identifier(ROLE)}")
    with pytest.raises(psycopg2.OperationalError, match="password"):
        postgres_server.connect(DATABASE, ROLE, password="wrong")
    time_ms = 1_700_000_000_000
    rows = [(time_ms, code, 1, float(at), f"text of {code}") for at, code in enumerate(ODD)]
    assert store.append(rows) == len(ODD)
    for at, code in enumerate(ODD):
        name = {"a4": "sensor_a4", "A4": "sensor_A4"}.get(code, f"sensor_{code}")
        query = f"SELECT Timestamp, Value FROM {provision.identifier(name)}".replace("%", "%%")
        expected = f"text of {code}" if code == 'A"' else float(at)
        assert postgres_server.execute(query, DATABASE, ()) == [(time_ms, expected)]
    assert postgres_server.execute("SELECT Mean FROM sensor_a4_hour", DATABASE) == []


def test_only_the_statement_that_sets_the_password_has_it(network):
    printed = network("-d").stdout
    quoted = provision.literal(PASSWORD)
    assert [line for line in printed.splitlines() if quoted in line] == [
        f"ALTER ROLE {provision.identifier(ROLE)} PASSWORD {quoted};"
    ]
    assert "secret" not in printed.replace(quoted, "")
    for options in (["-l", "a4"], ["-S"], ["-T"], ["-p", "anna:correct horse"]):
        assert "secret" not in network(*options).output


def test_a_password_file_that_cannot_be_read_is_named(network):
    network.password_file.unlink()
    result = network("-d")
    assert result.exit_code == 78
    assert str(network.password_file) in result.stderr
    assert result.stdout == ""


def test_dropping_first_leaves_an_empty_history(provisioned, store, postgres_server):
    store.append([(1_700_000_000_000, "a4", 1, 1.0, None)])
    twice(postgres_server, provisioned("-d", "-f"))
    assert store.last("a4", 9) == []
    assert store.append([(1_700_000_000_000, "a4", 1, 1.0, None)]) == 1


def test_provisioning_again_keeps_the_readings_and_takes_over_tables(
    provisioned, store, postgres_server
):
    store.append([(1_700_000_000_000, "a4", 1, 1.0, None)])
    postgres_server.execute('ALTER TABLE measurement OWNER TO "jph"', DATABASE)
    postgres_server.execute('ALTER TABLE measurement_20231109 OWNER TO "jph"', DATABASE)
    postgres_server.execute('ALTER VIEW sensor_a4 OWNER TO "jph"', DATABASE)
    twice(postgres_server, provisioned("-d"))
    assert store.append([(1_800_000_000_000, "a4", 1, 1.0, None)]) == 1
    owned = "SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = 'jph' AND relname ~"
    assert postgres_server.execute(f"{owned} '^(meas|sens)'", DATABASE) == [(0,)]
    assert len(store.last("a4", 9)) == 2


def test_one_codifier_gets_its_views_and_nothing_else(network, postgres_server):
    twice(postgres_server, network("-d", "-l", "A4"))
    views = "SELECT viewname FROM pg_views WHERE starts_with(viewname, 'sensor') ORDER BY 1"
    names = [row[0] for row in postgres_server.execute(views, DATABASE)]
    assert names == ["sensor_A4", "sensor_A4_10min", "sensor_A4_hour"]
    result = network("-l", ";-")
    assert "CREATE TABLE" not in result.stdout
    twice(postgres_server, result)
    names = [row[0] for row in postgres_server.execute(views, DATABASE)]
    assert len(names) == 6
    assert "sensor_;-" in names


def test_statistics_are_computed_again_and_those_without_readings_go(
    provisioned, store, postgres_server
):
    hour_ms = 3_600_000
    now_ms = 1_700_000_000_000 // hour_ms * hour_ms
    for code in ("%s", "a4"):
        store.append([(now_ms - 1000 * n, code, n, 2.0, None) for n in range(9)])
    while store.statistics.compute(now_ms + hour_ms):
        pass
    postgres_server.execute("UPDATE statistic SET mean = 7", DATABASE)
    postgres_server.execute("DELETE FROM measurement WHERE codifier = 'a4'", DATABASE)
    means = "SELECT codifier, mean FROM statistic ORDER BY 1, 2"

    twice(postgres_server, provisioned("-s", "%s"))
    while store.statistics.compute(now_ms + hour_ms):
        pass
    rows = [("%s", 2.0), ("%s", 2.0), ("a4", 7.0), ("a4", 7.0)]
    assert postgres_server.execute(means, DATABASE) == rows

    twice(postgres_server, provisioned("-S"))
    while store.statistics.compute(now_ms + hour_ms):
        pass
    assert postgres_server.execute(means, DATABASE) == rows[:2]


def test_truncating_deletes_readings_and_statistics(provisioned, store, postgres_server):
    store.append([(1_700_000_000_000, "a4", 1, 1.0, None)])
    while store.statistics.compute(1_800_000_000_000):
        pass
    twice(postgres_server, provisioned("-T"))
    for table in ("measurement", "statistic", "pending"):
        assert postgres_server.execute(f"SELECT count(*) FROM {table}", DATABASE) == [(0,)]


def test_one_codifier_is_emptied(provisioned, store, postgres_server):
    for code in ("a4", "A4"):
        store.append([(1_700_000_000_000, code, 1, 1.0, None)])
    while store.statistics.compute(1_800_000_000_000):
        pass
    store.append([(1_800_000_000_000, "a4", 2, 1.0, None)])
    twice(postgres_server, provisioned("-t", "a4"))
    for table in ("measurement", "statistic", "pending"):
        codifiers = f"SELECT DISTINCT codifier FROM {table}"
        expected = [] if table == "pending" else [("A4",)]
        assert postgres_server.execute(codifiers, DATABASE) == expected


def test_the_long_options_of_older_versions_are_taken(network):
    document = ["--url", str(network.document)]
    for older, present in (
        (["--sqlto", "a4"], ["-l", "a4"]),
        (["--stats", "a4"], ["-s", "a4"]),
        (["--allStats"], ["-S"]),
        (["--database", "--force"], ["-d", "-f"]),
        (["--code", "HW", "--database"], ["-d"]),
    ):
        assert network(*older, *document).stdout == network(*present).stdout != ""
    assert "INSERT INTO users" in network("--user", "anna:correct horse").stdout


def test_programs_of_existing_networks_write_users_and_graphs(provisioned, postgres_server):
    """The statements that the pages of such a network make, and its way to add people."""

    def run(sql, *values):
        return postgres_server.execute(sql, DATABASE, values)

    run("INSERT INTO Users VALUES ('anna', 'hash')")
    run("UPDATE users SET password = 'other' WHERE users.email = %s", "anna")
    selected = "SELECT users.email AS users_email, users.password AS users_password FROM users"
    assert run(f"{selected} WHERE users.email = %s LIMIT 1", "anna") == [("anna", "other")]
    insert = "INSERT INTO graphs (name, email, settings) VALUES (%s, %s, %s)"
    run(insert, "Loop", "anna", "{}")
    with pytest.raises(psycopg2.errors.UniqueViolation, match="already exists"):
        run(insert, "Loop", "anna", "{}")
    run(insert, "Loop", "ben", "{}")
    run("DELETE FROM graphs WHERE graphs.name = %s AND graphs.email = %s", "Loop", "anna")
    twice(postgres_server, provisioned("-d"))
    assert run("SELECT * FROM graphs") == [("Loop", "ben", "{}")]
    run("DELETE FROM users")


def test_tables_of_an_existing_network_with_these_names_stay(provisioned, postgres_server):
    for statement in (
        "DROP VIEW users, graphs",
        "CREATE TABLE Users (email varchar(120) PRIMARY KEY, password varchar(120))",
        f"GRANT ALL PRIVILEGES ON TABLE Users TO {provision.identifier(ROLE)}",
        "INSERT INTO Users VALUES ('ben', 'old')",
    ):
        postgres_server.execute(statement, DATABASE)
    twice(postgres_server, provisioned("-d"))
    twice(postgres_server, provisioned("-p", "anna:correct horse"))
    names = postgres_server.execute("SELECT email FROM users ORDER BY 1", DATABASE)
    assert names == [("anna",), ("ben",)]


def test_a_view_of_booleans_has_booleans(provisioned, store, postgres_server):
    document = json.loads(provisioned.document.read_text())
    [entry] = [each for each in document["Sensors"] if each["Codifier"] == "a4"]
    store.append([(5, "a4", 1, 1.0, None), (6, "a4", 1, 0.0, None), (7, "a4", 1, None, "text")])
    values = "SELECT value FROM sensor_a4 ORDER BY timestamp"
    for data_type, expected in (("bool", [True, False]), ("float", [1.0, 0.0])):
        entry["DataType"] = data_type
        provisioned.document.write_text(json.dumps(document))
        twice(postgres_server, provisioned("-d"))
        assert [value for (value,) in postgres_server.execute(values, DATABASE)] == expected
        if data_type == "bool":
            where = "SELECT timestamp FROM sensor_a4 WHERE value"
            assert postgres_server.execute(where, DATABASE) == [(5,)]


def test_a_user_is_added_and_changed(provisioned, postgres_server):
    for password in ("correct horse", "battery: staple"):
        result = provisioned("-p", f"O'Hara:{password}")
        assert password not in result.stdout
        twice(postgres_server, result)
        ((name, hashed),) = postgres_server.execute("SELECT * FROM users", DATABASE)
        assert name == "O'Hara"
        assert bcrypt.checkpw(password.encode(), hashed.encode())


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ([], 2, "-d"),
        (["-f"], 2, "-d"),
        (["-l", "xyz"], 2, "xyz"),
        (["-p", "anna:short"], 2, "8"),
        (["-c", "a4", "-d"], 78, "a4"),
        (["-c", "zz", "-d"], 78, "zz"),
    ],
)
def test_a_mistake_is_reported_and_no_sql_is_printed(network, options, status, reason):
    result = network(*options)
    assert result.exit_code == status
    assert reason in result.stderr
    assert result.stdout == ""


def test_a_network_without_postgresql_is_told_so(tmp_path):
    result = CliRunner().invoke(generate_sql, ["-d", "--home", str(tmp_path)])
    assert result.exit_code == 78
    assert re.search(naming("HistoryWriter", "PostgreSQL"), result.stderr)


def test_other_roles_of_the_configuration_get_what_they_need(network, postgres_server, tmp_path):
    document = json.loads(network.document.read_text())
    block = document["Sensors"][0]["Sensor"]["SQL"]
    readers = f"reader {postgres_server.port}"
    for code, type_, user in (("W1", "Web", readers), ("S1", "Statistics", f"{readers} too")):
        settings_ = {"SQL": {**block, "User": user}}
        document["Sensors"].append({"Codifier": code, "Type": type_, "Sensor": settings_})
    document["Sensors"].insert(0, {"Codifier": "H0", "Type": "HistoryWriter"})  # on SQLite
    network.document.write_text(json.dumps(document))
    twice(postgres_server, network("-d"))
    try:
        with contextlib.closing(postgres_server.connect(DATABASE, readers)) as connection:
            cursor = connection.cursor()
            cursor.execute("SELECT * FROM measurement, sensor_a4")
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute("DELETE FROM measurement")
        with contextlib.closing(postgres_server.connect(DATABASE, f"{readers} too")) as connection:
            connection.cursor().execute("DELETE FROM measurement")
    finally:
        postgres_server.execute(f"DROP DATABASE {provision.identifier(DATABASE)}")
        postgres_server.execute(f'DROP ROLE "{readers}", "{readers} too"')


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\"'\\;:%$- {}"), min_size=1
)


@given(names=st.lists(NAMES, min_size=1, max_size=60))
@settings(max_examples=10)
def test_quoted_names_and_texts_reach_the_server_unchanged(postgres_process, names):
    rows = [f"({n}, {provision.literal(name)})" for n, name in enumerate(names)]
    aliases = [f"{n} AS {provision.identifier(name[:9])}" for n, name in enumerate(names)]
    script = "\\encoding UTF8\n\\pset format unaligned\n\\pset tuples_only on\n"
    script += f"SELECT json_agg(text ORDER BY n) FROM (VALUES {', '.join(rows)}) AS t (n, text);\n"
    for alias in aliases:  # the row's name is longer than any of them, so it is none of them
        script += (
            f"SELECT json_object_keys(to_json(all_columns)) FROM (SELECT {alias}) AS all_columns;\n"
        )
    ended = postgres_process.psql(script)
    assert ended.returncode == 0, ended.stderr
    first, *lines = ended.stdout.split("\n")[:-1]
    assert json.loads(first) == names
    assert lines == [name[:9] for name in names]
