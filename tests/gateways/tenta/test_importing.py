import json
import math
from contextlib import closing, contextmanager
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text

from gateways import schema
from gateways.store import Store
from gateways.tenta import importing, readings, tables
from gateways.tenta.configurations import Outgoing
from gateways.tenta.importing import take_over
from gateways.tenta.originals import Original, finite
from gateways.tenta.readings import LogRow, MeasurementRow
from gateways.tenta.writing import Batch, write
from jph.errors import StoreError
from tests.gateways.tenta.originals import (
    EARLIER,
    HASH,
    HERMES,
    NETWORK,
    OTHER,
    SENSOR,
    TENTA,
    TOKEN,
    TOKEN_HASH,
    USER,
)

HOUR_US = 3_600_000_000
TIME_US = 1_683_644_400_000_000  # 2023-05-09 15:00 UTC


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request, postgres_server, tmp_path):
    """Return an empty store of each kind; the database of the original is another one."""
    url, database = "sqlite:///gateways.sqlite", None
    if request.param == "postgresql":
        database = postgres_server.create_database()
        url = postgres_server.url(database)
    with closing(Store.open(url, tmp_path, steps=tables.STEPS)) as opened:
        yield opened
    if database:
        postgres_server.drop_database(database)


@pytest.fixture
def original_of(postgres_server, postgres_url):
    """Return a function that fills the original's database and gives it."""

    @contextmanager
    def given(script):
        database = postgres_url.rpartition("/")[2]
        ended = postgres_server.psql(script, database)
        assert ended.returncode == 0, ended.stderr
        with closing(Original(postgres_url)) as original:
            yield original

    return given


def taken(store, original_of, script, **options):
    with original_of(script) as original:
        return take_over(original, store, **options)


def everything(store):
    """Return what there is, in an order of its own."""
    with store.reading() as connection:
        found = {
            name: sorted(map(str, connection.execute(select(table))))
            for name, table in tables.metadata.tables.items()
        }
        for sensor in (UUID(SENSOR), UUID(OTHER)):
            found[str(sensor)] = [
                readings.measurements(connection, sensor),
                readings.logs(connection, sensor),
                sorted(readings.averages(connection, sensor, 0).items()),
            ]
        found["counts"] = [
            connection.scalar(text(f"SELECT count(*) FROM {name}"))
            for name in ("measurement", "log", "measurement_1_hour")
        ]
        return found


def test_all_of_tenta_is_taken_over_once_however_often(store, original_of):
    steps = []
    imported = taken(store, original_of, TENTA, progress=lambda *step: steps.append(step))
    assert imported.added == {
        **{"user": 1, "network": 1, "sensor": 2, "permission": 1, "session": 1},
        **{"configuration": 2, "measurement": 27, "log": 3},
    }
    assert imported.left_out == 1 and imported.renamed == []  # NaN
    assert steps == [("measurement", 28, 28), ("log", 3, 3)]
    first = everything(store)
    with store.reading() as connection:
        user = connection.execute(select(tables.user)).one()
        assert (user.identifier, user.name, user.password_hash) == (
            *(UUID(USER), "happy-un1c0rn"),
            HASH,
        )
        assert connection.scalar(select(tables.session.c.access_token_hash)) == TOKEN_HASH
        page = readings.measurements(connection, UUID(SENSOR))
        assert len(page) == 12
        assert page[1] == MeasurementRow(
            0, TIME_US + 60_123_456, {"temperature": 1.0, "humidity": 1.0}
        )
        averages = readings.averages(connection, UUID(SENSOR), 0)
        assert averages["humidity"] == [(TIME_US + hour * HOUR_US, 1.5 + hour) for hour in range(3)]
    again = taken(store, original_of, "")
    assert set(again.added.values()) == {0}
    assert everything(store) == first


def test_the_newest_configurations_go_out_to_a_broker_that_never_had_them(store, original_of):
    for waiting in ([str(SENSOR)], []):
        taken(store, original_of, TENTA if waiting else "", to=Outgoing("TG", "sensortopic/"))
        with store.writing() as connection:
            rows = connection.execute(select(schema.outbox)).all()
            assert [row.key for row in rows] == waiting
            assert [json.loads(row.payload)["revision"] for row in rows] == [1] * len(waiting)
            assert all(row.retain and row.topic.startswith("sensortopic/") for row in rows)
            connection.execute(schema.outbox.delete())


def test_what_came_since_is_brought_by_the_next_run(store, original_of):
    taken(store, original_of, TENTA)
    more = f"""
        INSERT INTO measurement SELECT * FROM measurement
            WHERE attribute = 'humidity' AND creation_timestamp < '2023-05-09 15:01+00';
        INSERT INTO measurement VALUES ('{OTHER}', 'w', 5, 7, '2023-05-08 15:00+00', now());
        UPDATE configuration SET publication_timestamp = now(), receipt_timestamp = now(),
            acknowledgment_timestamp = '2023-05-09 17:00+00', success = false WHERE revision = 1;
        INSERT INTO log SELECT * FROM log WHERE severity = 'info';
    """
    imported = taken(store, original_of, more)
    assert imported.added["measurement"] == 2
    assert (imported.added["log"], imported.added["configuration"]) == (1, 0)
    with store.reading() as connection:
        columns = tables.configuration.c
        row = connection.execute(select(tables.configuration).where(columns.revision == 1)).one()
        assert row.acknowledgment_timestamp == TIME_US + 2 * HOUR_US and row.success is False
        assert row.value == {"b": [1], "a": None}
        counted = connection.scalar(text("SELECT count(*) FROM measurement"))
        assert counted == 29


@pytest.mark.parametrize("script", [EARLIER, HERMES], ids=["earlier", "hermes"])
def test_earlier_generations_are_taken_over(script, store, original_of):
    imported = taken(store, original_of, script)
    assert imported.added == {
        **{"user": 1, "network": 1, "sensor": 2, "permission": 1, "session": 1},
        **{"configuration": 1, "measurement": 3, "log": 2},
    }
    assert imported.left_out == 2  # a text and a truth value
    with store.reading() as connection:
        assert readings.measurements(connection, UUID(SENSOR)) == [
            MeasurementRow(1, TIME_US + 123_456, {"temperature": 1.5, "humidity": 2.0}),
            MeasurementRow(1, TIME_US + HOUR_US, {"temperature": 2.5}),
        ]
        assert readings.logs(connection, UUID(SENSOR)) == [
            LogRow("error", "burning; cpu", 1, TIME_US, "burning", "cpu"),
            LogRow("info", "fine", 1, TIME_US + 120_000_000, "fine", None),
        ]
        row = connection.execute(select(tables.configuration)).one()
        assert row.receipt_timestamp == TIME_US + HOUR_US + 180_000_000
    assert set(taken(store, original_of, "").added.values()) == {0}


@pytest.mark.parametrize("script", [TENTA, EARLIER, HERMES], ids=["tenta", "earlier", "hermes"])
def test_programs_go_on_with_their_access_tokens(script, store, serve, original_of):
    taken(store, original_of, script)
    client = serve()
    client.token = TOKEN
    assert client.get("/networks").json == [
        {"network_identifier": NETWORK, "network_name": "greenhouse"}
    ]
    path = f"/networks/{NETWORK}/sensors/{SENSOR}"
    page = client.get(f"{path}/measurements").json
    assert page[0]["creation_timestamp"] == TIME_US / 1e6 + 0.123456
    after = page[0]["creation_timestamp"]
    rest = client.get(f"{path}/measurements?direction=next&creation_timestamp={after}").json
    assert rest == page[1:]
    assert client.get(f"{path}/configurations").json[-1]["value"] == {"b": [1], "a": None}


def test_a_name_that_is_taken_gets_a_number(store, original_of):
    other = UUID(int=5)
    row = {"identifier": other, "name": "greenhouse", "creation_timestamp": 0}
    with store.writing() as connection:
        connection.execute(insert(tables.network), row)
    assert taken(store, original_of, TENTA).renamed == [("network", "greenhouse", "greenhouse-2")]
    assert taken(store, original_of, "").renamed == []


def test_a_run_that_was_cut_goes_on(store, original_of, monkeypatch):
    monkeypatch.setattr(importing, "PORTION", 4)

    def cut(kind, done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        taken(store, original_of, TENTA, progress=cut)
    with store.reading() as connection:
        assert 4 <= connection.scalar(text("SELECT count(*) FROM measurement")) < 12
    taken(store, original_of, "")
    whole = everything(store)
    assert whole["counts"][0] == 27
    assert set(taken(store, original_of, "").added.values()) == {0}


def test_what_arrives_here_meanwhile_is_kept(store, original_of):
    taken(store, original_of, TENTA)
    ours = (UUID(SENSOR), TIME_US + 123_456, 0, TIME_US, {"temperature": 99.0})
    with store.writing() as connection:
        write(connection, Batch(measurements=[ours]))
    assert taken(store, original_of, "").added["measurement"] == 0
    assert everything(store)["counts"][0] == 28


def test_rows_whose_time_no_calendar_has_are_left_out(store, original_of):
    strange = f"""INSERT INTO measurement VALUES
        ('{OTHER}', 'v', 5, 7, 'infinity', now()), ('{OTHER}', 'v', 5, 7, '20000-01-01', now()),
        ('{OTHER}', 'v', 5, 7, '100-01-01 BC', now());"""
    imported = taken(store, original_of, TENTA + strange)
    assert imported.left_out == 4 and imported.added["measurement"] == 27


def test_a_database_of_another_program_is_refused(postgres_url):
    with pytest.raises(StoreError, match="no table user or users"):
        Original(postgres_url)


def test_only_numbers_are_finite():
    values = {"a": 1, "b": math.nan, "c": 10**400, "d": True, "e": None, "f": -1.5, "g": "1"}
    assert finite(values) == {"a": 1.0, "f": -1.5}
