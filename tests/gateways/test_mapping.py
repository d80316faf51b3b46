"""Values of devices on a real bus, heard by bare sockets."""

import json
import time

import pytest

from gateways import mapping as module
from gateways.mapping import MappedReading, Mapping
from jph.node.node import Node
from jph.node.runner import Callbacks
from tests.helpers import eventually, logged
from tests.network import Peer, config_of, running

NOW_MS = 1_700_000_000_000
SERVED = {"Type": "Proxy", "Sensor": {"Server": "GW"}}
CONFIG = (
    {"Codifier": "GW", "Type": "Python"},
    {"Codifier": "t1", **SERVED},
    {"Codifier": "t2", "DataType": "double", **SERVED},
    {"Codifier": "t3", "DataType": "bool", **SERVED},
    {"Codifier": "t4", "Report": {"Min": 0, "Scale": 10}, **SERVED},
)


class Gateway:
    """A node with a component that has a mapping."""

    def __init__(self, config, home) -> None:
        self.config = config
        self.node = Node(config, home)
        self.node.add(config.components["GW"], self._build)
        self.states = self.node.process.last_states()

    def _build(self, channel):
        self.mapping = Mapping(channel)
        return Callbacks(close=self.mapping.close)

    def send(self, *readings):
        self.mapping.send([MappedReading(*reading) for reading in readings])


@pytest.fixture
def gateway(tmp_path):
    found = Gateway(config_of(*CONFIG), tmp_path)
    with running(found.node):
        yield found


@pytest.fixture
def peer(gateway):
    with Peer(gateway.config) as it:
        yield it


def readings(peer, count):
    found = []
    while len(found) < count:
        message = peer.hear("data", lambda it: it["flag"] != "n")
        found.append((message["source"], message["flag"], message["time_ms"], message["value"]))
    return found


def test_values_go_out_in_their_declared_kind_with_their_own_times(gateway, peer):
    gateway.send(
        ("t1", NOW_MS, 21.5),
        ("t2", NOW_MS + 1, 1 / 3),
        ("t3", NOW_MS + 2, True),
        ("t4", NOW_MS + 3, 2.5),
    )
    heard = readings(peer, 4)
    assert heard[0] == ("t1", "f", NOW_MS, 21.5)
    assert (heard[1][:3], json.loads(heard[1][3])) == (("t2", "j", NOW_MS + 1), {"value": 1 / 3})
    assert heard[2][2:] == (NOW_MS + 2, 1)
    assert heard[3] == ("t4", "f", NOW_MS + 3, 25.0)


def test_a_value_that_does_not_fit_its_entry_is_said_once_and_keeps_no_other(gateway, peer, caplog):
    gateway.send(("t4", NOW_MS, -1.0), ("t4", NOW_MS + 1, -1.0), ("t1", NOW_MS + 2, 1.0))
    assert readings(peer, 1) == [("t1", "f", NOW_MS + 2, 1.0)]
    assert gateway.mapping.refused == 2
    assert logged(caplog, "t4", "outside", "the bus lacks it") == 1
    gateway.send(("t4", NOW_MS + 3, 1.0))
    assert readings(peer, 1) == [("t4", "f", NOW_MS + 3, 10.0)]


def test_a_late_batch_is_sent_oldest_first_and_the_newest_value_is_the_last_state(gateway, peer):
    hour = [("t1", NOW_MS - index * 1000, float(index)) for index in range(1, 3600)]
    gateway.send(("t1", NOW_MS, 0.5))
    assert readings(peer, 1) == [("t1", "f", NOW_MS, 0.5)]
    gateway.send(*hour)
    times = [time_ms for _, _, time_ms, _ in readings(peer, 3600)]
    assert times == sorted(times)
    assert times[-1] == NOW_MS  # once more
    eventually(lambda: gateway.states.get("t1")["Value"] == 0.5)
    assert gateway.states.get("t1")["DTimestamp"] == NOW_MS


def test_a_long_backlog_keeps_its_pace(gateway, peer, monkeypatch):
    monkeypatch.setattr(module, "MOST_PER_S", 1_000)
    began_s = time.monotonic()
    gateway.send(*(("t1", NOW_MS + index, 1.0) for index in range(800)))
    readings(peer, 800)
    assert time.monotonic() - began_s > 0.5


def test_of_too_many_the_oldest_are_dropped_and_counted(gateway, peer, monkeypatch):
    monkeypatch.setattr(module, "MOST_WAITING", 3)
    gateway.send(*(("t1", NOW_MS + index, float(index)) for index in range(10)))
    assert [value for *_, value in readings(peer, 3)] == [7.0, 8.0, 9.0]
    assert gateway.mapping.dropped == 7


def test_a_halted_gateway_sends_nothing_then_or_later(gateway, peer):
    peer.command("H", "GW")
    eventually(lambda: not gateway.node.runners["GW"].channel.is_active)
    gateway.send(("t1", NOW_MS, 1.0))
    peer.command("S", "GW")
    eventually(lambda: gateway.node.runners["GW"].channel.is_active)
    gateway.send(("t1", NOW_MS + 1, 2.0))
    assert readings(peer, 1) == [("t1", "f", NOW_MS + 1, 2.0)]
