"""The pages in a real browser."""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from jph.clock import time_now_ms
from jph.stores import open_history, row_of
from tests.helpers import eventually
from tests.web.browser import is_live, schemes, sign_in
from tests.web.bus import SENDER, component, config_of, control, obey, reading
from tests.web.proxy import PathProxy
from web.app import Application
from web.people import users


def card(page, codifier):
    return page.locator(f'.card[data-codifier="{codifier}"]')


def test_values_go_live_without_a_reload(web, open_page):
    page = open_page(web.address)
    is_live(page)
    marker = page.evaluate("window.marker = Math.random()")
    for number in range(3):
        web.on_batch([reading("A1", 1.5 + number, sequence=number)])
        expect(card(page, "A1").locator("[data-show=text]")).to_have_text(f"{1.5 + number:.2f}")
    web.on_batch([reading("A2", 5_834_900_000)])
    expect(card(page, "A2").locator(".value")).to_have_text("5.83 GB")
    expect(card(page, "A1")).to_have_attribute("data-state", "active")
    expect(card(page, "A1").locator("[data-show=age]")).to_have_text(re.compile(r"now|\d s"))
    expect(card(page, "A1").locator(".spark .line")).to_have_attribute("d", re.compile("^M.*L"))
    assert page.evaluate("window.marker") == marker


def test_the_curve_of_a_card_is_drawn_as_the_readings_were(web, open_page):
    now_ms = time_now_ms()
    points = [(now_ms - 1000 * (120 - n) + n % 5, (n * n) % 71 / 7) for n in range(120)]
    web.on_batch([reading("A1", v, timestamp_ms=t, sequence=n) for n, (t, v) in enumerate(points)])
    page = open_page(web.address)
    is_live(page)
    line = card(page, "A1").locator(".spark .line")
    expect(line).to_have_attribute("d", re.compile("^M.*L"))
    numbers = [float(text) for text in re.split("[ML ]+", line.get_attribute("d"))[1:]]
    drawn = list(zip(numbers[::2], numbers[1::2], strict=True))
    low, high = min(v for _, v in points), max(v for _, v in points)
    span_ms = points[-1][0] - points[0][0]
    assert len(drawn) == 120
    for (x, y), (t, v) in zip(drawn, points, strict=True):
        assert x == pytest.approx(120 * (t - points[0][0]) / span_ms, abs=0.3)
        assert y == pytest.approx(27 - 24 * (v - low) / (high - low), abs=0.3)


def test_state_and_summary_follow_the_bus(web, open_page):
    page = open_page(web.address)
    is_live(page)
    expect(page.locator('.chip[data-state="halted"]')).to_be_hidden()
    web.on_control(control("I", "A1", is_active=False), SENDER)
    expect(card(page, "A1").locator("[data-show=status]")).to_have_text("Halted")
    expect(page.locator('.chip[data-state="halted"] b')).to_have_text("1")
    page.locator('.chip[data-state="halted"]').click()
    expect(card(page, "A1")).to_be_visible()
    expect(card(page, "A2")).to_be_hidden()
    page.locator('.chip[data-state="halted"]').click()
    page.keyboard.press("/")
    page.keyboard.type("boil")
    expect(card(page, "A3")).to_be_visible()
    expect(card(page, "A1")).to_be_hidden()


def test_a_page_resumes_by_itself_after_the_server_was_away(make_web, open_page):
    web = make_web()
    page = open_page(web.address, complains=["Failed to load resource", "ERR_"])
    is_live(page)
    web.on_batch([reading("A1", 1.5)])
    expect(card(page, "A1").locator("[data-show=text]")).to_have_text("1.50")
    web.close()
    expect(page.locator("#connection")).to_have_text("Reconnecting")
    again = make_web(port=web.bound_port)
    again.on_batch([reading("A1", 2.5)])
    expect(card(page, "A1").locator("[data-show=text]")).to_have_text("2.50", timeout=15_000)
    is_live(page)


def test_a_page_loads_itself_anew_when_the_components_change(web, open_page):
    page = open_page(web.address)
    is_live(page)
    web.on_config(config_of(component("B7", name="Newcomer")))
    expect(card(page, "B7")).to_be_visible()
    expect(card(page, "A1")).to_have_count(0)


def test_the_fault_banner_comes_and_goes(web, open_page):
    page = open_page(web.address)
    is_live(page)
    expect(page.get_by_role("alert")).to_be_hidden()
    web.on_batch([reading("H1", {"value": 1, "fault": "disk full <b>"})])
    expect(page.get_by_role("alert")).to_contain_text("disk full <b>")
    web.on_batch([reading("H1", {"value": 1}, sequence=2)])
    expect(page.get_by_role("alert")).to_be_hidden()


def test_halt_and_start_from_the_menu_with_the_keyboard(web, open_page):
    obey(web)
    page = open_page(web.address)
    sign_in(page, web)
    is_live(page)
    card(page, "A1").get_by_role("button", name="Actions for Load").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("menuitem", name="Halt")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_have_text("A1 is halted.")
    expect(card(page, "A1")).to_have_attribute("data-state", "halted")
    card(page, "A1").locator(".more").click()
    page.get_by_role("menuitem", name="Start").click()
    expect(card(page, "A1")).to_have_attribute("data-state", "active")
    assert [sent[:2] for sent in web.channel.told] == [("H", "A1"), ("S", "A1")]
    card(page, "A1").locator(".more").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("menu")).to_be_hidden()


def test_the_buttons_of_a_component_page(web, open_page):
    obey(web)
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}component/A1")
    is_live(page)
    page.get_by_role("button", name="Ping").click()
    expect(page.locator("#toast")).to_have_text(re.compile(r"^A1 answered after \d+\.\d\d ms\.$"))
    page.get_by_role("button", name="Halt").click()
    expect(page.locator(".subject")).to_have_attribute("data-state", "halted")
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".subject")).to_have_attribute("data-state", "active")
    expect(page.get_by_role("button", name="Halt")).to_be_visible()


def test_a_value_is_set_on_the_page_of_a_set_point(make_web, open_page):
    web = make_web(
        component("SP", symbol="°C", type="SetPoint", control_enabled=True),
        component("H1", type="HistoryWriter", sensor_interval_s=None),
    )
    web.on_batch([reading("SP", 20.299999237060547)])
    obey(web, limit=30)
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}component/SP")
    is_live(page)
    field = page.get_by_label("Value to set, °C")
    expect(field).to_have_value("20.3")
    field.fill("")
    page.get_by_role("button", name="Set", exact=True).click()
    assert web.channel.sent == []
    field.fill("22.5")
    field.press("Enter")
    expect(page.locator("#toast")).to_have_text("SP is 22.5 °C now.")
    assert web.channel.told == [("A", "SP", 22.5)]
    field.fill("99")
    field.press("Enter")
    expect(page.locator("#toast")).to_have_text("SP is 22.5 °C, not 99 °C; its log tells why.")


def test_signing_out_takes_the_buttons_away(web, open_page):
    page = open_page(web.address)
    sign_in(page, web)
    expect(page.locator(".more").first).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    expect(page.locator(".more")).to_have_count(0)


def drawn(page):
    """Return how many pixels of the chart have the colour of the curve."""
    return page.evaluate(
        """() => {
            const canvas = document.querySelector('#chart canvas');
            if (!canvas) return 0;
            const context = canvas.getContext('2d');
            const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
            let count = 0;
            for (let place = 0; place < data.length; place += 4) {
                if (data[place + 3] > 200 && data[place] < 60 && data[place + 2] > 120) count += 1;
            }
            return count;
        }"""
    )


def store(web, codifier, seconds, step_s):
    now_ms = time_now_ms()
    history = open_history("sqlite:///history.sqlite", web.home)
    times = range(now_ms - seconds * 1000, now_ms, step_s * 1000)
    rows = [
        row_of(reading(codifier, n % 7 + 0.5, timestamp_ms=t, sequence=n))
        for n, t in enumerate(times)
    ]
    history.append(rows)
    history.close()


def test_the_chart_draws_the_history_and_goes_on_living(web, open_page):
    store(web, "A1", 1800, 5)
    page = open_page(f"{web.address}component/A1")
    is_live(page)
    eventually(lambda: drawn(page) > 500)
    with page.expect_request(re.compile(r"/history/A1\?.*points=")) as asked:
        page.get_by_role("button", name="Day", exact=True).click()
    expect(page.get_by_role("button", name="Day", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    query = parse_qs(urlsplit(asked.value.url).query)
    assert int(query["to"][0]) - int(query["from"][0]) == pytest.approx(86_400_000, abs=2)
    for number in range(3):
        web.on_batch([reading("A1", 100.0 + number, sequence=1000 + number)])
        expect(page.locator(".value.big")).to_have_text(f"10{number}.0")


def test_new_readings_are_added_to_the_chart(web, open_page):
    page = open_page(f"{web.address}component/A1")
    is_live(page)
    expect(page.locator("#chart-note")).to_have_text("No readings in this span yet.")
    now_ms = time_now_ms()
    web.on_batch(
        [
            reading("A1", float(n % 5), timestamp_ms=now_ms - 300_000 + n * 5000, sequence=n)
            for n in range(60)
        ]
    )
    expect(page.locator("#chart-note")).to_have_text("")
    eventually(lambda: drawn(page) > 100)


CAPTURE = """() => {
    globalThis.written = [];
    const { fillText } = CanvasRenderingContext2D.prototype;
    CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
        const at = this.getTransform().transformPoint({ x, y });
        globalThis.written.push([text, at.x, at.y]);
        return fillText.call(this, text, x, y);
    };
}"""
WIDTH = """(text) => {
    const context = document.createElement("canvas").getContext("2d");
    context.font = "12px system-ui, sans-serif";
    return context.measureText(text).width;
}"""


@pytest.mark.parametrize(
    ("symbol", "low", "high"),
    [
        *(("V", 0.0, high) for high in (0.0012, 0.0205, 0.21, 1.1, 2.1, 2.2, 12.0, 20.5, 22.0)),
        ("V", -12.0, 11.0),
        ("V", 1000.1, 1000.2),
        ("B", 0.0, 9_000_000.0),
        ("s", 0.0, 900_000.0),
        ("s", 0.0, 20_000.0),
        ("W", 100.0, 23_000.0),
        ("1/min", 0.0, 80_000.0),
    ],
)
def test_the_labels_of_the_axis_say_what_its_lines_are_at(make_web, open_page, symbol, low, high):
    web = make_web(
        component("A1", symbol=symbol, data_type="double"),
        component("H1", type="HistoryWriter", sensor_interval_s=None),
    )
    now_ms = time_now_ms()
    page = open_page("about:blank")
    page.add_init_script(f"({CAPTURE})()")
    page.goto(f"{web.address}component/A1")
    is_live(page)
    web.on_batch(
        [
            reading("A1", {"value": value}, timestamp_ms=now_ms - 9000 + n * 1000, sequence=n)
            for n, value in enumerate((low, (low + high) / 2, high))
        ]
    )
    expect(page.locator("#chart-note")).to_have_text("")

    def labels():
        """Return the labels of the vertical axis as they were drawn last: (number, y)."""
        places = {}
        for text, x, y in page.evaluate("globalThis.written"):
            number = re.fullmatch(r"([\u2212\d.,]+)(?: \D+)?", text)
            if number and x < 120:
                plain = number[1].replace("\u2212", "-").replace(",", "")
                places[round(y)] = float(plain)
        return sorted(places.items(), reverse=True)

    page.evaluate("() => { globalThis.written.length = 0; }")
    page.set_viewport_size({"width": 1000, "height": 800})
    eventually(lambda: len(labels()) > 2)
    page.wait_for_timeout(200)
    (first_y, first), *_, (last_y, last) = labels()
    assert last > first
    for y, number in labels():  # a pixel is less than half of what the last digit means
        expected = first + (last - first) * (first_y - y) / (first_y - last_y)
        assert number == pytest.approx(expected, abs=(last - first) * 1.6 / (first_y - last_y))
    for text, x, _ in page.evaluate("globalThis.written"):
        if x < 120 and ":" not in text:  # no time: it ends at x, and nothing of it is cut off
            assert page.evaluate(WIDTH, text) <= x, text


def test_a_text_sensor_lists_its_recent_values(web, open_page):
    web.on_batch([reading("A3", "idle")])
    page = open_page(f"{web.address}component/A3")
    is_live(page)
    expect(page.locator("#texts li")).to_have_count(1)
    web.on_batch([reading("A3", "<i>heating</i>", timestamp_ms=time_now_ms() + 5, sequence=2)])
    expect(page.locator("#texts li").first).to_contain_text("<i>heating</i>")


@pytest.mark.parametrize("path", ["", "component/A1", "component/A3", "sign-in", "none"])
def test_nothing_scrolls_sideways_on_a_phone(web, open_page, path):
    web.on_batch(
        [
            reading("A2", 5_834_900_000),
            reading("A3", "a very long text without end " * 9),
            reading("H1", {"value": 1, "fault": "no space left on " + "/very/long/path" * 9}),
        ]
    )
    page = open_page(
        f"{web.address}{path}",
        viewport={"width": 390, "height": 844},
        complains=["404"],
    )
    if page.locator("#connection").count():
        is_live(page)
    for scheme in schemes(page):
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert background == {"light": "rgb(244, 246, 248)", "dark": "rgb(15, 20, 25)"}[scheme]


def test_a_phone_sees_the_menu_in_full(web, open_page):
    page = open_page(web.address, viewport={"width": 390, "height": 844})
    sign_in(page, web)
    card(page, "A1").locator(".more").click()
    box = page.get_by_role("menu").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert all(item.bounding_box()["height"] >= 36 for item in page.get_by_role("menuitem").all())


def test_all_can_be_reached_by_the_keyboard(web, open_page):
    page = open_page(web.address)
    is_live(page)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    card(page, "A1").get_by_role("link").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/component/A1")


def test_times_are_shown_in_the_zone_of_the_viewer(web, open_page):
    web.on_batch([reading("A1", 1.0, timestamp_ms=1_700_000_000_000)])
    page = open_page(f"{web.address}component/A1", timezone_id="Asia/Tokyo", locale="en-GB")
    is_live(page)
    expect(page.locator("[data-field=DTimestamp]")).to_have_text("15 Nov 2023, 07:13:20")


def test_all_works_behind_a_proxy_at_a_path(make_web, open_page):
    web = make_web(proxies=("127.0.0.1",))
    web.channel.on_sent = lambda flag, to, number: web.on_control(
        control("I", to, is_active=flag == "S"), SENDER
    )
    store(web, "A1", 1800, 5)
    with PathProxy("/jph", web.bound_port) as proxy:
        top = f"http://127.0.0.1:{proxy.port}/jph/"
        page = open_page(top)
        is_live(page)
        web.on_batch([reading("A1", 1.5)])
        expect(card(page, "A1").locator("[data-show=text]")).to_have_text("1.50")
        card(page, "A1").get_by_role("link").click()
        page.wait_for_url(f"{top}component/A1")
        is_live(page)
        eventually(lambda: drawn(page) > 500)
        page.get_by_role("link", name="Sign in").click()
        page.wait_for_url(re.compile(r"/jph/sign-in\?next=/component/A1$"))
        page.goto(top + urlsplit(web.sign_in_url()).path.lstrip("/"))
        page.wait_for_url(f"{top}welcome")
        page.goto(f"{top}component/A1")
        is_live(page)
        page.get_by_role("button", name="Halt").click()
        expect(page.locator(".subject")).to_have_attribute("data-state", "halted")
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(top)
        page.close()  # before the proxy, which it would look for again


def test_signing_in_by_password_leads_back_to_the_page_before(web, open_page, monkeypatch):
    monkeypatch.setattr(users, "ROUNDS", 4)
    with Application(web.home).app_context():
        users.set_password("anna", "correct horse")
    page = open_page(f"{web.address}component/A2")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Name").fill("anna")
    page.get_by_label("Password").fill("correct horse")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{web.address}component/A2")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
