import re
import sqlite3
import stat
from urllib.parse import urlsplit

import bcrypt
import pytest

from tests.web.client import Client
from web import users
from web.app import Application

PASSWORD = "correct horse"


@pytest.fixture
def accounts(tmp_path, monkeypatch):
    """Return the accounts of this home, with cheap hashes; the pages of a test share them."""
    monkeypatch.setattr(users, "ROUNDS", 4)
    with Application(tmp_path).app_context():
        yield users


def test_there_is_no_account_and_no_password_at_first(accounts):
    assert accounts.names() == []
    assert accounts.verify("admin", "admin") is None
    assert accounts.verify("", "") is None


def test_the_right_password_is_accepted_and_no_other(accounts):
    assert accounts.set_password("anna", PASSWORD)
    assert accounts.verify("anna", PASSWORD)
    assert accounts.verify("anna", PASSWORD + "x") is None
    assert accounts.verify("ben", PASSWORD) is None
    assert accounts.names() == ["anna"]


def test_only_a_bcrypt_hash_is_stored_in_a_file_of_the_owner(accounts, tmp_path):
    accounts.set_password("anna", PASSWORD)
    path = tmp_path / "web.sqlite"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSWORD.encode() not in path.read_bytes()
    with sqlite3.connect(path) as database:
        ((stored,),) = database.execute("SELECT password_hash FROM account")
    database.close()
    assert bcrypt.checkpw(PASSWORD.encode(), stored.encode())


def test_another_password_ends_the_sessions_of_the_one_before(accounts):
    accounts.set_password("anna", PASSWORD)
    before = accounts.stamp("anna")
    assert not accounts.set_password("anna", PASSWORD)
    assert accounts.stamp("anna") != before
    assert accounts.remove("anna")
    assert accounts.stamp("anna") is None
    assert not accounts.remove("anna")


def test_a_password_longer_than_bcrypt_takes_is_refused(accounts):
    with pytest.raises(ValueError, match="72 bytes"):
        accounts.set_password("anna", "x" * 73)
    accounts.set_password("anna", "x" * 72)
    assert accounts.verify("anna", "x" * 73) is None


@pytest.mark.parametrize("name", ["", " anna", "a\nb", "x" * 65])
def test_names_that_cannot_be_typed_are_refused(accounts, name):
    with pytest.raises(ValueError, match="visible characters"):
        accounts.set_password(name, PASSWORD)


def test_short_passwords_are_refused():
    with pytest.raises(ValueError, match="8"):
        users.check_password("1234567")


def test_a_person_signs_in_and_out(web, client, accounts):
    accounts.set_password("anna", PASSWORD)
    before = client.token()
    answer = client.sign_in("anna", PASSWORD)
    assert answer.status == 303
    assert urlsplit(answer.headers["Location"]).path == "/"
    page = client.get("/").text
    assert "anna" in page
    assert "Sign out" in page
    assert client.token("/") != before, "a session that signs in gets another token"
    assert client.post("/sign-out", csrf=client.token("/")).status == 303
    assert "Sign out" not in client.get("/").text


def test_a_wrong_password_says_nothing_about_the_name(web, client, accounts):
    accounts.set_password("anna", PASSWORD)
    wrong, unknown = client.sign_in("anna", "wrong"), client.sign_in("ben", "wrong")
    assert wrong.status == unknown.status == 403

    def message(answer):
        return re.search(r'role="alert">([^<]*)<', answer.text)[1]

    assert message(wrong) == message(unknown)


def test_guessing_is_slowed_down(web, client, accounts):
    accounts.set_password("anna", PASSWORD)
    for _ in range(5):
        assert client.sign_in("anna", "wrong").status == 403
    answer = client.sign_in("anna", PASSWORD)
    assert answer.status == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "Too many tries" in answer.text


def test_a_removed_account_is_signed_out(web, client, accounts):
    accounts.set_password("anna", PASSWORD)
    client.sign_in("anna", PASSWORD)
    assert "Sign out" in client.get("/").text
    accounts.remove("anna")
    assert "Sign out" not in client.get("/").text


def test_the_cookie_is_closed_to_scripts_and_named_after_the_port(web, client):
    line = client.get("/sign-in").headers["Set-Cookie"]
    assert line.startswith(f"jph-{web.bound_port}=")
    assert "HttpOnly" in line
    assert "SameSite=Lax" in line


def test_the_key_of_the_sessions_is_the_owners_alone_and_stays(web, client, tmp_path):
    client.get("/sign-in")
    path = tmp_path / "web.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_bytes()) == 32


def test_a_session_outlives_a_restart_of_the_server(make_web):
    web = make_web()
    owner = Client(web.bound_port)
    owner.follow_link(web.sign_in_url())
    web.close()
    again = make_web(port=web.bound_port)
    assert again.bound_port == web.bound_port
    assert "Sign out" in owner.get("/").text


def test_a_link_signs_in_once(web):
    url = web.sign_in_url()
    first, second = Client(web.bound_port), Client(web.bound_port)
    assert first.follow_link(url).status == 303
    assert "Sign out" in first.get("/").text
    path = urlsplit(url).path
    assert second.get(path).status == 410
    assert second.post(path, csrf=second.token()).status == 410
    assert "Sign out" not in second.get("/").text


def test_looking_at_a_link_does_not_use_it_up(web, client):
    path = urlsplit(web.sign_in_url()).path
    for _ in range(3):  # the preview of a chat, a browser that fetches ahead, the person
        assert client.get(path).status == 200
    assert client.post(path, csrf=client.token(path)).status == 303


def test_a_link_works_without_loading_the_database_of_accounts(make_web, tmp_path):
    web = make_web()
    client = Client(web.bound_port)
    client.follow_link(web.sign_in_url())
    assert "Sign out" in client.get("/").text
    assert not (tmp_path / "web.sqlite").exists()
