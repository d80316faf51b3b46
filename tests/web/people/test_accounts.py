import html
import re
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from urllib.parse import urlencode, urlsplit

import bcrypt
import pytest

from tests.web.client import Client
from web.app import Application
from web.people import sessions, users

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
    assert "Too many wrong passwords" in answer.text


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


def test_a_copied_cookie_is_dead_after_the_sign_out(web, client, accounts):
    accounts.set_password("anna", PASSWORD)
    client.sign_in("anna", PASSWORD)
    thief = Client(web.bound_port, dict(client.cookies))
    assert "Sign out" in thief.get("/").text
    client.post("/sign-out", csrf=client.token("/"))
    assert "Sign out" not in thief.get("/").text
    assert thief.command("A1", "H", token="x").status in (401, 403)


def test_signing_out_ends_no_other_session(web, accounts):
    accounts.set_password("anna", PASSWORD)
    phone, laptop = Client(web.bound_port), Client(web.bound_port)
    phone.sign_in("anna", PASSWORD), laptop.sign_in("anna", PASSWORD)
    phone.post("/sign-out", csrf=phone.token("/"))
    assert "Sign out" not in phone.get("/").text
    assert "Sign out" in laptop.get("/").text


def test_a_session_ends_when_it_is_not_used(accounts, monkeypatch):
    accounts.set_password("anna", PASSWORD)
    stamp = accounts.stamp("anna")
    clock = Clock(monkeypatch)
    token = sessions.begin("anna", stamp)
    for _ in range(3):
        clock.now_ms += sessions.LIFETIME_MS - 1
        assert sessions.find(token).name == "anna"
    clock.now_ms += sessions.LIFETIME_MS
    assert sessions.find(token) is None


def test_sessions_that_ended_are_removed_and_their_number_is_bounded(
    accounts, tmp_path, monkeypatch
):
    def count():
        with closing(sqlite3.connect(tmp_path / "web.sqlite")) as database:
            return database.execute("SELECT count(*) FROM session").fetchone()[0]

    monkeypatch.setattr(sessions, "MOST", 3)
    clock = Clock(monkeypatch)
    accounts.set_password("anna", PASSWORD)
    sessions.begin("anna", accounts.stamp("anna"))
    sessions.begin(None)
    assert count() == 2
    accounts.set_password("anna", PASSWORD)
    tokens = [sessions.begin(None)]
    assert count() == 2, "another password ended one"
    for _ in range(5):
        clock.now_ms += 1
        tokens.append(sessions.begin(None))
    assert count() == 3
    assert [sessions.find(token) is not None for token in tokens] == [False] * 3 + [True] * 3
    clock.now_ms += sessions.LIFETIME_MS
    sessions.begin(None)
    assert count() == 1


def test_the_token_of_a_session_is_not_stored(accounts, tmp_path):
    token = sessions.begin(None)
    assert sessions.find(token)
    assert token.encode() not in (tmp_path / "web.sqlite").read_bytes()


def test_signing_in_leads_back_to_the_page_before(web, client, accounts):
    accounts.set_password("anna", PASSWORD)
    page = client.get("/component/A1").text
    path = html.unescape(re.search(r'href="(/sign-in[^"]*)"', page)[1])
    form = client.get(path).text
    action = html.unescape(re.search(r'<form method="post" action="(/sign-in[^"]*)"', form)[1])
    wrong = client.post(action, csrf=client.token(), name="anna", password="wrong")
    assert html.escape(action) in wrong.text, "also after a wrong password"
    answer = client.post(action, csrf=client.token(), name="anna", password=PASSWORD)
    assert answer.headers["Location"] == "/component/A1"
    assert client.get(path).headers["Location"] == "/component/A1", "who is signed in goes on"


@pytest.mark.parametrize(
    "where",
    [
        "https://evil.example/",
        "//evil.example/component/A1",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/component/A1/../../evil",
        "javascript:alert(1)",
        "/sign-out",
        "/enter/x",
        "/static/config.json",
        "evil",
        "\r\nLocation: https://evil.example",
        "\0",
        "/component/\u00e4\u00e4",
    ],
)
def test_signing_in_never_leads_to_another_site(web, client, accounts, where):
    accounts.set_password("anna", PASSWORD)
    path = "/sign-in?" + urlencode({"next": where})
    answer = client.post(path, csrf=client.token(), name="anna", password=PASSWORD)
    assert answer.status == 303
    assert answer.headers["Location"] == "/"


def test_forty_sign_ins_at_once_lock_nobody_out(web, accounts):
    accounts.set_password("anna", PASSWORD)

    def sign_in(password):
        client = Client(web.bound_port)
        return client.sign_in("anna", password).status

    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(sign_in, [PASSWORD] * 40)) <= {303, 429, 503}
    assert sign_in(PASSWORD) == 303
    with ThreadPoolExecutor(40) as pool:
        assert set(pool.map(sign_in, ["wrong"] * 40)) <= {403, 429, 503}
    assert sign_in(PASSWORD) == 429, "this address guessed"
    elsewhere = Client(web.bound_port, source="127.0.0.2")
    assert elsewhere.sign_in("anna", PASSWORD).status == 303


class Clock:
    """The wall clock of the sessions."""

    def __init__(self, monkeypatch):
        self.now_ms = 1_700_000_000_000
        monkeypatch.setattr(sessions, "time_now_ms", lambda: self.now_ms)
