"""The pages of gateways, over a real server of a gateway on a real store."""

import json
import shutil
import time
from contextlib import closing
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from gateways import schema
from gateways.esp32 import tables as esp32_tables
from gateways.esp32.ingest import Ingest
from gateways.esp32.pages import app_of as boards_app_of
from gateways.esp32.protocol import JOIN
from gateways.esp32.service import Service as Esp32Service
from gateways.http import JsonServer, home_token, listen
from gateways.message import Message
from gateways.store import Store
from gateways.tenta import people, tables
from gateways.tenta.configurations import Outgoing
from gateways.tenta.routes import app_of
from gateways.tenta.service import Service
from gateways.tenta.writing import Batch, write
from tests.gateways.tenta.client import Client as TentaClient
from tests.helpers import eventually, new_bus
from tests.network import running
from tests.web.browser import schemes, sign_in, violations
from tests.web.bus import component
from tests.web.client import Client
from tests.web.configuration.conftest import Network
from tests.web.test_every_page import STRANGE, check_focus
from web.configuration.store import newest

NAME = "ada-net/bed-3"


class Gateway:
    """A gateway whose network ada-net has the sensors bed-3 and bed-4."""

    def __init__(self, home, store) -> None:
        self.store, self.mapped = store, {(NAME, "h"): "t0"}
        service = Service(
            *(store, Outgoing("TG"), home_token(home)),
            state=lambda: {"broker": "connected", "messages_per_s": 1.5, "queue": {"waiting": 0}},
            codifiers=lambda: self.mapped,
        )
        self.server = JsonServer(listen("127.0.0.1", 0), app_of(service))
        with closing(TentaClient(self.server.port)) as client:
            client.begin(store)
            self.network, self.sensor = client.network, client.sensor
        at_us = time.time_ns() // 1000
        rows = [(self.sensor, at_us, None, 0, {"t": 21.5, "h": 40.0})]
        logs = [(self.sensor, at_us, None, 0, "warning", STRANGE[0], None, None)]
        refusal = schema.Refusal(at_us, "measurements/x", "not JSON", STRANGE[0].encode())
        with store.writing() as connection:
            self.other = people.create_sensor(connection, self.network, "bed-4")
            write(connection, Batch(measurements=rows, logs=logs))
            schema.note_refusals(connection, "TG", [refusal])

    def acknowledge(self, revision, *, success):
        """Have the sensor answer a revision."""
        at_us = time.time_ns() // 1000
        row = (self.sensor, revision, at_us, success, at_us)
        with self.store.writing() as connection:
            write(connection, Batch(acknowledgments=[row]))


@pytest.fixture
def gateway(tmp_path):
    url = "sqlite:///gateways.sqlite"
    with closing(Store.open(url, tmp_path, steps=tables.STEPS)) as store:
        made = Gateway(tmp_path, store)
        with closing(made.server):
            yield made


def settings_of(gateway):
    """Return the settings of the gateway's entry."""
    proxy = {"Codifier": "t0", "Device": NAME, "Attribute": "h"}
    return {"Port": gateway.server.port, "Codifiers": "t0-tz", "Proxy": [proxy]}


@pytest.fixture
def real(gateway, tmp_path):
    """Return a network on a real bus, whose configuration is a file, and its node with pages."""
    tenta = {"Codifier": "TG", "Type": "Tenta", "Host": "elsewhere"}
    proxy = {"Codifier": "t0", "Name": "Bed 3, humidity", "Type": "Proxy"}
    path = tmp_path / "network.json"
    document = new_bus().document(
        {**tenta, "Sensor": settings_of(gateway)},
        proxy,
        {"Codifier": "W1", "Name": "Pages", "Type": "Web", "Sensor": {"Port": 0}},
    )
    path.write_text(json.dumps(document))
    shutil.copytree(tmp_path / "gateways", tmp_path / "home" / "gateways")  # the token
    network = Network(tmp_path, path, here={"W1"})
    with running(network.node):
        eventually(lambda: network.keeper._served is not None)
        yield network


@pytest.fixture
def web(gateway, make_web):
    """Return a server of a network with the gateway."""
    return make_web(
        component("TG", name="Tenta", type="Tenta", settings=settings_of(gateway)),
        component("t0", name="Bed 3, humidity", type="Proxy"),
        component("W1", type="Web", sensor_interval_s=None),
    )


@pytest.fixture
def admin(web):
    client = Client(web.bound_port)
    client.follow_link(web.sign_in_url())
    return client


@pytest.fixture
def stranger(web):
    """Return somebody at this machine who did not sign in: a viewer."""
    return Client(web.bound_port)


def post(client, path, **fields):
    """Send a form of a page, and return the page behind it."""
    answer = client.post(f"/settings/gateways{path}", csrf=client.token("/"), **fields)
    if answer.status != 303:
        return answer
    return client.get(answer.headers["location"])


def device_page(client):
    return client.get(f"/settings/gateways/TG/device?device={quote(NAME)}")


def test_a_gateway_is_shown_with_its_devices_and_what_it_refused(web, admin):
    text = admin.get("/settings/gateways").text
    for wanted in ("connected", "not JSON: 1", "measurements/x", NAME, "21.5", ">t0</a>"):
        assert wanted in text
    assert "<img src=x" not in text
    assert text.count('name="attribute"') == 1  # h is on the bus
    assert 'href="/settings/gateways"' in admin.get("/settings").text


def test_a_value_is_put_on_the_bus_by_a_revision(real):
    admin = real.client()
    answer = post(admin, "/TG/adopt", device=NAME, attribute="t", name="Bed 3", symbol="°C")
    assert f"t of {NAME} is on the bus, as t1." in answer.text
    assert real.in_force().state == "in force"
    revision = newest(real.home)
    assert (revision.who, revision.why) == ("owner", f"t of {NAME} is on the bus")
    sensors = json.loads(real.path.read_text())["Sensors"]
    assert sensors[0]["Sensor"]["Proxy"][1] == {"Codifier": "t1", "Device": NAME, "Attribute": "t"}
    entry = {"Codifier": "t1", "Type": "Proxy", "Name": "Bed 3", "Symbol": "°C"}
    assert sensors[2] == {**entry, "DataType": "double", "TimeoutWarning": 600}
    assert real.node.config.components["t1"].server == "TG"
    assert 'id="device"' in admin.get("/component/t1").text


@pytest.mark.parametrize(
    "fields, status, said",
    [
        ({"device": "ada-net/none", "attribute": "t"}, 404, "TG knows no t of ada-net/none"),
        ({"device": NAME, "attribute": "x"}, 404, "TG knows no x of"),
        ({"device": NAME, "attribute": "h"}, 200, "Not done: it is on the bus already, as t0"),
        ({"device": NAME, "attribute": "t", "codifier": "W1"}, 200, "Not done: W1 is Pages"),
    ],
)
def test_what_cannot_be_put_on_the_bus_is_said(real, fields, status, said):
    before = real.path.read_text()
    answer = post(real.client(), "/TG/adopt", **fields)
    assert answer.status == status
    assert said in answer.text
    assert real.path.read_text() == before


def test_a_configuration_goes_to_one_device_and_then_to_its_network(web, admin, gateway):
    assert "It has no configuration yet." in device_page(admin).text
    first = post(admin, "/TG/device", device=NAME, configuration='{"interval": 30}')
    assert f"{NAME} gets revision 0." in first.text
    assert "waits for the broker" in first.text
    assert "Give it to all" not in first.text
    early = post(admin, "/TG/device/spread", device=NAME, revision="0")
    assert "the sensor has not taken this revision" in early.text
    gateway.acknowledge(0, success=True)
    taken = device_page(admin).text
    assert "Give it to all of ada-net" in taken
    assert (
        "The others of ada-net get it, too."
        in post(admin, "/TG/device/spread", device=NAME, revision="0").text
    )
    post(admin, "/TG/device", device=NAME, configuration='{"interval": 60}')
    gateway.acknowledge(1, success=False)
    assert ">refused<" in device_page(admin).text
    back = post(admin, "/TG/device/back", device=NAME, revision="0")
    assert f"{NAME} gets revision 2." in back.text
    assert back.text.count("&#34;interval&#34;: 30") >= 2


@pytest.mark.parametrize("of", ["device", "network"])
def test_what_a_device_may_not_be_given_stays_in_the_editor(web, admin, of):
    rule = '{"properties": {"interval": {"type": "integer", "minimum": 1}}}'
    saved = post(admin, "/TG/device/schema", device=NAME, of=of, schema=rule)
    whose = NAME if of == "device" else "ada-net"
    assert f"Configurations of {whose} are checked by it from now on." in saved.text
    assert "&#34;minimum&#34;: 1" in saved.text
    wrong = post(admin, "/TG/device", device=NAME, configuration='{"interval": -5}')
    assert wrong.status == 409
    assert "interval" in wrong.text and "-5" in wrong.text and 'role="alert"' in wrong.text
    broken = post(admin, "/TG/device", device=NAME, configuration='{"interval": ')
    assert broken.status == 400
    assert "not JSON" in broken.text and "{&#34;interval&#34;: </textarea>" in broken.text
    assert "It has no configuration yet." in device_page(admin).text
    assert "It is removed." in post(admin, "/TG/device/schema", device=NAME, of=of).text
    sent = post(admin, "/TG/device", device=NAME, configuration='{"interval": -5}')
    assert f"{NAME} gets revision 0." in sent.text


@pytest.mark.parametrize("text, said", [('{"type": 1}', "schema"), ('{"type', "not JSON")])
def test_what_is_no_schema_is_said_and_stays_in_its_editor(web, admin, text, said):
    answer = post(admin, "/TG/device/schema", device=NAME, of="network", schema=text)
    assert answer.status == 409
    alert = answer.text.partition('role="alert"')[2].partition("</div>")[0]
    assert said in alert
    assert f"{text.replace(chr(34), '&#34;')}</textarea>" in answer.text
    assert answer.text.count('<details class="change" open>') == 1
    assert post(admin, "/TG/device/schema", device=NAME, of="x").status == 400


def test_viewers_see_and_change_nothing(web, stranger):
    assert NAME in stranger.get("/settings/gateways").text
    page = device_page(stranger)
    assert page.status == 200 and "textarea" not in page.text
    token = stranger.token()
    for path in ("adopt", "device", "device/back", "device/spread", "device/schema"):
        answer = stranger.post(f"/settings/gateways/TG/{path}", csrf=token, device=NAME)
        assert answer.status in (302, 303, 401, 403)
        assert "/sign-in" in answer.headers.get("location", "/sign-in")
    assert "It has no configuration yet." in device_page(stranger).text


def test_the_page_of_a_value_leads_to_its_device(web, admin):
    text = admin.get("/component/t0").text
    assert f"/settings/gateways/TG/device?device={quote(NAME)}" in text.replace("%2F", "/")
    assert 'id="device"' not in admin.get("/component/W1").text


def news_page(client, device=NAME, codifier="TG"):
    return client.get(f"/settings/gateways/{codifier}/device/news?device={quote(device)}")


def test_what_is_new_of_a_device(web, stranger, admin, gateway):
    assert "no configuration yet" in news_page(stranger).text
    for interval in range(7):
        post(admin, "/TG/device", device=NAME, configuration=f'{{"interval": {interval}}}')
    gateway.acknowledge(4, success=True)
    gateway.acknowledge(6, success=False)
    text = news_page(stranger).text
    assert "revision 4" in text and ">refused<" in text and "<html" not in text
    assert text.count("replaced before it was sent") == 3
    assert 'aria-label="Show revision 2"' in text and 'aria-label="Show revision 1"' not in text
    assert "<img src=x" not in text and "warning" in text
    assert "<form" not in news_page(admin).text
    assert "TG knows no device ada-net/none." in news_page(stranger, "ada-net/none").text
    gateway.server.close()
    away = news_page(stranger)
    assert away.status == 200 and "TG does not answer at http://127.0.0.1:" in away.text


def test_a_board_has_no_configurations(make_web, tmp_path):
    url, mac = "sqlite:///gateways.sqlite", "24:0A:C4:00:00:01"
    with closing(Store.open(url, tmp_path, steps=esp32_tables.STEPS)) as store:
        ingest = Ingest(store, "EG")
        ingest.commit([Message(JOIN, mac.encode(), False, False, time.time_ns() // 1000, 1)])
        boards = Esp32Service(store, "EG", ingest)
        (board,) = boards.boards()
        app = boards_app_of(boards, home_token(tmp_path), host="127.0.0.1", password=None)
        with closing(JsonServer(listen("127.0.0.1", 0), app)) as server:
            proxy = {"Codifier": "e0", "Device": mac, "Attribute": "photoresistor"}
            settings = {"Port": server.port, "Proxy": [proxy]}
            web = make_web(
                component("EG", name="Boards", type="Esp32", settings=settings),
                component("e0", name="Light", type="Proxy"),
                component("W1", type="Web", sensor_interval_s=None),
            )
            client = Client(web.bound_port)
            client.follow_link(web.sign_in_url())
            shown = client.get("/settings/gateways").text
            assert board.name in shown
            assert f'href="http://127.0.0.1:{server.port}/capteurs">Its pages' in shown
            page = client.get(f"/settings/gateways/EG/device?device={quote(board.name)}")
            assert page.status == 200 and mac in page.text
            assert 'id="revisions"' not in page.text and "textarea" not in page.text
            news = news_page(client, mac, "EG")
            assert news.status == 200 and "configuration" not in news.text


@pytest.mark.parametrize("width, height", [(1280, 800), (390, 844)])
def test_the_page_of_a_value_shows_what_its_device_was_told_and_said(
    web, admin, open_page, gateway, width, height
):
    page = open_page(web.address)
    sign_in(page, web)
    page.set_viewport_size({"width": width, "height": height})
    page.goto(f"{web.address}component/t0")
    panel = page.locator("#device")
    expect(panel).to_contain_text("no configuration yet")
    expect(panel).to_contain_text(STRANGE[0])
    post(admin, "/TG/device", device=NAME, configuration='{"interval": 30}')
    look_again = "document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))"
    page.evaluate(look_again)
    expect(panel).to_contain_text("waits for the broker", timeout=60_000)
    gateway.acknowledge(0, success=True)
    page.evaluate(look_again)
    expect(panel.locator("dl")).to_contain_text("revision 0", timeout=60_000)
    panel.locator("summary").click()
    expect(panel.locator("pre")).to_be_visible()
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert wide <= 0, f"{wide} px wider than a screen of {width}"
    for scheme in schemes(page):
        assert violations(page, "#device") == [], scheme
    panel.locator("summary").click()
    gateway.server.close()
    page.evaluate(look_again)
    expect(panel).to_contain_text("TG does not answer", timeout=60_000)


def test_a_gateway_that_does_not_run_is_said(web, admin, gateway):
    gateway.server.close()
    assert "TG does not answer at http://127.0.0.1:" in admin.get("/settings/gateways").text
    assert device_page(admin).status == 503
    answer = post(admin, "/TG/adopt", device=NAME, attribute="t")
    assert "Not done: TG does not answer" in answer.text


def test_networks_without_gateways_show_none(make_web):
    web = make_web()
    client = Client(web.bound_port)
    client.follow_link(web.sign_in_url())
    assert "gateways" not in client.get("/settings").text
    assert "There is no gateway" in client.get("/settings/gateways").text
    assert client.get("/settings/gateways/TG/device").status == 404


@pytest.mark.parametrize("path", ["", f"/TG/device?device={quote(NAME)}"])
def test_the_pages_fit_everybody(web, open_page, gateway, path):
    gateway.mapped.clear()
    page = open_page(web.address)
    sign_in(page, web)
    for width, height in ((1280, 800), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        page.goto(f"{web.address}settings/gateways{path}")
        page.wait_for_load_state("load")
        for summary in page.locator("details.change summary").all():
            summary.click()
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{wide} px wider than a screen of {width}"
        for scheme in schemes(page):
            assert violations(page) == [], scheme
    check_focus(page)
