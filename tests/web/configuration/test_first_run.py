"""Tests of the first start, with a node whose configuration is a file."""

import json
import re
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from tests.helpers import eventually, free_tcp_port, new_bus
from tests.web.client import Client
from tests.web.configuration.conftest import entry
from web.app import Application
from web.people import users
from web.people.access import Role
from web.people.first_run import qr_code

PASSWORD = "correct horse"
FORM = {"network": "Villa", "open": "1", "name": "anna", "password": PASSWORD, "again": PASSWORD}


@pytest.fixture
def document():
    """Return a document whose pages keep their port when they begin again."""
    pages = {"Codifier": "W1", "Type": "Web", "Sensor": {"Port": free_tcp_port()}}
    return new_bus().document(entry("A1"), pages)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(users, "ROUNDS", 4)


def arrive(web):
    """Return a browser that came by the one-time link, and where the link led it."""
    client = Client(web.bound_port)
    return client, client.follow_link(web.sign_in_url()).headers["Location"]


def begin(client, **fields):
    return client.post("/welcome", csrf=client.token("/welcome"), **{**FORM, **fields})


def people(home):
    with Application(home).app_context():
        return [(person.name, person.role) for person in users.people()]


def test_the_link_leads_to_the_first_start_until_somebody_has_an_account(network):
    client, place = arrive(network.web)
    assert place == "/welcome"
    assert begin(client, open="0").status == 200
    assert arrive(network.web)[1] == "/"
    assert client.get("/welcome").headers["Location"] == "/"
    assert client.post("/welcome", csrf=client.token("/"), **FORM).status == 409
    assert people(network.home) == [("anna", Role.ADMIN)]


def test_a_stranger_cannot_begin(network):
    client = Client(network.web.bound_port)
    assert client.get("/welcome").headers["Location"].startswith("/sign-in")
    client.post("/welcome", csrf=client.token(), **FORM)
    client.post("/welcome/apply", csrf=client.token(), network="x", open="1")
    assert people(network.home) == []
    assert "Name" not in json.loads(network.path.read_text())


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"again": "another one"}, "differ"),
        ({"password": "short", "again": "short"}, "at least 8"),
        ({"name": ""}, "visible characters"),
        ({"network": "x" * 41}, "at most 40"),
    ],
)
def test_a_mistake_is_said_and_what_was_typed_stays(network, fields, reason):
    client, _ = arrive(network.web)
    answer = begin(client, **fields)
    assert answer.status == 400
    assert reason in answer.text
    assert PASSWORD not in answer.text
    if "network" not in fields:
        assert 'value="Villa"' in answer.text
    assert people(network.home) == []


def test_the_network_gets_its_name_and_the_pages_open(network):
    client, _ = arrive(network.web)
    page = begin(client).text
    assert "anna" in page
    assert re.search(r'<svg[^>]*class="qr"', page)
    assert "style=" not in page
    address = re.search(r'<a href="(http://[\d.]+:\d+/)"', page)[1]
    assert str(network.web.bound_port) in address
    token = re.search(r'name="csrf-token" content="([^"]+)"', page)[1]
    answer = client.post("/welcome/apply", csrf=token, network="Villa", open="1")
    assert answer.status == 303
    assert network.in_force().state == "in force"
    written = json.loads(network.path.read_text())
    assert written["Name"] == "Villa"
    assert written["Sensors"][1]["Sensor"]["Host"] == "0.0.0.0"
    eventually(lambda: "Villa" in client.get("/").text)
    assert Client(network.web.bound_port).get("/sensor/").status == 401, "closed to strangers"


def test_a_name_alone_leaves_the_entry_of_the_pages_as_it_is(network):
    document = json.loads(network.path.read_text())
    document["Sensors"][1]["Sensor"]["Host"] = "127.0.0.1"
    network.keeper.save(document, "anna", "an address")
    assert network.in_force().state == "in force"
    client, _ = arrive(network.web)
    token = re.search(r'name="csrf-token" content="([^"]+)"', begin(client).text)[1]
    before = json.loads(network.path.read_text())
    client.post("/welcome/apply", csrf=token, network="Villa", open="0")
    assert network.in_force().state == "in force"
    assert json.loads(network.path.read_text()) == {**before, "Name": "Villa"}


def test_a_configuration_that_cannot_be_written_is_told_how_to_change(web, tmp_path):
    process = web.channel.process
    process.config = replace(process.config, source="http://pi1:8080/static/config.json")
    client, _ = arrive(web)
    page = begin(client).text
    assert "The configuration is as it was" in page
    assert "http://pi1:8080/static/config.json" in page
    assert "0.0.0.0" in page
    assert "Write it" not in page
    assert people(tmp_path) == [("anna", Role.ADMIN)], "the account is there all the same"


def test_a_code_holds_what_it_was_made_of():
    assert qr_code("http://192.0.2.7:8080/") != qr_code("http://192.0.2.8:8080/")
    assert "<script" not in qr_code('"><script>')


@pytest.mark.browser
def test_the_first_start_in_a_browser(network, open_page):
    web = network.web
    away = ("net::ERR_",)  # while the pages begin again
    page = open_page(web.address, complains=away, viewport={"width": 390, "height": 844})
    page.goto(web.sign_in_url())
    page.wait_for_url("**/welcome")
    page.get_by_label("Its name").fill("Villa")
    page.get_by_label("Phones and computers").check()
    page.get_by_label("Your name").fill("anna")
    page.get_by_label("A password", exact=False).fill(PASSWORD)
    page.get_by_label("The password again").fill(PASSWORD)
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#applied")).to_have_text(
        "The pages are open to the network.", timeout=60_000
    )
    assert page.locator("svg.qr").count() == 1
    assert network.in_force().state == "in force"
    page.get_by_role("link", name="Go to the overview").click()
    expect(page.locator(".brand")).to_have_text("Villa")
    expect(page.locator(".person, .account").first).to_contain_text("anna")
