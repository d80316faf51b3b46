"""Numbers as the locale of the browser writes them, and texts as they are."""

import pytest
from playwright.sync_api import expect

from tests.web.browser import is_live, sign_in
from tests.web.bus import component, obey, reading

SENTENCES = [
    ("Boiler is above 70.5 \u00b0C", "", "Boiler is above 70,5 \u00b0C"),
    ("is outside of -0.5 to 4.5 for 1.5 min", "", "is outside of \u22120,5 to 4,5 for 1,5 min"),
    ("Boiler 2.5 is above 70.5%.", "Boiler 2.5", "Boiler 2.5 is above 70,5%."),
    ("Acknowledged: 1.5 is above 1.5", "1.5", "Acknowledged: 1.5 is above 1,5"),
    ("is above 1.5e+20 J (2.5 h).", "", "is above 1,5e+20 J (2,5 h)."),
    ("The node 10.0.0.1 is silent", "", "The node 10.0.0.1 is silent"),
    ("v1.5 of 2026-11-28 at 10:15:00.5, port 80, 1000 messages, A1.5", "", None),
    ("", "", ""),
]
BIG = 123_456_789  # bytes; the third digit of it is what people read
ARABIC = str.maketrans(
    "0123456789.", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u066b"
)
LOCALES = {
    "en-US": ("1.50", "123", "21.5"),
    "de-DE": ("1,50", "123", "21,5"),
    "hi-IN": ("1.50", "123", "21.5"),
    "ar-EG": tuple(text.translate(ARABIC) for text in ("1.50", "123", "21.5")),
}


def feed(web, load=1.5):
    web.on_batch([reading("A1", load), reading("A2", BIG), reading("A3", "12.5")])


@pytest.mark.parametrize("locale", ["en-US", "de-DE", "hi-IN", "ar-EG"])
def test_cards_the_page_of_a_component_and_the_table_have_them(web, open_page, locale):
    load, megabytes, later = LOCALES[locale]
    feed(web)
    page = open_page(web.address, locale=locale)
    is_live(page)

    def card(codifier):
        return page.locator(f'.card[data-codifier="{codifier}"] [data-show=text]')

    expect(card("A1")).to_have_text(load)
    expect(card("A2")).to_have_text(megabytes)
    expect(card("A3")).to_have_text("12.5")  # a text, such as a version
    page.goto(f"{web.address}component/A1")
    is_live(page)
    expect(
        page.locator(".headline [data-show=text], .subject [data-show=text]").first
    ).to_have_text(load)
    web.on_batch([reading("A1", 21.5, sequence=2)])
    expect(page.locator(".subject [data-show=text]").first).to_have_text(later)
    page.goto(f"{web.address}component/A3")
    is_live(page)
    expect(page.locator(".subject [data-show=text]").first).to_have_text("12.5")
    page.goto(f"{web.address}dashtable")
    row = page.locator("tr", has_text="Load")
    expect(row).to_contain_text(later)
    expect(page.locator("tr", has_text="Boiler")).to_contain_text("12.5")


def test_a_field_for_a_number_stays_as_browsers_want_it(make_web, open_page):
    web = make_web(component("S1", name="Target", type="SetPoint", control_enabled=True))
    web.on_batch([reading("S1", 21.5)])
    page = open_page(web.address, locale="de-DE")
    sign_in(page, web)
    page.goto(f"{web.address}component/S1")
    is_live(page)
    expect(page.locator("input[name=number]")).to_have_value("21.5")


def test_numbers_in_sentences_are_those_that_stand_alone(web, open_page):
    page = open_page(web.address, locale="de-DE")
    for text, name, german in SENTENCES:
        found = page.evaluate(
            "async (given) => (await import(`${location.origin}/static/js/numbers.js`))"
            ".inSentence(...given)",
            [text, name],
        )
        assert found == (text if german is None else german)


def test_what_became_of_a_command_has_them(make_web, open_page):
    web = make_web(
        component(
            "S1",
            name="Target",
            symbol="V",
            type="SetPoint",
            control_enabled=True,
            sensor_interval_s=2.5,
        )
    )
    obey(web)
    web.on_batch([reading("S1", 21.5)])
    page = open_page(web.address, locale="de-DE")
    sign_in(page, web)
    page.goto(f"{web.address}component/S1")
    is_live(page)
    expect(page.get_by_text("2,5 s")).to_be_visible()  # its interval
    page.locator("input[name=number]").fill("20.5")
    page.locator("input[name=number]").press("Enter")
    expect(page.locator("#toast")).to_have_text("S1 is 20,5 V now.")


NUMBERS = [
    ("0", "0", "0"),
    ("\u22120.5", "\u22120,5", "\u22120.5"),
    ("12\u202f345", "12.345", "12,345"),
    ("1234", "1234", "1234"),
    ("1.23e+10", "1,23e+10", "1.23e+10"),
    ("1.50", "1,50", "1.50"),
    ("on", "on", "on"),
    ("1.2.3", "1.2.3", "1.2.3"),
    ("", "", ""),
    ("\u2013", "\u2013", "\u2013"),
]


def test_only_what_the_server_wrote_as_a_number_is_one(web, open_page):
    for place, locale in ((1, "de-DE"), (2, "en-US")):
        page = open_page(web.address, locale=locale)
        found = page.evaluate(
            """async (texts) => {
                const { localNumber } = await import(`${location.origin}/static/js/numbers.js`);
                return texts.map(localNumber);
            }""",
            [texts[0] for texts in NUMBERS],
        )
        assert found == [texts[place] for texts in NUMBERS]
