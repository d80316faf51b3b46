"""What tests do in a real browser; its fixtures, `browser` and `open_page`, are in conftest.py."""

import re
from collections.abc import Iterator

from axe_playwright_python.base import AXE_SCRIPT
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
    """Open the one-time link: one click, no more, but for the first start, which waits."""
    page.goto(web.sign_in_url())
    page.wait_for_url(re.compile(f"^{re.escape(web.address)}(welcome)?$"))
    if page.url.endswith("/welcome"):
        page.get_by_role("link", name="Not now").click()
        page.wait_for_url(web.address)


def violations(page: Page, part: str | None = None) -> list[str]:
    """Return what axe finds wrong with a page, or with a part of it, by its selector."""
    if page.evaluate("!globalThis.axe"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(
        """async (part) => {
            const found = await axe.run(part ?? document, { resultTypes: ['violations'] });
            return found.violations;
        }""",
        part,
    )
    return [f"{one['id']}: {[node['target'] for node in one['nodes'][:4]]}" for one in found]


QUIET = """(quiet_ms) => new Promise((done) => {
    let timer;
    const begin = () => {
        clearTimeout(timer);
        timer = setTimeout(end, quiet_ms);
    };
    const changes = new MutationObserver(begin);
    const answers = new PerformanceObserver(begin);
    const end = () => {
        changes.disconnect();
        answers.disconnect();
        clearTimeout(last);
        done();
    };
    const last = setTimeout(end, 5000); // a page that is never quiet, such as one with a clock
    const all = { subtree: true, childList: true, attributes: true, characterData: true };
    changes.observe(document, all);
    answers.observe({ type: 'resource' });
    begin();
})"""


def settle(page: Page) -> None:
    """Wait until a page has loaded, and for a moment nothing of it changes and no answer comes."""
    page.wait_for_load_state("load")
    page.evaluate(QUIET, 300)


def schemes(page: Page) -> Iterator[str]:
    """Show a page in light and then in dark colours."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        yield scheme


def is_live(page: Page) -> None:
    expect(page.locator("#connection")).to_have_attribute("data-connection", "live")
