"""The Graphs page in a real browser."""

import csv
import io
import json
import re
import shutil
from contextlib import closing
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from jph.clock import time_now_ms
from jph.stores import open_history, row_of
from tests.helpers import eventually
from tests.web.browser import is_live, sign_in
from tests.web.bus import component, reading
from tests.web.proxy import PathProxy
from web.history import events

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
STRANGE = "<b>\"Löschen\" 'x' =1+1 \U0001f980 \u05d0\u05d1\u05d2</b>"
COMPONENTS = (
    component("A1", name="Boiler flow", symbol="°C", data_type="double"),
    component("A2", name="Boiler return", symbol="°C", data_type="double"),
    component("W4", name="Pump", symbol="W", data_type="double"),
    component("B1", name="Window", data_type="bool"),
    component("T1", name="Mode", data_type="string"),
    component("<,", name=STRANGE * 3, symbol="°C", data_type="double"),
    component("H1", name="History", type="HistoryWriter", sensor_interval_s=None),
)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Return a home with a history of 400 days."""
    home = tmp_path_factory.mktemp("filled")
    now_ms = time_now_ms()
    rows = []
    for n in range(400 * 24):
        time_ms = now_ms - n * HOUR_MS - 1000
        for codifier, value in (
            ("A1", 40 + n % 24),
            ("A2", 30 + n % 7),
            ("<,", 20.0),
            ("W4", 90.0),
        ):
            rows.append(row_of(reading(codifier, float(value), timestamp_ms=time_ms, sequence=n)))
        if n < 48:
            rows.append(row_of(reading("B1", n // 5 % 2, timestamp_ms=time_ms, sequence=n)))
            mode = ("idle", "<i>heating</i>")[n // 8 % 2]
            rows.append(row_of(reading("T1", mode, timestamp_ms=time_ms, sequence=n)))
    for n in range(3000):  # two hours of readings every 2.4 s
        time_ms = now_ms - 2 * DAY_MS - n * 2400
        row = reading("A1", 50.0 + n % 11, timestamp_ms=time_ms, sequence=100_000 + n)
        rows.append(row_of(row))
    with closing(open_history("sqlite:///history.sqlite", home)) as history:
        history.append(rows)
        while history.statistics.compute(now_ms):
            pass
    return home


@pytest.fixture
def web(make_web, filled, tmp_path):
    """Return the pages of a small network; A1 and others have a history of 400 days."""
    for file in filled.glob("history.sqlite*"):
        shutil.copy(file, tmp_path)
    return make_web(*COMPONENTS)


def shown(page):
    """Wait until the charts have what the address asks for; return a mark of this state."""
    expect(page.locator("#charts")).to_have_attribute("data-shown", re.compile(r"\d"))
    expect(page.locator("#charts")).not_to_have_class(re.compile("is-waiting"))
    return page.locator("#charts").get_attribute("data-shown")


def asked(page, act, what=""):
    """Return the query of the question for data, with a text in it, that something leads to."""

    def fits(answer):
        return "/graphs/data" in answer.url and what in answer.url

    with page.expect_response(fits) as found:
        act()
    assert found.value.ok
    return parse_qs(urlsplit(found.value.url).query)


def download(page, button):
    """Press a button with this name; return what the browser stores."""
    with page.expect_download() as found:
        page.get_by_role("button", name=button).click()
    return found.value


def width_of(query):
    return int(query["to"][0]) - int(query["from"][0])


def readout(page, codifier):
    return page.locator(f'.line[data-codifier="{codifier}"] .readout')


def test_two_sensors_are_compared_in_one_chart_with_an_axis_for_each_unit(web, open_page):
    page = open_page(f"{web.address}graphs")
    is_live(page)
    page.get_by_label("Add a sensor").fill("A1 Boiler flow")
    page.get_by_role("button", name="Add", exact=True).click()
    page.get_by_label("Add a sensor").fill("pump")
    page.keyboard.press("Enter")
    expect(page.locator(".line")).to_have_count(2)
    expect(page.locator("#charts .chart")).to_have_count(1)
    expect(readout(page, "A1")).to_contain_text("°C")
    expect(readout(page, "W4")).to_contain_text("90 W")
    assert parse_qs(urlsplit(page.url).query)["line"] == ["A1", "W4"]
    page.get_by_label("Add a sensor").fill("nobody")
    page.keyboard.press("Enter")
    expect(page.locator("#toast")).to_contain_text("choose one from the list")
    page.get_by_role("button", name="Remove the line of Pump").click()
    expect(page.locator(".line")).to_have_count(1)


def test_last_month_last_year_and_the_same_week_a_year_ago(web, open_page):
    page = open_page(f"{web.address}graphs?line=A1")
    is_live(page)
    shown(page)
    month = asked(page, page.get_by_role("button", name="Last month").click)
    assert 27 * DAY_MS < width_of(month) < 32 * DAY_MS
    year = asked(page, page.get_by_role("button", name="Last year").click)
    assert 364 * DAY_MS < width_of(year) < 367 * DAY_MS
    asked(page, page.get_by_role("button", name="Last week").click)
    compare = page.get_by_label("Compare")
    query = asked(page, lambda: compare.select_option("the year before"), "earlier")
    before_ms = int(query["from"][0]) - int(query["earlier"][0])
    assert 364 * DAY_MS < before_ms < 367 * DAY_MS
    expect(page.locator(".line .earlier")).to_contain_text("before: ")
    assert parse_qs(urlsplit(page.url).query)["before"] == ["1y"]
    page.get_by_label("Compare").select_option("another time")
    page.get_by_label("this much before").fill("3")
    query = asked(page, lambda: page.keyboard.press("Enter"))
    assert int(query["from"][0]) - int(query["earlier"][0]) == pytest.approx(
        3 * DAY_MS, abs=HOUR_MS
    )


def test_zooming_and_moving_load_finer_data(web, open_page):
    page = open_page(f"{web.address}graphs?line=A1&last=1y")
    is_live(page)
    shown(page)
    expect(page.locator("#chart-note")).to_contain_text("Each point stands for")
    box = page.locator(".u-over").bounding_box()
    y = box["y"] + 50

    def drag():
        page.mouse.move(box["x"] + box["width"] * 0.5, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.52, y, steps=3)
        page.mouse.up()

    zoomed = asked(page, drag)
    assert 5 * DAY_MS < width_of(zoomed) < 9 * DAY_MS
    assert "from" in parse_qs(urlsplit(page.url).query)
    expect(page.get_by_role("button", name="Live", exact=True)).to_have_attribute(
        "aria-pressed", "false"
    )
    shown(page)

    def swipe():
        page.keyboard.down("Shift")
        page.mouse.move(box["x"] + 300, y)
        page.mouse.down()
        page.mouse.move(box["x"] + 500, y, steps=5)
        page.mouse.up()
        page.keyboard.up("Shift")

    moved = asked(page, swipe)
    assert int(moved["from"][0]) < int(zoomed["from"][0]) - DAY_MS
    page.mouse.move(box["x"] + box["width"] / 2, y)

    def spread():
        page.keyboard.down("Control")
        for _ in range(5):
            page.mouse.wheel(0, -60)
        page.keyboard.up("Control")

    assert width_of(asked(page, spread)) < width_of(moved) / 2
    reset = asked(page, lambda: page.mouse.dblclick(box["x"] + 100, y))
    assert width_of(reset) > 364 * DAY_MS


def test_a_line_is_drawn_between_two_readings(make_web, open_page):
    web = make_web(
        component("A1", name="Meter", sensor_interval_s=3600.0),
        component("H1", type="HistoryWriter", sensor_interval_s=None),
    )
    now_ms = time_now_ms()
    history = open_history("sqlite:///history.sqlite", web.home)
    times = (now_ms - 2 * HOUR_MS, now_ms - HOUR_MS)
    history.append([row_of(reading("A1", 5.0 * n, timestamp_ms=t)) for n, t in enumerate(times)])
    history.close()
    begin, end = (
        f"{datetime.fromtimestamp(times[0] / 1000 + minutes * 60, UTC):%Y-%m-%dT%H:%M:%SZ}"
        for minutes in (20, 40)
    )
    page = open_page(f"{web.address}graphs?line=A1&from={begin}&to={end}")
    is_live(page)
    shown(page)
    columns = """() => {
        const canvas = document.querySelector('#charts canvas');
        const { width, height } = canvas;
        const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
        const found = new Set();
        for (let place = 0; place < data.length; place += 4) {
            if (data[place] < 60 && data[place + 2] > 120 && data[place + 3] > 150) {
                found.add((place / 4) % width);
            }
        }
        return found.size;
    }"""
    eventually(lambda: page.evaluate(columns) > 900)


def test_a_reading_with_gaps_on_both_sides_is_drawn_as_a_point(make_web, open_page):
    web = make_web(*COMPONENTS)
    now_ms = time_now_ms()
    history = open_history("sqlite:///history.sqlite", web.home)
    times = [now_ms - minutes * 60_000 for minutes in range(1400, 0, -10)]
    history.append(
        [row_of(reading("A1", 5.0, sequence=n, timestamp_ms=t)) for n, t in enumerate(times)]
    )
    history.close()
    page = open_page(f"{web.address}graphs?line=A1&last=1d")
    is_live(page)
    shown(page)
    coloured = """() => {
        const canvas = document.querySelector('#charts canvas');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        for (let place = 0; place < data.length; place += 4) {
            if (data[place] < 60 && data[place + 2] > 120 && data[place + 3] > 150) found += 1;
        }
        return found;
    }"""
    eventually(lambda: page.evaluate(coloured) > 8 * len(times))


def test_all_is_done_by_keyboard(web, open_page):
    page = open_page(f"{web.address}graphs")
    is_live(page)
    page.get_by_label("Add a sensor").focus()
    page.keyboard.type("A1")
    page.keyboard.press("Enter")
    expect(page.locator(".line")).to_have_count(1)
    shown(page)
    page.locator("#charts .chart").focus()
    shown(page)
    before = asked(page, lambda: page.keyboard.press("ArrowLeft"))
    assert int(before["to"][0]) < time_now_ms()
    closer = asked(page, lambda: page.keyboard.press("+"))
    assert width_of(closer) < width_of(before)
    asked(page, lambda: page.keyboard.press("0"))
    expect(page.get_by_role("button", name="Live", exact=True)).to_have_attribute(
        "aria-pressed", "true"
    )
    page.get_by_text("Change", exact=True).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    query = asked(page, lambda: page.keyboard.press("h"), "max")  # highest
    assert query["line"] == ["A1,max"]
    expect(page.get_by_label("Field")).to_be_focused()
    page.locator("#table > summary").focus()
    page.keyboard.press("Enter")
    table = page.get_by_role("table")
    expect(table.get_by_role("columnheader").nth(1)).to_have_text("Boiler flow (°C)")
    for place in (1, 2, 5):
        expect(table.get_by_role("row").nth(place)).to_contain_text("°C")


def test_a_line_has_its_field_resolution_axis_shape_and_colour(web, open_page):
    page = open_page(f"{web.address}graphs?line=A1&line=A2&last=1w")
    is_live(page)
    shown(page)
    line = page.locator('.line[data-codifier="A2"]')
    line.get_by_text("Change", exact=True).click()
    line.get_by_label("Field").select_option("median")
    resolution = line.get_by_label("Resolution")
    query = asked(page, lambda: resolution.select_option("an hour"), "median-hour")
    assert query["line"] == ["A1,value", "A2,median-hour"]
    line.get_by_label("Axis").select_option("right")
    line.get_by_label("Drawn as").select_option("points")
    line.get_by_label("Smoothing").select_option("more")
    line.get_by_label("Colour").select_option("violet")
    lines = ["A1", "A2,median-hour,right,points,s15,c7"]
    eventually(lambda: parse_qs(urlsplit(page.url).query)["line"] == lines)
    page.reload()
    is_live(page)
    expect(line).to_contain_text("median of an hour")
    line.get_by_text("Change", exact=True).click()
    expect(line.get_by_label("Colour")).to_have_value("7")


def test_points_of_the_same_stretch_get_the_same_time_and_stay_in_order(web, open_page):
    page = open_page(f"{web.address}graphs")
    is_live(page)
    found = page.evaluate(
        """async () => {
            const { align } = await import(new URL('./static/js/graphs/data.js', location));
            const line = (times, bucket_ms = 10_000) => ({ bucket_ms, columns: [times] });
            const lines = [
                line([5, 15, 25, 45]), line([6, 14, 34, 44, 54]), line([9, 11, 12]),
                line([6, 14], 0),
            ];
            align(lines);
            return lines.map(({ columns }) => columns[0]);
        }"""
    )
    assert found == [[5, 15, 25, 45], [5, 15, 34, 45, 54], [5, 11, 15], [6, 14]]


def test_charts_for_each_unit_have_one_cursor(web, open_page):
    page = open_page(f"{web.address}graphs?line=A1&line=W4&line=A2&layout=units&last=1w")
    is_live(page)
    shown(page)
    expect(page.locator("#charts .chart")).to_have_count(2)
    box = page.locator(".u-over").first.bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 40)
    for place in range(2):
        cursor = page.locator(".u-over").nth(place).locator(".u-cursor-x")
        transform = "element => new DOMMatrix(getComputedStyle(element).transform).e"
        assert cursor.evaluate(transform) == pytest.approx(200, abs=2)
    page.get_by_label("Charts").select_option("one for each line")
    expect(page.locator("#charts .chart")).to_have_count(3)


def test_texts_and_booleans_are_shown_as_such(web, open_page):
    page = open_page(f"{web.address}graphs?line=T1&line=B1&last=1d")
    is_live(page)
    shown(page)
    expect(page.locator(".strip > span").last).to_have_text(re.compile("idle|<i>heating</i>"))
    expect(page.locator(".strip")).to_contain_text("<i>heating</i>")
    expect(readout(page, "T1")).to_have_text(re.compile("idle|<i>heating</i>"))
    expect(readout(page, "B1")).to_have_text(re.compile("on|off"))


def test_new_readings_appear_and_a_fixed_span_stays(web, open_page):
    page = open_page(f"{web.address}graphs?line=A1&last=1h")
    is_live(page)
    shown(page)
    web.on_batch([reading("A1", 77.5)])
    expect(readout(page, "A1")).to_have_text(re.compile("77.50 °C"))
    page.get_by_role("button", name="Live", exact=True).click()
    shown(page)
    span = parse_qs(urlsplit(page.url).query)["to"]
    web.on_batch([reading("A1", 88.5, sequence=2)])
    page.wait_for_timeout(1500)
    expect(readout(page, "A1")).to_have_text(re.compile("77.50 °C"))
    assert parse_qs(urlsplit(page.url).query)["to"] == span


def test_a_graph_is_saved_updated_renamed_opened_shared_and_deleted(web, open_page):
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}graphs?line=A1&last=1w")
    is_live(page)
    page.get_by_text("Saved", exact=True).click()
    page.get_by_label("Name").fill(STRANGE)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("#toast")).to_have_text("Saved.")
    expect(page.locator("#title")).to_have_text(STRANGE)
    page.locator("#title").click()
    asked(page, page.get_by_role("button", name="Last month").click)
    page.get_by_text("Saved", exact=True).click()
    page.get_by_role("button", name="Update").click()
    expect(page.locator("#toast")).to_have_text("Updated.")
    page.get_by_label("Name").fill("Boiler")
    page.get_by_role("button", name="Rename").click()
    expect(page.locator("#title")).to_have_text("Boiler")
    page.get_by_role("button", name="Show first").click()
    expect(page.locator("#toast")).to_have_text("Shown first from now on.")
    page.goto(f"{web.address}graphs")
    expect(page.locator("#title")).to_have_text("Boiler")
    expect(page.get_by_role("button", name="Last month")).to_have_attribute("aria-pressed", "true")
    other = open_page(page.url)  # by the link, not signed in
    expect(other.locator("#title")).to_have_text("Boiler")
    expect(other.locator(".line")).to_have_count(1)
    page.get_by_text("Saved", exact=True).click()
    expect(page.get_by_role("link", name="Boiler (shown first)")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#toast")).to_have_text("Deleted.")
    expect(page.get_by_text("Nothing saved yet.")).to_be_visible()


def test_notes_are_marks_that_come_and_go(web, open_page):
    now_ms = time_now_ms()
    events.add(web.home, [events.Event(now_ms - HOUR_MS, "A1", "halted", STRANGE, "ben")])
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}graphs?line=A1&last=1d")
    is_live(page)
    expect(page.locator("#mark-count")).to_have_text("1 in this span")
    shown(page)
    box = page.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 23 / 24, box["y"] + 50)
    expect(page.locator("#chart-note")).to_contain_text(f"Halted Boiler flow: {STRANGE}")
    page.get_by_text("Events", exact=False).first.click()
    expect(page.locator("#mark-list li")).to_contain_text(f"{STRANGE}by ben")
    page.get_by_label("About").select_option("Boiler flow")
    page.get_by_label("Note", exact=True).last.fill("New <pump>")
    page.get_by_role("button", name="Add note").click()
    note = page.locator("#mark-list li").filter(has_text="New <pump>")
    expect(note).to_contain_text("Boiler flow (A1)New <pump>by owner")
    expect(page.locator("#mark-count")).to_have_text("2 in this span")
    page.get_by_label("Halted").uncheck()
    expect(page.locator("#mark-count")).to_have_text("1 in this span")
    note.get_by_role("button").click()
    expect(page.locator("#mark-count")).to_have_text("none in this span")


def test_a_picture_has_title_lines_and_charts(web, open_page):
    page = open_page(f"{web.address}graphs?line=<,&line=W4&last=1w")
    is_live(page)
    shown(page)
    page.get_by_text("Export", exact=True).click()
    found = download(page, "PNG")
    assert re.fullmatch(r"[\w .-]+\.png", found.suggested_filename)
    content = found.path().read_bytes()
    assert content.startswith(b"\x89PNG")
    width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))
    assert width > 900
    assert height > 400


def test_what_is_shown_and_all_readings_of_a_span_are_stored_as_files(web, open_page):
    page = open_page(f"{web.address}graphs?line=W4&line=%3C,&last=1d", locale="de-DE")
    is_live(page)
    shown(page)
    page.get_by_text("Export", exact=True).click()
    found = download(page, "CSV")
    assert re.fullmatch(r"jph-shown-[\d-]+\.csv", found.suggested_filename)
    lines = list(csv.DictReader(io.StringIO(found.path().read_bytes().decode(), newline="")))
    assert {line["codifier"] for line in lines} == {"W4", "<,"}
    assert lines[-1]["name"] == STRANGE * 3
    assert len(lines) == 48
    page.goto(f"{web.address}graphs?line=W4&last=1d&before=1w")
    is_live(page)
    shown(page)
    page.get_by_text("Export", exact=True).click()
    content = download(page, "CSV").path().read_bytes().decode()
    periods = [line["period"] for line in csv.DictReader(io.StringIO(content, newline=""))]
    assert periods == sorted(periods, reverse=True)
    assert set(periods) == {"shown", "earlier"}
    page.get_by_label("Sensors").select_option("all")
    page.get_by_label("File").select_option("NDJSON")
    found = download(page, "Download")
    rows = [json.loads(line) for line in found.path().read_text().splitlines()]
    assert {row["codifier"] for row in rows} == {"A1", "A2", "W4", "B1", "T1", "<,"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d", rows[0]["time"])
    page.locator("#export [name=what]").select_option("statistics of hours")
    page.get_by_label("File").select_option("Parquet")
    assert download(page, "Download").path().read_bytes().startswith(b"PAR1")


def test_while_the_database_is_away_the_page_says_so_and_recovers_by_itself(
    make_web, open_page, postgres_server, postgres_url
):
    now_ms = time_now_ms()
    history = open_history(postgres_url, None)
    rows = (reading("A1", 20.5, timestamp_ms=now_ms - n * 60_000, sequence=n) for n in range(60))
    history.append([row_of(row) for row in rows])
    history.close()
    web = make_web(*COMPONENTS, history=postgres_url)
    page = open_page(f"{web.address}graphs?line=A1&last=1d", complains=["Failed to load resource"])
    is_live(page)
    shown(page)
    expect(page.locator(".remark")).to_be_hidden()
    marker = page.evaluate("window.marker = Math.random()")
    note = page.locator("#chart-note")
    postgres_server.stop()
    try:
        page.get_by_role("button", name="Last week").click()
        expect(note).to_have_text(
            re.compile(r"^No history since \d\d:\d\d:\d\d: .*Live values go on")
        )
        web.on_batch([reading("A1", 77.5, sequence=1000)])
        expect(readout(page, "A1")).to_have_text("77.50 °C")
    finally:
        postgres_server.start()
    expect(note).not_to_contain_text("No history", timeout=30_000)
    assert page.evaluate("window.marker") == marker


def test_a_day_with_a_change_of_the_clock_has_its_own_length(web, open_page):
    page = open_page(
        f"{web.address}graphs?line=A1&from=2026-10-24T22:00:00Z&to=2026-10-25T23:00:00Z&before=1d",
        timezone_id="Europe/Berlin",
        locale="de-DE",
    )
    is_live(page)
    shown(page)
    expect(page.locator("#span-text")).to_contain_text("25. Okt. 2026, 00:00")
    expect(page.locator("#span-form [name=to]")).to_have_value("2026-10-26T00:00")
    path = "./static/js/graphs/periods.js"
    periods = page.evaluate(
        f"""async () => {{
            const {{ shift }} = await import(new URL({json.dumps(path)}, location));
            const end = new Date(2026, 9, 26).getTime();
            const last = new Date(2026, 2, 31, 12).getTime();
            return [end - shift(end, '1d', -1), last - shift(last, '1M', -1)];
        }}"""
    )
    assert periods[0] == 25 * HOUR_MS
    assert periods[1] == 31 * DAY_MS - HOUR_MS  # 28 February, before the summer
    page.get_by_text("Data as a table").click()
    expect(page.get_by_role("table").get_by_role("row").nth(3)).to_contain_text("MESZ")
    expect(page.get_by_role("table").get_by_role("row").nth(20)).to_contain_text("MEZ")


def test_fingers_move_and_spread_a_chart(web, open_page):
    page = open_page(
        f"{web.address}graphs?line=A1&last=1y",
        viewport={"width": 390, "height": 844},
        has_touch=True,
    )
    is_live(page)
    shown(page)
    box = page.locator(".u-over").bounding_box()
    y = box["y"] + 60
    session = page.context.new_cdp_session(page)

    def touch(kind, *xs):
        points = [{"x": box["x"] + x, "y": y, "id": n} for n, x in enumerate(xs)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def swipe():
        touch("touchStart", 50)
        for x in range(60, 160, 10):
            touch("touchMove", x)
        touch("touchEnd")

    moved = asked(page, swipe)
    assert int(moved["from"][0]) < time_now_ms() - 2 * 366 * DAY_MS / 2 - 60 * DAY_MS

    def spread():
        touch("touchStart", 100, 140)
        for step in range(10):
            touch("touchMove", 100 - 5 * step, 140 + 5 * step)
        touch("touchEnd")

    assert width_of(asked(page, spread)) < width_of(moved) / 2


def test_all_works_behind_a_proxy_at_a_path(make_web, open_page):
    web = make_web(*COMPONENTS, proxies=("127.0.0.1",))
    history = open_history("sqlite:///history.sqlite", web.home)
    history.append([row_of(reading("A1", 20.5))])
    history.close()
    with PathProxy("/jph", web.bound_port) as proxy:
        page = open_page(f"http://127.0.0.1:{proxy.port}/jph/devel?line=A1")
        is_live(page)
        expect(readout(page, "A1")).to_have_text("20.50 °C")
        assert urlsplit(page.url).path == "/jph/graphs"
        page.get_by_role("link", name="Boiler flow").click()
        page.wait_for_url("**/jph/component/A1")
        page.close()  # before the proxy, which it would look for again


def test_a_phone_shows_strange_names_without_scrolling_sideways(web, open_page):
    page = open_page(
        f"{web.address}graphs?line=%3C,&line=A1&line=T1&last=1w",
        viewport={"width": 390, "height": 844},
        has_touch=True,
    )
    is_live(page)
    shown(page)
    expect(page.locator(".line .name").first).to_contain_text(STRANGE)
    for summary in page.locator("details > summary").all():
        if summary.is_visible():
            summary.click()
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.keyboard.press("Escape")
