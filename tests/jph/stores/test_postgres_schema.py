import json
from contextlib import closing

import pytest

from jph.stores import open_history, rows_of
from jph.stores.postgres import schema

NOW_MS = 1_795_234_200_000  # in the week from 2026-11-19


def run(server, database, *statements):
    for statement in statements:
        server.execute(statement, database)


def columns(server, database, view):
    query = (
        "SELECT column_name, data_type FROM information_schema.columns"
        " WHERE table_name = %s ORDER BY ordinal_position"
    )
    return server.execute(query, database, (view,))


@pytest.mark.parametrize(
    "codifiers, names",
    [
        (["A4"], ["sensor_a4"]),
        (["A4", "a4"], ["sensor_A4", "sensor_a4"]),
        (["Ab", "aB"], ["sensor_ab", "sensor_aB"]),
        (["A%", 'a"', "A-"], ["sensor_A%", 'sensor_a"', "sensor_A-"]),
        (["A4", "A4"], ["sensor_a4"]),
    ],
)
def test_each_codifier_has_a_view_of_its_own_name(codifiers, names):
    assert list(schema.view_names(codifiers).values()) == names


def test_all_codifiers_together_have_names_that_differ():
    printable = [chr(code) for code in range(0x21, 0x7F)]
    codifiers = [first + second for first in printable for second in printable]
    assert len(set(schema.view_names(codifiers).values())) == len(codifiers)


def test_names_and_texts_are_quoted():
    assert schema.identifier('a"b') == '"a""b"'
    assert schema.literal("it's") == "'it''s'"
    assert schema.literal("\\'") == "E'\\\\'''"
    with pytest.raises(ValueError, match="NUL"):
        schema.literal("a\0")


def test_a_partition_is_named_by_its_first_day():
    week = NOW_MS // schema.WEEK_MS
    assert schema.partition(week).name == "measurement_20261119"
    assert schema.partition_of("measurement_20261119") == schema.partition(week)
    for name in ("measurement_20261120", "measurement_default", "measurement_2026", "other"):
        assert schema.partition_of(name) is None


def test_times_that_no_clock_should_show_have_no_partition_of_their_own():
    week = NOW_MS // schema.WEEK_MS
    assert schema.has_partition(week + 1, NOW_MS)
    assert not schema.has_partition(week + 2, NOW_MS)
    assert not schema.has_partition(0, NOW_MS)
    assert schema.has_partition(946_684_800_000 // schema.WEEK_MS, NOW_MS)


def test_the_tables_are_made_by_statements_that_may_be_repeated(postgres_server, postgres_database):
    run(postgres_server, postgres_database, *schema.create(), *schema.create())
    version = postgres_server.execute("SELECT version FROM schema_version", postgres_database)
    assert version == [(schema.VERSION,)]


def test_readings_ahead_of_time_move_into_their_week_when_it_comes(
    postgres_server, postgres_database
):
    run(postgres_server, postgres_database, *schema.create())
    inserted = f"INSERT INTO measurement VALUES ('C1', {NOW_MS}, 1, 1.5), ('C1', 5, 2, 2.5)"
    add = schema.add_partition(NOW_MS // schema.WEEK_MS)
    run(postgres_server, postgres_database, inserted, add, add)
    rows = "SELECT tableoid::regclass::text, sequence FROM measurement ORDER BY sequence"
    assert postgres_server.execute(rows, postgres_database) == [
        ("measurement_20261119", 1),
        ("measurement_default", 2),
    ]


def test_views_have_the_columns_that_graphs_ask_for(postgres_server, postgres_database):
    run(postgres_server, postgres_database, *schema.create())
    codifiers = ["A4", "a4", "T'"]
    types = {"A4": "float", "T'": "string"}
    for _ in range(2):
        run(postgres_server, postgres_database, *schema.create_views(codifiers, types))
    assert columns(postgres_server, postgres_database, "sensor_A4") == [
        ("timestamp", "bigint"),
        ("value", "double precision"),
    ]
    assert columns(postgres_server, postgres_database, "sensor_T'")[1] == ("value", "text")
    names = [name for name, _ in columns(postgres_server, postgres_database, "sensor_a4_10min")]
    assert names == ["timestamp", "mean", "mode", "median", "max", "min", "stdev"]
    run(
        postgres_server,
        postgres_database,
        "INSERT INTO measurement VALUES ('a4', 7, 1, 1.5, NULL), ('a4', 8, 2, NULL, 'off')",
        "INSERT INTO measurement VALUES ('A4', 7, 1, 2.5, NULL), ('T''', 7, 1, NULL, 'on')",
        "INSERT INTO statistic VALUES (60, 'a4', 9, 1, NULL, 1, 1, 1, 0, 1)",
    )
    for query, rows in {
        "SELECT Timestamp, Value FROM Sensor_a4": [(7, 1.5)],
        'SELECT Timestamp, Value FROM "sensor_A4"': [(7, 2.5)],
        """SELECT Value FROM "sensor_T'" """: [("on",)],
        "SELECT Timestamp, Mode, Stdev FROM Sensor_A4_hour": [(9, None, 0.0)],
        "SELECT * FROM Sensor_A4_10min": [],
    }.items():
        assert postgres_server.execute(query, postgres_database) == rows


def test_a_view_follows_a_changed_data_type(postgres_server, postgres_database):
    run(postgres_server, postgres_database, *schema.create(), *schema.create_views(["A4"]))
    for data_type, others in {
        "string": [("value", "text")],
        "json": [("value", "double precision"), ("text", "text")],
        "float": [("value", "double precision")],
    }.items():
        run(postgres_server, postgres_database, *schema.create_views(["A4"], {"A4": data_type}))
        assert columns(postgres_server, postgres_database, "sensor_a4")[1:] == others


def test_a_view_of_json_has_the_number_for_graphs_and_each_reading_as_an_object(
    postgres_server, postgres_database
):
    run(postgres_server, postgres_database, *schema.create())
    run(postgres_server, postgres_database, *schema.create_views(["J1"], {"J1": "json"}))
    values = [21.5, -5, 1e300, True, {"value": 3, "voltage": 2.9}, {"value": None, "why": "dry"}]
    objects = [value if isinstance(value, dict) else {"value": value} for value in values]
    readings = [("J1", 7, n, value, "j", 0, ("", 0)) for n, value in enumerate(objects)]
    with closing(open_history(postgres_server.url(postgres_database), None)) as store:
        store.append(list(rows_of(readings)))
    query = "SELECT Timestamp, Value, text FROM Sensor_J1 ORDER BY value, text"
    found = postgres_server.execute(query, postgres_database)
    assert [value for _, value, _ in found] == [-5.0, 1.0, 3.0, 21.5, 1e300, None]
    assert [json.loads(text) for _, _, text in found] == [objects[n] for n in (1, 3, 4, 0, 2, 5)]


def test_a_view_of_text_has_numbers_too(postgres_server, postgres_database):
    run(postgres_server, postgres_database, *schema.create())
    run(postgres_server, postgres_database, *schema.create_views(["T1"], {"T1": "string"}))
    rows = "INSERT INTO measurement VALUES ('T1', 7, 1, 1.5, NULL), ('T1', 8, 2, NULL, 'off')"
    run(postgres_server, postgres_database, rows)
    found = postgres_server.execute("SELECT Value FROM Sensor_T1 ORDER BY 1", postgres_database)
    assert found == [("1.5",), ("off",)]


def test_a_table_of_older_programs_is_left_alone(postgres_server, postgres_database):
    old = "CREATE TABLE Sensor_A4 (Timestamp bigint, Value real)"
    run(postgres_server, postgres_database, *schema.create(), old)
    run(postgres_server, postgres_database, *schema.create_views(["A4"]))
    kinds = "SELECT relname, relkind::text FROM pg_class WHERE relname = 'sensor_a4'"
    assert postgres_server.execute(kinds, postgres_database) == [("sensor_a4", "r")]
