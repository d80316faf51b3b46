"""The page of the network on a real bus, with two nodes of which one dies."""

import json
import signal
import struct
from contextlib import ExitStack

import pytest
from playwright.sync_api import expect

from jph.config.host import this_host
from jph.node.building import build
from jph.node.node import Node
from jph.owned import memory_folder
from tests.helpers import eventually
from tests.network import Peer, config_of, running
from tests.tools import program
from tests.web.browser import is_live
from tests.web.client import Client

HERE = this_host()


def sensor(codifier, host, tmp_path, **more):
    (tmp_path / codifier).write_text("1.5\n")
    own = {"Pipe": str(tmp_path / codifier)}
    entry = {"Codifier": codifier, "Host": host, "SensorInterval": 0.5, "KeepAliveInterval": 1}
    return {**entry, "Sensor": own, **more}


@pytest.fixture
def network(tmp_path):
    """Return a node with the pages, the life of another one, and a peer."""
    config = config_of(
        sensor("A1", HERE, tmp_path),
        *(sensor(f"B{n}", "elsewhere", tmp_path, Name=f"Far {n}") for n in range(3)),
        {"Codifier": "H1", "Type": "HistoryWriter", "Host": HERE, "Sensor": {"BatchTime": 0.2}},
        {"Codifier": "W1", "Type": "Web", "Host": HERE, "Sensor": {"Port": 0}},
    )
    node = Node(config, tmp_path / "home")
    for codifier in ("A1", "H1", "W1"):
        node.add(config.components[codifier], build)
    other = Node(config, tmp_path / "other")
    for number in range(3):
        other.add(config.components[f"B{number}"], build)
    with running(node), Peer(config, "ZZ") as peer, ExitStack() as life:
        life.enter_context(running(other))
        yield node, life, peer


def test_nodes_are_measured_and_a_dead_one_is_one_thing(network, open_page):
    node, life, peer = network
    address = node.runners["W1"].callbacks.greeting().splitlines()[0].split()[-1]
    client = Client(int(address.rstrip("/").rpartition(":")[2]))

    def nodes():
        shown = client.get("/network/state").json
        return {found["name"]: found for found in shown["nodes"]}

    eventually(lambda: (nodes().get("elsewhere") or {}).get("round_trip_ms") is not None, 30)
    there, here = nodes()["elsewhere"], nodes()[HERE]
    assert 0 < there["round_trip_ms"] < 2000
    assert abs(there["offset_ms"]) <= there["offset_error_ms"] + 5  # one clock, read twice
    assert [process["is_here"] for process in there["processes"]] == [False]
    assert [process["is_here"] for process in here["processes"]] == [True]
    assert there["received"] > 0

    for sequence in (7, 8, 12):
        peer.publish("Z1", "f", struct.pack("<f", 2.5), sequence)
    page = open_page(f"{address}network")
    is_live(page)
    expect(page.locator("#sentence")).to_contain_text("All is well: 2 nodes with 6 components.")
    expect(page.locator("#stranger-table")).to_contain_text("Z1")
    expect(page.locator("#stranger-table")).to_contain_text("2.50")

    life.close()  # of the other node; nothing tells that it goes
    expect(page.locator("#sentence")).to_have_text("elsewhere is dead.", timeout=40_000)
    told = page.get_by_role("region", name="What does not work")
    expect(told.get_by_role("listitem")).to_have_count(1)
    expect(told).to_contain_text("none of its 3 components gives a sign of life")
    page.goto(address)
    expect(told.get_by_role("listitem")).to_have_count(1)
    expect(told).to_contain_text("elsewhere is dead")


def test_another_process_of_the_home_tells_what_it_writes(tmp_path, open_page):
    config = config_of(
        {"Codifier": "W1", "Type": "Web", "Host": HERE, "Sensor": {"Port": 0}},
        sensor("C1", HERE, tmp_path, Name="Cellar"),
    )
    home = tmp_path / "home"
    if memory_folder(home) is None:
        pytest.skip("this machine has no folder in memory")
    (tmp_path / "network.json").write_text(json.dumps(config.document))
    node = Node(config, home)
    node.add(config.components["W1"], build)
    with running(node):
        address = node.runners["W1"].callbacks.greeting().splitlines()[0].split()[-1]
        page = open_page(f"{address}network")
        is_live(page)
        expect(page.locator("#no-processes")).to_have_text("None.")
        child = program.start(home, "run", "--config", str(tmp_path / "network.json"), "C1")
        try:
            told = page.locator("#processes article")
            expect(told).to_have_count(1, timeout=60_000)
            expect(told).to_contain_text(f"Process {child.pid}")
            expect(told).to_contain_text("not known yet")  # it has just begun to count
            expect(told.get_by_role("link", name="C1")).to_be_visible()
            child.send_signal(signal.SIGKILL)
            expect(told).to_have_count(0, timeout=60_000)
        finally:
            child.kill()
            child.wait()
