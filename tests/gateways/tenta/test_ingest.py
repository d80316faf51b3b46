"""Batches of messages become rows and counted refusals, in one transaction each."""

import json

import pytest
from sqlalchemy import insert, text, update

from gateways.mapping import MappedReading
from gateways.message import Message
from gateways.schema import last_refusals, refusal_counts
from gateways.tenta import readings, tables
from gateways.tenta.ingest import Ingest
from gateways.tenta.proxies import AttributeOf, Proxies
from tests.gateways.tenta.sensors import NOBODY, OTHER, SENSOR, add_sensors

RECEIVED_US = 1_683_645_001_000_000


def message(topic, entries, *, sensor=SENSOR, duplicate=False, retained=False, identifier=0):
    payload = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return Message(f"{topic}/{sensor}", payload, retained, duplicate, RECEIVED_US, identifier)


def measured(value=1.5, time_s=1_683_645_000.25, **more):
    return message("measurements", [{"timestamp": time_s, "value": {"t": value}}], **more)


@pytest.fixture
def sent():
    return []


@pytest.fixture
def ingest(store, sent):
    with store.writing() as connection:
        add_sensors(connection, SENSOR, OTHER)
    entries = [
        AttributeOf("t1", f"greenhouse/{SENSOR.hex}", "t"),
        AttributeOf("t2", str(OTHER), "t"),
        AttributeOf("t3", str(NOBODY), "t"),
    ]
    return Ingest(store, "TG", "", Proxies(entries), sent.extend)


def test_what_sensors_send_is_stored(store, ingest):
    with store.writing() as connection:
        row = {"sensor_identifier": SENSOR, "value": {}, "revision": 0, "creation_timestamp": 1}
        connection.execute(insert(tables.configuration), row)
    line = {"severity": "error", "timestamp": 1, "message": "It is hot"}
    acknowledged = {"revision": 0, "timestamp": 2, "success": True}
    ingest.commit([measured(), message("logs", [line]), message("acknowledgments", [acknowledged])])
    with store.reading() as connection:
        (row,) = readings.measurements(connection, SENSOR)
        assert row == (None, 1_683_645_000_250_000, {"t": 1.5})
        assert readings.logs(connection, SENSOR)[0].message == "It is hot"
        success = connection.scalar(text("SELECT success FROM configuration"))
        assert success
    assert ingest.counts == {
        **{"messages": 3, "readings": 1, "logs": 1, "acknowledgments": 1},
        **{"refused": 0, "skipped": 0},
    }


def test_what_breaks_a_rule_is_counted_and_the_last_ones_are_kept(store, ingest):
    rubbish = [message("measurements", b"rubbish %d" % number) for number in range(50)]
    ingest.commit([measured(), *rubbish, measured(sensor=NOBODY), measured(value=None)])
    with store.reading() as connection:
        counts = refusal_counts(connection, "TG")
        assert counts == {"not JSON": 50, "unknown sensor": 1, "invalid value": 1}
        kept = [bytes(row.payload) for row in last_refusals(connection, "TG")]
        assert kept.count(b"rubbish 49") == 1 and b"rubbish 29" not in kept
        assert len(readings.measurements(connection, SENSOR)) == 1
    assert ingest.counts["messages"] == 1 and ingest.counts["refused"] == 52


def test_a_message_that_comes_again_is_stored_once(store, ingest):
    ingest.commit([measured(identifier=7), measured(identifier=8)])
    ingest.commit([measured(identifier=7, duplicate=True), measured(identifier=9, duplicate=True)])
    with store.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM measurement")) == 3
    assert ingest.counts["skipped"] == 1


def test_mapped_values_are_sent_oldest_first_when_they_are_stored(ingest, sent):
    ingest.commit(
        [
            measured(2.0, 1000.5),
            measured(1.0, 1000.25),
            measured(3.0, 1000.75, sensor=OTHER),
            measured(4.0, sensor=NOBODY),
            message("measurements", [{"timestamp": 1, "value": {"other": 1}}]),
        ]
    )
    assert sent == [
        MappedReading("t1", 1_000_250, 1.0),
        MappedReading("t1", 1_000_500, 2.0),
        MappedReading("t2", 1_000_750, 3.0),
    ]


def test_a_sensor_is_found_by_the_name_that_it_has_now(store, ingest, sent):
    def rename(sensor, name):
        with store.writing() as connection:
            columns = tables.sensor.c
            statement = update(tables.sensor).where(columns.identifier == sensor)
            connection.execute(statement.values(name=name))

    rename(SENSOR, "old")
    ingest.commit([measured(1.0)])
    assert sent == []
    rename(OTHER, SENSOR.hex)
    ingest.commit([measured(2.0, sensor=OTHER)])
    assert {reading.codifier for reading in sent} == {"t2"}  # its UUID goes before its name
    rename(OTHER, "other")
    rename(SENSOR, SENSOR.hex)
    ingest.commit([measured(3.0)])
    assert sent[-1].codifier == "t1" and sent[-1].value == 3.0


def test_while_the_store_is_away_nothing_is_stored_counted_or_sent(
    store, ingest, sent, monkeypatch
):
    with store.writing() as connection:
        connection.execute(text("ALTER TABLE recent RENAME TO away"))
    with pytest.raises(Exception):  # noqa: B017
        ingest.commit([measured(), measured(sensor=NOBODY)])
    assert ingest.counts == {} and sent == []
    with store.writing() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO recent"))
    ingest.commit([measured(), measured(sensor=NOBODY)])
    assert ingest.counts["messages"] == 1 and len(sent) == 1


def test_it_is_noted_which_sensors_were_heard(store, ingest):
    ingest.commit([measured(), measured(), measured(sensor=NOBODY)])
    query = text("SELECT device, messages, last_us FROM device_seen WHERE gateway = 'TG'")
    with store.reading() as connection:
        assert connection.execute(query).all() == [(str(SENSOR), 2, RECEIVED_US)]


def test_a_message_that_no_rule_expects_is_noted(store, ingest):
    ingest.refuse(measured(), RuntimeError("a fault of ours"))
    with store.reading() as connection:
        assert refusal_counts(connection, "TG") == {"internal": 1}
