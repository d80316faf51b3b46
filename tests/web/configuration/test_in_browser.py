"""Everyday jobs with the configuration, in a real browser."""

import json
import re
import socket

import pytest
from playwright.sync_api import expect

from tests.helpers import eventually, free_tcp_port, new_bus
from tests.network import Peer
from tests.web.browser import schemes, settle, sign_in, violations
from tests.web.proxy import PathProxy
from web.configuration import store

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"}
STRANGE = "\"><b>\u202e\u05e9\u05dc\u05d5\u05dd</b> 'é' 🌡️ " + "x" * 180


@pytest.fixture
def admin(network, open_page):
    """Return what opens a page of Settings for somebody who is signed in."""
    network.keeper.look()

    def open_(path="", **options):
        page = open_page(network.web.address, **options)
        sign_in(page, network.web)
        page.goto(f"{network.web.address}settings{path}")
        return page

    return open_


def in_force(page, number):
    expect(page.locator("#outcome h2")).to_contain_text(f"Revision {number}: It is in force")


def entries(network):
    return {it["Codifier"]: it for it in json.loads(network.path.read_text())["Sensors"]}


def test_add_a_sensor_in_three_clicks(network, admin):
    page = admin()
    page.get_by_role("link", name="Add a sensor").click()
    page.get_by_role("link", name="A simulated sensor, to try things out").click()
    page.get_by_label("Name", exact=True).fill("Boiler room")
    expect(page.get_by_label("Codifier")).to_have_value("BR")
    page.get_by_label("Reading every").fill("2")
    page.get_by_role("button", name="Save").click()
    in_force(page, 2)
    added = entries(network)["BR"]
    assert (added["Name"], added["Type"], added["SensorInterval"]) == (
        "Boiler room",
        "Simulated",
        2,
    )
    eventually(lambda: "BR" in network.node.runners)
    expect(page.locator('#outcome [data-answer="took"]')).to_have_text(re.compile("^4 have"))
    expect(page).to_have_url(re.compile("/settings/component/BR$"))


def test_change_a_setting_and_take_it_back_and_see_who_it_was(network, admin):
    text = network.path.read_text()
    page = admin()
    page.get_by_role("link", name="Kitchen").click()
    page.get_by_label("Name", exact=True).fill("Hall")
    page.get_by_label("Why").fill("it moved")
    page.get_by_role("button", name="Save").click()
    in_force(page, 2)
    assert network.path.read_text() == text.replace("Kitchen", "Hall")
    page.get_by_role("link", name="Revisions").click()
    row = page.get_by_role("row", name="it moved")
    expect(row).to_contain_text("owner")
    row.get_by_role("link", name="2").click()
    expect(page.get_by_role("row", name="Sensors[A1].Name")).to_contain_text('"Kitchen""Hall"')
    page.get_by_role("link", name="Revisions").first.click()
    page.get_by_role("row", name="as it was found").get_by_role("link", name="1").click()
    page.get_by_role("button", name="Go back to this one").click()
    in_force(page, 3)
    assert network.path.read_text() == text
    assert store.find(network.home, 3).why == "back to revision 1"


def test_a_mistake_is_shown_at_its_field_before_anything_is_saved(network, admin):
    page = admin("/component/A1")
    page.get_by_label("Reading every").fill("-1")
    expect(page.get_by_text("It must be > 0.")).to_be_visible()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#toast")).to_contain_text("not saved")
    expect(page.get_by_label("Reading every")).to_be_focused()
    page.get_by_label("Reading every").fill("7,5")
    expect(page.get_by_text("It must be > 0.")).to_be_hidden()
    page.get_by_role("button", name="Save").click()
    in_force(page, 2)
    assert entries(network)["A1"]["SensorInterval"] == 7.5


def test_accept_a_codifier_that_is_heard_but_not_configured(network, admin):
    with Peer(network.node.config, "Q7") as peer:
        peer.publish("Q7", "n", (7).to_bytes(4, "little"), 7)
        peer.publish("Q7", "i", (21).to_bytes(4, "little"), 8)
        eventually(network.strangers)
        page = admin()
        page.get_by_role("link", name="Accept Q7").click()
        expect(page.get_by_label("Codifier")).to_have_value("Q7")
        expect(page.get_by_label("Kind of value")).to_have_value("integer")
        page.get_by_label("Name", exact=True).fill("Of the neighbour")
        page.get_by_role("button", name="Save").click()
        in_force(page, 2)
    assert entries(network)["Q7"]["Type"] == "External"
    page.goto(network.web.address)
    expect(page.get_by_text("Of the neighbour").first).to_be_visible()


def test_an_edit_by_hand_while_the_form_is_open_is_merged(network, admin):
    page = admin("/component/A1")
    page.get_by_label("Name", exact=True).fill("Hall")
    network.path.write_text(network.path.read_text().replace("Cellar", "Attic"))
    page.get_by_role("button", name="Save").click()
    conflict = page.locator("#conflict")
    expect(conflict).to_contain_text("in the file itself")
    expect(conflict.get_by_role("row", name="Sensors[A2].Name")).to_contain_text("Attic")
    expect(conflict.get_by_role("row", name="Sensors[A1].Name")).to_contain_text("Hall")
    conflict.get_by_role("button", name="Keep both").click()
    in_force(page, 3)
    assert {it.get("Name") for it in entries(network).values()} == {"Hall", "Attic", None}


def test_the_text_is_checked_as_one_types_and_tells_the_line(network, admin):
    page = admin("/text")
    area = page.get_by_label("The document")
    text = area.input_value()
    area.fill(text.replace('"Simulated"', '"Simulatet"', 1))
    line = text[: text.index('"Simulated"')].count("\n") + 1
    page.get_by_role("button", name=f"Line {line}").click()
    expect(page.locator("#mistakes")).to_contain_text("did you mean Simulated?")
    expect(area).to_be_focused()
    at = page.evaluate("document.activeElement.selectionStart")
    assert text[:at].count("\n") + 1 == line
    expect(page.locator("#lines .wrong")).to_have_text(f"{line}\n")
    area.fill(text.replace("Kitchen", "Hall"))
    expect(page.locator("#mistakes")).to_contain_text("No mistakes")
    page.get_by_role("button", name="Save").click()
    in_force(page, 2)
    assert network.path.read_text() == text.replace("Kitchen", "Hall")


def test_a_port_that_is_taken_is_taken_back_before_ones_eyes(network, admin):
    with socket.create_server(("127.0.0.1", 0)) as other:
        page = admin("/component/W1", complains=["ERR_", "Failed to load resource"])
        page.get_by_role("textbox", name="Port").first.fill(str(other.getsockname()[1]))
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#outcome h2")).to_contain_text("taken back", timeout=40_000)
        expect(page.locator("#outcome")).to_contain_text("is taken")
    assert store.newest(network.home).kind == "taken back"


@pytest.fixture
def document(document):
    """Give the pages a port that stays when they are started again."""
    document["Sensors"][2]["Sensor"]["Port"] = free_tcp_port()
    return document


def test_a_component_is_removed_after_a_question(network, admin):
    page = admin("/component/A2")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect(page.locator("#entry")).to_be_visible()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    in_force(page, 2)
    assert "A2" not in entries(network)


def test_everything_by_keyboard(network, admin):
    page = admin("/component/A1")
    page.get_by_label("Name", exact=True).focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("Hall")
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type === 'submit'"):
            break
    page.keyboard.press("Enter")
    in_force(page, 2)
    assert entries(network)["A1"]["Name"] == "Hall"


def test_strange_names_are_text_everywhere_on_a_phone(network, admin, document):
    changed = json.loads(json.dumps(document))
    changed["Sensors"][0]["Name"] = STRANGE
    network.keeper.save(changed, STRANGE, STRANGE)
    network.in_force()
    page = admin(**PHONE)
    for path in (
        "",
        "/component/A1",
        "/text",
        "/revisions",
        "/revisions/2",
        "/add",
        "/add?copy=A1",
    ):
        page.goto(f"{network.web.address}settings{path}")
        page.wait_for_timeout(150)
        assert page.locator("main b", has_text="\u05e9\u05dc\u05d5\u05dd").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.goto(f"{network.web.address}settings/component/A1")
    expect(page.get_by_label("Name", exact=True)).to_have_value(STRANGE)


def test_a_file_that_was_edited_but_not_loaded_says_so_and_can_be(network, admin):
    network.path.write_text(network.path.read_text().replace("Kitchen", "Hall"))
    page = admin()
    page.get_by_role("button", name="Have all components load it").click()
    eventually(lambda: network.node.config.components["A1"].name == "Hall")
    page.reload()
    expect(page.get_by_role("button", name="Have all components load it")).to_have_count(0)


def test_the_channels_have_a_form_too(network, admin):
    page = admin()
    page.get_by_role("link", name="Channels").click()
    data = page.locator('[data-path="Data-Channel"]')
    data.get_by_label("Address").fill("10.0.0.1")
    expect(data).to_contain_text("must be an IPv4 multicast address")
    port = new_bus().data[1]
    data.get_by_label("Address").fill("239.76.9.9")
    data.get_by_label("Port").fill(str(port))
    page.get_by_role("button", name="Save").click()
    in_force(page, 2)
    group = network.node.config.multicast.data
    assert (group.address, group.port) == ("239.76.9.9", port)


@pytest.mark.parametrize("options", [{}, PHONE], ids=["", "phone"])
def test_axe_finds_nothing(network, admin, document, options):
    changed = json.loads(json.dumps(document))
    changed["Sensors"][0]["Report"] = {"Min": 0}
    network.keeper.save(changed, "anna", "a range")
    network.in_force()
    page = admin(**options)
    for path in ("/component/A1", "/add", "/add?type=JSON", "/text", "/network", "/revisions/2"):
        page.goto(f"{network.web.address}settings{path}")
        settle(page)
        for details in page.locator("main details:not([open]) > summary").all():
            if details.is_visible():
                details.click()
        for scheme in schemes(page):
            assert violations(page) == [], (path, scheme)


def test_the_pages_work_below_a_path_of_a_proxy(make_network, path, document, open_page):
    document["Sensors"][2]["Sensor"]["Proxies"] = ["127.0.0.1"]
    path.write_text(json.dumps(document))
    network = make_network(path)
    network.keeper.look()
    with PathProxy("/jph", network.web.bound_port) as proxy:
        top = f"http://127.0.0.1:{proxy.port}/jph/"
        page = open_page(top)
        page.goto(network.web.sign_in_url().replace(network.web.address, top))
        page.wait_for_url(f"{top}welcome")
        page.goto(f"{top}settings/component/A1")
        page.get_by_label("Name", exact=True).fill("Hall")
        page.get_by_role("button", name="Save").click()
        in_force(page, 2)
        page.get_by_role("link", name="Differences").click()
        expect(page).to_have_url(f"{top}settings/revisions/2")
        page.close()  # before the proxy, which it goes on asking
