"""The table of all components: as a file, and in a real browser."""

import csv
import io
import json

import pytest
from playwright.sync_api import expect

from jph.state import FIELDS
from tests.helpers import eventually
from tests.web.browser import is_live
from tests.web.bus import SENDER, component, control, reading, source
from tests.web.test_overview import slow
from web.table import COLUMNS, KEYS

EVIL = ['=HYPERLINK("x")', '"><img src=x onerror=alert(1)>', "חממה 🌱", "+1", "W" * 200]


@pytest.fixture
def web(make_web):
    """Serve components of all kinds."""
    made = make_web(
        slow("A1", name="Air", symbol="°C", area="Greenhouse/North", labels=("wet", "mains")),
        slow("A2", name="Bed", host="pi2", data_type="string"),
        slow("A3", name="Count", data_type="integer"),
        component("A4", name="Door", type="JSON"),
        component("W1", name="Pages", type="Web", sensor_interval_s=None),
    )
    made.channel.data_sources["A1"] = source("A1", lost=4)
    made.on_batch([reading("A1", 20.5), reading("A2", "open"), reading("A3", 7)])
    made.on_control(control("I", "A4", is_active=False), SENDER)
    made.on_batch([reading("A1", 20.5, sequence=2)])
    return made


def rows_of(client, query=""):
    answer = client.get(f"/dashtable.csv{query}")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_a_file_has_all_components_and_all_fields_of_the_last_state(client):
    assert set(FIELDS) <= set(KEYS)
    rows = rows_of(client)
    assert [row["Codifier"] for row in rows] == ["A1", "A2", "A3", "A4", "W1"]
    assert list(rows[0]) == KEYS
    first = rows[0]
    assert (first["Value"], first["Unit"], first["State"]) == ("20.5", "°C", "active")
    assert (first["DPacketsLost"], first["Area"], first["Labels"]) == (
        *("4", "Greenhouse/North"),
        "wet, mains",
    )
    assert rows[3]["State"] == "halted"
    assert rows[4]["Value"] == ""


def test_columns_rows_and_their_order_can_be_chosen(client):
    assert rows_of(client, "?columns=Codifier,Value&only=A3A1ZZ") == [
        {"Codifier": "A3", "Value": "7"},
        {"Codifier": "A1", "Value": "20.5"},
    ]
    answer = client.get("/dashtable.json?columns=Codifier,Value,Name&only=A2")
    assert answer.json == [{"Codifier": "A2", "Value": "open", "Name": "Bed"}]
    assert rows_of(client, "?only=") == []
    assert client.get("/dashtable.csv?columns=Codifier,Foo").status == 400
    assert client.get("/dashtable.xls").status == 404


@pytest.mark.parametrize("name", EVIL)
def test_no_cell_is_a_formula_and_json_keeps_each_text(make_web, name):
    from tests.web.client import Client

    web = make_web(component("A1", name=name, area=name, data_type="string"))
    web.on_batch([reading("A1", name)])
    client = Client(web.bound_port)
    (row,) = rows_of(client)
    for key in ("Name", "Area", "Value"):
        assert row[key].lstrip("'") == name
        assert row[key][0] not in "=@\t\r"
        assert row[key][0] not in "+-" or float(row[key])
    (plain,) = client.get("/dashtable.json").json
    assert (plain["Name"], plain["Value"]) == (name, name)


def order(page):
    return page.locator("#table tbody tr").evaluate_all("rows => rows.map(r => r.dataset.codifier)")


def cell(page, codifier, title):
    """Return the cell of a component below a heading."""
    titles = page.locator("#table thead th").all_text_contents()
    row = page.locator(f'#table tr[data-codifier="{codifier}"]')
    return row.locator("th, td").nth(titles.index(title))


def test_the_table_is_live(web, open_page):
    page = open_page(f"{web.address}dashtable")
    is_live(page)
    expect(cell(page, "A1", "Value")).to_have_text("20.5")
    expect(cell(page, "A1", "Readings lost")).to_have_text("4")
    expect(cell(page, "A4", "State")).to_have_text("Halted")
    web.on_batch([reading("A1", 21.5, sequence=3)])
    expect(cell(page, "A1", "Value")).to_have_text("21.5")
    web.on_control(control("I", "A4"), SENDER)
    expect(cell(page, "A4", "State")).not_to_have_text("Halted")


def test_it_is_sorted_and_filtered_by_what_the_address_says(web, open_page):
    page = open_page(f"{web.address}dashtable")
    is_live(page)
    eventually(lambda: order(page) == ["A1", "A2", "A3", "A4", "W1"])
    page.get_by_role("button", name="Value", exact=True).click()
    eventually(lambda: order(page)[:2] == ["A3", "A1"])
    page.get_by_role("button", name="Value", exact=True).press("Enter")
    eventually(lambda: order(page)[:2] == ["A1", "A3"])
    assert page.url == f"{web.address}dashtable?sort=Text&down=1"
    heading = page.get_by_role("columnheader", name="Value", exact=True)
    expect(heading).to_have_attribute("aria-sort", "descending")
    page.get_by_label("Search in all columns shown").fill("greenhouse")
    eventually(lambda: order(page) == ["A1"])
    page.get_by_label("Search in all columns shown").fill("")
    page.get_by_role("combobox", name="State").select_option("active")
    eventually(lambda: order(page) == ["A1", "A3", "A2"])
    page.go_back()
    eventually(lambda: len(order(page)) == 5)
    page.goto(f"{web.address}dashtable?sort=Name&down=1&q=pi2&columns=Name,Host")
    is_live(page)
    eventually(lambda: order(page) == ["A2"])
    assert page.locator("#table thead th").all_text_contents() == ["Name", "Host"]


def test_columns_are_chosen_and_remembered_and_downloaded(web, open_page):
    page = open_page(f"{web.address}dashtable")
    is_live(page)
    page.get_by_text("Columns", exact=True).click()
    for column in COLUMNS:
        if column.is_usual and column.key not in ("Name", "Text"):
            page.locator(f'#columns input[value="{column.key}"]').uncheck()
    page.get_by_role("checkbox", name="Last sign of life ITimestamp").check()
    page.keyboard.press("Escape")
    expect(page.locator("#columns form")).to_be_hidden()
    titles = ["Name", "Value", "Last sign of life"]
    assert page.locator("#table thead th").all_text_contents() == titles
    page.get_by_role("button", name="Name", exact=True).click()
    page.get_by_role("button", name="Name", exact=True).click()
    with page.expect_download() as given:
        page.get_by_role("link", name="JSON").click()
    rows = json.loads(given.value.path().read_text())
    assert [row["Name"] for row in rows] == ["Pages", "Door", "Count", "Bed", "Air"]
    assert list(rows[0]) == ["Name", "Text", "ITimestamp"]
    page.goto(f"{web.address}dashtable")
    assert page.locator("#table thead th").all_text_contents() == titles
    page.get_by_text("Columns", exact=True).click()
    page.get_by_role("button", name="The usual columns").click()
    assert len(page.locator("#table thead th").all_text_contents()) > 8


@pytest.mark.parametrize("name", EVIL)
def test_any_text_is_text_and_a_phone_scrolls_the_table_alone(make_web, open_page, name):
    web = make_web(component("A1", name=name, host=name, area=name, data_type="string"))
    web.on_batch([reading("A1", name)])
    page = open_page(f"{web.address}dashtable", viewport={"width": 390, "height": 844})
    is_live(page)
    eventually(lambda: cell(page, "A1", "Value").text_content().startswith(name[:50]))
    assert cell(page, "A1", "Name").text_content() == name
    assert page.locator("img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    before = cell(page, "A1", "Name").bounding_box()["x"]
    page.get_by_role("region", name="Components").evaluate("place => { place.scrollLeft = 300; }")
    assert cell(page, "A1", "Name").bounding_box()["x"] == pytest.approx(before, abs=2)
