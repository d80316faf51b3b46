import logging
from contextlib import closing

import pytest
from sqlalchemy import text

from gateways.store import Store
from gateways.tenta import readings, retention, tables
from gateways.tenta.retention import DAY_US, Keep, Retention
from gateways.tenta.tables import HOUR_US
from gateways.tenta.writing import Batch, write
from tests.gateways.tenta.sensors import OTHER, SENSOR, add_sensors
from tests.helpers import eventually

NOW_US = 1_700_000_000_000_000 // HOUR_US * HOUR_US
HOURS = range(240)  # ten days


@pytest.fixture
def store(store_url, tmp_path):
    """Return a store with ten days of two sensors, of each kind."""
    with closing(Store.open(store_url, tmp_path, steps=tables.STEPS)) as opened:
        with opened.writing() as connection:
            add_sensors(connection, SENSOR, OTHER)
            batch = Batch()
            for sensor in (SENSOR, OTHER):
                for hour in HOURS:
                    at_us = NOW_US - hour * HOUR_US
                    batch.measurements.append((sensor, at_us, 0, at_us, {"a": 1.0, "b": 2.0}))
                    batch.logs.append((sensor, at_us, 0, at_us, "info", "x", None, None))
            write(connection, batch)
        yield opened


def counts(store):
    with store.reading() as connection:
        return [
            connection.scalar(text(f"SELECT count(*) FROM {table}"))
            for table in ("measurement", "measurement_1_hour", "log")
        ]


def test_nothing_but_old_logs_is_dropped_by_itself(store):
    assert Retention(store, Keep()).apply(NOW_US) == {}
    assert Retention(store, Keep()).apply(NOW_US + 50 * DAY_US) == {"log": 2 * 95}
    assert counts(store) == [960, 960, 290]


def test_what_is_too_old_is_dropped_in_small_pieces(store, monkeypatch):
    monkeypatch.setattr(retention, "PIECE", 7)
    keep = Keep(measurement_days=2, hour_days=5, log_days=1)
    expected = {"measurement": 4 * 191, "measurement_1_hour": 4 * 119, "log": 2 * 215}
    assert Retention(store, keep).apply(NOW_US) == expected
    assert counts(store) == [4 * 49, 4 * 121, 2 * 25]
    assert Retention(store, keep).apply(NOW_US) == {}
    with store.reading() as connection:
        oldest = readings.measurements(connection, OTHER, limit=1)[0].creation_us
    assert oldest == NOW_US - 2 * DAY_US


def test_very_many_rows_of_one_time_go_at_once(store, monkeypatch):
    monkeypatch.setattr(retention, "PIECE", 3)
    with store.writing() as connection:
        same = (SENSOR, 0, None, 0, {"a": 1.0})
        write(connection, Batch(measurements=[same] * 20))
    assert Retention(store, Keep(measurement_days=100)).apply(NOW_US) == {"measurement": 20}


def test_it_ends_between_two_pieces_when_told(store, monkeypatch):
    monkeypatch.setattr(retention, "PIECE", 10)
    asked = iter([True, True, False, False, False, False])
    dropped = Retention(store, Keep(measurement_days=1), lambda: next(asked)).apply(NOW_US)
    assert 20 <= dropped["measurement"] <= 24


def test_beyond_the_size_the_oldest_days_go_and_the_last_stays(store, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    sizes = {"used": 960}

    def used(connection):
        return connection.scalar(text("SELECT count(*) FROM measurement")) * 1e6

    monkeypatch.setattr(retention, "_used_bytes", used)
    monkeypatch.setattr(retention, "READING_BYTES", 1e6)
    if store.dialect == "postgresql":  # its own count comes a moment later
        store.close()  # a session tells what it counted when it ends, at the latest

        def counted():
            with store.reading() as connection:
                return retention._rows(connection) == sizes["used"]

        eventually(counted)
    dropped = Retention(store, Keep(most_mb=500)).apply(NOW_US)["measurement"]
    assert counts(store)[0] == 960 - dropped
    assert 500 - 4 * 24 < counts(store)[0] <= 500
    with store.reading() as connection:
        newest = readings.measurements(connection, SENSOR, direction="previous")[-1]
    assert newest.creation_us == NOW_US
    if store.dialect == "postgresql":
        sizes["used"] = counts(store)[0]
        store.close()
        eventually(counted)
    Retention(store, Keep(most_mb=1)).apply(NOW_US)
    assert counts(store)[0] == 4 * 25
    assert "raise MostMB" in caplog.text


def test_the_size_of_a_file_is_what_is_used_of_it(tmp_path):
    with closing(Store.open("sqlite:///gateways.sqlite", tmp_path, steps=tables.STEPS)) as store:
        with store.writing() as connection:
            add_sensors(connection, SENSOR)
            times = range(NOW_US - 9 * DAY_US, NOW_US, DAY_US // 2000)
            many = [(SENSOR, at_us, None, at_us, {"a": 1.0}) for at_us in times]
            write(connection, Batch(measurements=many))
        with store.reading() as connection:
            full = retention._used_bytes(connection) / 1e6
        Retention(store, Keep(most_mb=full / 2)).apply(NOW_US)
        with store.reading() as connection:
            assert full / 4 < retention._used_bytes(connection) / 1e6 <= full / 2
