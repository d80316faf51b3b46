"""Tests of the error pages, and of addresses that older pages had."""

import re

import pytest

from tests.web.browser import schemes, violations
from tests.web.bus import component
from tests.web.client import Client
from web.app import Application
from web.people import users
from web.people.access import Role
from web.serving import error_pages

PASSWORD = "correct horse"


@pytest.fixture
def sign_in(web, tmp_path, monkeypatch):
    monkeypatch.setattr(users, "ROUNDS", 4)

    def make(name, role):
        with Application(tmp_path).app_context():
            users.set_password(name, PASSWORD, role)
        client = Client(web.bound_port)
        client.sign_in(name, PASSWORD)
        return client

    return make


def offered(page):
    """Return the addresses that an error page offers beside the overview."""
    return re.findall(r'<li><a href="([^"]+)">', page)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/component/A9", "/component/A1"),
        ("/sensors/Boiler", "/component/A3"),
        ("/boilr", "/component/A3"),
        ("/memory", "/component/A2"),
        ("/graph", "/graphs"),
        ("/Networks/", "/network"),
    ],
)
def test_what_is_not_there_leads_to_what_is(client, path, address):
    answer = client.get(path)
    assert answer.status == 404
    assert address in offered(answer.text)


@pytest.mark.parametrize(
    "path",
    [
        "/diagram/{}",
        "/diagram/{}/picture",
        "/settings/revisions/{}",
        "/settings/revisions/{}/config.json",
        "/settings/outcome/{}",
    ],
)
def test_there_is_nothing_with_a_number_that_no_database_takes(owner, path):
    assert owner.get(path.format(1 << 63)).status == 404
    assert owner.get(path.format((1 << 63) - 1)).status == 404


@pytest.mark.parametrize(
    "path", ["/graphs?saved={}", "/settings/revisions?before={}", "/settings/audit?before={}"]
)
def test_a_number_that_no_database_takes_is_none(owner, path):
    assert owner.get(path.format(1 << 63)).status == 200


def test_a_note_with_a_number_that_no_database_takes_is_not_there(owner):
    headers = {"X-CSRF-Token": owner.token("/")}
    assert owner.ask("POST", f"/graphs/marks/{1 << 63}/delete", "", headers).status == 404


@pytest.mark.parametrize("path", ["/settings/tokens/remove", "/settings/sessions/end"])
@pytest.mark.parametrize("number", [1 << 63, (1 << 63) - 1, -1, "x", ""])
def test_a_number_in_a_form_that_no_row_has_is_not_there(owner, path, number):
    headers = {"X-CSRF-Token": owner.token("/")}
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    assert owner.ask("POST", path, f"number={number}", headers).status == 404


def test_a_page_that_is_like_nothing_offers_nothing_and_repeats_nothing(client):
    answer = client.get("/%3Cscript%3Ealert(1)%3C/script%3E")
    assert answer.status == 404
    assert offered(answer.text) == []
    assert "<script>alert" not in answer.text


def test_a_stranger_beyond_this_machine_learns_no_names(make_web):
    client = Client(make_web(proxies=("127.0.0.1",)).bound_port)
    answer = client.get("/component/A9/x", X_Forwarded_For="10.1.2.3")
    assert answer.status == 404
    assert offered(answer.text) == []
    assert "Overview" not in answer.text.replace("Go to the overview", "")


def test_many_components_and_a_long_address_are_no_case_of_their_own(make_web):
    web = make_web(
        *(component(f"{a}{b}", name=f"N {a}{b}") for a in "ABCDEFGH" for b in "0123456789")
    )
    assert Client(web.bound_port).get("/component/A").status == 404
    assert Client(web.bound_port).get("/" + "x" * 5000).status == 404


def test_who_may_not_is_told_who_can_help(sign_in):
    sign_in("anna", Role.ADMIN)
    ben = sign_in("ben", Role.VIEWER)
    answer = ben.get("/settings/people")
    assert answer.status == 403
    assert "This needs the role admin; you are viewer." in answer.text
    assert "anna can change your role." in answer.text


def test_a_bug_is_told_without_its_details(web, client, monkeypatch):
    client.get("/")
    monkeypatch.setattr(web._site, "records", None)
    answer = client.get("/")
    assert answer.status == 500
    assert "log" in answer.text
    assert "AttributeError" not in answer.text
    assert "NoneType" not in answer.text


def test_no_words_are_those_of_a_library(client):
    assert "There is nothing at this address." in client.get("/nothing/at/all").text
    assert "There is no component ZZ" in client.get("/component/ZZ").text


def test_each_error_says_what_to_do_next(client):
    assert error_pages.NEXT[405] in client.post("/component/A1", csrf=client.token()).text


def test_search_engines_are_asked_to_stay_away(client):
    answer = client.get("/robots.txt")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text == "User-agent: *\nDisallow: /\n"


def test_the_addresses_of_older_pages_sign_in_and_out(web, sign_in):
    sign_in("anna", Role.VIEWER)
    client = Client(web.bound_port)
    assert client.get("/login").headers["Location"] == "/sign-in"
    assert (
        client.get("/login?next=/component/A1").headers["Location"].endswith("next=/component/A1")
    )
    answer = client.post("/login", csrf=client.token(), name="anna", password=PASSWORD)
    assert answer.headers["Location"] == "/"
    page = client.get("/logout").text
    assert "Sign out" in client.get("/").text, "a link signs nobody out"
    assert "signed in as anna" in page
    assert client.post("/logout").status == 403
    token = re.search(r'name="csrf" value="([^"]+)"', page)[1]
    assert client.post("/logout", csrf=token).status == 303
    assert "Sign out" not in client.get("/").text


@pytest.mark.parametrize("path", ["welcome", "logout", "sign-in", "boiler"])
def test_a_page_beside_the_navigation_is_clear_to_all(web, open_page, path):
    """What no entry of the navigation leads to is read by axe here, and fits on a phone."""
    page = open_page(
        web.sign_in_url(),
        complains=["404"],
        viewport={"width": 390, "height": 844},
    )
    page.wait_for_url(f"{web.address}welcome")
    if path == "sign-in":
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(web.address)
    page.goto(f"{web.address}{path}")
    assert page.locator("h1").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    for scheme in schemes(page):
        assert violations(page) == [], scheme
