"""The store of the gateways in a backup, as the gateways make it."""

import json
import sqlite3
from contextlib import closing, contextmanager

import pytest
from click.testing import CliRunner
from sqlalchemy import select, update

from gateways import schema
from gateways.esp32 import tables as esp32
from gateways.iottalk import tables as iottalk
from gateways.store import Store
from gateways.tenta import configurations, people, readings, tables
from gateways.tenta.writing import Batch, write
from tests.helpers import new_bus
from tests.web.backup.archive import names
from tools.backup import backup as backup_command
from tools.backup import restore as restore_command
from web.backup import gateway_store

STEPS = (*tables.STEPS, *esp32.STEPS, *iottalk.STEPS)
SMALL = {
    *("user", "network", "sensor", "permission", "session"),
    *("configuration", "configuration_schema", "esp32_board", "iottalk", "gateway_schema"),
}
NAME = "gateways.sqlite"
S = 1_000_000


@contextmanager
def opened(home):
    with closing(Store.open(f"sqlite:///{NAME}", home, steps=STEPS)) as store:
        yield store


class Home:
    """A home with a gateway's store, in which one user has one sensor."""

    def __init__(self, folder, name):
        folder.mkdir()
        self.folder = folder
        self.config = folder / "network.json"
        self.config.write_text(
            json.dumps(new_bus().document({"Codifier": "A1", "Type": "Simulated"}))
        )
        with opened(folder) as store, store.writing() as connection:
            user = people.create_user(connection, name, "no hash")
            network = people.create_network(connection, f"{name}-net", user)
            self.sensor = people.create_sensor(connection, network, f"{name}-bed")
            configurations.post(
                connection, self.sensor, {"by": name}, configurations.Outgoing("TG")
            )

    def measure(self, *values):
        with opened(self.folder) as store, store.writing() as connection:
            now_us = people.now_us()
            rows = [
                (self.sensor, now_us + n * S, None, 0, {"t": it}) for n, it in enumerate(values)
            ]
            write(connection, Batch(measurements=rows))

    def run(self, command, *arguments):
        where = ["--home", str(self.folder), "--config", str(self.config)]
        result = CliRunner().invoke(command, [*map(str, arguments), *where])
        return result.exit_code, result.output

    def back_up(self, *options):
        file = self.folder.parent / f"{self.folder.name}{len(options)}.jph"
        code, said = self.run(backup_command, file, *options)
        assert code == 0, said
        return file

    def restore(self, file):
        code, said = self.run(restore_command, file)
        assert code == 0, said

    def values(self, sensor=None):
        with opened(self.folder) as store, store.reading() as connection:
            rows = readings.measurements(connection, sensor or self.sensor)
        return [row.value["t"] for row in rows]

    def names(self):
        """Return the names of the sensors and users."""
        with opened(self.folder) as store, store.reading() as connection:
            columns = (tables.sensor.c.name, tables.user.c.name)
            return [name for each in columns for name in connection.scalars(select(each))]


@pytest.fixture
def ada(tmp_path):
    return Home(tmp_path / "ada", "ada")


@pytest.fixture
def bob(tmp_path):
    return Home(tmp_path / "bob", "bob")


def test_each_table_is_either_small_or_known_as_one_to_leave_out(tmp_path):
    with opened(tmp_path) as store, store.reading() as connection:
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence'"
        found = set(connection.exec_driver_sql(query).scalars())
    assert found == SMALL | gateway_store.SENT | gateway_store.TRAFFIC
    assert gateway_store.MARK in SMALL and schema.outbox.name in gateway_store.TRAFFIC


def test_a_backup_leaves_out_what_devices_sent(ada, tmp_path):
    ada.measure(*map(float, range(5000)))
    file = ada.back_up()
    assert file.stat().st_size < 10_000
    new = Home(tmp_path / "new", "new")
    (new.folder / NAME).unlink()
    new.restore(file)
    assert new.names() == ["ada-bed", "ada"]
    assert new.values(ada.sensor) == []
    with opened(new.folder) as store, store.writing() as connection:
        assert configurations.value_of(connection, ada.sensor, 0) == {"by": "ada"}
        assert configurations.post(connection, ada.sensor, {}, configurations.Outgoing("TG")) == 1


def test_restoring_leaves_the_readings_that_are_there(ada):
    ada.measure(1.0, 2.0)
    file = ada.back_up()
    with opened(ada.folder) as store, store.writing() as connection:
        connection.execute(update(tables.sensor).values(name="renamed"))
        people.create_user(connection, "eve", "no hash")
    ada.restore(file)
    assert ada.names() == ["ada-bed", "ada"]
    assert ada.values() == [1.0, 2.0]


def test_readings_never_become_those_of_another_sensor(ada, bob):
    bob.measure(7.0)
    bob.restore(ada.back_up())
    assert bob.names() == ["ada-bed", "ada"]
    assert bob.values(ada.sensor) == []
    bob.sensor = ada.sensor
    bob.measure(8.0)
    assert bob.values() == [8.0]


def test_with_the_history_a_backup_has_all_of_it(ada, bob):
    ada.measure(1.0, 2.0)
    file = ada.back_up("--history")
    assert {f"readings/{NAME}", f"home/{NAME}"} <= set(names(file.read_bytes()))
    bob.measure(7.0)
    with opened(bob.folder) as store, store.reading() as connection:  # as a gateway has it
        connection.execute(select(tables.sensor.c.name)).all()
        code, said = bob.run(restore_command, file)
    assert code == 1 and "stop JPH" in said
    assert bob.values() == [7.0]
    bob.restore(file)
    assert bob.values(ada.sensor) == [1.0, 2.0]
    assert (bob.folder / NAME).stat().st_mode & 0o777 == 0o600
    assert len(list(bob.folder.glob("gateways.before-restore-*.sqlite"))) == 1


def test_what_a_newer_store_has_more_stays(ada):
    file = ada.back_up()
    with closing(sqlite3.connect(ada.folder / NAME)) as database:
        database.execute("ALTER TABLE user ADD COLUMN role TEXT NOT NULL DEFAULT 'member'")
        database.execute("CREATE TABLE tag (name TEXT)")
        database.execute("INSERT INTO tag VALUES ('red')")
        database.commit()
    ada.restore(file)
    with closing(sqlite3.connect(ada.folder / NAME)) as database:
        assert database.execute("SELECT name, role FROM user").fetchall() == [("ada", "member")]
        assert database.execute("SELECT name FROM tag").fetchall() == [("red",)]
