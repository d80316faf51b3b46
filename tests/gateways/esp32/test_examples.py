"""The example network, and the simulated boards, at a real broker."""

import json
import re
import signal
import subprocess
import sys

from gateways.esp32.examples.boards import mac_of
from jph import child
from jph.config.loading import load
from jph.node.building import build
from jph.node.node import Node
from jph.paths import static_dir
from tests.gateways.esp32.conftest import gateway, network
from tests.helpers import eventually
from tests.network import Peer, running
from tools.needs import extras_needed

DOCUMENT = static_dir() / "examples" / "esp32.json"
EXAMPLES = {
    **{"Codifier": "EX", "Type": "Esp32Examples", "SensorInterval": 1},
    "Sensor": {"Server": "EG", "Boards": 2, "Interval": 0.2},
}


def test_the_document_is_right_and_tells_what_it_needs(tmp_path):
    config = load(str(DOCUMENT), tmp_path)
    assert extras_needed(config) == ["gateways", "nats", "web"]
    items = config.components["EG"].settings["Proxy"]
    assert {item["Device"] for item in items} == {mac_of(1), mac_of(2)}


def test_simulated_boards_report_on_the_bus_and_are_switched(nats, store_url, tmp_path):
    config = network(nats.url, store_url, EXAMPLES)
    node = Node(config, tmp_path)
    for codifier in ("EG", "EX"):
        node.add(config.components[codifier], build)
    with Peer(config) as peer, running(node):
        peer.hear("data", lambda m: m["source"] == "EX" and m.get("value") == 2, 60)
        for codifier in ("e0", "e2"):
            peer.hear("data", lambda m, code=codifier: m["source"] == code, 60)
        peer.command("A", "e2", 1)
        peer.hear("data", lambda m: (m["source"], m.get("value")) == ("e2", 1), 60)


def test_the_command_is_boards_at_the_broker_of_the_gateway(mosquitto, tmp_path):
    config = network(mosquitto.url, "sqlite:///gateways.sqlite")
    file = tmp_path / "config.json"
    file.write_text(json.dumps(dict(config.document)))
    command = [sys.executable, "-m", "tools.main", "gateway", "esp32", "simulate", "--boards", "3"]
    with gateway(config, tmp_path) as (_, component):
        process = subprocess.Popen(
            [*command, "--config", str(file), "--home", str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
            env=child.environment(),
        )
        try:
            eventually(lambda: component.state()["connected_boards"] == 3, 60)
            names = [board.name for board in component.service.boards()]
            assert names == ["capteur01", "capteur02", "capteur03"]
            macs = {board.mac for board in component.service.boards()}
            assert macs == {mac_of(number) for number in (1001, 1002, 1003)}  # no example has them
        finally:
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert re.match(r"3 boards at 127\.0\.0\.1:\d+; Ctrl-C ends them\n", said)
        eventually(lambda: component.state()["connected_boards"] == 0, 60)
