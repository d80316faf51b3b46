"""Revisions: numbers without gaps, what goes out, schemas, one sensor first, rolling back."""

import threading
from contextlib import closing
from uuid import uuid4

import pytest
from sqlalchemy import select

from gateways import schema
from gateways.store import Store
from gateways.tenta import configurations, people, tables
from gateways.tenta.configurations import GoneError, Outgoing, RefusedError
from gateways.tenta.writing import Batch, write
from tests.gateways.tenta.client import Client

TO = Outgoing("TG", "base/")


@pytest.fixture
def sensors(store):
    """Return three sensors of one network."""
    with store.writing() as connection:
        user = people.create_user(connection, "ada", "")
        network = people.create_network(connection, "net", user)
        return [people.create_sensor(connection, network, name) for name in "abc"]


def post(store, sensor, value):
    with store.writing() as connection:
        return configurations.post(connection, sensor, value, TO)


def acknowledge(store, sensor, revision, success=True):
    with store.writing() as connection:
        write(
            connection, Batch(acknowledgments=[(sensor, revision, 5_000_000, success, 6_000_000)])
        )


def waiting(store):
    with store.reading() as connection:
        return connection.execute(select(schema.outbox).order_by(schema.outbox.c.number)).all()


def test_eight_programs_at_once_get_numbers_without_gaps(client, store):
    client.begin(store)
    found, failed = [], []

    def work():
        with closing(Client(client.port, client.token)) as mine:
            for _ in range(25):
                answer = mine.post(f"{client.path}/configurations", {"a": 1})
                (found if answer.status == 201 else failed).append(answer.json)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert sorted(each["revision"] for each in found) == [*range(200)]
    (row,) = waiting(store)
    assert b'"revision": 199' in bytes(row.payload)


def test_two_processes_get_numbers_without_gaps(store_url, store, sensors, tmp_path):
    """Two stores stand for two processes: each has its own writer."""
    with closing(Store.open(store_url, tmp_path, steps=tables.STEPS)) as other:
        found = []

        def work(mine):
            found.extend(post(mine, sensors[0], {}) for _ in range(40))

        threads = [threading.Thread(target=work, args=(mine,)) for mine in (store, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(found) == [*range(80)]


def test_a_configuration_goes_out_with_its_revision(store, sensors):
    post(store, sensors[0], {"a": 1})
    post(store, sensors[1], {"b": 2})
    post(store, sensors[0], {"a": 2})
    rows = [
        (row.gateway, row.topic, bytes(row.payload), row.retain, row.qos) for row in waiting(store)
    ]
    assert rows == [
        (
            *("TG", f"base/configurations/{sensors[1]}"),
            *(b'{"revision": 0, "configuration": {"b": 2}}', True, 1),
        ),
        (
            *("TG", f"base/configurations/{sensors[0]}"),
            *(b'{"revision": 1, "configuration": {"a": 2}}', True, 1),
        ),
    ]


def test_nothing_goes_out_if_the_revision_is_not_stored(store, sensors):
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        configurations.post(connection, sensors[0], {}, TO)
        raise ZeroDivisionError
    assert waiting(store) == []
    assert post(store, sensors[0], {}) == 0


def test_a_revision_has_times_as_it_proceeds(store, sensors):
    post(store, sensors[0], {})
    (row,) = waiting(store)

    def now():
        with store.reading() as connection:
            (found,) = configurations.page(connection, sensors[0])
            return found, configurations.progress(found)

    assert now()[1] == "waiting"
    times = set()
    for _ in range(2):  # once more, as after a crash, changes nothing
        with store.writing() as connection:
            configurations.published(connection, row)
        found, progress = now()
        assert progress == "sent"
        times.add(found.publication_timestamp)
    assert len(times) == 1
    acknowledge(store, sensors[0], 0, success=False)
    acknowledge(store, sensors[0], 0, success=True)  # the first one counts
    found, progress = now()
    assert (found.acknowledgment_timestamp, found.receipt_timestamp) == (5_000_000, 6_000_000)
    assert (found.success, progress) == (False, "refused")


def test_an_unknown_sensor_has_no_configuration(store, sensors):
    with pytest.raises(GoneError):
        post(store, uuid4(), {})


def test_one_sensor_first_then_the_others(store, sensors):
    first, second, third = sensors
    post(store, second, {"a": 1})
    with store.writing() as connection, pytest.raises(GoneError):
        configurations.spread(connection, first, 0, TO)
    post(store, first, {"a": 1})
    with store.writing() as connection, pytest.raises(RefusedError, match="not taken"):
        configurations.spread(connection, first, 0, TO)
    acknowledge(store, first, 0)
    with store.writing() as connection:  # the second has it already
        assert configurations.spread(connection, first, 0, TO) == {third: 0}
        assert configurations.spread(connection, first, 0, TO) == {}
    acknowledge(store, third, 0, success=False)
    with store.reading() as connection:
        network = connection.scalar(select(tables.network.c.identifier))
        found = configurations.newest(connection, network)
    assert [(it.name, it.revision, it.progress, it.taken) for it in found] == [
        *(("a", 0, "taken", 0), ("b", 0, "waiting", None), ("c", 0, "refused", None))
    ]
    with store.writing() as connection:  # who refused it is asked again
        assert configurations.spread(connection, first, 0, TO) == {third: 1}


def test_a_sensor_without_configurations_is_there_too(store, sensors):
    with store.reading() as connection:
        network = connection.scalar(select(tables.network.c.identifier))
        found = configurations.newest(connection, network)
    assert [(it.name, it.revision, it.progress) for it in found] == [
        *(("a", None, "none"), ("b", None, "none"), ("c", None, "none"))
    ]


def test_rolling_back(store, sensors):
    first = sensors[0]
    for number in range(4):
        post(store, first, {"n": number})
    acknowledge(store, first, 1)
    acknowledge(store, first, 2, success=False)
    acknowledge(store, first, 3)

    def back(revision=None):
        with store.writing() as connection:
            number = configurations.roll_back(connection, first, TO, revision)
            return number, configurations.value_of(connection, first, number)

    assert back() == (4, {"n": 1})  # the newest it took is what it has now
    assert back(0) == (5, {"n": 0})
    with pytest.raises(GoneError):
        back(99)
    with store.writing() as connection, pytest.raises(GoneError):
        configurations.roll_back(connection, sensors[1], TO)


def test_schemas_of_a_sensor_and_its_network(store, sensors):
    with store.writing() as connection:
        network = connection.scalar(select(tables.network.c.identifier))

        def mistakes(value, of=sensors[0]):
            return configurations.mistakes(connection, of, value)

        assert mistakes({"interval": "x"}) == []
        whole = {"properties": {"interval": {"type": "number"}}}
        configurations.set_schema(connection, network, whole)
        assert mistakes({"interval": "x"}) == ["interval: 'x' is not of type 'number'"]
        configurations.set_schema(connection, sensors[0], {"required": ["mode"]})
        assert mistakes({"interval": 1}) == ["'mode' is a required property"]
        assert mistakes({"interval": 1}, of=sensors[1]) == []
        assert configurations.schema_of(connection, network) == whole
        configurations.set_schema(connection, sensors[0], None)
        assert mistakes({"interval": 1}) == []
        with pytest.raises(RefusedError, match="no JSON Schema"):
            configurations.set_schema(connection, network, {"type": "nonsense"})


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"$ref": "http://127.0.0.1:1/schema"}, "is not part of it"),
        ({"$ref": "#"}, "without an end"),
        (False, "False schema does not allow"),
    ],
)
def test_a_schema_never_reaches_out_nor_runs_away(store, sensors, document, said):
    with store.writing() as connection:
        configurations.set_schema(connection, sensors[0], document)
        (mistake,) = configurations.mistakes(connection, sensors[0], {})
    assert said in mistake


def test_only_what_was_published_last_is_published_again(store, sensors):
    early, late, waiting = sensors
    for sensor, at_us in ((early, 1_000_000), (late, 100_000_000), (waiting, 100_000_000)):
        post(store, sensor, {"a": 1})
        with store.writing() as connection:
            connection.execute(
                tables.configuration.update()
                .where(tables.configuration.c.sensor_identifier == sensor)
                .values(publication_timestamp=at_us)
            )
    with store.writing() as connection:
        connection.execute(schema.outbox.delete())
    post(store, waiting, {"a": 2})  # its newest revision is not published yet
    with store.writing() as connection:
        configurations.publish_again(connection, TO)
        rows = connection.execute(select(schema.outbox)).all()
    assert {(row.key, b'"revision": 0' in row.payload) for row in rows} == {
        (str(waiting), False),
        (str(late), True),
    }
    assert all(row.retain for row in rows)
    with store.writing() as connection:
        configurations.publish_again(connection, TO, knows_us=False)
        rows = connection.execute(select(schema.outbox)).all()
    assert {row.key for row in rows} == {*map(str, sensors)}
