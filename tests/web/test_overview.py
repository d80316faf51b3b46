"""The overview in a real browser: what is dead, the board, its address, keyboard and wall."""

import re

import pytest
from playwright.sync_api import expect

from tests.helpers import eventually
from tests.web.browser import is_live, sign_in
from tests.web.bus import SENDER, component, control, let_pass, obey, reading, source

EVIL = [
    '"><img src=x onerror=alert(1)>',
    "O'Brien & <b>Söhne</b>",
    "🌡️ Gewächshaus 🌱",
    "חממה צפונית",
    "W" * 200,
]


def card(page, codifier):
    return page.locator(f'.card[data-codifier="{codifier}"]')


def order(page):
    """Return the Codifiers of the cards as they stand."""
    return page.locator(".card").evaluate_all("cards => cards.map(card => card.dataset.codifier)")


def titles(page):
    return page.locator(".group > h2:visible").all_text_contents()


def slow(codifier, **more):
    """Return a component that stays active for a minute, however busy the machine is."""
    return component(codifier, sensor_interval_s=20.0, **more)


@pytest.fixture
def house(make_web):
    """A house with two machines, areas and labels; all of it has just been heard."""
    web = make_web(
        slow("A1", name="Air", host="pi1", area="Greenhouse/North", labels=("wet",)),
        slow("A2", name="Bed", host="pi1", area="Greenhouse/South", labels=("wet", "mains")),
        slow("B1", name="Fridge", host="pi2", area="Kitchen", type="JSON"),
        slow("B2", name="Oven", host="pi2", area="Kitchen", labels=("mains",)),
        slow("SP", name="Warmth", symbol="°C", host="pi2", type="SetPoint", area="Kitchen",
                  control_enabled=True, settings={"Min": 5, "Max": 30}),
        component("W1", name="Pages", type="Web", sensor_interval_s=None),
    )  # fmt: skip
    for number, code in enumerate(("A1", "A2", "B1", "B2", "SP")):
        web.on_batch([reading(code, 10.0 + number)])
        web.on_control(control("I", code), SENDER)
    web.on_control(control("I", "W1"), SENDER)
    return web


def kill(web, *codes, seconds=300):
    """Let a while pass in which these were not heard, and the others were."""
    let_pass(web._site.records, seconds)
    for code in ("A1", "A2", "B1", "B2", "SP"):
        if code not in codes:
            web.on_batch([reading(code, 1.0, sequence=9)])
    web.on_control(control("I", "W1"), SENDER)


def test_what_is_dead_and_since_when_stands_at_the_top(house, open_page):
    page = open_page(house.address)
    is_live(page)
    told = page.get_by_role("region", name="What does not work")
    expect(told).to_have_text("Nothing is silent or failing.")
    kill(house, "A1", "A2", "B2")
    expect(told.get_by_role("listitem")).to_have_count(2)
    expect(told.get_by_role("listitem").first).to_have_text(
        re.compile(
            r"^pi1 is dead: none of its 2 components gives a sign of life\s*for 5 min, since"
        )
    )
    expect(told.get_by_role("listitem").last).to_contain_text("Oven B2 is silent")
    expect(told).to_contain_text("for 5 min")
    eventually(lambda: set(order(page)[:3]) == {"A1", "A2", "B2"})
    told.get_by_role("link", name="pi1").click()
    expect(page.locator(".card")).to_have_count(2)
    house.on_batch([reading(code, 2.0, sequence=20) for code in ("A1", "A2", "B2")])
    expect(told).to_have_text("Nothing is silent or failing.")


def test_it_stands_there_before_any_script_runs(house, open_page):
    kill(house, "A1", "A2")
    page = open_page(house.address, java_script_enabled=False)
    expect(page.locator("#troubles")).to_contain_text("pi1 is dead")
    expect(page.locator("#troubles time")).to_have_text(re.compile(r"^\d{4}-\d\d-\d\d .* UTC$"))
    eventually(lambda: order(page)[:2] == ["A1", "A2"])


def test_filters_and_choices_are_in_the_address_and_the_back_button_takes_them_back(
    house, open_page
):
    page = open_page(house.address)
    is_live(page)
    assert titles(page) == [
        "Greenhouse \u203a North",
        "Greenhouse \u203a South",
        "Kitchen",
        "No area",
    ]
    page.get_by_label("Area", exact=True).select_option("Greenhouse")
    expect(page).to_have_url(f"{house.address}?area=Greenhouse")
    eventually(lambda: sorted(order(page)) == ["A1", "A2"])
    page.get_by_label("Label", exact=True).select_option("mains")
    eventually(lambda: order(page) == ["A2"])
    page.get_by_label("Group by", exact=True).select_option("host")
    expect(page).to_have_url(f"{house.address}?group=host&area=Greenhouse&label=mains")
    page.go_back()
    page.go_back()
    expect(page).to_have_url(f"{house.address}?area=Greenhouse")
    eventually(lambda: sorted(order(page)) == ["A1", "A2"])
    eventually(lambda: titles(page) == ["Greenhouse \u203a North", "Greenhouse \u203a South"])
    page.go_back()
    eventually(lambda: len(order(page)) == 6)
    page.go_forward()
    eventually(lambda: sorted(order(page)) == ["A1", "A2"])
    page.get_by_role("button", name="Show all").click()
    eventually(lambda: len(order(page)) == 6)


def test_a_shared_address_shows_the_same_to_others(house, open_page):
    query = "?view=rows&group=type&sort=name&q=main&type=Pipe"
    page = open_page(f"{house.address}{query}")
    is_live(page)
    eventually(lambda: order(page) == ["A2", "B2"])
    assert titles(page) == ["Pipe"]
    expect(page.get_by_role("button", name="Rows")).to_have_attribute("aria-pressed", "true")
    assert page.url == f"{house.address}{query}"
    page.goto(f"{house.address}?area=Nowhere")
    expect(page.get_by_text("No component matches.")).to_be_visible()
    expect(page.get_by_label("Area", exact=True)).to_have_value("Nowhere")
    page.goto(f"{house.address}?group=none&sort=none&view=none&state=none")
    expect(page.get_by_text("No component matches.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    eventually(lambda: len(order(page)) == 6)


def test_choices_are_remembered_and_filters_for_as_long_as_the_tab_lives(house, open_page):
    page = open_page(house.address)
    page.get_by_role("button", name="Rows").click()
    page.get_by_label("Sort by", exact=True).select_option("name")
    page.get_by_label("Host", exact=True).select_option("pi2")
    page.goto(f"{house.address}sign-in")
    page.goto(house.address)
    expect(page).to_have_url(f"{house.address}?view=rows&sort=name&host=pi2")
    eventually(lambda: sorted(order(page)) == ["B1", "B2", "SP"])
    other = page.context.new_page()
    other.goto(house.address)
    expect(other).to_have_url(f"{house.address}?view=rows&sort=name")
    eventually(lambda: len(order(other)) == 6)


def test_orders_by_value_age_loss_and_name(house, open_page):
    page = open_page(f"{house.address}?group=none&sort=name")
    is_live(page)
    eventually(lambda: order(page) == ["A1", "A2", "B1", "B2", "W1", "SP"])
    page.get_by_label("Sort by", exact=True).select_option("value")
    eventually(lambda: order(page)[:5] == ["SP", "B2", "B1", "A2", "A1"])
    let_pass(house._site.records, 3)
    house.on_batch([reading(code, 1.0, sequence=5) for code in ("A1", "B2", "SP")])
    expect(card(page, "A2").locator("[data-show=age]")).to_have_text(re.compile(r"([3-9]|\d\d) s"))
    page.get_by_label("Sort by", exact=True).select_option("age")
    eventually(lambda: set(order(page)[:2]) <= {"A2", "B1", "W1"})
    house.channel.data_sources["B1"] = tracker = source("B1")
    tracker.lost = 7
    house.on_batch([reading("B1", 1.0, sequence=20)])
    expect(card(page, "B1").locator("[data-show=lost]")).to_have_text("7 lost")
    page.get_by_label("Sort by", exact=True).select_option("loss")
    eventually(lambda: order(page)[0] == "B1")


def test_the_board_by_keyboard(house, open_page):
    obey(house)
    page = open_page(house.address)
    sign_in(page, house)
    page.goto(f"{house.address}?group=none&sort=name")
    is_live(page)
    assert page.locator('.card :is(a, button)[tabindex="0"]').count() == 1
    page.get_by_label("Label", exact=True).focus()
    page.keyboard.press("Tab")
    expect(card(page, "A1").get_by_role("link")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(card(page, "B1").get_by_role("link")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(card(page, "SP").get_by_role("link")).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Home")
    expect(card(page, "A1").get_by_role("link")).to_be_focused()
    page.keyboard.press("End")
    expect(card(page, "SP").get_by_role("link")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("m")
    expect(page.get_by_role("menuitem", name="Ping")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_have_text(re.compile("^B2 answered after"))
    expect(card(page, "B2").get_by_role("link")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(card(page, "B2").get_by_role("link")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/component/B2")


def test_a_value_is_set_with_a_slider_within_its_limits(house, open_page):
    obey(house, limit=30)
    page = open_page(house.address)
    sign_in(page, house)
    is_live(page)
    house.on_batch([reading("SP", 20.5, sequence=3)])
    expect(card(page, "SP").locator("[data-show=text]")).to_have_text("20.5")
    card(page, "SP").locator(".more").click()
    page.get_by_role("menuitem", name="Set a value").click()
    slider = page.get_by_label("Value to set, from 5 to 30")
    expect(slider).to_have_value("20.5")
    number = page.get_by_label("Value to set, °C")
    expect(number).to_have_value("20.5")
    slider.focus()
    page.keyboard.press("End")
    expect(number).to_have_value("30")
    page.keyboard.press("ArrowLeft")
    number.press("Enter")
    expect(page.locator("#toast")).to_have_text("SP is 29.9 °C now.")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(card(page, "SP").get_by_role("link")).to_be_focused()
    assert house.channel.told == [("A", "SP", 29.9)]
    page.keyboard.press("m")
    page.keyboard.press("Enter")
    expect(number).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


@pytest.mark.parametrize("count", [6, 200])
def test_the_wall_shows_all_of_it_on_the_whole_screen(make_web, open_page, count):
    codes = [f"{a}{b}" for a in "ABCDEFGHIJ" for b in "abcdefghijklmnopqrst"][:count]
    web = make_web(*(component(code, name=f"Sensor {code}", symbol="°C") for code in codes))
    web.on_batch([reading(code, 20.0) for code in codes])
    page = open_page(f"{web.address}?wall=1", viewport={"width": 2560, "height": 1440})
    is_live(page)
    expect(page.get_by_role("navigation")).to_have_count(0)
    expect(page.get_by_role("searchbox")).to_have_count(0)
    boxes = "cards => cards.map(card => card.getBoundingClientRect().toJSON())"
    seen = page.locator(".card").evaluate_all(boxes)
    assert len(seen) == count
    assert all(box["top"] >= 0 and box["bottom"] <= 1440 for box in seen)
    assert all(box["left"] >= 0 and box["right"] <= 2560 for box in seen)
    assert max(box["bottom"] for box in seen) > (700 if count == 200 else 200)
    size = "cards => parseFloat(getComputedStyle(cards[0]).fontSize)"
    assert page.locator(".card").evaluate_all(size) > (28 if count == 6 else 9)
    page.set_viewport_size({"width": 1280, "height": 720})
    eventually(lambda: all(b["bottom"] <= 720 for b in page.locator(".card").evaluate_all(boxes)))
    page.get_by_role("button", name="Leave the wall mode").click()
    expect(page).to_have_url(web.address)
    expect(page.get_by_role("searchbox")).to_be_visible()


def test_a_wall_keeps_the_screen_awake_and_comes_back_after_the_server_was_away(
    make_web, open_page
):
    web = make_web()
    page = open_page("about:blank", complains=["Failed to load resource", "ERR_"])
    page.add_init_script(
        """globalThis.locks = [];
        const lock = Object.assign(new EventTarget(), { release: () => locks.push("released") });
        const request = (kind) => { locks.push(kind); return Promise.resolve(lock); };
        Object.defineProperty(navigator, 'wakeLock', { value: { request } });"""
    )
    page.goto(web.address)
    is_live(page)
    assert page.evaluate("locks") == []
    page.get_by_role("button", name="Wall").click()
    expect(page).to_have_url(f"{web.address}?wall=1")
    assert page.evaluate("locks") == ["screen"]
    web.close()
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    expect(page.locator("#connection")).to_be_visible()
    again = make_web(port=web.bound_port)
    again.on_batch([reading("A1", 2.5)])
    expect(card(page, "A1").locator("[data-show=text]")).to_have_text("2.50", timeout=20_000)
    page.keyboard.press("Escape")
    expect(page).to_have_url(web.address)
    assert page.evaluate("locks") == ["screen", "released"]


@pytest.mark.parametrize("view", ["tiles", "rows"])
@pytest.mark.parametrize("name", EVIL)
def test_any_name_is_text(make_web, open_page, name, view):
    entry = component(
        "A1", name=name, host=name, area=f"{name}/{name}", labels=(name,), type="Pipe", symbol=name
    )
    others = component("A2", host=name, area=name), component("W1", type="Web")
    web = make_web(entry, *others)
    web.on_batch([reading("A1", 1.0), reading("A2", name[:100])])
    page = open_page(f"{web.address}?view={view}", viewport={"width": 390, "height": 844})
    is_live(page)
    link = card(page, "A1").get_by_role("link")
    expect(link).to_have_attribute("title", name)
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for group in ("area", "host", "label", "type", "none"):
        page.locator("select[name=group]").select_option(group, force=True)
        expect(link).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    let_pass(web._site.records, 300)
    expect(page.locator("#troubles")).to_contain_text(f"{name} is dead")
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_cards_out_of_view_are_not_touched(make_web, open_page):
    codes = [f"{a}{b}" for a in "ABCDEFGHIJ" for b in "abcdefghijklmnopqrst"]
    web = make_web(*(component(code, name=f"Sensor {code}") for code in codes))
    page = open_page(f"{web.address}?view=tiles&sort=name&group=none")
    is_live(page)
    web.on_batch([reading(code, 1.0) for code in codes])
    expect(card(page, "Aa").locator("[data-show=text]")).to_have_text("1.00")
    assert card(page, "Jt").locator("[data-show=text]").text_content() == "\u2013"
    assert card(page, "Jt").locator(".spark").count() == 0
    skipped = "card => !card.querySelector('.value').checkVisibility({contentVisibilityAuto: true})"
    assert card(page, "Jt").evaluate(skipped)
    assert not card(page, "Aa").evaluate(skipped)
    card(page, "Jt").scroll_into_view_if_needed()
    expect(card(page, "Jt").locator("[data-show=text]")).to_have_text("1.00")
    page.get_by_label("Sort by", exact=True).select_option("loss")
    web.on_batch([reading("Jt", 5.0, sequence=2)])
    page.get_by_label("Sort by", exact=True).select_option("value")
    eventually(lambda: order(page)[0] == "Jt", what="what is not shown is known all the same")


def test_a_phone_sorts_and_filters(house, open_page):
    page = open_page(house.address, viewport={"width": 390, "height": 844})
    is_live(page)
    expect(page.get_by_label("Sort by", exact=True)).to_be_hidden()
    page.get_by_role("button", name="Sort and filter").click()
    page.get_by_label("Area", exact=True).select_option("Kitchen")
    expect(page.locator(".card")).to_have_count(3)
    expect(page.get_by_role("button", name="Sort and filter")).to_have_text("Sort and filter1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
