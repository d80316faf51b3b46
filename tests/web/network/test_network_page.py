"""The page of the network in a real browser."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.browser import is_live, sign_in
from tests.web.bus import SENDER, component, control, group_status, let_pass, obey, reading, source
from tests.web.test_overview import EVIL, slow


@pytest.fixture
def network(make_web):
    web = make_web(
        *(slow(f"A{n}", host="pi1", name=f"Sensor {n}") for n in range(5)),
        *(slow(f"B{n}", host="pi2") for n in range(5)),
        component("H1", type="HistoryWriter", name="History", sensor_interval_s=None),
        component("W1", type="Web", sensor_interval_s=None),
    )
    web.channel.process.bus.control = web.channel.process.bus.data = group_status()
    hear(web, "A", "B")
    return web


def hear(web, *machines, sequence=1):
    for machine in machines:
        for number in range(5):
            web.on_batch([reading(f"{machine}{number}", 1.0, sequence=sequence)])
            web.on_control(control("I", f"{machine}{number}"), SENDER)
    for code in ("H1", "W1"):
        web.on_control(control("I", code), SENDER)


def node(page, name):
    return page.locator(f'#nodes [data-key="{name}"]')


def test_one_look_tells_whether_all_is_well(network, open_page):
    page = open_page(f"{network.address}network")
    is_live(page)
    verdict = page.locator("#verdict")
    expect(verdict).to_have_text(re.compile(r"^\s*All is well: 3 nodes with 12 components\.\s*$"))
    expect(verdict).to_have_attribute("data-state", "active")
    let_pass(network._site.records, 300)
    hear(network, "B", sequence=2)
    expect(page.locator("#sentence")).to_have_text("pi1 is dead.")
    expect(verdict).to_have_attribute("data-state", "silent")
    told = page.get_by_role("region", name="What does not work")
    expect(told.get_by_role("listitem")).to_have_count(1)
    expect(told).to_contain_text(re.compile("none of its 5 components.*for 5 min, since"))
    expect(node(page, "pi1")).to_contain_text("Dead")
    expect(node(page, "pi2")).to_contain_text("Well")
    assert page.locator("#nodes > *").first.get_attribute("data-key") == "pi1"
    hear(network, "A", sequence=3)
    expect(page.locator("#sentence")).to_have_text(re.compile("^All is well"))


def test_what_was_measured_is_told_in_the_numbers_of_the_locale_and_names_stay(make_web, open_page):
    web = make_web(
        slow("A1", host="pi1"),
        slow("B1", host="pi2", name="Boiler 2.5"),
        slow("B2", host="pi2"),
    )
    for sequence, codes in enumerate((("A1", "B1", "B2"), ("A1", "B2"))):
        let_pass(web._site.records, 300 * sequence)
        for code in codes:
            web.on_batch([reading(code, 1.0, sequence=sequence)])
            web.on_control(control("I", code), SENDER)
    web.channel.data_sources["A1"] = source("A1", received=980, lost=36)
    page = open_page(f"{web.address}network", locale="de-DE")
    is_live(page)
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("3,5% of the messages of pi1 are lost on the way here.")
    expect(verdict).to_contain_text("Boiler 2.5 is silent.")


def test_what_falls_silent_together_is_one_thing(network, open_page):
    page = open_page(f"{network.address}network")
    is_live(page)
    let_pass(network._site.records, 300)
    hear(network, "B", sequence=2)
    network.on_batch([reading("A4", 2.0, sequence=2)])
    expect(page.locator("#sentence")).to_have_text("4 components of pi1 fell silent together.")
    told = page.get_by_role("region", name="What does not work")
    expect(told.get_by_role("listitem")).to_have_count(1)
    expect(told).to_contain_text("A0, A1, A2, A3")
    told.get_by_role("link", name="4 components of pi1").click()
    page.wait_for_url("**/?host=pi1&state=silent")
    expect(page.locator(".card")).to_have_count(4)


def test_all_are_pinged_by_a_button(network, open_page):
    obey(network)
    page = open_page(network.address)
    sign_in(page, network)
    page.goto(f"{network.address}network")
    is_live(page)
    page.get_by_role("button", name="Ping all").click()
    expect(page.locator("#toast")).to_have_text("11 of 11 answered.")
    expect(node(page, "pi1")).to_contain_text(re.compile(r"Round trip\s*\d+\.\d ms"))
    expect(node(page, "pi1")).to_contain_text(re.compile(r"Clock\s*.?\d+ ms ± \d+ ms"))
    network.channel.on_sent = lambda flag, to, number: None
    page.get_by_role("button", name="Ping all").click()
    expect(page.locator("#toast")).to_have_text(
        "0 of 11 answered; not A0, A1, A2, A3, A4, B0, B1, B2 and 3 more."
    )


def test_who_may_not_command_has_no_button(network, open_page):
    page = open_page(f"{network.address}network")
    is_live(page)
    expect(page.get_by_role("button", name="Ping all")).to_have_count(0)


def test_the_page_says_when_the_server_is_away_and_comes_back(make_web, open_page):
    web = make_web()
    page = open_page(f"{web.address}network", complains=["Failed to load resource", "ERR_"])
    is_live(page)
    web.close()
    expect(page.locator("#connection")).to_have_text("Reconnecting", timeout=15_000)
    make_web(port=web.bound_port)
    expect(page.locator("#connection")).to_have_text("Live", timeout=15_000)


@pytest.mark.parametrize("name", EVIL)
def test_any_name_and_text_stays_text(make_web, open_page, name):
    web = make_web(
        component("A1", name=name, host=name),
        component("H1", type="HistoryWriter", name=name, sensor_interval_s=None),
        component("W1", type="Web", sensor_interval_s=None),
    )
    web.on_batch(
        [
            reading("A1", 1.0),
            reading("Z9", name),
            reading("H1", {"value": 1, "fault": name}),
        ]
    )
    page = open_page(f"{web.address}network", viewport={"width": 390, "height": 844})
    is_live(page)
    expect(page.locator("#nodes article").first.get_by_role("heading")).to_contain_text(name)
    expect(page.locator("#stores")).to_contain_text(name)
    expect(page.locator("#stranger-table")).to_contain_text(name[:70])
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
