from contextlib import closing, contextmanager

import pytest
from sqlalchemy import select, text

from gateways.store import Store
from gateways.tenta import tables
from jph.errors import StoreError
from tests.gateways.tenta.originals import EARLIER, HERMES, OTHER, TENTA


@contextmanager
def opened(url, home):
    """Open a store and give a connection that reads."""
    with closing(Store.open(url, home, steps=tables.STEPS)) as store, store.reading() as connection:
        yield connection


def columns_of(server, database):
    return server.execute(
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
        " WHERE table_schema = 'public' ORDER BY 1, 2",
        database,
    )


def test_an_existing_database_gets_what_it_lacks_and_keeps_the_rest(
    postgres_server, postgres_url, tmp_path
):
    database = postgres_url.rpartition("/")[2]
    assert postgres_server.psql(TENTA, database).returncode == 0
    count = "SELECT count(*) FROM measurement"
    before = postgres_server.execute(count, database)
    for _ in range(2):
        with opened(postgres_url, tmp_path) as connection:
            names = connection.scalars(select(tables.sensor.c.name).order_by("name")).all()
            assert names == ["bed-3", "bed-4"]
            values = connection.scalars(select(tables.configuration.c.value)).all()
            assert {"b": [1], "a": None} in values
    assert postgres_server.execute(count, database) == before
    fresh = postgres_server.create_database()
    try:
        with opened(postgres_server.url(fresh), tmp_path):
            pass
        assert columns_of(postgres_server, database) == columns_of(postgres_server, fresh)
    finally:
        postgres_server.drop_database(fresh)


def test_the_hours_of_what_was_there_are_summed(postgres_server, postgres_url, tmp_path):
    database = postgres_url.rpartition("/")[2]
    assert postgres_server.psql(TENTA, database).returncode == 0
    with opened(postgres_url, tmp_path) as connection:
        rows = connection.execute(
            text(
                "SELECT extract(hour FROM bucket_timestamp)::int, sum, count"
                " FROM measurement_1_hour WHERE attribute = 'temperature' ORDER BY 1"
            )
        ).all()
        assert [tuple(row) for row in rows] == [(15, 6.0, 5), (16, 10.0, 4), (17, 14.0, 4)]
        averages = "SELECT average FROM measurement_aggregation_1_hour WHERE attribute = :name"
        one = text(f"{averages} ORDER BY bucket_timestamp")
        assert connection.scalars(one, {"name": "humidity"}).all() == [1.5, 2.5, 3.5]
        # Too large for a sum; and no number at all.
        rows = connection.execute(
            text("SELECT attribute, sum FROM measurement_1_hour WHERE sensor_identifier = :id"),
            {"id": OTHER},
        ).all()
        assert [tuple(row) for row in rows] == [("v", float("inf"))]


def test_an_aggregate_of_timescaledb_is_left_alone(postgres_server, postgres_url, tmp_path):
    database = postgres_url.rpartition("/")[2]
    view = "CREATE MATERIALIZED VIEW measurement_aggregation_1_hour AS SELECT 1.5 AS average;"
    assert postgres_server.psql(TENTA + view, database).returncode == 0
    with opened(postgres_url, tmp_path) as connection:
        query = text("SELECT average FROM measurement_aggregation_1_hour")
        assert float(connection.scalar(query)) == 1.5


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            "CREATE TABLE measurement (codifier text, timestamp bigint, value double precision);",
            "holds a history of JPH",
        ),
        (EARLIER, "jph gateway tenta import"),
        (HERMES, "jph gateway tenta import"),
    ],
    ids=["history", "earlier", "hermes"],
)
def test_a_database_of_another_kind_is_refused_and_left_as_it_was(
    script, said, postgres_server, postgres_url, tmp_path
):
    database = postgres_url.rpartition("/")[2]
    assert postgres_server.psql(script, database).returncode == 0
    before = columns_of(postgres_server, database)
    store = Store.open(postgres_url, tmp_path, steps=tables.STEPS)
    with closing(store), pytest.raises(StoreError, match=said), store.reading():
        pass
    assert columns_of(postgres_server, database) == before
