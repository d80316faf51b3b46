"""The page of alerts in a real browser, on a real network."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.helpers import eventually
from tests.http_server import says
from tests.web.alerts.conftest import STRANGE
from tests.web.browser import schemes, violations

NTFY = {"Kind": "ntfy", "Topic": "y", "URL": "http://127.0.0.1:9/"}
WARM = {"Name": "Too warm", "Kind": "above", "Limit": 30, "Sensors": ["A1"]}


def enter(page, network):
    page.goto(network.link)
    page.goto(f"{network.address}alerts")
    expect(page.locator("#connection")).to_have_attribute("data-connection", "live")


def now(page):
    return page.locator("#now > li")


def test_be_told_when_it_fails(start, open_page):
    """A sensor falls silent, every page shows it, and it ends, without a reload."""
    network = start()
    network.sensors.values.update(A1=20.0, A2=1.0)
    page = open_page(network.address)
    enter(page, network)
    expect(page.get_by_text("Nothing needs you.")).to_be_visible()
    eventually(lambda: page.request.get(f"{network.address}sensor/A2").json()[0]["Value"] == 1.0)
    del network.sensors.values["A2"]
    expect(now(page)).to_have_count(1, timeout=30_000)
    expect(now(page)).to_contain_text(f"{STRANGE} is silent")
    expect(page.locator("#alerts-badge")).to_have_text("1 firing")
    page.get_by_role("link", name="Overview").click()
    expect(page.locator("#alerts-badge")).to_have_text("1 firing")
    network.sensors.values["A2"] = 2.0
    expect(page.locator("#alerts-badge")).to_be_hidden(timeout=30_000)
    page.goto(f"{network.address}alerts")
    expect(page.get_by_text("Nothing needs you.")).to_be_visible()
    expect(page.locator("#past tr")).to_have_count(1, timeout=30_000)
    expect(page.locator("#past tr")).to_contain_text("is silent")


def test_numbers_are_those_of_the_locale(start, open_page):
    network = start(rules=[{**WARM, "Limit": 30.5, "Sensors": ["A1", "A2"], "For": 1.5}])
    network.sensors.values.update(A1=40.0, A2=1.0)
    page = open_page(network.address, locale="de-DE")
    enter(page, network)
    expect(page.locator(".rules")).to_contain_text("is above 30,5 for 1,5 s")
    expect(now(page)).to_contain_text("Boiler is above 30,5 °C", timeout=30_000)
    page.get_by_role("button", name="Acknowledge: Boiler is above 30,5 °C").click()
    expect(page.locator("#toast")).to_have_text("Acknowledged: Boiler is above 30,5 °C.")
    expect(page.locator("#past")).to_contain_text("30,5 °C", timeout=30_000)
    page.goto(f"{network.address}component/A1")
    expect(page.locator("#alerts-of")).to_contain_text("Boiler is above 30,5 °C")
    expect(page.locator("#events")).to_contain_text("Acknowledged: Boiler is above 30,5 °C")


def test_acknowledge_snooze_and_reopen_by_keyboard(start, open_page):
    network = start(rules=[WARM])
    network.sensors.values.update(A1=40.0, A2=1.0)
    page = open_page(network.address)
    enter(page, network)
    expect(now(page)).to_contain_text("Boiler is above 30 °C", timeout=30_000)
    page.get_by_role("button", name="Acknowledge: Boiler is above 30 °C").focus()
    page.keyboard.press("Enter")
    expect(now(page)).to_have_attribute("data-state", "acknowledged")
    expect(page.locator("#toast")).to_contain_text("Acknowledged")
    expect(page.locator("#alerts-badge")).to_be_hidden()
    # The focus stays with the alert, so that the keyboard goes on from there.
    expect(now(page).locator(":focus")).to_have_count(1)
    page.get_by_role("button", name="Reopen: Boiler").press("Enter")
    expect(now(page)).to_have_attribute("data-state", "firing")
    expect(page.locator("#alerts-badge")).to_be_visible()
    page.get_by_label("Snooze: Boiler").select_option(label="for 4 hours")
    expect(now(page)).to_have_attribute("data-state", "snoozed")
    expect(now(page)).to_contain_text("until")


def test_many_alerts_are_acknowledged_at_once(start, open_page):
    network = start(rules=[{**WARM, "Sensors": ["A1", "A2"]}])
    network.sensors.values.update(A1=40.0, A2=40.0)
    page = open_page(network.address)
    enter(page, network)
    expect(now(page)).to_have_count(2, timeout=30_000)
    page.get_by_role("button", name="Acknowledge all").click()
    expect(page.locator("#toast")).to_contain_text("all 2 alerts")
    expect(page.locator('#now > li[data-state="acknowledged"]')).to_have_count(2)
    expect(page.get_by_role("button", name="Acknowledge all")).to_be_hidden()


def test_the_page_of_a_component_has_its_alerts(start, open_page):
    network = start(rules=[WARM])
    network.sensors.values.update(A1=20.0, A2=1.0)
    page = open_page(network.address)
    page.goto(network.link)
    page.goto(f"{network.address}component/A1")
    expect(page.locator("#connection")).to_have_attribute("data-connection", "live")
    expect(page.locator("#alerts-of")).to_be_hidden()
    network.sensors.values["A1"] = 40.0
    rows = page.locator("#alerts-of li")
    expect(rows).to_contain_text("Boiler is above 30 °C", timeout=30_000)
    rows.get_by_role("button", name="Acknowledge").click()
    expect(rows).to_have_attribute("data-state", "acknowledged")
    network.sensors.values["A1"] = 20.0
    expect(page.locator("#alerts-of")).to_be_hidden(timeout=30_000)


def test_maintenance_begins_and_ends(start, open_page):
    network = start(rules=[WARM])
    network.sensors.values.update(A1=20.0, A2=1.0)
    page = open_page(network.address)
    enter(page, network)
    page.locator("#maintain-what").select_option(label="the area House")
    page.get_by_role("button", name="Begin").click()
    expect(page.locator("#upkeep > li")).to_contain_text("Area House, until")
    network.sensors.values["A1"] = 40.0
    expect(now(page)).to_have_attribute("data-state", "maintained", timeout=30_000)
    expect(page.locator("#alerts-badge")).to_be_hidden()
    page.get_by_role("button", name="End the maintenance: Area House").click()
    expect(page.locator("#upkeep > li")).to_have_count(0)
    expect(now(page)).to_have_attribute("data-state", "firing")


def test_try_a_rule_on_the_history_save_it_change_it_and_remove_it(start, open_page):
    network = start()
    network.sensors.values.update(A1=20.0, A2=1.0)
    page = open_page(network.address)
    enter(page, network)
    for value in (40.0, 20.0, 45.0, 20.0):
        network.sensors.values["A1"] = value
        eventually(
            lambda value=value: (
                page.request.get(f"{network.address}sensor/A1").json()[0]["Value"] == value
            )
        )
        page.wait_for_timeout(600)
    page.get_by_role("button", name="New rule").click()
    expect(page.locator("#rule [name=Name]")).to_be_focused()
    page.keyboard.type(STRANGE)
    page.get_by_role("button", name="Try it").click()
    expect(page.locator('[data-wrong="Limit"]').first).to_contain_text("is required")
    page.locator("#rule [name=Limit]").fill("30")
    page.locator('#rule select[name="Sensors"]').select_option("A1")
    page.get_by_role("button", name="Try it").click()
    expect(page.locator("#trial-words")).to_contain_text("It would have fired twice")
    expect(page.locator("#trial-chart .u-wrap")).to_be_visible()
    page.get_by_text("The times as a table").click()
    expect(page.locator("#trial-times tr")).to_have_count(2)
    page.get_by_role("button", name="Save").click()
    row = page.locator("tr[data-rule]")
    expect(row).to_contain_text(STRANGE, timeout=30_000)
    expect(row).to_contain_text("Boiler is above 30 °C")
    (saved,) = json.loads(network.path.read_text())["Sensors"][4]["Sensor"]["Rules"]
    assert saved == {"Name": STRANGE, "Kind": "above", "Sensors": ["A1"], "Limit": 30}
    network.sensors.values["A1"] = 50.0
    expect(now(page)).to_contain_text("Boiler is above 30 °C", timeout=30_000)

    row.get_by_role("button", name="Edit").click()
    expect(page.locator("#rule [name=Limit]")).to_have_value("30")
    page.locator("#rule [name=Limit]").fill("60")
    page.locator("#rule [name=Codifier]").fill("R1")
    page.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("60 °C", timeout=30_000)
    document = json.loads(network.path.read_text())
    assert document["Sensors"][-1]["Codifier"] == "R1"
    expect(now(page)).to_have_count(0, timeout=30_000)

    row.get_by_role("button", name="Edit").click()
    page.get_by_role("button", name="Remove this rule").click()
    expect(row).to_have_count(0, timeout=30_000)
    document = json.loads(network.path.read_text())
    assert [it["Codifier"] for it in document["Sensors"]] == ["A1", "A2", "HW", "SC", "AL", "W1"]


def test_a_contact_is_added_tried_and_removed(start, open_page, hook):
    network = start()
    hook.answers["*"] = says(b"", 401)
    page = open_page(network.address)
    enter(page, network)
    page.get_by_role("button", name="New contact").click()
    form = page.locator("#contact")
    form.locator("[name=Name]").fill("hook")
    form.locator("[name=Kind]").select_option("webhook")
    form.get_by_role("button", name="Save").click()
    expect(form.locator('[data-wrong="URL"]')).to_contain_text("is required")
    form.locator("[name=URL]").fill(hook.url)
    form.get_by_role("button", name="Save").click()
    test = page.get_by_role("button", name="Send a test message to hook")
    expect(test).to_be_visible(timeout=30_000)
    expect(page.locator("#connection")).to_have_attribute("data-connection", "live")
    test.click()
    expect(page.locator("#toast")).to_contain_text("401", timeout=30_000)
    hook.answers["*"] = says(b"")
    test.click()
    expect(page.locator("#toast")).to_contain_text("took the test message", timeout=30_000)
    page.get_by_role("button", name="Remove the contact hook").click()
    expect(page.get_by_text("Nobody outside of these pages is told yet.")).to_be_visible(
        timeout=30_000
    )


def test_a_viewer_sees_and_changes_nothing(start, open_page):
    network = start(rules=[WARM])
    network.sensors.values.update(A1=40.0, A2=1.0)
    page = open_page(f"{network.address}alerts")
    expect(now(page)).to_contain_text("Boiler is above 30 °C", timeout=30_000)
    shown = page.locator("main button:visible").evaluate_all("all => all.map(it => it.innerText)")
    assert shown == ["1 day", "1 week", "1 month"]


def test_on_a_phone_everything_is_within_reach(start, open_page):
    network = start(rules=[WARM])
    network.sensors.values.update(A1=40.0, A2=1.0)
    page = open_page(
        network.address, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    enter(page, network)
    expect(now(page)).to_contain_text("Boiler is above 30 °C", timeout=30_000)
    button = page.get_by_role("button", name=re.compile("Acknowledge"))
    # The list is drawn anew when something comes, and then has no place for a moment.
    box = eventually(button.bounding_box)
    assert box["height"] >= 44
    page.get_by_role("button", name="New rule").tap()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    button.tap()
    expect(now(page)).to_have_attribute("data-state", "acknowledged")


def test_this_device_is_offered_and_a_browser_that_refuses_is_told_what_to_do(start, open_page):
    network = start()
    page = open_page(network.address)
    enter(page, network)
    page.get_by_role("button", name="Tell this device").click()
    expect(page.locator("#toast")).to_contain_text("allow it in its settings")


def test_the_browser_shows_what_is_pushed_while_no_page_is_open(start, open_page):
    """The push service is played by the browser's own tools."""
    network = start()
    page = open_page(network.address)
    page.context.grant_permissions(["notifications"], origin=network.address.rstrip("/"))
    enter(page, network)
    tools = page.context.new_cdp_session(page)
    found = []
    tools.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.extend(it["registrationId"] for it in event["registrations"]),
    )
    tools.send("ServiceWorker.enable")
    worker = "navigator.serviceWorker.register('static/js/push-worker.js')"
    page.evaluate(
        f"""async () => {{
            const made = await {worker};
            const worker = made.installing ?? made.waiting ?? made.active;
            while (worker.state !== 'activated') await new Promise((go) => setTimeout(go, 50));
        }}"""
    )
    assert found
    said = {"title": STRANGE, "body": "warm", "url": f"{network.address}alerts", "tag": "AL-1"}
    message = {"origin": network.address.rstrip("/"), "registrationId": found[-1]}

    def shown():
        # Sent again, since Chromium drops one whose worker does not start in time; the tag makes
        # them one.
        tools.send("ServiceWorker.deliverPushMessage", {**message, "data": json.dumps(said)})
        page.wait_for_timeout(200)
        return page.evaluate(
            f"""async () => (await (await {worker}).getNotifications())
                .map((it) => [it.title, it.body, it.tag, it.data.url])"""
        )

    assert eventually(shown) == [[STRANGE, "warm", "AL-1", said["url"]]]


@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_with_everything_open(start, open_page, width):
    contacts = [{"Name": STRANGE, **NTFY}, {"Name": "b", **NTFY}]
    network = start(rules=[WARM, {**WARM, "Name": STRANGE, "Enabled": False}], contacts=contacts)
    network.sensors.values.update(A1=40.0, A2=1.0)
    page = open_page(network.address, viewport={"width": width, "height": 900})
    page.on("dialog", lambda dialog: pytest.fail(f"a stranger's script ran: {dialog.message}"))
    enter(page, network)
    expect(now(page)).to_contain_text("Boiler is above 30 °C", timeout=30_000)
    page.locator("[data-edit]").first.click()
    page.locator("#try").click()
    expect(page.locator("#trial-chart .u-wrap")).to_be_visible(timeout=30_000)
    page.locator(".contacts [data-new]").click()
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    for scheme in schemes(page):
        assert violations(page) == [], scheme
