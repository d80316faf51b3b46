"""The example network, and its devices, at a real broker."""

import json

from gateways.iottalk.examples.devices import DEVICES
from jph.config.loading import load
from jph.node.building import build
from jph.node.node import Node
from jph.paths import static_dir
from tests.gateways.iottalk.programs import network
from tests.helpers import free_tcp_port
from tests.network import Peer, running
from tools.needs import extras_needed

DOCUMENT = static_dir() / "examples" / "iottalk.json"


def number_of(message, codifier):
    """Return the number that a message brings from a component, None if it is another one."""
    if message["source"] != codifier or message["flag"] not in "fij":
        return None
    return json.loads(message["value"])["value"] if message["flag"] == "j" else message["value"]


def test_the_document_is_right_and_tells_what_it_needs(tmp_path):
    config = load(str(DOCUMENT), tmp_path)
    assert extras_needed(config) == ["gateways", "nats", "web"]
    items = config.components["IG"].settings["Proxy"]
    assert {item["Device"] for item in items} == {str(it["name"]) for it in DEVICES.values()}


def test_the_dial_lights_the_lamp_and_sets_the_bus(mqtt_broker, tmp_path):
    settings = {
        "Port": free_tcp_port(),
        "Proxy": [
            {"Codifier": "i0", "Device": "Dial", "Attribute": "Position"},
            {"Codifier": "i1", "Device": "Lamp", "Attribute": "Brightness"},
        ],
    }
    config = network(
        mqtt_broker,
        {"Codifier": "i0", "Type": "Proxy", "DataType": "double"},
        {"Codifier": "i1", "Type": "Proxy", "DataType": "double"},
        {"Codifier": "SP", "Type": "SetPoint", "Control": "enabled", "SensorInterval": 1}
        | {"Sensor": {"Default": -1, "Min": -1, "Max": 100}},
        {"Codifier": "IX", "Type": "IotTalkExamples", "SensorInterval": 1}
        | {"Sensor": {"Server": "IT", "Sets": "SP", "Interval": 0.3}},
        **settings,
    )
    node = Node(config, tmp_path)
    for codifier in ("IT", "SP", "IX"):
        node.add(config.components[codifier], build)
    with Peer(config) as peer, running(node):
        peer.hear("data", lambda m: m["source"] == "IX" and m.get("value") == 2, 60)
        lit = peer.hear("data", lambda m: number_of(m, "i1") is not None, 60)
        assert 0 <= number_of(lit, "i1") <= 100
        dialled, lights = set(), set()  # in any order, since each comes by a thread of its own

        def is_lit_by_the_dial(message):
            if (position := number_of(message, "i0")) is not None:
                dialled.add(round((position / 100) ** 2.2 * 100, 1))
            if (brightness := number_of(message, "i1")) is not None:
                lights.add(round(brightness, 1))
            return bool((dialled & lights) - {0.0})

        peer.hear("data", is_lit_by_the_dial, 60)
        peer.hear("data", lambda m: (number_of(m, "SP") or -1) >= 0, 60)


def test_a_second_start_finds_the_graph_there(nats, tmp_path):
    config = network(
        nats,
        {"Codifier": "i1", "Type": "Proxy", "DataType": "double"},
        {"Codifier": "IX", "Type": "IotTalkExamples", "SensorInterval": 1}
        | {"Sensor": {"Server": "IT", "Interval": 0.2}},
        Port=free_tcp_port(),
        Proxy=[{"Codifier": "i1", "Device": "Lamp", "Attribute": "Brightness"}],
    )
    for _ in range(2):
        node = Node(config, tmp_path)
        for codifier in ("IT", "IX"):
            node.add(config.components[codifier], build)
        with Peer(config) as peer, running(node):
            peer.hear("data", lambda m: number_of(m, "i1") is not None, 60)
