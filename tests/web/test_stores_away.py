"""Redis and PostgreSQL are stopped in mid-use: pages say which and since when, and recover."""

import re

import pytest
from playwright.sync_api import expect

from jph.node.building import build
from jph.node.node import Node
from tests.network import config_of, running
from tests.web.browser import is_live


@pytest.fixture
def address(tmp_path, redis_server, postgres_url):
    """Return the address of pages whose last states and history are on servers."""
    (tmp_path / "source").write_text("21.5\n")
    config = config_of(
        {"Codifier": "A1", "SensorInterval": 0.2, "Sensor": {"Pipe": str(tmp_path / "source")}},
        {
            "Codifier": "S1",
            "Type": "StateCache",
            "SensorInterval": 1,
            "Sensor": {"URL": redis_server.url},
        },
        {
            "Codifier": "H1",
            "Type": "HistoryWriter",
            "DataType": "json",
            "Name": "History",
            "SensorInterval": 1,
            "Sensor": {"URL": postgres_url, "BatchTime": 0.2},
        },
        {"Codifier": "W1", "Type": "Web", "Sensor": {"Port": 0}},
    )
    node = Node(config, tmp_path / "home")
    for component in config.components.values():
        node.add(component, build)
    with running(node):
        yield node.runners["W1"].callbacks.greeting().splitlines()[0].split()[-1]


def test_pages_say_which_store_is_away_and_since_when_and_recover(
    address, redis_server, postgres_server, open_page
):
    overview, network = open_page(address), open_page(f"{address}network")
    for page in (overview, network):
        is_live(page)
        page.evaluate("globalThis.marker = 1")
    banner = overview.locator("#faults")
    sentence = network.locator("#sentence")
    expect(banner).to_be_hidden()
    expect(sentence).to_contain_text("All is well")

    redis_server.stop()
    expect(banner).to_contain_text("Last states are not being stored.", timeout=30_000)
    expect(banner).to_contain_text(re.compile(r"\(S1, since \d\d:\d\d:\d\d; live values go on\.\)"))
    expect(sentence).to_contain_text("Last states are not being stored.", timeout=30_000)
    redis_server.start()
    expect(banner).to_be_hidden(timeout=30_000)

    postgres_server.stop()
    expect(banner).to_contain_text("History is not being stored.", timeout=30_000)
    expect(banner).to_contain_text(re.compile(r"\(H1, since \d\d:\d\d:\d\d; live values go on\.\)"))
    history = network.locator('#stores [data-key="H1"]')
    expect(history).to_contain_text(re.compile("not being stored.*for .* since"), timeout=30_000)
    spool = network.get_by_text(re.compile(r"^\d+ readings wait in the spool of History\.$"))
    expect(spool).to_be_visible(timeout=30_000)
    expect(overview.locator("[data-codifier=A1] [data-show=text]")).to_have_text("21.5")
    postgres_server.start()
    expect(banner).to_be_hidden(timeout=60_000)
    expect(sentence).to_contain_text("All is well", timeout=60_000)
    for page in (overview, network):
        assert page.evaluate("globalThis.marker") == 1, "nobody had to load it anew"
