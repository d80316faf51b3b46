import sqlite3
import threading
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
from sqlalchemy import create_engine, insert, inspect, select, text
from sqlalchemy.exc import DataError, IntegrityError

from gateways import schema
from gateways.esp32 import tables as of_esp32
from gateways.iottalk import tables as of_iottalk
from gateways.schema import Refusal, microseconds_of, put_out
from gateways.steps import Step
from gateways.store import Store
from gateways.tenta import tables
from jph.errors import ConfigError, StoreError
from tests.helpers import eventually, free_tcp_port
from tests.small_disk import small_disk

SCHEMAS = Path(__file__).parents[1] / "data" / "schemas"
STEPS = {
    "gateways": schema.STEPS,
    "tenta": tables.STEPS,
    "esp32": of_esp32.STEPS,
    "iottalk": of_iottalk.STEPS,
}
G = "TG"


def scalar(store, query):
    with store.reading() as connection:
        return connection.scalar(text(query))


def note(store, topic="a"):
    with store.writing() as connection:
        return put_out(connection, G, topic, b"payload")


def topics(store):
    with store.reading() as connection:
        return list(connection.scalars(select(schema.outbox.c.topic).order_by("number")))


def test_what_is_written_is_there_and_what_fails_is_not(store, store_url, tmp_path):
    note(store)
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        put_out(connection, G, "b", b"")
        raise ZeroDivisionError
    assert topics(store) == ["a"]
    with closing(Store.open(store_url, tmp_path, steps=tables.STEPS)) as again:
        assert topics(again) == ["a"]


def test_a_reader_sees_one_moment_and_does_not_keep_a_writer_waiting(store):
    note(store)
    query = text("SELECT count(*) FROM outbox")
    with store.reading() as connection:
        assert connection.scalar(query) == 1
        note(store, "b")
        assert connection.scalar(query) == 1
    assert topics(store) == ["a", "b"]


def test_two_stores_of_one_file_write_in_turn(tmp_path):
    url = "sqlite:///gateways.sqlite"
    failures = []

    def write(name):
        with closing(Store.open(url, tmp_path, steps=tables.STEPS)) as store:
            for number in range(50):
                try:
                    note(store, f"{name}{number}")
                except StoreError as error:
                    failures.append(error)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with closing(Store.open(url, tmp_path)) as store:
        assert scalar(store, "SELECT count(*) FROM outbox") == 150


def test_errors_of_the_data_are_not_those_of_the_store(store):
    with store.writing() as connection:
        row = {"gateway": G, "number": 1, "digests": b"1"}
        connection.execute(insert(schema.recent), row)
    with pytest.raises(IntegrityError), store.writing() as connection:
        connection.execute(insert(schema.recent), row)
    note(store)
    if store.dialect == "postgresql":
        with pytest.raises(DataError), store.writing() as connection:
            connection.execute(text("SELECT CAST('x' AS INT)"))
    note(store)


def test_a_wrong_url_is_a_mistake_in_the_configuration(tmp_path):
    for url in ("sqlite:gateways.sqlite", "sqlite:///", "redis://localhost", "postgresql://host"):
        with pytest.raises(ConfigError):
            Store.open(url, tmp_path)


def test_a_server_that_is_away_is_an_error_of_the_store_until_it_is_back(
    postgres_server, postgres_url, tmp_path
):
    with closing(Store.open(postgres_url, tmp_path, steps=tables.STEPS)) as store:
        postgres_server.stop()
        with pytest.raises(StoreError):
            note(store)
        postgres_server.start()
        note(store)
        assert topics(store) == ["a"]
        postgres_server.kill()
        with pytest.raises(StoreError):
            topics(store)
        postgres_server.start()
        assert topics(store) == ["a"]
        # Its sessions ended while nobody used them: no call fails for that.
        postgres_server.stop()
        postgres_server.start()
        assert topics(store) == ["a"]
        note(store, "b")


def test_a_server_that_says_nothing_is_left_after_a_time(postgres_server, postgres_url, tmp_path):
    with closing(Store.open(postgres_url, tmp_path)) as store:
        note(store)
        with (
            postgres_server.frozen(),
            pytest.raises(StoreError),
            store.reading(longest_s=0.5) as connection,
        ):
            connection.scalar(text("SELECT 1"))
        eventually(lambda: topics(store) == ["a"])


def test_closing_ends_a_call_that_waits_for_a_frozen_server(
    postgres_server, postgres_url, tmp_path
):
    store = Store.open(postgres_url, tmp_path)
    note(store)
    ended = []

    def write():
        with pytest.raises(StoreError) as caught:
            note(store, "b")
        ended.append(str(caught.value))

    with postgres_server.frozen():
        thread = threading.Thread(target=write)
        thread.start()
        eventually(lambda: store._backend._watch._lent)
        store.close()
        thread.join(10)
        assert ended


def test_a_server_that_is_away_at_first_is_used_when_it_comes(tmp_path):
    url = f"postgresql://jph@127.0.0.1:{free_tcp_port()}/none"
    with closing(Store.open(url, tmp_path)) as store, pytest.raises(StoreError, match="runs"):
        note(store)


def test_a_file_that_another_program_locks_is_an_error_of_the_store(tmp_path):
    with closing(Store.open("sqlite:///gateways.sqlite", tmp_path)) as store:
        note(store)
        with closing(sqlite3.connect(tmp_path / "gateways.sqlite")) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked"):
                note(store, "b")
            other.execute("ROLLBACK")
        note(store, "c")
        assert topics(store) == ["a", "c"]


def test_a_disk_that_is_full_is_an_error_of_the_store_until_there_is_room(tmp_path):
    url = "sqlite:///gateways.sqlite"
    with small_disk(tmp_path / "disk") as disk, closing(Store.open(url, disk.folder)) as store:
        note(store)
        disk.fill()
        with pytest.raises(StoreError, match="disk"), store.writing() as connection:
            for number in range(100):
                put_out(connection, G, f"b{number}", bytes(10_000))
        assert topics(store) == ["a"]
        disk.free()
        note(store, "c")
        assert topics(store) == ["a", "c"]


def test_a_role_without_rights_is_told_what_it_lacks(postgres_server, postgres_url, tmp_path):
    database = postgres_url.rpartition("/")[2]
    with closing(Store.open(postgres_url, tmp_path)) as store:
        note(store)
    postgres_server.execute("CREATE ROLE reader LOGIN")
    try:
        url = f"postgresql://reader@127.0.0.1:{postgres_server.port}/{database}"
        with closing(Store.open(url, tmp_path)) as store:
            with pytest.raises(StoreError, match="owns the tables"):
                note(store)
            postgres_server.execute("DROP TABLE outbox", database)
        store = Store.open(postgres_url, tmp_path)
        with closing(store), pytest.raises(StoreError, match="not as JPH made them"):
            note(store)
    finally:
        postgres_server.execute("DROP ROLE reader")


def test_a_file_that_was_deleted_or_damaged_begins_anew(tmp_path):
    path = tmp_path / "gateways.sqlite"
    with closing(Store.open("sqlite:///gateways.sqlite", tmp_path, steps=tables.STEPS)) as store:
        note(store)
        for name in tmp_path.glob("gateways.sqlite*"):
            name.unlink()
        note(store, "b")
        assert topics(store) == ["b"]
    path.write_bytes(b"no database, but long enough to be looked at" * 100)
    with closing(Store.open("sqlite:///gateways.sqlite", tmp_path, steps=tables.STEPS)) as store:
        note(store, "c")
        assert topics(store) == ["c"]
    assert list(tmp_path.glob("*.damaged-*"))
    assert path.stat().st_mode & 0o77 == 0


def test_a_commit_is_on_the_disk(tmp_path):
    with closing(Store.open("sqlite:///gateways.sqlite", tmp_path)) as store:
        assert scalar(store, "PRAGMA synchronous") == 2
        assert scalar(store, "PRAGMA journal_mode") == "wal"


def test_a_part_that_is_added_later_finds_only_its_own_tables_missing(store_url, tmp_path):
    with closing(Store.open(store_url, tmp_path)) as store:
        note(store)
    one = Step("other", ("CREATE TABLE thing (a INT)",), ("CREATE TABLE thing (a INT)",))
    two = Step("other", ("ALTER TABLE thing ADD b INT",), ("ALTER TABLE thing ADD b INT",))
    for steps in ((one,), (one, two)):
        with closing(Store.open(store_url, tmp_path, steps=steps)) as store:
            assert scalar(store, "SELECT count(*) FROM thing") == 0
            assert topics(store) == ["a"]
            if two in steps:
                assert scalar(store, "SELECT count(b) FROM thing") == 0
    said = r"newer JPH \(other, version 2, known up to 1\)"
    older = Store.open(store_url, tmp_path, steps=(one,))
    with closing(older), pytest.raises(StoreError, match=said):
        note(older)


@pytest.mark.parametrize("part", STEPS)
def test_every_released_step_is_kept_as_it_was(part):
    for dialect in ("sqlite", "postgresql"):
        for number, step in enumerate(STEPS[part], 1):
            kept = SCHEMAS / f"{part}-{dialect}-{number}.sql"
            statements = [f"{statement.strip()};\n" for statement in getattr(step, dialect)]
            assert kept.read_text() == "".join(statements)


def test_the_description_of_the_tables_agrees_with_the_database(store, store_url):
    note(store)
    with store.reading() as connection, ExitStack() as opened:
        there = inspect(connection)
        if store.dialect == "postgresql":  # ours does not read descriptions
            engine = create_engine(
                "postgresql+psycopg2://", creator=lambda: psycopg2.connect(store_url)
            )
            opened.callback(engine.dispose)
            there = inspect(engine)
        for table in (*schema.metadata.tables.values(), *tables.metadata.tables.values()):
            columns = {column["name"]: column for column in there.get_columns(table.name)}
            if store.dialect == "sqlite" and table is tables.sensor:
                columns.pop("number")
            assert columns.keys() == {column.name for column in table.columns}
            required = {column.name for column in table.columns if not column.nullable}
            keys = {column.name for column in table.primary_key}
            assert (
                required - keys
                == {name for name, column in columns.items() if not column["nullable"]} - keys
            )


def test_a_message_takes_the_place_of_one_that_waits(store):
    with store.writing() as connection:
        for payload in (b"1", b"2"):
            put_out(connection, G, "t", payload, key="sensor", retain=True)
        put_out(connection, G, "t", b"3", key="other")
        put_out(connection, G, "t", b"4")
        number = put_out(connection, G, "t", b"5")
        put_out(connection, "HA", "t", b"6", key="sensor")
    with store.reading() as connection:
        rows = connection.execute(select(schema.outbox).order_by("number")).all()
    assert [row.payload for row in rows] == [b"2", b"3", b"4", b"5", b"6"]
    assert rows[3].number == number
    assert [row.retain for row in rows] == [True, False, False, False, False]
    assert rows[0].qos == 1


def test_refusals_are_counted_and_the_last_ones_kept(store):
    def refusals(reason, first, last):
        return [Refusal(n, f"t/{n}\0", reason, b"x" * 3000) for n in range(first, last)]

    with store.writing() as connection:
        schema.note_refusals(connection, G, refusals("not JSON", 0, 15))
        schema.note_refusals(connection, G, refusals("not JSON", 15, 30) + refusals("long", 0, 90))
        schema.note_refusals(connection, "HA", refusals("long", 0, 1))
    with store.reading() as connection:
        kept = schema.last_refusals(connection, G)
        assert schema.refusal_counts(connection, G) == {"not JSON": 30, "long": 90}
    assert [row.at_us for row in kept if row.reason == "long"] == list(range(89, 69, -1))
    assert [row.at_us for row in kept if row.reason == "not JSON"] == list(range(29, 9, -1))
    assert len(kept[0].payload) == 2048 and "\0" not in kept[0].topic


def test_devices_are_noted_as_seen(store):
    with store.writing() as connection:
        schema.note_seen(connection, G, {"a": 2, "b": 1}, 10)
        schema.note_seen(connection, G, {"a": 3}, 20)
        rows = connection.execute(select(schema.device_seen).order_by("device")).all()
    assert [tuple(row) for row in rows] == [(G, "a", 10, 20, 5), (G, "b", 10, 10, 1)]


@pytest.mark.parametrize("time_us", [0, 1, -1, 1_683_645_000_123_456, 253_402_300_799_999_999])
def test_times_keep_their_microseconds(store, time_us):
    assert microseconds_of(schema.datetime_of(time_us)) == time_us
    identifier = "00000000-0000-4000-8000-000000000001"
    with store.writing() as connection:
        connection.execute(
            insert(tables.network),
            {"identifier": UUID(identifier), "name": "n", "creation_timestamp": time_us},
        )
        assert connection.scalar(select(tables.network.c.creation_timestamp)) == time_us
        assert connection.scalar(select(tables.network.c.identifier)) == UUID(identifier)
