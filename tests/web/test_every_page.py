"""What holds for every page: structure, accessibility, width, and texts that stay texts."""

import re

import pytest
from playwright.sync_api import Page

from tests.web.browser import schemes, settle, sign_in, violations
from tests.web.bus import component, control, reading
from web.app import AREAS
from web.navigation import PAGES, SETTINGS

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
# Texts that break pages which trust them.
STRANGE = (
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE account; --",
    "مرحبا بالعالم",
    "🌡️ Küche & Bad",
    "=1+1",
    "long " * 40,
    "{{ 1234 * 4321 }}",
)
NETWORK = (
    *(
        component(f"N{n}", name=text, short_name=text[:20], symbol=text[:6])
        for n, text in enumerate(STRANGE)
    ),
    component("A1", name="Load", data_type="double"),
    component("A3", name="Boiler", data_type="string"),
    component("B1", name="Door", data_type="bool"),
    component("F1", name="Fan", control_enabled=True, type="Fan"),
    component("H1", name="History", type="HistoryWriter", sensor_interval_s=None),
    component("W1", name="Pages", type="Web", sensor_interval_s=None),
)


def paths() -> list[str]:
    """Return the paths of all pages that the navigation can show, and of components."""
    there = {module.blueprint.name for module in AREAS}
    entries = [e for e in (*PAGES, *SETTINGS) if e.endpoint.partition(".")[0] in there]
    return [*dict.fromkeys(e.endpoint for e in entries), "A1", "A3", "B1", "F1", "N0"]


@pytest.fixture
def network(make_web):
    """Return a server of a network in which all kinds of things happened."""
    web = make_web(*NETWORK)
    web.on_batch([reading(c.codifier, 20.5 + n, sequence=1) for n, c in enumerate(NETWORK[:8])])
    web.on_batch([reading("A3", STRANGE[0]), reading("B1", 1), reading("XX", 3.5)])
    web.on_control(control("I", "F1", is_active=False), ("127.0.0.1", 7601))
    return web


def address(web, endpoint: str) -> str:
    """Return the address of a page: of an endpoint of the navigation, or of a component."""
    if "." not in endpoint:
        return f"{web.address}component/{endpoint}"
    app = web._server._application()
    with app.test_request_context(base_url=web.address):
        from flask import url_for

        return url_for(endpoint, _external=True)


@pytest.mark.parametrize("endpoint", paths())
def test_page(network, open_page, endpoint):
    page = open_page(network.address)
    page.on("dialog", lambda dialog: pytest.fail(f"a script of a stranger ran: {dialog.message}"))
    sign_in(page, network)
    for size, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.goto(address(network, endpoint))
        settle(page)
        assert page.locator("h1").count() == 1
        assert page.evaluate("document.querySelectorAll('main').length") == 1
        assert page.title().strip()
        assert "5332114" not in page.content(), "a template ran a stranger's text"
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"the page is {wide} px wider than the screen of a {size}"
        for scheme in schemes(page):
            assert violations(page) == [], f"{size}, {scheme}"
    check_focus(page)


def check_focus(page: Page) -> None:
    """What has the focus is seen to have it."""
    seen = set()
    for _ in range(6):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.outerHTML.slice(0, 120)"))
        outline = page.evaluate(
            "getComputedStyle(document.activeElement).outlineStyle + "
            "getComputedStyle(document.activeElement, '::after').outlineStyle + "
            "getComputedStyle(document.activeElement).boxShadow"
        )
        assert re.search(r"solid|auto|rgb|oklab|color", outline), seen
    assert len(seen) >= 4
