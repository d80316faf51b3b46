"""Diagrams in a real browser: upload, place by mouse and by keyboard, live values, the wall."""

import re

import pytest
from playwright.sync_api import expect

from tests.web.browser import is_live, schemes, sign_in, violations
from tests.web.bus import SENDER, control, reading
from tests.web.diagrams.test_pictures import png

HOSTILE = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 200" onload="document.title=1">'
    b'<rect width="400" height="200" fill="#246"/><script>document.title = "run"</script>'
    b'<image href="https://evil.example/x.png" width="9" height="9"/>'
    b'<foreignObject width="9" height="9"><body xmlns="http://www.w3.org/1999/xhtml">'
    b'<img src="x" onerror="document.title=1"/></body></foreignObject></svg>'
)


@pytest.fixture
def page(web, open_page):
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}diagram")
    return page


def upload(page, data, mimetype="image/svg+xml", name="Cellar"):
    page.get_by_label("Name").fill(name)
    file = {"name": "plan.svg", "mimeType": mimetype, "buffer": data}
    page.get_by_label("Picture").set_input_files(file)
    page.get_by_role("button", name="Add the diagram").click()
    page.wait_for_url(re.compile(r"/diagram/\d+$"))


def place(page, codifier):
    return page.locator(f'.place[data-codifier="{codifier}"]')


def middle(page, codifier):
    """Return where a value stands on the picture, as parts of it."""
    stage, box = page.locator("#stage").bounding_box(), place(page, codifier).bounding_box()
    return (
        (box["x"] + box["width"] / 2 - stage["x"]) / stage["width"],
        (box["y"] + box["height"] / 2 - stage["y"]) / stage["height"],
    )


def save(page):
    with page.expect_navigation():
        page.get_by_role("button", name="Save").click()


def test_a_picture_is_uploaded_and_drawn_but_never_run(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    upload(page, HOSTILE)
    image = page.locator("#stage img")
    expect(image).to_be_visible()
    page.wait_for_function("document.querySelector('#stage img').naturalWidth === 400")
    assert page.title() == "Cellar · Diagrams · JPH"
    assert not [url for url in asked if "evil" in url]
    # Opened by itself, it does nothing either.
    page.goto(page.url.partition("?")[0] + "/picture")
    assert page.evaluate("document.querySelectorAll('script, foreignObject').length") == 0


def test_what_is_no_picture_is_refused_in_words(page, open_page, web):
    other = open_page(web.address, complains=["400"])
    sign_in(other, web)
    other.goto(f"{web.address}diagram")
    other.get_by_label("Name").fill("x")
    file = {"name": "x.png", "mimeType": "image/png", "buffer": b"<html>"}
    other.get_by_label("Picture").set_input_files(file)
    other.get_by_role("button", name="Add the diagram").click()
    expect(other.locator("#toast")).to_have_text("It is neither SVG, PNG, JPEG or WebP.")


def test_values_are_placed_by_keyboard_and_go_live(web, page):
    web.on_batch([reading("A1", 21.5)])
    upload(page, png(60, 30), "image/png")
    page.get_by_role("button", name="Edit").press("Enter")
    expect(page.get_by_label("Component")).to_be_focused()
    page.get_by_label("Component").select_option("A1")
    page.get_by_role("button", name="Place it").press("Enter")
    expect(place(page, "A1").get_by_role("link")).to_be_focused()
    expect(place(page, "A1").locator("b")).to_have_text("21.5")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    expect(page.locator("#where")).to_have_text(re.compile("60 % from the left, 50 % from above"))
    page.get_by_label("Label").fill("Boiler <b>")
    page.get_by_label("Size").select_option("large")
    page.get_by_label("Upper limit").fill("30")
    save(page)
    is_live(page)
    expect(place(page, "A1").locator(".label")).to_have_text("Boiler <b>")
    assert middle(page, "A1") == pytest.approx((0.6, 0.498), abs=0.01)
    expect(place(page, "A1")).not_to_have_class(re.compile("is-out"))
    web.on_batch([reading("A1", 31.0, sequence=2)])
    expect(place(page, "A1").locator("b")).to_have_text("31.0")
    expect(place(page, "A1")).to_have_class(re.compile("is-out"))
    expect(place(page, "A1").locator(".unseen-text")).to_have_text("Active, above its limit")
    web.on_control(control("I", "A1", is_active=False), SENDER)
    expect(place(page, "A1")).to_have_attribute("data-state", "halted")
    page.locator(".place a").press("Enter")
    page.wait_for_url(re.compile("/component/A1"))


def test_values_are_dragged_and_taken_away(web, page):
    upload(page, png(60, 30), "image/png")
    page.get_by_role("button", name="Edit").click()
    for codifier in ("A1", "A2"):
        page.get_by_label("Component").select_option(codifier)
        page.get_by_role("button", name="Place it").click()
    stage = page.locator("#stage").bounding_box()
    box = place(page, "A2").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(stage["x"] + 100, stage["y"] + 50, steps=5)
    page.mouse.move(
        stage["x"] + 0.2 * stage["width"] - box["width"] / 2 + 5,
        stage["y"] + 0.25 * stage["height"] - box["height"] / 2 + 5,
        steps=5,
    )
    page.mouse.up()
    assert middle(page, "A2") == pytest.approx((0.2, 0.25), abs=0.02)
    place(page, "A1").click()
    page.keyboard.press("Delete")
    expect(place(page, "A1")).to_have_count(0)
    save(page)
    is_live(page)
    expect(place(page, "A1")).to_have_count(0)
    assert middle(page, "A2") == pytest.approx((0.2, 0.25), abs=0.02)


def test_cancel_takes_everything_back(page):
    upload(page, png(60, 30), "image/png")
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("button", name="Place it").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".place")).to_have_count(0)
    expect(page.locator("#editor")).to_be_hidden()


def test_somebody_else_was_faster(web, page, open_page):
    upload(page, png(60, 30), "image/png")
    other = open_page(web.address, complains=["409"])
    sign_in(other, web)
    other.goto(page.url)
    for one in (page, other):
        one.get_by_role("button", name="Edit").click()
        one.locator("#editor").get_by_label("Name").fill("Mine")
    save(page)
    other.get_by_role("button", name="Save").click()
    expect(other.locator("#toast")).to_contain_text("load it again")


def test_the_example_on_a_phone_and_on_a_wall(web, open_page):
    web.on_batch([reading("A1", 1.5), reading("A2", 5)])
    phone = open_page(web.address, viewport={"width": 390, "height": 844}, has_touch=True)
    sign_in(phone, web)
    phone.goto(f"{web.address}diagram")
    phone.get_by_role("button", name="Try an example").tap()
    is_live(phone)
    box = phone.locator("#stage").bounding_box()
    assert box["width"] > 350
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    wall = open_page(f"{phone.url}?wall=1", viewport={"width": 2560, "height": 1440})
    is_live(wall)
    box = wall.locator("#stage").bounding_box()
    assert box["height"] > 1300
    assert box["y"] + box["height"] <= 1440
    expect(wall.get_by_role("navigation", name="Pages")).to_be_hidden()
    size = wall.locator(".place b").first.evaluate(
        "it => parseFloat(getComputedStyle(it).fontSize)"
    )
    assert size > 30
    wall.keyboard.press("Escape")
    expect(wall.get_by_role("heading", level=1)).to_be_visible()


def test_a_viewer_sees_live_values_and_no_editor(web, page, open_page):
    upload(page, png(60, 30), "image/png")
    page.get_by_role("button", name="Edit").click()
    page.get_by_role("button", name="Place it").click()
    save(page)
    stranger = open_page(page.url)
    is_live(stranger)
    web.on_batch([reading("A1", 7.5)])
    expect(place(stranger, "A1").locator("b")).to_have_text("7.50")
    expect(stranger.get_by_role("button", name="Edit")).to_have_count(0)


def test_axe_finds_nothing_on_a_diagram_and_its_editor(web, open_page):
    web.on_batch([reading("A1", 1.5), reading("A2", 5)])
    page = open_page(web.address)
    sign_in(page, web)
    page.goto(f"{web.address}diagram")
    page.get_by_role("button", name="Try an example").click()
    is_live(page)
    page.get_by_role("button", name="Edit").click()
    place(page, "A1").click()
    for scheme in schemes(page):
        assert violations(page) == [], scheme
