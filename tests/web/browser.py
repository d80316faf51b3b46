"""What tests do in a real browser; its fixtures, `browser` and `open_page`, are in conftest.py."""

from playwright.sync_api import Page, expect

from web.service import Web

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


def sign_in(page: Page, web: Web) -> None:
    """Open the one-time link: one click, no more."""
    page.goto(web.sign_in_url())
    page.wait_for_url(web.address)


def is_live(page: Page) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-connection", "live")
