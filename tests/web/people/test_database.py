import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest
import sqlalchemy

from jph.errors import StoreError
from tests.helpers import logged
from tests.jph.stores.damages import DAMAGES
from tests.web.client import Client
from web import migrations
from web.app import Application
from web.migrations import STEPS, connect
from web.people import users
from web.people.access import Role
from web.people.database import db, transaction

PASSWORD = "correct horse"
# As it was made before versions were counted, by db.create_all().
UNVERSIONED = """
CREATE TABLE account (
\tname VARCHAR NOT NULL, \n\tpassword_hash VARCHAR NOT NULL, \n\tstamp VARCHAR NOT NULL,
\tcreated_ms INTEGER NOT NULL, \n\tPRIMARY KEY (name)
);
INSERT INTO account VALUES ('anna', '$2b$04$hash', 'stamp', 1700000000000);
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "web.sqlite"


@pytest.fixture
def in_app(tmp_path, monkeypatch):
    monkeypatch.setattr(users, "ROUNDS", 4)
    with Application(tmp_path).app_context():
        yield


def run(path, script):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def ask(path, query):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def version_of(path):
    return ask(path, "PRAGMA user_version")[0][0]


def test_the_steps_make_what_the_models_say(path, in_app):
    users.names()
    found = sqlalchemy.inspect(db.engine)
    assert set(found.get_table_names()) >= set(db.metadata.tables)
    for name, table in db.metadata.tables.items():
        columns = {(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)}
        assert columns == {(c.name, str(c.type), c.nullable) for c in table.columns}
        keys = found.get_pk_constraint(name)["constrained_columns"]
        assert keys == [c.name for c in table.primary_key]
    assert version_of(path) == len(STEPS)


def test_a_file_from_before_versions_is_taken_over_with_its_accounts(path, in_app):
    run(path, UNVERSIONED)
    assert users.stamp("anna") == "stamp"
    assert users.names() == ["anna"]
    assert version_of(path) == len(STEPS)
    assert ask(path, "SELECT * FROM account") == [
        ("anna", "$2b$04$hash", "stamp", 1700000000000, Role.ADMIN)
    ]


def test_a_file_of_a_newer_jph_is_refused_and_left_as_it_is(path, in_app):
    run(path, f"PRAGMA user_version = {len(STEPS) + 1}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"web\.sqlite: written by a newer JPH .* install that"):
        users.names()
    assert path.read_bytes() == before


def test_a_step_that_fails_leaves_the_version_before(path, monkeypatch):
    steps = (*STEPS, ("CREATE TABLE draft (name)",), ("CREATE TABLE trial (name)", "no SQL"))
    monkeypatch.setattr(migrations, "STEPS", steps)
    with pytest.raises(sqlite3.OperationalError, match="syntax"):
        connect(path)
    assert version_of(path) == len(STEPS) + 1
    assert ask(path, "SELECT name FROM sqlite_master WHERE name IN ('draft', 'trial')") == [
        ("draft",)
    ]
    monkeypatch.setattr(migrations, "STEPS", (*steps[:-1], ("CREATE TABLE trial (name)",)))
    connect(path).close()
    assert version_of(path) == len(STEPS) + 2


def test_processes_that_start_at_once_make_the_tables_once(path):
    program = """
        import sys
        from pathlib import Path
        from web import migrations

        many = tuple((f"CREATE TABLE t{n} (x)",) for n in range(20))
        migrations.STEPS += many
        print("ready", flush=True)
        sys.stdin.readline()
        migrations.connect(Path(sys.argv[1])).close()
    """
    program = "\n".join(line.strip() for line in program.splitlines())
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    assert [(process.communicate()[1], process.returncode) for process in started] == [("", 0)] * 3
    assert version_of(path) == len(STEPS) + 20


def test_threads_that_need_it_at_once_bind_it_once(tmp_path, monkeypatch):
    app, arrived, init_app = Application(tmp_path), threading.Semaphore(0), db.init_app

    def names(_):
        arrived.release()
        with app.app_context():
            return users.names()

    def slow_init_app(app):
        arrived.acquire(timeout=10)
        arrived.acquire(timeout=10)  # two threads are at it
        init_app(app)

    monkeypatch.setattr(db, "init_app", slow_init_app)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(names, range(2))) == [[], []]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_put_aside_and_a_new_one_begins(path, in_app, damage, caplog):
    users.set_password("anna", PASSWORD)
    DAMAGES[damage](path)
    with suppress(StoreError):  # where the damage is not met at once
        users.names()
    assert users.names() == []
    assert len(list(path.parent.glob("web.damaged-*.sqlite"))) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert logged(caplog, "web.sqlite was damaged", "jph user add") == 1


def test_a_file_that_is_locked_is_another_error(path, in_app, monkeypatch):
    users.names()
    monkeypatch.setattr(migrations, "BUSY_S", 0.0)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match=r"cannot be used now \(database is locked\)"):
            users.set_password("anna", PASSWORD)
    assert users.set_password("anna", PASSWORD)


def test_nothing_of_a_failed_transaction_is_kept(in_app):
    with pytest.raises(ZeroDivisionError), transaction() as session:
        session.add(users.Account(name="anna", password_hash="", stamp="", created_ms=0))
        session.flush()
        raise ZeroDivisionError
    assert users.names() == []


def test_a_home_with_signs_of_an_address_in_its_name_is_the_one_used(tmp_path):
    home = tmp_path / "a?mode=memory#%20"
    with Application(home).app_context():
        assert users.names() == []
    assert version_of(home / "web.sqlite") == len(STEPS)


def test_pages_go_on_beside_a_damaged_database(make_web, path, in_app):
    users.set_password("anna", PASSWORD)
    web = make_web()
    anna, guest, owner = (Client(web.bound_port) for _ in range(3))
    assert anna.sign_in("anna", PASSWORD).status == 303
    owner.follow_link(web.sign_in_url())
    good = path.read_bytes()
    path.write_bytes(b"not a database" * 1000)
    for client in (anna, guest, owner):
        assert client.get("/").status == 200
        assert client.get("/component/A1").status == 200
    for client in (anna, owner):
        assert "Sign out" not in client.get("/").text
    assert guest.sign_in("anna", PASSWORD).status == 403
    assert "The accounts were damaged." in guest.get("/").text
    assert "web.damaged-" in guest.get("/").text
    path.write_bytes(good)
    for client in (anna, owner):
        assert "Sign out" in client.get("/").text, "a copy that was put back is used at once"


def test_the_database_may_be_bound_after_the_first_request(make_web, in_app):
    users.set_password("anna", PASSWORD)
    client = Client(make_web().bound_port)
    assert client.get("/").status == 200
    assert client.sign_in("anna", PASSWORD).status == 303
