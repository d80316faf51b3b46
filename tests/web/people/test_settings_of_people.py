"""Tests of the pages for people, tokens, sessions and the audit list."""

import csv
import html
import io
import re
from urllib.parse import urlencode

import pytest

from tests.web.browser import sign_in
from tests.web.client import Client
from web.app import Application
from web.people import audit, my_sessions, sessions, tokens, users
from web.people.access import Role

PASSWORD = "correct horse"
PEOPLE, TOKENS, MINE = "/settings/people", "/settings/tokens", "/settings/sessions"


@pytest.fixture(autouse=True)
def accounts(tmp_path, monkeypatch):
    """Work with the accounts of this home, with cheap hashes."""
    monkeypatch.setattr(users, "ROUNDS", 4)
    with Application(tmp_path).app_context():
        yield


@pytest.fixture
def admin(web):
    """Return a browser of the admin anna."""
    users.set_password("anna", PASSWORD, Role.ADMIN)
    client = Client(web.bound_port)
    client.sign_in("anna", PASSWORD)
    return client


def post(client, path, page=None, **fields):
    """Send a form of a page."""
    return client.post(path, csrf=client.token(page or path), **fields)


def names():
    return {person.name: person.role for person in users.people()}


def signed_in(client):
    return "Sign out" in client.get("/").text


def notice(client, answer):
    """Return what the page after a form says."""
    text = client.get(answer.headers["Location"]).text if answer.status == 303 else answer.text
    return html.unescape(" ".join(re.findall(r'class="notice"[^>]*>([^<]*)<', text)))


# People


def test_an_admin_adds_a_person_who_signs_in(web, admin):
    answer = post(admin, PEOPLE, name="ben", password="battery staple", role="viewer")
    assert notice(admin, answer) == "ben can sign in."
    ben = Client(web.bound_port)
    assert ben.sign_in("ben", "battery staple").status == 303
    assert ben.get(PEOPLE).status == 403
    page = admin.get(PEOPLE).text
    assert "ben" in page
    assert "battery" not in page


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": "anna"}, "has an account already"),
        ({"name": ""}, "visible characters"),
        ({"name": "ben", "password": "short"}, "at least 8"),
    ],
)
def test_a_mistake_changes_nothing_and_is_said(admin, fields, reason):
    answer = post(admin, PEOPLE, **{"password": "battery staple", "role": "viewer", **fields})
    assert answer.status == 400
    assert reason in answer.text
    assert names() == {"anna": Role.ADMIN}
    assert users.verify("anna", PASSWORD)


def test_a_role_that_there_is_not_is_refused(admin):
    answer = post(admin, PEOPLE, name="ben", password="battery staple", role="king")
    assert answer.status == 400
    assert names() == {"anna": Role.ADMIN}


def test_an_admin_changes_role_and_password_and_ends_sessions(web, admin):
    users.set_password("ben", PASSWORD, Role.VIEWER)
    ben = Client(web.bound_port)
    ben.sign_in("ben", PASSWORD)
    post(admin, f"{PEOPLE}/role", PEOPLE, person="ben", role="operator")
    assert ben.command("A1", "H").status == 200
    post(admin, f"{PEOPLE}/sign-out", PEOPLE, person="ben")
    assert not signed_in(ben)
    ben.sign_in("ben", PASSWORD)
    assert signed_in(ben)
    post(admin, f"{PEOPLE}/password", PEOPLE, person="ben", password="battery staple")
    assert not signed_in(ben)
    assert ben.sign_in("ben", "battery staple").status == 303
    post(admin, f"{PEOPLE}/remove", PEOPLE, person="ben")
    assert not signed_in(ben)
    assert names() == {"anna": Role.ADMIN}


def test_the_last_admin_stays(admin):
    assert post(admin, f"{PEOPLE}/remove", PEOPLE, person="anna").status == 409
    assert post(admin, f"{PEOPLE}/role", PEOPLE, person="anna", role="viewer").status == 409
    users.set_password("ben", PASSWORD, Role.ADMIN)
    assert post(admin, f"{PEOPLE}/role", PEOPLE, person="anna", role="viewer").status == 303
    assert names() == {"anna": Role.VIEWER, "ben": Role.ADMIN}


@pytest.mark.parametrize("action", ["role", "password", "remove"])
def test_somebody_who_is_not_there_is_not_found(admin, action):
    fields = {"person": "ghost", "role": "viewer", "password": "battery staple"}
    assert post(admin, f"{PEOPLE}/{action}", PEOPLE, **fields).status == 404


def test_a_strange_name_is_text(admin):
    strange = '"><script>alert(1)</script>'
    post(admin, PEOPLE, name=strange, password="battery staple", role="viewer")
    assert strange in names()
    page = admin.get(PEOPLE).text
    assert "<script>alert" not in page
    assert html.escape(strange, quote=True).replace("&quot;", "&#34;") in page


# Tokens


def test_a_token_is_shown_once_and_works(web, admin):
    answer = post(admin, TOKENS, name="grafana", role="viewer", days="30")
    (token,) = re.findall(r'value="(jph_[^"]+)"', answer.text)
    assert token not in admin.get(TOKENS).text
    assert "grafana" in admin.get(TOKENS).text
    program = Client(web.bound_port)
    assert program.get("/sensor/", Authorization=f"Bearer {token}").status == 200
    (found,) = tokens.all_tokens()
    assert (found.made_by, found.role) == ("anna", Role.VIEWER)
    removed = post(admin, f"{TOKENS}/remove", TOKENS, number=str(found.number))
    assert "is removed" in notice(admin, removed)
    assert program.get("/sensor/", Authorization=f"Bearer {token}").status == 401
    assert post(admin, f"{TOKENS}/remove", TOKENS, number="1").status == 404


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"name": ""}, 400),
        ({"role": "x"}, 400),
        ({"days": "x"}, 400),
        ({"days": "nan"}, 400),
        ({"days": "-1"}, 400),
    ],
)
def test_a_token_that_cannot_be_is_not_made(admin, fields, status):
    answer = post(admin, TOKENS, **{"name": "a", "role": "viewer", "days": "", **fields})
    assert answer.status == status
    assert tokens.all_tokens() == []


def test_an_admin_token_manages_but_has_no_sessions(web):
    headers = {"Authorization": f"Bearer {tokens.make('robot', Role.ADMIN, 'test')}"}
    robot = Client(web.bound_port)
    assert robot.get(PEOPLE, **headers).status == 200
    answer = robot.get(MINE, **headers)
    assert answer.status == 403
    assert "for people" in answer.json["error"]


# One's own sessions


def test_one_sees_where_one_is_signed_in_and_ends_it(web, admin):
    phone = Client(web.bound_port)
    agent = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36"
    form = {"csrf": phone.token(), "name": "anna", "password": PASSWORD}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": agent}
    phone.ask("POST", "/sign-in", urlencode(form), headers)
    page = admin.get(MINE).text
    assert "Chrome on Android" in page
    assert page.count("this one") == 1
    (number,) = re.findall(r'name="number" value="(\d+)"', page)
    assert post(admin, f"{MINE}/end", MINE, number=number).status == 303
    assert not signed_in(phone)
    assert signed_in(admin)
    assert post(admin, f"{MINE}/end", MINE, number=number).status == 404


def test_nobody_ends_the_sessions_of_others(web, admin):
    users.set_password("ben", PASSWORD, Role.VIEWER)
    ben = Client(web.bound_port)
    ben.sign_in("ben", PASSWORD)
    for number in range(1, 5):
        assert post(ben, f"{MINE}/end", MINE, number=str(number)).status in (303, 404)
        if not signed_in(ben):
            ben.sign_in("ben", PASSWORD)
    assert signed_in(admin)


def test_signing_out_everywhere_ends_all(web, admin):
    phone = Client(web.bound_port)
    phone.sign_in("anna", PASSWORD)
    assert post(phone, f"{MINE}/end-all", MINE).headers["Location"] == "/sign-in"
    assert not signed_in(phone)
    assert not signed_in(admin)


def test_a_new_password_of_ones_own_ends_the_other_sessions(web, admin):
    phone = Client(web.bound_port)
    phone.sign_in("anna", PASSWORD)
    wrong = post(admin, f"{MINE}/password", MINE, old="wrong", new="battery staple")
    assert wrong.status == 403
    short = post(admin, f"{MINE}/password", MINE, old=PASSWORD, new="short")
    assert short.status == 400
    assert signed_in(phone)
    answer = post(admin, f"{MINE}/password", MINE, old=PASSWORD, new="battery staple")
    assert "is changed" in notice(admin, answer)
    assert signed_in(admin)
    assert not signed_in(phone)
    assert phone.sign_in("anna", PASSWORD).status == 403
    assert phone.sign_in("anna", "battery staple").status == 303


def test_guessing_the_present_password_is_slowed_down(admin):
    for _ in range(5):
        assert post(admin, f"{MINE}/password", MINE, old="x", new="battery staple").status == 403
    answer = post(admin, f"{MINE}/password", MINE, old=PASSWORD, new="battery staple")
    assert answer.status == 429


def test_the_owner_has_sessions_but_no_password(owner):
    page = owner.get(MINE).text
    assert "this one" in page
    assert "Present password" not in page
    assert post(owner, f"{MINE}/password", MINE, old="", new="battery staple").status == 409


def test_a_stranger_is_sent_to_sign_in(client):
    assert client.get(MINE).headers["Location"].startswith("/sign-in")
    assert "My sessions" not in client.get("/").text


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
            "Firefox on Linux",
        ),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Windows NT 10.0) Chrome/120 Safari/537 Edg/120", "Edge on Windows"),
        ("curl/8", "curl/8"),
        ("", "unknown"),
    ],
)
def test_a_browser_is_named_in_words(agent, words):
    assert my_sessions.browser_of(agent) == words


# The audit list


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_who_did_what_is_listed_chosen_and_downloaded(web, admin):
    admin.command("A1", "H", admin.token("/"))
    post(admin, PEOPLE, name="ben", password="battery staple", role="viewer")
    page = admin.get("/settings/audit").text
    assert "add person" in page
    found = rows(admin.get("/settings/audit.csv").text)
    assert [(row["who"], row["action"], row["subject"]) for row in found] == [
        ("anna", "add person", "ben"),
        ("anna", "halt", "A1"),
        ("anna", "sign in", ""),
    ]
    assert {row["address"] for row in found} == {"127.0.0.1"}
    chosen = rows(admin.get("/settings/audit.csv?action=halt&who=anna").text)
    assert [row["subject"] for row in chosen] == ["A1"]
    assert rows(admin.get("/settings/audit.csv?who=ben").text) == []
    assert [r["action"] for r in rows(admin.get("/settings/audit.csv?text=be").text)] == [
        "add person"
    ]
    assert rows(admin.get("/settings/audit.csv?text=%25").text) == [], "a sign is no wildcard"


def test_a_long_list_is_shown_page_by_page_and_downloaded_whole(web, admin, monkeypatch):
    app = Application(web._site.home)
    monkeypatch.setattr("web.people.audit_page.CHUNK", 50)
    with app.test_request_context(), app.app_context():
        for number in range(230):
            audit.note("try", str(number), name="ben")
    seen, path = [], "/settings/audit?who=ben"
    while path:
        page = admin.get(path).text
        seen += re.findall(r">try</td><td[^>]*>(\d+)</td>", page)
        older = re.search(r'href="([^"]+)">Older', page)
        path = html.unescape(older[1]) if older else None
    assert seen == [str(number) for number in reversed(range(230))]
    assert len(rows(admin.get("/settings/audit.csv?who=ben").text)) == 230


def test_no_cell_of_the_file_is_a_formula(web, admin):
    post(admin, PEOPLE, name="=cmd()", password="battery staple", role="viewer")
    assert rows(admin.get("/settings/audit.csv").text)[0]["subject"] == "'=cmd()"


def test_guesses_of_strangers_push_no_other_entry_out(web, admin, monkeypatch):
    monkeypatch.setattr(audit, "MOST_REFUSED", 3)
    monkeypatch.setattr(audit, "MOST", 10)
    stranger = Client(web.bound_port)
    for number in range(5):
        stranger.sign_in(f"guess{number}", "wrong")
    found = [(entry.action, entry.subject) for entry in audit.entries()]
    assert found == [
        *((audit.REFUSED, f"guess{number}") for number in (4, 3, 2)),
        ("sign in", ""),
    ]


def test_people_are_added_and_removed_in_a_browser(web, open_page):
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}settings/people")
    page.get_by_label("Name").fill("ben")
    page.get_by_label("Password", exact=False).last.fill("battery staple")
    page.get_by_role("button", name="Add").click()
    page.get_by_text("ben can sign in.").wait_for()
    page.get_by_label("Change ben").click()
    page.get_by_label("Role").first.select_option("operator")
    page.get_by_role("button", name="Set role").click()
    page.get_by_text("ben is operator now.").wait_for()
    assert names() == {"ben": Role.OPERATOR}
    page.get_by_label("Change ben").click()
    page.get_by_role("button", name="Remove ben").click()
    page.get_by_text("ben is removed.").wait_for()
    assert names() == {}
    assert sessions.last_seen() == {}
