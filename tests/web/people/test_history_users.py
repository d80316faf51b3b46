"""People in the database of the history sign in to the pages."""

import bcrypt
import pytest

from jph.stores.address import StoreAddress
from tests.web.client import Client
from tools import provision
from web.app import Application
from web.people import history_users, users

OLD, NEW = "an old password", "a new password"


def hashed(password):
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()


@pytest.fixture
def run(postgres_server, postgres_url):
    """Return a function that runs a statement in the database of the history."""
    name = postgres_url.rpartition("/")[2]
    return lambda sql, *values: postgres_server.execute(sql, name, values)


@pytest.fixture
def put(run):
    """Return a function that prints what `generateSQL -p` prints, and runs it."""

    def put(name, password):
        for statement in provision.set_user(name, hashed(password)):
            run(statement.replace("%", "%%"))

    return put


@pytest.fixture
def web(make_web, postgres_url, monkeypatch):
    monkeypatch.setattr(users, "ROUNDS", 4)
    return make_web(history=postgres_url)


def sign_in(web, name, password):
    client = Client(web.bound_port)
    return client, client.sign_in(name, password).status


def is_signed_in(client):
    return client.get("/sign-in").status == 303


def test_somebody_of_an_existing_network_signs_in_with_the_password_from_there(web, run):
    run("CREATE TABLE Users (email varchar(120) PRIMARY KEY, password varchar(120))")
    run("INSERT INTO Users VALUES ('anna@example.org', %s), ('ben', 'no hash'), ('eve', NULL)",
        hashed("short"))  # fmt: skip
    client, status = sign_in(web, "anna@example.org", "short")
    assert status == 303
    assert is_signed_in(client)
    for name, password in (
        *(("anna@example.org", "wrong"), ("ben", "no hash"), ("eve", ""), ("eve", "x")),
        *(("nobody", "short"), ("' OR true --", "short"), ("\0", "short")),
    ):
        assert sign_in(web, name, password)[1] == 403


def test_a_new_password_counts_at_once_and_ends_older_sessions_at_the_next_sign_in(web, put):
    put("anna", OLD)
    before, status = sign_in(web, "anna", OLD)
    assert status == 303
    put("anna", NEW)
    assert sign_in(web, "anna", OLD)[1] == 403
    after, status = sign_in(web, "anna", NEW)
    assert (status, is_signed_in(after), is_signed_in(before)) == (303, True, False)


def test_a_password_of_these_pages_counts_before_that_in_the_database(web, put, tmp_path):
    put("anna", OLD)
    with Application(tmp_path).app_context():
        users.set_password("anna", NEW)
    assert sign_in(web, "anna", OLD)[1] == 403
    assert sign_in(web, "anna", NEW)[1] == 303


def test_without_such_a_table_nobody_is_there(web, run):
    assert sign_in(web, "anna", OLD)[1] == 403
    run("CREATE TABLE users (id integer, secret text)")
    assert sign_in(web, "anna", OLD)[1] == 403
    assert history_users.password_hash(StoreAddress("sqlite:///history.sqlite"), "anna") is None
    assert history_users.password_hash(None, "anna") is None


def test_a_role_without_the_permission_is_said_once_it_matters(
    postgres_server, postgres_url, run, put, caplog
):
    put("anna", OLD)
    role = f"reader{postgres_server.port}"
    postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    try:
        place = StoreAddress(postgres_server.url(postgres_url.rpartition("/")[2], role))
        assert history_users.password_hash(place, "anna") is None
        assert "permission denied" in caplog.text
    finally:
        postgres_server.execute(f"DROP ROLE {role}")


def test_while_the_database_is_away_people_of_these_pages_sign_in(make_web, monkeypatch, tmp_path):
    from tests.helpers import LOOPBACK, free_tcp_port

    monkeypatch.setattr(users, "ROUNDS", 4)
    web = make_web(history=f"postgresql://jph@{LOOPBACK}:{free_tcp_port()}/jph")
    with Application(tmp_path).app_context():
        users.set_password("anna", NEW)
    assert sign_in(web, "anna", NEW)[1] == 303
    assert sign_in(web, "ben", NEW)[1] == 503
