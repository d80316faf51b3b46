"""The bus as a device: a real node, and a bare socket that is the rest of the network."""

import json
import math
import struct
import time

import pytest

from gateways.iottalk import paced
from gateways.iottalk.bus import Bus, identifier
from gateways.iottalk.dataflow.engine import Engine
from gateways.iottalk.dataflow.model import Feature, Graph, Link, Use, digest_of
from jph.node.node import Node
from jph.node.runner import Callbacks
from tests.gateways.iottalk.local import Local
from tests.helpers import eventually, logged
from tests.network import Peer, config_of, running

CONFIG = (
    {"Codifier": "IT", "Type": "Python"},
    {"Codifier": "t1", "Type": "Python", "Name": "Bed", "Symbol": "°C"},
    {"Codifier": "F1", "Type": "Fan", "Control": "enabled", "Symbol": "%"},
    {"Codifier": "L1", "Type": "Python", "Control": "enabled", "DataType": "bool"},
    {"Codifier": "S1", "Type": "Python", "Control": "enabled", "DataType": "string"},
)
OWN = identifier("a token", "IT")


class Gateway:
    """A node whose component IT has an engine and the bus as its device."""

    def __init__(self, config, home) -> None:
        self.config = config
        self.node = Node(config, home)
        self.node.add(config.components["IT"], self._build)

    def _build(self, channel):
        self.engine = Engine(Local({}), self._output, lambda key, message: None)
        self.pushed = []
        self.bus = Bus(channel, self.config, OWN, self._push)
        return Callbacks(on_batch=self.bus.on_batch, close=self._close)

    def _push(self, device, feature, value):
        self.pushed.append((feature, value))
        self.engine.push(device, feature, value)

    def _output(self, device, feature, values):
        assert device == OWN
        self.bus.output(feature, values)

    def _close(self):
        self.bus.close()
        self.engine.close()

    def link(self, source, target, run):
        graph = Graph("g").add_functions([run], [digest_of(run)])
        graph = graph.add_link(Link(Feature(OWN, source, "idf"), param_no=1))
        graph = graph.add_link(Link(Feature(OWN, target, "odf"), param_no=1))
        self.engine.put(graph.set_join(None, Use(digest_of(run))))


@pytest.fixture
def gateway(tmp_path):
    found = Gateway(config_of(*CONFIG), tmp_path)
    with running(found.node):
        yield found


@pytest.fixture
def peer(gateway):
    with Peer(gateway.config) as it:
        yield it


def reading(peer, source, value, sequence):
    peer.publish(source, "f", struct.pack("<If", 4, value)[4:], sequence)


def command(peer):
    heard = peer.hear("control", lambda it: it["flag"] == "A")
    return heard["to"], heard["number"]


def test_what_measures_is_an_input_and_what_can_be_set_an_output(gateway):
    known = gateway.bus.registration
    assert known["idf_list"] == [[it["Codifier"], [it.get("Symbol")]] for it in CONFIG]
    assert known["odf_list"] == [["F1", ["%"]], ["L1", [None]]]
    assert known["profile"]["names"]["t1"] == "Bed"
    assert known["id"] == identifier("a token", "IT") != identifier("another", "IT")
    assert not gateway.bus.take(config_of(*CONFIG))
    assert gateway.bus.take(config_of(*CONFIG[:-2]))


def test_a_temperature_drives_a_fan_within_its_limits(gateway, peer, caplog):
    gateway.link("t1", "F1", "def run(x): return (x - 20) * 10")
    reading(peer, "t1", 22.5, 1)
    assert command(peer) == ("F1", 25.0)
    reading(peer, "t1", 90.0, 2)
    eventually(lambda: gateway.bus.refused == 1)
    assert "F1: 700 is not within its limits, 0 to 100" in gateway.bus.fault
    eventually(lambda: logged(caplog, "F1", "not within its limits"))
    reading(peer, "t1", 25.0, 3)
    assert command(peer) == ("F1", 50.0)
    assert gateway.bus.fault == ""


def test_a_double_is_a_number_and_text_stays_text(gateway, peer):
    double = json.dumps({"value": 0.1}).encode()
    for sequence, (flag, text) in enumerate((("j", double), ("s", b"open")), 1):
        peer.publish("t1", flag, struct.pack("<I", len(text)) + text, sequence)
    eventually(lambda: len(gateway.pushed) >= 2)
    assert [it for it in gateway.pushed if it[0] == "t1"] == [("t1", [0.1]), ("t1", ["open"])]


def test_nan_of_an_old_node_goes_no_further(gateway, peer):
    reading(peer, "t1", math.nan, 1)
    reading(peer, "t1", 1.0, 2)
    eventually(lambda: ("t1", [1.0]) in gateway.pushed)
    assert [it for it in gateway.pushed if it[0] == "t1"] == [("t1", [1.0])]


@pytest.mark.parametrize(
    ("codifier", "values"),
    [
        ("F1", []),
        ("F1", ["5"]),
        ("F1", [None]),
        ("F1", [10**400]),
        ("F1", [-1]),
        ("L1", [2]),
        ("S1", ["text"]),
        ("t1", [1]),
        ("??", [1]),
    ],
)
def test_what_cannot_be_set_is_refused_in_words(gateway, codifier, values):
    gateway.bus.output(codifier, values)
    assert gateway.bus.refused == 1
    assert gateway.bus.fault.startswith(f"{codifier}: ")


def test_of_quick_values_the_last_one_counts(gateway, peer):
    began_s = time.monotonic()
    for value in range(101):
        gateway.bus.output("F1", [value])
    took_s = time.monotonic() - began_s
    heard = [command(peer)[1]]
    while heard[-1] != 100:
        heard.append(command(peer)[1])
    assert heard == sorted(heard)
    assert len(heard) <= took_s / paced.SHORTEST_S + 2
    gateway.bus.output("L1", [True])
    assert command(peer) == ("L1", 1.0)


def test_a_loop_over_the_bus_is_bounded(gateway, peer):
    gateway.link("F1", "F1", "def run(x): return (x + 1) % 100")
    began_s = time.monotonic()
    reading(peer, "F1", 0.0, 1)
    count = 0
    while count < 15:
        _, number = command(peer)
        count += 1
        reading(peer, "F1", number, count + 1)  # as a fan answers
    assert count <= (time.monotonic() - began_s) / paced.SHORTEST_S + 2


def test_a_halted_gateway_neither_hears_nor_sets(gateway, peer):
    peer.command("H", "IT")
    eventually(lambda: not gateway.bus._channel.is_active)
    gateway.bus.output("F1", [5])
    gateway.bus.on_batch([("t1", 1, 0, 1.0, "", 0, ("", 0))])
    assert gateway.pushed == []
    eventually(lambda: not gateway.bus._commands._pending)
    assert gateway.bus.sent == 0
