import json
import os
import re
import signal
import sqlite3
from contextlib import closing

import pytest
from click.testing import CliRunner

from jph.stores import open_history, quarantine
from tests.helpers import eventually, naming, new_bus
from tests.tools import program
from tools.history import copying
from tools.history import rows as history_rows
from tools.history.command import history

TIME_MS = 1_700_000_000_000
FILE = "sqlite:///history.sqlite"
ROWS = [
    (TIME_MS + n * 40_000_000, code, n, float(n), None)
    for n in range(90)
    for code in ("T1", "A\"'", ";-")
] + [(TIME_MS, "T2", 7, None, "a 'text'"), (TIME_MS, "T2", 8, 1.0, '{"value":1,"a":2}')]


@pytest.fixture
def configured(tmp_path, postgres_url):
    """Return the options that name a network whose history is in PostgreSQL."""
    sensors = [{"Codifier": code, "Type": "External"} for code in ("A4", "a4", "B2", "C3")]
    writer = {"Codifier": "HW", "Type": "HistoryWriter", "Sensor": {"URL": postgres_url}}
    document = tmp_path / "config.json"
    document.write_text(json.dumps(new_bus().document(writer, *sensors)))
    return ["-u", str(document), "--home", str(tmp_path)]


@pytest.fixture
def made(configured, postgres_url, tmp_path):
    """Return the history of the network, its tables made."""
    with closing(open_history(postgres_url, tmp_path)) as store:
        store.append([(TIME_MS, "HW", 1, 1.0, None)])
        yield store


def run(*arguments):
    return CliRunner().invoke(history, arguments)


def fill(url, home, rows=ROWS):
    with closing(open_history(url, home)) as store:
        store.append(rows)


def content(url, home):
    with closing(open_history(url, home)) as store:
        codes = sorted({row[1] for row in ROWS})
        return [row for code in codes for row in store.last(code, 100_000)]


# Copying


def test_history_moves_to_the_configured_server_and_back(configured, made, postgres_url, tmp_path):
    fill(FILE, tmp_path)
    result = run("copy", *configured)
    assert result.exit_code == 0, result.output
    assert f"{len(ROWS)} readings copied, {len(ROWS)} of them were new" in result.stdout
    assert f"{FILE}: {len(ROWS)} readings of 4 Codifiers" in result.stdout
    assert f"{postgres_url}: all of them" in result.stdout
    assert f"100 %, {len(ROWS)} of {len(ROWS)} rows" in result.stderr
    assert content(postgres_url, tmp_path) == content(FILE, tmp_path)

    back = "sqlite:///back.sqlite"
    result = run("copy", "--from", postgres_url, "--to", back, "--home", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert f"{len(ROWS) + 1} readings copied, {len(ROWS) + 1} of them were new" in result.stdout
    assert content(back, tmp_path) == content(FILE, tmp_path)


def test_what_is_in_quarantine_is_copied_too(configured, made, postgres_url, tmp_path, monkeypatch):
    absurd = [(TIME_MS * 3, "T1", n, None, "text") for n in range(5)] + [(7, "T2", 1, 1.5, None)]
    fill(FILE, tmp_path)
    with closing(open_history(FILE, tmp_path)) as store:
        store.quarantine.add(absurd)
    made.quarantine.add(absurd[2:3])
    monkeypatch.setattr(quarantine, "MOST_BYTES", 4 * (quarantine.ROW_BYTES + 4))
    result = run("copy", *configured)
    assert result.exit_code == 1
    assert "2 readings in quarantine have no room" in result.output
    monkeypatch.undo()
    result = run("copy", *configured)
    assert result.exit_code == 0, result.output
    assert "6 readings in quarantine, 2 of them copied" in result.output
    assert "0 of them copied" in run("copy", *configured).output
    found = [row for code in ("T1", "T2") for row in made.quarantine.rows(code, 100)]
    assert found == absurd
    back = ["--from", postgres_url, "--to", "sqlite:///back.sqlite", "--home", str(tmp_path)]
    assert "6 readings in quarantine, 6 of them copied" in run("copy", *back).output


def test_a_copy_is_safe_to_repeat_and_has_its_statistics_computed(configured, made, tmp_path):
    fill(FILE, tmp_path)
    run("copy", *configured)
    result = run("copy", *configured)
    assert f"{len(ROWS)} readings copied, 0 of them were new" in result.stdout
    assert made.statistics.due(TIME_MS * 2) >= 270


def test_readings_that_arrive_while_copying_are_copied_by_the_next_run(configured, made, tmp_path):
    fill(FILE, tmp_path)
    run("copy", *configured)
    late = (TIME_MS - 5, "T1", 1, 1.0, None)
    fill(FILE, tmp_path, [late])
    made.append([(TIME_MS, "T1", 99, 1.0, None)])
    result = run("copy", *configured)
    assert f"{len(ROWS) + 1} readings copied, 1 of them were new" in result.stdout
    assert "all of them and 2 more" in result.stdout


def test_both_stores_may_be_written_while_copying(configured, made, tmp_path):
    fill(FILE, tmp_path, [(TIME_MS + n, "T1", n, 1.0, None) for n in range(100_000)])
    process = program.start(tmp_path, "history", "copy", *configured[:2])
    n = 0
    with closing(open_history(FILE, tmp_path)) as source:
        while process.poll() is None:
            n += 1
            for store, code in ((source, "T3"), (made, "T4")):
                assert store.append([(TIME_MS + 200_000 + n, code, n, 1.0, None)]) == 1
    assert process.returncode == 0, (tmp_path / "err").read_text()
    assert run("copy", *configured).exit_code == 0
    assert [len(made.last(code, 200_000)) for code in ("T1", "T3", "T4")] == [100_000, n, n]


@pytest.mark.parametrize("most", [1, 7])
def test_spans_that_are_too_full_are_read_in_smaller_ones(
    most, configured, made, postgres_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(history_rows, "MOST_ROWS", most)
    monkeypatch.setattr(history_rows, "FEW_ROWS", 1)
    fill(FILE, tmp_path)
    assert run("copy", *configured).exit_code == 0
    assert content(postgres_url, tmp_path) == content(FILE, tmp_path)


def test_an_interrupted_copy_goes_on_where_it_was(configured, made, tmp_path, monkeypatch):
    fill(FILE, tmp_path)
    monkeypatch.setattr(history_rows, "LONGEST_SPAN_MS", 100_000_000)
    append, left = copying.append, [10]

    def interrupted(store, rows):
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return append(store, rows)

    monkeypatch.setattr(copying, "append", interrupted)
    result = run("copy", *configured)
    assert result.exit_code == 130
    assert "same command" in result.stderr
    monkeypatch.setattr(copying, "append", append)
    late = (TIME_MS - 5, "T1", 1, 1.0, None)  # before the place where it goes on
    fill(FILE, tmp_path, [late])
    result = run("copy", *configured)
    assert result.exit_code == 0
    assert "late readings" in result.stderr
    first, second, *_ = result.stdout.splitlines()
    assert int(first.split()[0]) < len(ROWS)
    assert second == f"{len(ROWS) + 1} readings copied, 1 of them were new"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_copy_that_is_stopped_loses_nothing(number, configured, made, tmp_path):
    rows = [(TIME_MS + 1000 * n, "T1", n, float(n), None) for n in range(200_000)]
    fill(FILE, tmp_path, rows)
    process = program.start(tmp_path, "history", "copy", *configured[:2])
    eventually(lambda: len(made.last("T1", 5_000)) >= 5_000, 60)
    os.kill(process.pid, number)
    assert process.wait() == (130 if number == signal.SIGINT else -number)
    ended = program.jph(tmp_path, "history", "copy", *configured[:2])
    assert ended.returncode == 0, ended.stderr
    read = int(ended.stdout.split()[0].replace(",", ""))
    assert 0 < read < len(rows)
    assert made.last("T1", 200_001) == rows


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--from", "sqlite:///none.sqlite"], "none.sqlite"),
        (["--from", "postgresql://jph@127.0.0.1:1/x"], "127.0.0.1:1"),
        (["--from", "postgresql://jph:secret@127.0.0.1:1/x"], "PasswordFile"),
        (["--to", FILE], "same"),
        (["--from", "mysql://a/b"], "mysql:"),
    ],
)
def test_a_mistake_is_one_clear_line(options, reason, configured, made):
    result = run("copy", *configured, *options)
    assert result.exit_code == 1
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1
    assert "secret" not in result.output


# Importing


def test_old_tables_are_imported_and_found_again(configured, made, database):
    database("CREATE TABLE sensor_b2 (Timestamp bigint, Value double precision)")
    database("INSERT INTO sensor_b2 SELECT 1000 * n, n FROM generate_series(1, 25000) AS s (n)")
    result = run("import", "--codifier", "B2", *configured)
    assert result.exit_code == 0, result.output
    assert "sensor_b2: B2: 25,000 rows, 25,000 new" in result.stdout
    assert "100 %, 25,000 of 25,000 rows" in result.stderr
    assert made.last("B2", 2) == [(n * 1000, "B2", 0, float(n), None) for n in (24_999, 25_000)]

    database("INSERT INTO sensor_b2 VALUES (25001000, 7), (5, 5)")
    result = run("import", "--codifier", "B2", *configured)
    assert "sensor_b2: B2: 2 rows, 1 new" in result.stdout  # begins at the last time again
    result = run("import", "--codifier", "B2", "--again", *configured)
    assert "sensor_b2: B2: 25,002 rows, 1 new" in result.stdout


@pytest.mark.parametrize(
    ("kind", "values", "stored"),
    [
        ("boolean", "(1, true), (2, false)", [(1.0, None), (0.0, None)]),
        ("integer", "(1, -5), (2, 7)", [(-5.0, None), (7.0, None)]),
        ("bigint", f"(1, {2**60 + 1})", [(float(2**60), str(2**60 + 1))]),
        ("real", "(1, 21.3)", [(21.299999237060547, None)]),
        ("numeric", "(1, 21.3)", [(21.3, None)]),
        ("double precision", "(1, 21.3), (2, 'NaN'), (3, NULL)", [(21.3, None)]),
        ("text", "(1, 'it''s'), (2, '')", [(None, "it's"), (None, "")]),
        ("varchar(99)", "(1, '{\"value\": 2, \"v\": 3}')", [(2.0, '{"value":2,"v":3}')]),
        ("jsonb", "(1, '{\"value\": 2}'), (2, '5'), (3, '[1]')",
         [(2.0, None), (5.0, None), (None, "[1]")]),
    ],
)  # fmt: skip
def test_values_are_stored_as_if_they_came_over_the_bus(
    kind, values, stored, configured, made, database
):
    database(f"CREATE TABLE sensor_b2 (timestamp bigint, value {kind})")
    database(f"INSERT INTO sensor_b2 VALUES {values}")
    result = run("import", "--all", *configured)
    assert result.exit_code == 0, result.output
    assert [row[3:] for row in made.last("B2", 9)] == stored


@pytest.mark.parametrize(
    ("kind", "time", "options", "time_ms"),
    [
        ("timestamp", "2023-11-14 22:13:20.123", [], TIME_MS + 123),
        ("timestamp", "2023-11-14 23:13:20", ["--timezone", "Europe/Berlin"], TIME_MS),
        ("timestamptz", "2023-11-15 00:13:20+02", [], TIME_MS),
        ("double precision", f"{TIME_MS}", [], TIME_MS),
        ("numeric", f"{TIME_MS}", [], TIME_MS),
    ],
)
def test_times_become_milliseconds(kind, time, options, time_ms, configured, made, database):
    database(f'CREATE TABLE sensor_b2 ("Timestamp" {kind}, "Value" real)')
    database(f"INSERT INTO sensor_b2 VALUES ('{time}', 1)")
    result = run("import", "--all", *options, *configured)
    assert result.exit_code == 0, result.output
    assert made.last("B2", 9) == [(time_ms, "B2", 0, 1.0, None)]


def test_readings_of_one_time_get_free_numbers_and_known_readings_are_left_out(
    configured, made, database
):
    made.append([(5, "B2", 0, 1.0, None), (6, "B2", 12345, 6.0, None)])
    database("CREATE TABLE sensor_b2 (timestamp bigint, value real)")
    database("INSERT INTO sensor_b2 VALUES (5, 3), (5, 1), (5, 2), (5, 3), (6, 6), (7, 7)")
    for new in (3, 0, 0):
        result = run("import", "--codifier", "B2", "--again", *configured)
        assert f"6 rows, {new} new" in result.stdout
        assert [(time_ms, n, value) for time_ms, _, n, value, _ in made.last("B2", 9)] == [
            (5, 0, 1.0), (5, 1, 2.0), (5, 2, 3.0), (6, 12345, 6.0), (7, 0, 7.0),
        ]  # fmt: skip


def test_codifiers_that_differ_in_case_have_tables_of_their_own(configured, made, database):
    for name, value in (("sensor_a4", 1), ('"sensor_A4"', 2), ("sensor_zz", 3), ("sensor_x", 4)):
        database(f"CREATE TABLE {name} (timestamp bigint, value real)")
        database(f"INSERT INTO {name} VALUES (5, {value})")
    database("CREATE TABLE sensor_c3 (something integer)")
    result = run("import", "--all", *configured)
    assert result.exit_code == 0, result.output
    assert made.last("a4", 9) == [(5, "a4", 0, 1.0, None)]
    assert made.last("A4", 9) == [(5, "A4", 0, 2.0, None)]
    assert re.search(naming("sensor_zz", "not in the configuration"), result.stderr)
    result = run("import", "--codifier", "ZZ", *configured)
    assert made.last("ZZ", 9) == [(5, "ZZ", 0, 3.0, None)]


def test_a_renamed_table_makes_room_for_the_view(
    configured, made, database, postgres_server, postgres_url
):
    from tools.generate_sql import generate_sql

    for name in ("sensor_b2", "sensor_b2_10min"):
        database(f"CREATE TABLE {name} (timestamp bigint, value real)")
    database("INSERT INTO sensor_b2 VALUES (5, 1)")
    result = run("import", "--codifier", "B2", "--rename", *configured)
    assert result.exit_code == 0, result.output
    assert "renamed to sensor_b2_old" in result.stdout
    script = CliRunner().invoke(generate_sql, ["-l", "B2", *configured]).stdout
    ended = postgres_server.psql(script)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert database("SELECT Timestamp, Value FROM sensor_b2") == [(5, 1.0)]
    assert database("SELECT count(*) FROM sensor_b2_old") == [(1,)]
    assert database("SELECT count(*) FROM sensor_b2_10min_old") == [(0,)]
    result = run("import", "--codifier", "B2", *configured)
    assert "sensor_B2" in result.output


def test_an_import_that_is_killed_goes_on(configured, made, database, tmp_path):
    database("CREATE TABLE sensor_b2 (timestamp bigint, value real)")
    database("INSERT INTO sensor_b2 SELECT 1000 * n, n FROM generate_series(1, 200000) AS s (n)")
    command = ["history", "import", "--all", *configured[:2]]
    process = program.start(tmp_path, *command)
    eventually(lambda: (tmp_path / "history-progress.json").exists(), 20)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    ended = program.jph(tmp_path, *command)
    assert ended.returncode == 0, ended.stderr
    read = int(ended.stdout.split()[2].replace(",", ""))
    assert 0 < read < 200_000
    rows = made.last("B2", 300_000)
    assert [row[0] for row in rows] == [1000 * n for n in range(1, 200_001)]
    assert {row[2] for row in rows} == {0}


def test_an_import_begins_again_when_the_history_was_emptied(configured, made, database):
    database("CREATE TABLE sensor_b2 (timestamp bigint, value real)")
    database("INSERT INTO sensor_b2 VALUES (5, 1), (6, 2)")
    for _ in range(2):
        result = run("import", "--all", *configured)
        assert "2 rows, 2 new" in result.stdout
        database("TRUNCATE measurement")


def test_old_tables_go_into_an_sqlite_file_too(configured, postgres_url, database, tmp_path):
    database('CREATE TABLE "sensor_B2" (timestamp bigint, value real)')
    database('INSERT INTO "sensor_B2" VALUES (5, 1)')
    options = ["--all", "--from", postgres_url, "--to", FILE, *configured]
    for new in (1, 0):
        assert f"1 rows, {new} new" in run("import", *options).stdout
    with closing(sqlite3.connect(tmp_path / "history.sqlite")) as connection:
        assert connection.execute("SELECT * FROM measurement").fetchall() == [
            (5, "B2", 0, 1.0, None)
        ]


@pytest.mark.parametrize(
    ("options", "status", "reason"),
    [
        ([], 2, "--all"),
        (["--all", "--codifier", "B2"], 2, "--all"),
        (["--all", "--from", FILE], 2, "PostgreSQL"),
        (["--codifier", "Q9"], 1, "sensor_Q9"),
        (["--all", "--timezone", "Mars'"], 1, "Mars'"),
        (["--all", "--from", "postgresql://jph@127.0.0.1:1/x"], 1, "127.0.0.1:1"),
    ],
)
def test_a_wrong_import_is_refused(options, status, reason, configured, made):
    result = run("import", *options, *configured)
    assert result.exit_code == status
    assert reason in result.stderr
