"""Pages on a phone and on a tablet, and the clock that ages are counted by, in a real browser."""

import pytest

from tests.web.browser import is_live, sign_in

LINKS = """links => links.map(link => {
    const {left, right, height} = link.getBoundingClientRect();
    return {left, right, height, isCut: link.scrollWidth > link.clientWidth
        || link.parentElement.scrollWidth > link.parentElement.clientWidth};
})"""
LATE = """async () => {
    const {serverNow, setNow} = await import('/static/js/live.js');
    setNow(Date.now() + 60_000);
    setNow(Date.now() + 52_000);
    return serverNow() - Date.now();
}"""


@pytest.mark.parametrize(
    ("width", "least"), [(360, 40), (390, 40), (600, 24), (820, 24), (1090, 24), (1280, 24)]
)
def test_all_pages_of_the_navigation_are_seen_at_once(web, open_page, width, least):
    size = {"width": width, "height": 780}
    page = open_page("about:blank", viewport=size, has_touch=True)
    sign_in(page, web)
    is_live(page)
    links = page.locator("nav.pages a").evaluate_all(LINKS)
    assert len(links) >= 6
    for link in links:
        assert 0 <= link["left"] < link["right"] <= width
        assert link["height"] >= least
        assert not link["isCut"]
    account = page.locator("nav.account").bounding_box()
    assert account["height"] < 40, "it is broken into lines"


def test_a_time_that_was_taken_late_does_not_set_the_clock_back(web, open_page):
    page = open_page("about:blank")
    sign_in(page, web)
    is_live(page)
    assert page.evaluate(LATE) == pytest.approx(60_000, abs=1_000)


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_what_is_gone_to_is_not_below_the_bar(web, open_page, width):
    page = open_page("about:blank", viewport={"width": width, "height": 500})
    sign_in(page, web)
    page.goto(f"{web.address}component/A1")
    is_live(page)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    top, bottom = page.evaluate(
        """() => {
            const element = document.querySelector('main a.back');
            element.scrollIntoView({block: 'start', behavior: 'instant'});
            return [element.getBoundingClientRect().top,
                document.querySelector('body > .bar').getBoundingClientRect().bottom];
        }"""
    )
    assert top >= bottom > 0
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    page.locator("main .actions button").first.focus()
    assert page.locator("main .actions button").first.bounding_box()["y"] >= bottom
