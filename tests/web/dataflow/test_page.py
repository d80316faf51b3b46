"""The editor of graphs, over the gateway of IoTtalk with a real broker and confined functions."""

import json
import re
from hashlib import sha256

import pytest
from playwright.sync_api import expect

from tests.brokers import connected
from tests.gateways.iottalk.programs import Device, Program, gateway, network
from tests.helpers import eventually
from tests.web.browser import schemes, sign_in, violations
from tests.web.bus import component
from tests.web.client import Client
from tests.web.test_every_page import check_focus

PATIENCE_MS = 60_000
FAN = {"Codifier": "F1", "Name": "Fan of the loft", "Type": "Fan", "Control": "enabled"}


@pytest.fixture
def served(mosquitto, tmp_path):
    """Return a gateway that runs, and a client of its broker."""
    config = network(mosquitto, FAN)
    with (
        gateway(config, tmp_path) as (_, made),
        connected(mosquitto.port, "cat") as client,
    ):
        yield made, client


@pytest.fixture
def web(served, make_web):
    made, _ = served
    settings = {"Port": made.bound_port}
    return make_web(
        component("IT", name="IoTtalk", type="IotTalk", settings=settings),
        component("W1", name="Pages", type="Web", sensor_interval_s=None),
    )


@pytest.fixture
def cat(served):
    made, client = served
    inputs = [("meow", ["dB"]), ("me", [None])]
    cat = Device(client, made, inputs, [("purr", ["dB"])], name="BetaCat")
    cat.register()
    return cat


@pytest.fixture
def admin(web):
    client = Client(web.bound_port)
    client.follow_link(web.sign_in_url())
    return client


def change(client, graph="cats", stranger=False, **what):
    body = {"client": "jph", "graph": graph, **what}
    headers = {
        "Content-Type": "application/json",
        "X-CSRF-Token": client.token("/sign-in" if stranger else "/"),
    }
    path = "/settings/gateways/IT/graphs/change"
    return client.ask("POST", path, json.dumps(body).encode(), headers)


def graphs(client):
    answer = client.get("/settings/gateways/IT/graphs/now")
    assert answer.status == 200
    return {it["name"]: it for it in answer.json["graphs"]}


def test_a_graph_is_made_and_works(admin, cat):
    gateways = admin.get("/settings/gateways").text
    assert "Its graphs" in gateways and "none yet" in gateways
    page = admin.get("/settings/gateways/IT/graphs")
    assert page.status == 200 and 'aria-current="page">Gateways<' in page.text
    for what in (
        {"request": {"op": "attach"}},
        {"request": {"op": "add_link", "da_id": cat.id, "idf": "meow"}},
        {"request": {"op": "add_link", "da_id": cat.id, "odf": "purr"}},
        {"at": {"idf": "meow", "da_id": cat.id}, "source": "def run(x):\r\n    return x + 1\r\n"},
        {"at": {"join": True}, "source": "def run(x):\n    return x * 2\n"},
    ):
        answer = change(admin, **what)
        assert answer.status == 200, answer.text
    for _ in range(2):
        assert cat.signal()[0] == "CONNECT"
    cat.push("meow", 20)
    assert cat.value() == ("purr", [42])
    eventually(lambda: graphs(admin)["cats"]["last"]["join"] == [42], 60)
    text = "def run(x):\n    return x * 3\n"
    assert change(admin, at={"join": True}, source=text).status == 200
    made = graphs(admin)["cats"]
    assert made["join"] == [sha256(text.encode()).hexdigest(), []]
    assert len(made["functions"]) == 2, "the function that was there before is gone"
    assert change(admin, at={"join": True}, source=" \n").status == 200
    assert graphs(admin)["cats"]["join"] is None
    assert change(admin, request={"op": "rm_link", "da_id": cat.id, "odf": "purr"}).status == 200
    assert change(admin, request={"op": "detach"}).status == 200
    assert graphs(admin) == {}


def test_what_cannot_be_done_is_said(admin, cat, served):
    change(admin, request={"op": "attach"})
    unknown = {"op": "add_link", "da_id": cat.id, "idf": "bark"}
    for what, status, said in (
        ({"request": unknown}, 409, "has no idf 'bark'"),
        ({"at": {"idf": "meow", "da_id": cat.id}, "source": "x"}, 409, "no link to meow"),
        ({"resume": "f" * 64}, 409, "not off"),
        ({"request": {"op": "set_join"}}, 400, "must be one of"),
        ({"request": 1}, 400, "A change names"),
    ):
        answer = change(admin, **what)
        assert (answer.status, said in answer.text) == (status, True), answer.text
    assert change(admin, "none", at={"join": True}, source="x").status == 409
    assert admin.get("/settings/gateways/W1/graphs").status == 404


def test_viewers_see_and_change_nothing(web, cat):
    stranger = Client(web.bound_port)
    assert stranger.get("/settings/gateways/IT/graphs").status == 200
    assert graphs(stranger) == {}
    answer = change(stranger, stranger=True, request={"op": "attach"})
    assert answer.status in (302, 303, 401, 403)
    assert graphs(stranger) == {}


def test_a_graph_is_made_by_keyboard_and_shows_its_values(web, admin, cat, open_page):
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}settings/gateways/IT/graphs")
    page.get_by_label("Name of a new graph").fill("cats")
    page.keyboard.press("Enter")
    inputs, outputs = (page.locator(f'[data-stage="{it}"]') for it in ("idf", "odf"))
    expect(page.locator("#add-idf")).to_be_focused(timeout=PATIENCE_MS)
    for stage, kind, feature in ((inputs, "input", "meow"), (outputs, "output", "purr")):
        box = stage.get_by_label(f"Add an {kind}").and_(page.locator("select"))
        box.select_option(label=feature)
        add = stage.get_by_role("button", name=f"Add an {kind}")
        add.press("Enter")
        card = stage.locator("article")
        expect(card).to_contain_text(f"BetaCat · {feature}", timeout=PATIENCE_MS)
        expect(card).to_contain_text("online")
        if kind == "input":
            expect(add).to_be_focused()
    page.locator('[data-stage="join"] summary').press("Enter")
    source = page.get_by_label("Function of the join", exact=False).and_(page.locator("textarea"))
    source.fill("def run(x):\n    return x ** 2\n")
    save = page.get_by_role("button", name="Save the function of the join")
    save.press("Enter")
    expect(page.locator('[data-stage="join"]')).to_contain_text("All inputs, joined")
    expect(save).to_be_focused()
    for _ in range(2):
        assert cat.signal()[0] == "CONNECT"
    cat.push("meow", 12)
    assert cat.value() == ("purr", [144])
    expect(outputs.locator("article dd")).to_have_text("144", timeout=PATIENCE_MS)
    expect(page.locator(".flow > svg text").first).to_have_text(re.compile("12|144"))
    assert page.locator(".flow > svg path").count() == 2
    # Somebody else changes the graph while a text is not saved: it stays as it is typed.
    source.fill("def run(x):\n    return x / 0\n")
    other = Program(cat.client, "jph")
    other.must("rm_link", "cats", da_id=cat.id, odf="purr")
    page.wait_for_timeout(2_500)
    expect(source).to_have_value("def run(x):\n    return x / 0\n")
    page.get_by_role("button", name="Save the function of the join").click()
    expect(outputs.locator("article")).to_have_count(0, timeout=PATIENCE_MS)
    eventually(lambda: any("/ 0" in it for it in graphs(admin)["cats"]["functions"].values()), 60)
    cat.push("meow", 12)
    expect(page.locator("#errors")).to_contain_text("ZeroDivisionError", timeout=PATIENCE_MS)
    expect(page.locator('[data-stage="join"] .wrong')).to_contain_text("ZeroDivisionError")


def test_a_function_that_crashes_is_off_with_its_reason_and_goes_on_again(
    web, admin, cat, open_page
):
    change(admin, request={"op": "attach"})
    change(admin, request={"op": "add_link", "da_id": cat.id, "idf": "meow"})
    text = "import os\ndef run(x):\n    os._exit(3)\n"
    change(admin, at={"join": True}, source=text)
    assert cat.signal()[0] == "CONNECT"

    def is_off():
        cat.push("meow", 1)
        return graphs(admin)["cats"]["off"]

    eventually(is_off, 60)
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}settings/gateways/IT/graphs")
    join = page.locator('[data-stage="join"] article')
    expect(join).to_contain_text("Off: it ended its process with status 3", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Switch it on again").click()
    eventually(lambda: not graphs(admin)["cats"]["off"], 60)
    expect(join.locator(".wrong")).not_to_contain_text("Off", timeout=PATIENCE_MS)


def test_the_bus_is_a_device_with_names_of_components(web, admin, open_page):
    change(admin, request={"op": "attach"})
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}settings/gateways/IT/graphs")
    expect(page.locator("#add-odf")).to_contain_text("Fan of the loft (F1)", timeout=PATIENCE_MS)


def test_the_editor_fits_everybody(web, admin, cat, served, open_page):
    change(admin, request={"op": "attach"})
    change(admin, request={"op": "add_link", "da_id": cat.id, "idf": "meow"})
    change(admin, request={"op": "add_link", "da_id": cat.id, "idf": "me"})
    change(admin, request={"op": "add_link", "da_id": cat.id, "odf": "purr"})
    text = "def run(x):\n    return x / 0\n"
    change(admin, at={"idf": "meow", "da_id": cat.id}, source=text)
    for _ in range(3):
        assert cat.signal()[0] == "CONNECT"
    cat.push("meow", 1)
    page = open_page(web.address)
    sign_in(page, web)
    for width, height in ((1280, 800), (820, 1180), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{web.address}settings/gateways/IT/graphs")
        expect(page.locator("#errors")).to_contain_text("ZeroDivisionError", timeout=PATIENCE_MS)
        wrong = page.locator('[data-stage="idf"] .wrong')
        expect(wrong).to_have_text([re.compile("ZeroDivisionError"), ""])
        for summary in page.locator(".card summary").all():
            summary.click()
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} px wider than a screen of {width}"
        for scheme in schemes(page):
            assert violations(page) == [], scheme
    page.locator("#graph").focus()
    check_focus(page)


def test_a_gateway_that_does_not_run_is_said(web, served, open_page):
    made, _ = served
    made._server.close()
    page = open_page(web.address, complains=["503"])
    page.goto(f"{web.address}settings/gateways/IT/graphs")
    expect(page.locator("#problem")).to_contain_text("IT does not answer", timeout=PATIENCE_MS)
