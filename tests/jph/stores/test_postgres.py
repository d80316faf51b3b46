import logging
import re
import threading
import time
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jph.errors import ConfigError, StoreError
from jph.stores import open_history
from jph.stores.postgres import history, partitions, schema
from tests.helpers import eventually, free_tcp_port

START = 1_795_000_000_000
TEN_MINUTES = 600_000


def rows(n, codifier="C1", first=0):
    return [(START + (first + i) * 1000, codifier, first + i, float(i), None) for i in range(n)]


@pytest.fixture
def store(postgres_url, tmp_path):
    with closing(open_history(postgres_url, tmp_path)) as opened:
        yield opened


@pytest.fixture
def query(postgres_server, postgres_database):
    return lambda sql, values=None: postgres_server.execute(sql, postgres_database, values)


def refusal(call, *arguments):
    """Return what a store says that it refuses with, if that is an error of the store."""
    with pytest.raises(StoreError) as caught:
        call(*arguments)
    return str(caught.value)


def test_what_is_stored_is_read_again_exactly(store):
    given = [
        (0, "C1", 0, 0.1, None),
        (START, "C1", 1, -1.7976931348623157e308, None),
        (START + 1, "C1", (1 << 31) - 1, None, "grün; DROP TABLE measurement; --'\"\\"),
        (START + 2, "C1", 2, float(1 << 53), '{"value":9007199254740993}'),
        ((1 << 48) - 1, "C1", 3, 1.5, None),
    ]
    assert store.append(given) == 5
    assert store.last("C1", 10) == given


def test_a_reading_is_stored_once_however_often_it_comes(store, query):
    assert store.append(rows(5) + rows(5)) == 5
    assert store.append(rows(7)) == 2
    assert query("SELECT count(*) FROM measurement") == [(7,)]


def test_once_readings_come_again_the_server_has_no_error_to_log(store, query, monkeypatch):
    store.append(rows(1))
    copies = []
    copy = store._copy
    monkeypatch.setattr(store, "_copy", lambda c, t, p: (copies.append(t), copy(c, t, p)))
    for n in range(2, 5):
        assert store.append(rows(n)) == 1
    assert copies == ["measurement", "staging", "staging", "staging"]
    monkeypatch.setattr(store, "_repeats_until_s", 0.0)
    store.append(rows(3, first=10))
    assert copies[4:] == ["measurement"]


def test_nothing_is_stored_of_nothing(store):
    assert store.append([]) == 0


def test_every_codifier_has_its_readings(store, query):
    codifiers = ["A'", 'A"', "a;", "A1", "a1", "%s", "\\\\", "{}"]
    assert store.append([(START, codifier, 1, 1.0, None) for codifier in codifiers]) == 8
    assert {row[0] for row in query("SELECT codifier FROM measurement")} == set(codifiers)
    assert [store.last(codifier, 9)[0][1] for codifier in codifiers] == codifiers


def test_a_nul_character_is_stored_as_its_picture(store):
    assert store.append([(START, "C1", 1, None, "a\0b")]) == 1
    assert store.append([(START, "C1", 1, None, "a\0b")]) == 0
    assert store.last("C1", 1)[0][4] == "a\u2400b"


def test_a_number_that_no_bigint_holds_is_a_mistake_of_the_caller(store):
    with pytest.raises(ValueError, match="cannot hold"):
        store.append([(1 << 63, "C1", 1, 1.0, None)])
    assert store.append(rows(1)) == 1


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(0, (1 << 48) - 1),
            st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=2, max_size=2),
            st.integers(0, (1 << 31) - 1),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=1440),
        ),
        max_size=20,
        unique_by=lambda row: row[:3],
    )
)
def test_any_reading_is_stored_as_it_is(store, query, given):
    store.append(rows(1))
    query("DELETE FROM measurement")
    assert store.append(given) == len(given)
    found = query("SELECT timestamp, codifier, sequence, value, text FROM measurement")
    wanted = [(*row[:4], row[4] and row[4].replace("\0", "\u2400")) for row in given]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)


def test_readings_are_in_the_partition_of_their_week_and_others_in_the_default(store, query):
    now_ms = int(time.time() * 1000)
    week = now_ms // schema.WEEK_MS
    times = [now_ms, now_ms + schema.WEEK_MS, now_ms + 2 * schema.WEEK_MS, 0, now_ms - 10**11]
    store.append([(time_ms, "C1", n, 1.0, None) for n, time_ms in enumerate(times)])
    found = query("SELECT tableoid::regclass::text FROM measurement ORDER BY sequence")
    assert [name for (name,) in found] == [
        schema.partition(week).name,
        schema.partition(week + 1).name,
        "measurement_default",
        "measurement_default",
        schema.partition((now_ms - 10**11) // schema.WEEK_MS).name,
    ]


def test_each_number_marks_its_bucket_in_the_same_transaction(store, query):
    end = START // TEN_MINUTES * TEN_MINUTES
    store.append(
        [
            (end, "C1", 1, 1.0, None),  # a bucket is (start, end]
            (end + 1, "C1", 2, 1.0, None),
            (end + 2, "C1", 3, 1.0, '{"value":1,"volt":2}'),
            (end + 3, "C2", 4, None, "text has no statistics"),
            (end + TEN_MINUTES, "C3", 5, 1.0, None),
        ]
    )
    assert query("SELECT codifier, timestamp FROM pending ORDER BY 1, 2") == [
        ("C1", end),
        ("C1", end + TEN_MINUTES),
        ("C3", end + TEN_MINUTES),
    ]


def test_a_mark_is_not_lost_when_statistics_are_computed_meanwhile(
    store, query, postgres_server, postgres_database
):
    store.append(rows(1))
    with closing(postgres_server.connect(postgres_database)) as other, other.cursor() as cursor:
        cursor.execute("SELECT codifier, timestamp FROM pending FOR UPDATE SKIP LOCKED")
        late = threading.Thread(target=store.append, args=(rows(1, first=1),))
        late.start()
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        eventually(lambda: query(waits) == [(1,)])
        cursor.execute("DELETE FROM pending")
        other.commit()
        late.join()
    assert query("SELECT count(*) FROM pending") == [(1,)]


def test_writers_of_the_same_readings_do_not_wait_for_each_other_in_a_ring(postgres_url, tmp_path):
    given = [row for n in range(50) for row in rows(40, f"{n:02}")]
    added = []

    def write(order):
        with closing(open_history(postgres_url, tmp_path)) as store:
            for first in range(0, len(given), 100):
                added.append(store.append(given[first : first + 100][::order]))

    threads = [threading.Thread(target=write, args=(order,)) for order in (1, -1, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(added) == len(given)
    assert len(added) == 60


def test_a_server_that_comes_back_is_used_again_at_once(store, postgres_server):
    assert store.append(rows(1)) == 1
    postgres_server.stop()
    assert "server" in refusal(store.append, rows(1, first=1))
    assert "server" in refusal(store.last, "C1", 1)
    postgres_server.start()
    assert store.append(rows(2)) == 1
    assert len(store.last("C1", 5)) == 2


def test_a_reader_gives_up_on_a_server_that_does_not_answer_at_all(
    postgres_url, tmp_path, postgres_server, monkeypatch
):
    monkeypatch.setattr(history, "READER_S", 0.5)
    with closing(open_history(postgres_url, tmp_path)) as store:
        store.append(rows(1))
        assert len(store.last("C1", 5)) == 1
        with postgres_server.frozen():
            began_s = time.monotonic()
            refusal(store.last, "C1", 5)  # by the connection that it had
            assert time.monotonic() - began_s < 10
        assert len(store.last("C1", 5)) == 1
        assert len(store.read(["C1"], "value", 0, 1 << 50)["C1"].times_ms) == 1


def test_a_session_that_ended_while_it_was_idle_is_no_fault(store, postgres_server):
    store.append(rows(1))
    store.last("C1", 1)
    postgres_server.stop()
    postgres_server.start()
    assert store.append(rows(2)) == 1
    assert len(store.last("C1", 5)) == 2


def test_a_session_that_ends_in_the_middle_is_a_store_error(store, query, monkeypatch):
    store.append(rows(1))
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'jph'"
    monkeypatch.setattr(history, "MARK", f"{history.MARK}; {end}")
    refusal(store.append, rows(2))
    monkeypatch.undo()
    assert query("SELECT count(*) FROM measurement") == [(1,)]
    assert store.append(rows(2)) == 1


def test_a_table_that_was_dropped_is_made_again(store, query):
    store.append(rows(1))
    query("DROP TABLE measurement, statistic, pending, schema_version")
    assert "tables" in refusal(store.append, rows(1))
    assert store.append(rows(1)) == 1


def test_a_partition_that_was_dropped_is_made_again(store, query, monkeypatch):
    store.append(rows(1))
    query(f"DROP TABLE {schema.partition(START // schema.WEEK_MS).name}")
    monkeypatch.setattr(partitions, "PARTITION_CHECK_S", 0.0)
    assert store.append(rows(1)) == 1
    assert query("SELECT count(*) FROM measurement_default") == [(0,)]


def test_a_role_that_may_not_make_the_tables_is_told_who_does(postgres_server, tmp_path):
    postgres_server.execute("CREATE ROLE plain LOGIN")
    database = postgres_server.create_database()
    try:
        url = postgres_server.url(database, "plain")
        with closing(open_history(url, tmp_path)) as store:
            said = refusal(store.append, rows(1))
            assert "jph generateSQL -d | psql" in said
            for statement in schema.create():
                postgres_server.execute(statement, database)
            assert "permission" in refusal(store.append, rows(1))
            for table in schema.TABLES:
                postgres_server.execute(f"ALTER TABLE IF EXISTS {table} OWNER TO plain", database)
            postgres_server.execute("ALTER TABLE measurement_default OWNER TO plain", database)
            postgres_server.execute("GRANT CREATE ON SCHEMA public TO plain", database)
            assert store.append(rows(1)) == 1
    finally:
        postgres_server.drop_database(database)
        postgres_server.execute("DROP ROLE plain")


def test_a_database_that_is_not_there_is_said(postgres_server, tmp_path):
    with closing(open_history(postgres_server.url("nowhere"), tmp_path)) as store:
        assert "jph generateSQL -d | psql" in refusal(store.append, rows(1))


@pytest.mark.parametrize(
    "version, advice",
    [(schema.VERSION - 1, "jph db upgrade"), (schema.VERSION + 1, "a newer JPH")],
)
def test_tables_of_another_version_are_left_alone(store, query, version, advice):
    store.append(rows(1))
    store.close()
    query("UPDATE schema_version SET version = %s", (version,))
    with closing(history.PostgresHistory(store._server)) as other:
        assert advice in refusal(other.append, rows(2))
    assert query("SELECT count(*) FROM measurement") == [(1,)]


def test_a_database_in_another_encoding_is_refused(postgres_server, tmp_path):
    postgres_server.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with closing(open_history(postgres_server.url("latin"), tmp_path)) as store:
            assert re.search("LATIN1.*UTF8", refusal(store.append, rows(1)))
    finally:
        postgres_server.drop_database("latin")


def test_a_server_that_must_only_be_read_is_said(store, query, postgres_database):
    store.append(rows(1))
    store.close()
    query(f"ALTER DATABASE {postgres_database} SET default_transaction_read_only = on")
    with closing(history.PostgresHistory(store._server)) as other:
        assert "read-only" in refusal(other.append, rows(2))
        assert other.last("C1", 5) == rows(1)


def test_a_server_without_a_free_connection_is_said(postgres_server, postgres_database, tmp_path):
    postgres_server.execute("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0")
    try:
        url = postgres_server.url(postgres_database, "crowd")
        with closing(open_history(url, tmp_path)) as store:
            assert "max_connections" in refusal(store.append, rows(1))
    finally:
        postgres_server.execute("DROP ROLE crowd")


def test_commits_reach_the_disk_whatever_the_server_is_set_to(
    store, query, postgres_database, monkeypatch
):
    query(f"ALTER DATABASE {postgres_database} SET synchronous_commit = off")
    with store.writing() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)


def test_the_password_is_read_at_each_connection_and_never_said(
    postgres_server, postgres_database, tmp_path, caplog
):
    caplog.set_level(logging.DEBUG)
    postgres_server.create_role("keeper", "hunter2 ü")
    postgres_server.execute(f'GRANT ALL ON DATABASE {postgres_database} TO "keeper"')
    postgres_server.execute("GRANT ALL ON SCHEMA public TO keeper", postgres_database)
    file = tmp_path / "password"
    url = postgres_server.url(postgres_database, "keeper")
    with closing(open_history(url, tmp_path, file)) as store:
        said = [refusal(store.append, rows(1))]
        assert str(file) in said[0] and "No such file or directory" in said[0]
        file.write_text("wrong\n")
        said.append(refusal(store.append, rows(1)))
        assert "role" in said[1] and "password file" in said[1]
        file.write_text("hunter2 ü\r\nsecond line\n")
        assert store.append(rows(1)) == 1
    assert "hunter2" not in caplog.text + "".join(said)
    postgres_server.execute("DROP OWNED BY keeper", postgres_database)
    postgres_server.execute("DROP ROLE keeper")


def test_nobody_at_the_address_is_said(tmp_path):
    url = f"postgresql://jph@127.0.0.1:{free_tcp_port()}/jph"
    with closing(open_history(url, tmp_path)) as store:
        assert "Connection refused" in refusal(store.append, rows(1))


@pytest.mark.parametrize(
    "url", ["postgresql://", "postgresql://host", "postgresql://host/db?colour=red"]
)
def test_a_url_that_names_no_database_is_a_mistake(url, tmp_path):
    with pytest.raises(ConfigError):
        open_history(url, tmp_path)


def test_after_close_every_call_is_a_store_error(store):
    store.append(rows(1))
    store.close()
    assert "closed" in refusal(store.append, rows(1))
    assert "closed" in refusal(store.last, "C1", 1)
