"""What SQLAlchemy writes for PostgreSQL by the dialect of the gateways, and what comes back."""

from uuid import uuid4

import pytest
from sqlalchemy import event, insert, select, text, tuple_, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from gateways.tenta.tables import configuration, network, sensor
from jph.errors import StoreError

pytestmark = pytest.mark.postgres
TIME_US = 1_700_000_000_123_456
VALUE = {"a": [1, 2.5, None, True], "%": "100 % :x {y} \N{SNOWMAN}", "deep": {"": 2**60}}


@pytest.fixture
def store_url(postgres_url):
    """Let the store be of this kind only."""
    return postgres_url


def network_of(connection, names):
    """Make a network with sensors of these names; return their identifiers."""
    of, sensors = uuid4(), [uuid4() for _ in names]
    connection.execute(
        insert(network), {"identifier": of, "name": str(of)[:8], "creation_timestamp": TIME_US}
    )
    rows = [
        {"identifier": it, "name": name, "network_identifier": of, "creation_timestamp": TIME_US}
        for it, name in zip(sensors, names, strict=True)
    ]
    connection.execute(insert(sensor), rows)
    return sensors


def test_values_come_back_as_they_were(store):
    with store.writing() as connection:
        [identifier] = network_of(connection, ["a%b"])
        row = {"sensor_identifier": identifier, "value": VALUE, "revision": 3, "success": True}
        row |= {"creation_timestamp": TIME_US, "receipt_timestamp": None}
        connection.execute(insert(configuration), row)
    columns = [configuration.c[name] for name in row]
    with store.reading() as connection:
        assert tuple(connection.execute(select(*columns)).one()) == tuple(row.values())
        named = select(sensor.c.identifier).where(sensor.c.name == "a%b")
        assert connection.scalar(named) == identifier


def test_lists_of_values_may_be_empty_and_of_pairs(store):
    names = [sensor.c.name, sensor.c.identifier]
    with store.writing() as connection:
        a, b = network_of(connection, ["a", "b"])
        assert not connection.execute(select(sensor).where(sensor.c.identifier.in_([]))).all()
        assert len(connection.execute(select(sensor).where(sensor.c.name.not_in([]))).all()) == 2
        assert not connection.execute(select(sensor).where(tuple_(*names).in_([]))).all()
        found = select(sensor.c.identifier).where(tuple_(*names).in_([("a", a), ("b", a)]))
        assert connection.scalars(found).all() == [a]
        many = select(sensor.c.name).where(sensor.c.identifier.in_([a, b])).order_by(sensor.c.name)
        assert connection.scalars(many.with_for_update()).all() == ["a", "b"]


def test_rows_go_in_many_at_once_and_come_back_if_asked(store):
    statements = []
    with store.writing() as connection:
        event.listen(connection, "before_cursor_execute", lambda *some: statements.append(some[2]))
        sensors = network_of(connection, [str(number) for number in range(1500)])
        assert len(statements) < 10
        change = update(sensor).where(sensor.c.identifier == sensors[7]).values(name="seven")
        assert connection.scalar(change.returning(sensor.c.name)) == "seven"
        assert connection.execute(change).rowcount == 1


def test_errors_of_the_data_are_told_from_a_server_that_is_away(store):
    with pytest.raises(IntegrityError), store.writing() as connection:
        network_of(connection, ["same", "same"])
    with pytest.raises(DBAPIError), store.writing() as connection:
        connection.execute(text("SELECT 1 / 0"))
    end = text("SELECT pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(StoreError), store.writing() as connection:
        connection.execute(end)
    with store.writing() as connection:
        assert connection.scalar(text("SELECT :a || '%'"), {"a": "x"}) == "x%"
