"""The page of a component in a real browser."""

import logging
import re
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from jph.clock import time_now_ms
from jph.stores import open_history, row_of
from tests.helpers import eventually
from tests.web.browser import is_live, sign_in
from tests.web.bus import component, obey, reading
from web.history import event_recorder, events
from web.history.events import Event
from web.logs import sources

BERLIN = ZoneInfo("Europe/Berlin")
IN_BERLIN = {"timezone_id": "Europe/Berlin", "locale": "en-GB"}
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
STRANGE = 'Kessel "<b>heiß</b>" 🔥 \u202eabc'
COMPONENTS = (
    component("A1", name=STRANGE, symbol="°C"),
    component("A2", name="Pump", data_type="bool"),
    component("A3", name="Mode", data_type="string"),
    component("E1", name="Meter", symbol="kWh", data_type="double"),
    component(
        "SP",
        name="Set-point",
        symbol="°C",
        type="SetPoint",
        control_enabled=True,
        settings={"Min": 5, "Max": 30},
    ),
    component("H1", type="HistoryWriter", sensor_interval_s=None),
    component("W1", type="Web", sensor_interval_s=None),
)


@pytest.fixture
def web(make_web):
    return make_web(*COMPONENTS)


def store(home, codifier, points):
    """Store (time, value) of a component, and compute the statistics."""
    with closing(open_history("sqlite:///history.sqlite", home)) as history:
        history.append(
            [
                row_of(reading(codifier, value, timestamp_ms=time_ms, sequence=number))
                for number, (time_ms, value) in enumerate(points)
            ]
        )
        while history.statistics.compute(1 << 50):
            pass


def ms(local):
    return round(local.replace(tzinfo=BERLIN).timestamp() * 1000)


def part(page, panel, name):
    return page.locator(f'#{panel} [data-part="{name}"]').first


def test_last_month_and_last_year_are_two_clicks_away(web, open_page):
    now = datetime.now(BERLIN).replace(tzinfo=None)
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    before = (first - timedelta(days=1)).replace(day=1)
    begin_ms, end_ms = ms(before), ms(first)
    middle_ms = (begin_ms + end_ms) // 2
    # One hour on each side of the border is not last month's.
    points = [(begin_ms - HOUR_MS, 99.0), (end_ms + HOUR_MS, -99.0)]
    points += [(middle_ms + n * HOUR_MS, 20.0 + n) for n in range(5)]
    store(web.home, "A1", sorted(points))
    page = open_page(f"{web.address}component/A1", **IN_BERLIN)
    is_live(page)
    page.get_by_role("button", name="Month", exact=True).click()
    page.get_by_role("button", name="Earlier", exact=True).click()
    expect(page.locator("#span-label")).to_have_text(f"{before:%B %Y}")
    expect(part(page, "summary", "count")).to_have_text("5")
    expect(part(page, "summary", "mean")).to_have_text("22.0 °C")
    expect(part(page, "summary", "max")).to_have_text("24.0 °C")
    expect(page.locator("#chart-table tbody tr")).to_have_count(5)
    address = page.url
    page.get_by_role("button", name="Year", exact=True).click()
    page.get_by_role("button", name="Earlier", exact=True).click()
    expect(page.locator("#span-label")).to_have_text(str(now.year - 1))
    page.go_back()
    page.go_back()
    expect(page.locator("#span-label")).to_have_text(f"{before:%B %Y}")
    page.goto(address)  # a link shows the same
    expect(part(page, "summary", "count")).to_have_text("5")
    page.get_by_role("button", name="Back to live").click()
    expect(page.locator("#span-label")).to_have_text("the last 30 days")
    expect(page.get_by_role("button", name="Later", exact=True)).to_be_disabled()


def test_the_same_week_a_year_ago_has_the_same_weekdays(web, open_page):
    page = open_page(f"{web.address}component/A1", **IN_BERLIN)
    is_live(page)
    page.get_by_role("button", name="Week", exact=True).click()
    with page.expect_request(lambda request: "/summary" in request.url) as asked:
        page.get_by_role("button", name="A year earlier").click()
    begin_ms, end_ms = (int(text) for text in re.findall(r"(?:from|to)=(\d+)", asked.value.url))
    begin = datetime.fromtimestamp(begin_ms / 1000, BERLIN)
    assert (begin.weekday(), begin.hour) == (0, 0)
    then = datetime.now(BERLIN) - timedelta(days=364)
    assert begin_ms <= then.timestamp() * 1000 < end_ms
    assert abs(end_ms - begin_ms - 7 * DAY_MS) <= HOUR_MS


@pytest.mark.parametrize("day, hours", [("2026-03-29", 23), ("2025-10-26", 25)])
def test_a_day_with_a_clock_change_is_whole(web, open_page, day, hours):
    begin_ms = ms(datetime.fromisoformat(day))
    step_ms = HOUR_MS // 4
    times = range(begin_ms - HOUR_MS, begin_ms + 26 * HOUR_MS, step_ms)
    store(web.home, "E1", [(at, {"value": n / 4 + 0.01}) for n, at in enumerate(times)])
    page = open_page(f"{web.address}component/E1?span=day", **IN_BERLIN)
    is_live(page)
    page.get_by_label("Go to a day").fill(day)
    expect(part(page, "totals", "sum")).to_have_text(f"{hours}.0 kWh in all")
    expect(page.locator("#totals-table tbody tr")).to_have_count(hours)
    page.get_by_role("button", name="Month", exact=True).click()
    page.get_by_label("Go to a day").fill(day)
    expect(part(page, "totals", "title")).to_have_text("Total per day")
    row = page.locator("#totals-table tbody tr").nth(int(day[-2:]) - 1)
    expect(row.locator("td").nth(1)).to_have_text(re.compile(rf"{hours}\.\d kWh"))


def test_a_switch_has_a_line_of_time(web, open_page):
    now_ms = time_now_ms()
    states = [0] * 300 + [1] * 200 + [0] * 100
    store(web.home, "A2", [(now_ms - (600 - n) * 1000, v) for n, v in enumerate(states)])
    page = open_page(f"{web.address}component/A2")
    is_live(page)
    expect(page.locator("#bars .states li")).to_have_text(
        [re.compile(r"off: 6 min [45]\d s, 2 times"), "on: 3 min 20 s, 1 time"]
    )
    expect(page.locator("#bars rect")).to_have_count(3)
    page.get_by_role("button", name="Show as table").last.click()
    expect(page.locator("#bars-table tbody tr")).to_have_count(3)
    expect(page.locator("#bars-table")).to_contain_text("3 min 20 s")
    page.locator("#bars rect").nth(1).hover()
    expect(part(page, "bars", "note")).to_contain_text("on: ")


def test_texts_of_strangers_are_texts(web, open_page):
    now_ms = time_now_ms()
    text = '<img src=x onerror="fail()">'
    store(web.home, "A3", [(now_ms - 9000, "idle"), (now_ms - 5000, text)])
    page = open_page(f"{web.address}component/A3")
    is_live(page)
    expect(page.locator("#bars .states")).to_contain_text(text)
    expect(page.locator("#bars-table")).to_contain_text(text)
    page.goto(f"{web.address}component/A1")
    expect(page.get_by_role("heading", level=1)).to_contain_text('Kessel "<b>heiß</b>" 🔥')


def test_an_outage_has_begin_end_and_reason_also_after_a_restart(
    make_web, open_page, tmp_path, monkeypatch
):
    monkeypatch.setattr(event_recorder, "LOOK_S", 60.0)  # on a slow machine A1 would be silent soon
    now_ms = time_now_ms()
    events.add(
        tmp_path,
        [
            Event(now_ms - 20 * HOUR_MS, "A1", "active"),
            Event(now_ms - 10 * HOUR_MS, "A1", "silent", "Nothing on <pi1> was heard."),
            Event(now_ms - 9 * HOUR_MS, "A1", "active"),
            Event(now_ms - HOUR_MS, "A1", "failing", "/dev/x is missing"),
        ],
    )
    events.watch(tmp_path, now_ms - 20 * HOUR_MS, now_ms - 5000)
    for _ in range(2):
        web = make_web(*COMPONENTS)
        page = open_page(f"{web.address}component/A1?span=day", **IN_BERLIN)
        is_live(page)
        rows = page.locator("#outages tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.nth(0)).to_contain_text("goes on")
        expect(rows.nth(0)).to_contain_text("/dev/x is missing")
        expect(rows.nth(1)).to_contain_text("Nothing on <pi1> was heard.")
        expect(rows.nth(1)).to_contain_text("1 h")
        expect(part(page, "outages", "share")).to_have_text(re.compile(r"^(90|89\.9\d+)%$"))
        page.close()
        web.close()


def test_what_happened_is_listed_and_marked(web, open_page):
    now_ms = time_now_ms()
    events.add(
        web.home,
        [
            Event(now_ms - 600_000, "A1", "restart", "It started again."),
            Event(now_ms - 500_000, "", "configuration", "<i>revision 7</i>", "anna"),
            Event(now_ms - 400_000, "A2", "note", "of another one"),
        ],
    )
    page = open_page(f"{web.address}component/A1")
    is_live(page)
    rows = page.locator("#events tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("Configuration of the network: <i>revision 7</i> (anna)")
    expect(rows.nth(1)).to_contain_text("Restart: It started again.")
    box = page.locator("#chart .u-over").bounding_box()
    share = 1 - 600_000 / HOUR_MS
    page.mouse.move(box["x"] + share * box["width"], box["y"] + 50)
    expect(page.locator("#chart-note")).to_contain_text("restart: It started again.")


def test_an_outage_is_shown_as_it_begins_and_ends(web, open_page, monkeypatch):
    monkeypatch.setattr(event_recorder, "LOOK_S", 0.05)
    web._site.recorder._began_s -= 60
    web.on_batch([reading("A1", 20.0)])
    eventually(lambda: events.between(web.home, 0, 1 << 60, ["A1"]))  # it was noted
    page = open_page(f"{web.address}component/A1")
    is_live(page)
    expect(part(page, "outages", "words")).to_contain_text("without an outage")
    record = web._site.records.get("A1")
    record.heard.data_s -= 30
    record.heard.since_s -= 30
    record.data_ms -= 30_000
    row = page.locator("#outages tbody tr")
    expect(row).to_contain_text("Silent: No reading and no sign of life came.", timeout=20_000)
    web.on_batch([reading("A1", 20.0, sequence=2)])
    expect(row).not_to_contain_text("goes on", timeout=20_000)


def test_the_chart_is_a_table_too(web, open_page):
    now_ms = time_now_ms()
    store(web.home, "A1", [(now_ms - n * 1000, 20.5) for n in range(5, 15)])
    page = open_page(f"{web.address}component/A1", **IN_BERLIN)
    is_live(page)
    table = page.get_by_role("table", name="The readings of the chart")
    expect(table.get_by_role("row")).to_have_count(11)  # there before anybody asks for it
    button = page.get_by_role("button", name="Show as table")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#chart-table")).to_be_visible()
    expect(page.get_by_role("button", name="Hide table")).to_have_attribute("aria-expanded", "true")
    expect(table).to_contain_text("20.50 °C")


@pytest.mark.parametrize("kind, server", [("SetPoint", {}), ("Proxy", {"Server": "A1"})])
def test_a_slider_sets_within_the_limits(make_web, open_page, kind, server):
    others = [one for one in COMPONENTS if one.codifier != "SP"]
    limits = {"Min": 5, "Max": 30, **server}
    web = make_web(
        *others, component("SP", symbol="°C", type=kind, control_enabled=True, settings=limits)
    )
    obey(web)
    web.on_batch([reading("SP", 20.0)])
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}component/SP")
    is_live(page)
    slider = page.get_by_role("slider")
    assert (slider.get_attribute("min"), slider.get_attribute("max")) == ("5", "30")
    slider.fill("25")
    expect(page.get_by_label("Value to set, °C")).to_have_value("25")
    page.get_by_role("button", name="Set", exact=True).click()
    expect(page.locator("#toast")).to_have_text("SP is 25 °C now.")
    assert web.channel.told == [("A", "SP", 25.0)]


def test_the_last_lines_of_its_log_are_there_for_operators(web, open_page, monkeypatch):
    monkeypatch.setattr(sources, "_is_readable", lambda journal: False)
    logging.getLogger("TempLinux").warning("A1: <b>late</b>")
    page = open_page(f"{web.address}component/A1")
    is_live(page)
    expect(page.locator("#log")).to_have_count(0)
    sign_in(page, web)
    page.goto(f"{web.address}component/A1")
    expect(page.locator("#log li")).to_contain_text("A1: <b>late</b>")
    page.get_by_role("link", name="All lines").click()
    page.wait_for_url("**/logview?component=A1")


def test_all_of_the_history_can_be_reached_by_the_keyboard(web, open_page):
    page = open_page(f"{web.address}component/A1", **IN_BERLIN)
    is_live(page)
    page.get_by_role("button", name="15 min").focus()
    names = []
    for _ in range(10):
        names.append(
            page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent")
        )
        page.keyboard.press("Tab")
    for name in ("15 min", "Hour", "Day", "Week", "Month", "Year", "Earlier", "Go to a day"):
        assert name in names, names
    page.get_by_role("button", name="Day", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#span-label")).to_have_text("the last 24 hours")
    page.get_by_role("button", name="Earlier", exact=True).press("Enter")
    expect(page.get_by_role("button", name="Back to live")).to_be_visible()


def test_the_chart_is_moved_by_keys(web, open_page):
    page = open_page(f"{web.address}component/A1", **IN_BERLIN)
    is_live(page)
    with page.expect_request(lambda request: "/history/A1?" in request.url) as asked:
        page.locator("#chart").press("ArrowLeft")
    begin_ms, end_ms = (int(text) for text in re.findall(r"(?:from|to)=(\d+)", asked.value.url))
    assert end_ms - begin_ms == pytest.approx(HOUR_MS, abs=2)
    assert end_ms == pytest.approx(time_now_ms() - HOUR_MS / 4, abs=20_000)
    page.locator("#chart").press("0")
    expect(page.locator("#span-label")).to_have_text("the last hour")


def test_a_database_that_goes_away_is_told_and_comes_back(web, open_page):
    now_ms = time_now_ms()
    store(web.home, "A1", [(now_ms - n * 1000, 20.5) for n in range(5, 15)])
    page = open_page(f"{web.address}component/A1", complains=["503"])
    is_live(page)
    rows = page.locator("#chart-table tbody tr")
    expect(rows).to_have_count(10)
    marker = page.evaluate("window.marker = Math.random()")
    history = web._site.history()
    history.close()  # every call fails from now on
    page.get_by_role("button", name="Day", exact=True).click()
    expect(page.locator("#chart-note")).to_contain_text(re.compile(r"No history since .*\d:\d"))
    expect(part(page, "summary", "problem")).to_be_visible()
    web._site._history = None  # it is opened again
    expect(rows).to_have_count(10, timeout=15_000)
    expect(page.locator("#chart-note")).not_to_contain_text("No history")
    assert page.evaluate("window.marker") == marker


@pytest.mark.parametrize("codifier", ["A1", "A2", "A3", "E1"])
def test_without_a_history_the_page_lives_all_the_same(make_web, open_page, codifier):
    web = make_web(*(it for it in COMPONENTS if it.type != "HistoryWriter"))
    page = open_page(f"{web.address}component/{codifier}")
    is_live(page)
    web.on_batch([reading(codifier, "idle" if codifier == "A3" else 1.0)])
    expect(page.locator(".value.big")).to_contain_text(re.compile("idle|on|1.00"))
    page.reload()
    is_live(page)
    expect(page.locator("#summary, #bars, #totals")).to_have_count(0)
    expect(part(page, "outages", "words")).not_to_have_text("", timeout=15_000)
    if codifier != "A3":
        expect(page.locator("#chart-note")).to_have_text("This network keeps no history.")


def test_a_postgresql_that_stops_and_starts_again(
    make_web, open_page, postgres_server, postgres_url
):
    now_ms = time_now_ms()
    points = [(now_ms - n * 1000, 20.5) for n in range(5, 15)]
    with closing(open_history(postgres_url, Path())) as history:
        rows = [reading("A1", value, timestamp_ms=at) for at, value in points]
        history.append([row_of(row) for row in rows])
    web = make_web(*COMPONENTS, history=postgres_url)
    page = open_page(f"{web.address}component/A1", complains=["503"])
    is_live(page)
    expect(part(page, "summary", "count")).to_have_text("10")
    marker = page.evaluate("window.marker = Math.random()")
    postgres_server.stop("immediate")
    page.get_by_role("button", name="Day", exact=True).click()
    expect(page.locator("#chart-note")).to_contain_text("No history since", timeout=20_000)
    expect(part(page, "outages", "problem")).to_be_visible(timeout=20_000)
    postgres_server.start()
    expect(page.locator("#chart-note")).not_to_contain_text("No history", timeout=30_000)
    expect(page.locator("#chart-table tbody tr")).to_have_count(10)
    expect(part(page, "outages", "problem")).to_be_hidden(timeout=30_000)
    assert page.evaluate("window.marker") == marker


@pytest.mark.parametrize("codifier", ["A1", "A2", "A3", "E1", "SP"])
def test_nothing_scrolls_sideways_on_a_phone(web, open_page, codifier):
    page = open_page(web.address, viewport={"width": 390, "height": 844})
    sign_in(page, web)
    page.goto(f"{web.address}component/{codifier}?span=month")
    is_live(page)
    expect(part(page, "outages", "words")).not_to_have_text("")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
