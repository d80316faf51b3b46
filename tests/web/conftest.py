"""Fixtures of the tests of the pages: a server on a bus that the test plays."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from jph.config.model import Component
from tests.web.browser import ARGUMENTS
from tests.web.bus import FakeChannel, FedWeb, component, config_of
from tests.web.client import Client
from web.service import Web

COMPONENTS = (
    component("A1", name="Load", data_type="double"),
    component("A2", name="Memory used", symbol="B", data_type="integer"),
    component("A3", name="Boiler", data_type="string"),
    component("H1", name="History", type="HistoryWriter", sensor_interval_s=None),
    component("W1", name="Pages", type="Web", sensor_interval_s=None),
)


@pytest.fixture
def server() -> str:
    """Return the name of the server; tests of what both servers do have it as a parameter."""
    return "waitress"


@pytest.fixture
def make_web(
    tmp_path: Path, server: str, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Web]]:
    """Return what starts a server on a free port; all are closed at the end."""
    made: list[Web] = []
    has_browser = "open_page" in request.fixturenames

    def make(*components: Component, **settings: Any) -> Web:
        config = config_of(*(components or COMPONENTS))
        settings = {"port": 0, "server": server, **settings}
        channel = FakeChannel(config, tmp_path)
        web = FedWeb(channel=channel, config=config, home=tmp_path, **settings)
        made.append(web)
        if has_browser:  # a busy machine answers late, and the browser goes on asking
            for gate in (web._site.page_gate, web._site.history_gate):
                gate.most = gate.places.most = gate.places.most_of_address = 100
                gate._wait_s = 60.0
        return web

    yield make
    for web in made:
        web.close()
        web.channel.process.close()


@pytest.fixture
def web(make_web: Callable[..., Web]) -> Web:
    """Return a server of a small network."""
    return make_web()


@pytest.fixture
def client(web: Web) -> Client:
    """Return a browser without scripts, not signed in."""
    return Client(web.bound_port)


@pytest.fixture
def owner(web: Web) -> Client:
    """Return a browser without scripts that came by the one-time link."""
    client = Client(web.bound_port)
    client.follow_link(web.sign_in_url())
    return client


@pytest.fixture(scope="module")  # asyncio.run fails while Playwright runs
def browser(chromium: str) -> Iterator[Browser]:
    """Return a running Chromium."""
    expect.set_options(timeout=30_000)  # a busy machine may take long
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Return what opens a page; fails the test for anything the console complains of."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_(url: str, *, complains: Sequence[str] = (), **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()

        def on_console(message: ConsoleMessage) -> None:
            # Chromium advises so where `drawn` asks often, as it does on a slow machine.
            if message.type in ("error", "warning") and not any(
                expected in message.text for expected in (*complains, "willReadFrequently")
            ):
                complaints.append(f"{message.type}: {message.text}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
