"""Two instances of one component on a bus: who yields, who waits, who comes back."""

import copy
import logging
import struct
import time
from contextlib import closing
from dataclasses import replace

import pytest

from jph.config.model import build
from jph.node import instances, probe
from jph.node.building import build as build_component
from jph.node.node import Node
from jph.node.probe import StartProbe
from jph.node.reload import Reloader
from jph.node.runner import Callbacks
from tests import helpers
from tests.helpers import eventually, logged
from tests.network import Peer, config_of, node_of, running
from tests.old_node import OldNode

MINUTE_MS = 60_000


def flag(*flags: str, source: str | None = None):
    return lambda m: m["flag"] in flags and source in (None, m["source"])


def bus_of(config) -> helpers.Bus:
    groups = config.multicast.control, config.multicast.data
    return helpers.Bus(*((group.address, group.port) for group in groups))


@pytest.fixture
def config():
    return config_of(
        {"Codifier": "A1", "KeepAliveInterval": 0.5}, {"Codifier": "B1"}, {"Codifier": "ZZ"}
    )


def claim(peer, codifier, loaded_ms, times=3):
    for _ in range(times):
        peer.command("I", "@@", loaded_ms, source=codifier)


def lives(peer, codifier):
    """Return a ping's answer."""
    peer.command("P", codifier)
    return peer.hear("control", flag("T", source=codifier))


@pytest.fixture
def patient(monkeypatch):
    """Have questions wait longer for answers, since a busy machine may answer late."""
    for module in (probe, instances):
        monkeypatch.setattr(module, "WAIT_S", 2.0)


def asked(config, home, codifiers):
    """Return the answers to a question before a start."""
    with closing(StartProbe()) as start:
        start.ask(config, home, codifiers)
        return start.answers()


class Host:
    """Another machine on the loopback interface, by an address of its own."""

    def __init__(self, config, address) -> None:
        group = config.multicast.control
        self._group = group.address, group.port
        self._socket = helpers.bare_sender()
        self._socket.bind((address, 0))
        self._sequence = 1000 * int(address.rpartition(".")[2])

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *exception: object) -> None:
        self._socket.close()

    def claim(self, codifier, loaded_ms) -> None:
        self._sequence += 1
        head = struct.pack("<IIQ", self._sequence, 0, int(time.time() * 1000))
        names = f"I{codifier}@@".encode()
        payload = bytes(3) + struct.pack("<Id?", 9, loaded_ms, True)
        self._socket.sendto(head + names + payload, self._group)


def test_neither_one_packet_nor_an_older_instance_ends_a_component(config, tmp_path):
    with Peer(config) as peer, running(node_of(config, tmp_path, A1=Callbacks())) as node:
        claim(peer, "A1", config.loaded_ms - 1, 5)
        claim(peer, "A1", config.loaded_ms, 5)
        peer.command("N", "@@", config.loaded_ms + 1, source="A1")
        peer.command("I", "@@", config.loaded_ms + 1, source="A1")
        lives(peer, "A1")
        for _ in range(5):
            peer.hear("control", flag("I", source="A1"))
        assert not node.instances.standby


@pytest.mark.parametrize("ahead_ms, is_believed", [(MINUTE_MS // 2, True), (2 * MINUTE_MS, False)])
def test_a_configuration_time_of_the_future_is_not_believed_and_said_once(
    config, tmp_path, caplog, ahead_ms, is_believed
):
    with Peer(config) as peer, running(node_of(config, tmp_path, A1=Callbacks())) as node:
        claim(peer, "A1", time.time() * 1000 + ahead_ms, 10)
        if is_believed:
            eventually(lambda: node.instances.standby)
        else:
            lives(peer, "A1")
            assert not node.instances.standby
            assert logged(caplog, "A1", "127.0.0.1", "ahead", level=logging.WARNING) == 1


def test_claims_from_several_hosts_do_not_add_up_but_one_host_of_them_is_believed(config, tmp_path):
    later_ms = config.loaded_ms + 1
    node = node_of(config, tmp_path, A1=Callbacks())
    with (
        Peer(config) as peer,
        Host(config, "127.0.0.2") as one,
        Host(config, "127.0.0.3") as other,
        running(node),
    ):
        for host in (one, other, one, other):
            host.claim("A1", later_ms)
        lives(peer, "A1")
        assert not node.instances.standby
        one.claim("A1", later_ms)
        eventually(lambda: node.instances.standby)
        assert node.instances.standby["A1"].address[0] == "127.0.0.2"


def test_a_replaced_component_is_closed_and_says_nothing_and_comes_back_when_the_other_is_silent(
    config, tmp_path, caplog
):
    built, closed = [], []

    def build_one(channel):
        built.append(channel.codifier)
        return Callbacks(close=lambda: closed.append(channel.codifier))

    node = Node(config, tmp_path)
    for codifier in ("A1", "B1"):
        node.add(config.components[codifier], build_one)
    with Peer(config) as peer, running(node):
        peer.hear("control", flag("N", source="B1"))
        began_s = time.monotonic()
        claim(peer, "A1", config.loaded_ms + 1)
        eventually(lambda: closed == ["A1"])
        peer.drain("control")
        peer.command("P", "@@")
        peer.command("H", "@@")
        lives(peer, "B1")
        assert peer.quiet("control", flag("N", "I", "T", source="A1"), 0.3)
        back = peer.hear("control", flag("N", source="A1"))
        assert time.monotonic() - began_s > 1.0  # three keep-alives of 0.5 s, less some delay
        assert back["number"] == config.loaded_ms
        assert built == ["A1", "B1", "A1"]
        lives(peer, "A1")
    assert closed.count("A1") == 2
    assert not node.finished.is_set()
    assert logged(caplog, "A1", "127.0.0.1", level=logging.ERROR) == 1
    assert logged(caplog, "A1", "fell silent", level=logging.WARNING) == 1


def test_an_older_program_that_is_newer_is_asked_and_so_believed_within_seconds(config, tmp_path):
    """It sends N once, and its next I in a minute."""
    with running(node_of(config, tmp_path, A1=Callbacks(), B1=Callbacks())) as node:
        with OldNode(bus_of(config), "A1", loaded_ms=config.loaded_ms + 1) as old:
            eventually(lambda: "A1" in node.instances.standby)
            # It is asked from then on, since it gives a sign of life more rarely than ours.
            time.sleep(4)
            assert "A1" in node.instances.standby
            assert not old.was_replaced
        eventually(lambda: "A1" in node.runners and node.runners["A1"].announced)


def test_a_component_alone_on_the_bus_is_asked_by_the_control_program_or_by_nobody(tmp_path):
    """So that no instance takes the question for its own, and no control program ends by it."""
    for type_name, asks_as in (("ControlProgram", "ZZ"), ("Pipe", "?!")):
        config = config_of({"Codifier": "A1"}, {"Codifier": "ZZ", "Type": type_name})
        with Peer(config, "Q1") as peer, running(node_of(config, tmp_path, A1=Callbacks())):
            peer.hear("control", flag("N", source="A1"))
            peer.command("N", "@@", config.loaded_ms + 1, source="A1")
            start = peer.hear("control", flag("N", source=asks_as))
            assert start["number"] == 0
            question = peer.hear("control", flag("P"))
            assert (question["source"], question["to"]) == (asks_as, "A1")
            assert question["sequence"] == start["sequence"] + 1
            assert peer.quiet("control", flag("T"), 0.3)  # it does not answer itself


def test_a_node_whose_components_are_all_taken_over_to_stay_is_finished(config, tmp_path):
    node = node_of(config, tmp_path, A1=Callbacks())
    with running(node), OldNode(bus_of(config), "A1", loaded_ms=config.loaded_ms + 1):
        assert node.finished.wait(30)
        assert node.taken_over["A1"][0] == "127.0.0.1"


def test_own_messages_are_never_those_of_another_instance(config, tmp_path):
    """Whatever they say: those of the present socket, and those still on their way."""
    node = node_of(config, tmp_path, A1=Callbacks())
    with Peer(config) as peer, running(node):
        peer.hear("control", flag("N", source="A1"))
        channel, control = node.runners["A1"].channel, node.bus.control
        for joins in range(3):
            for _ in range(4):
                channel.send_control("I", number=config.loaded_ms + 1000.0)
            node.loop.soon(
                lambda size=100_000 + joins: control.move(
                    replace(config.multicast.control, receive_buffer=size)
                )
            )
            node.loop.wake()
            eventually(lambda n=joins: control.status().joins == n + 2)
        lives(peer, "A1")
        assert not node.instances.standby


class Added:
    """A node of A1, to which a reload adds B1."""

    def __init__(self, folder, *, asks_first=True) -> None:
        for codifier in ("A1", "B1"):
            (folder / codifier).write_text("1\n")
        self.config = config_of(self.entry(folder, "A1"))
        self.document = copy.deepcopy(dict(self.config.document))
        self.node = Node(self.config, folder, asks_first=asks_first)
        Reloader(self.node, lambda: build(copy.deepcopy(self.document), "test"), self.choose)
        self.node.add(self.config.components["A1"], build_component)
        self.document["Sensors"].append({"Type": "Pipe", **self.entry(folder, "B1")})

    @staticmethod
    def entry(folder, codifier):
        return {
            "Codifier": codifier,
            "SensorInterval": 0.1,
            "KeepAliveInterval": 1,
            "Sensor": {"Pipe": str(folder / codifier)},
        }

    @staticmethod
    def choose(config):
        return list(config.components.values())


def test_a_component_that_a_reload_adds_waits_for_the_end_of_one_that_is_at_work(
    tmp_path, caplog, patient
):
    added = Added(tmp_path)
    with Peer(added.config) as peer, running(added.node):
        peer.hear("data", flag("f", source="A1"))
        with OldNode(bus_of(added.config), "B1") as old:
            peer.command("C")
            eventually(lambda: "B1" in added.node.instances.standby)
            time.sleep(2)
            assert not old.was_replaced
            assert logged(caplog, "B1", "127.0.0.1", level=logging.WARNING) == 1
        peer.hear("control", flag("N", source="B1"))
        peer.hear("data", flag("f", source="B1"))


def test_a_component_that_a_reload_adds_begins_at_once_where_nobody_has_it(tmp_path):
    added = Added(tmp_path)
    with Peer(added.config) as peer, running(added.node):
        peer.hear("data", flag("f", source="A1"))
        peer.command("C")
        peer.hear("control", flag("N", source="B1"))
        assert not added.node.instances.standby


def test_told_to_take_over_a_reload_does(tmp_path):
    added = Added(tmp_path, asks_first=False)
    with Peer(added.config) as peer, running(added.node):
        peer.hear("data", flag("f", source="A1"))
        with OldNode(bus_of(added.config), "B1", loaded_ms=added.config.loaded_ms) as old:
            peer.command("C")
            eventually(lambda: old.was_replaced)


def test_a_component_on_standby_that_a_reload_takes_away_is_forgotten(tmp_path, patient):
    added = Added(tmp_path)
    with Peer(added.config) as peer, running(added.node):
        with OldNode(bus_of(added.config), "B1"):
            peer.command("C")
            eventually(lambda: "B1" in added.node.instances.standby)
            del added.document["Sensors"][1]
            added.node.reload()
            eventually(lambda: not added.node.instances.standby)
        assert set(added.node.runners) == {"A1"}
        assert not added.node.finished.is_set()


@pytest.mark.parametrize("is_at_work", [True, False])
def test_a_node_that_gets_its_network_late_asks_before_it_announces(
    config, tmp_path, is_at_work, patient
):
    """As a machine whose network is not up yet when the service starts."""
    node = Node(config, tmp_path, asks_first=True)
    absent = {
        name: replace(getattr(config.multicast, name), interface="jph-none0")
        for name in ("control", "data")
    }
    node.bus.move(replace(config.multicast, **absent))
    start = StartProbe()
    start.ask(replace(config, multicast=replace(config.multicast, **absent)), tmp_path, ["A1"])
    assert start.answers() is None
    node.add(config.components["A1"], lambda channel: Callbacks())
    old = OldNode(bus_of(config), "A1", loaded_ms=config.loaded_ms - 1)
    with Peer(config) as peer, running(node):
        if is_at_work:
            with old:
                peer.hear("control", flag("N", source="A1"))
                node.loop.soon(lambda: node.bus.move(config.multicast))
                assert node.finished.wait(20)
                assert node.starter.refused["A1"][0] == "127.0.0.1"
                time.sleep(0.5)
                assert not old.was_replaced
        else:
            old.__enter__()
            old.end()
            node.loop.soon(lambda: node.bus.move(config.multicast))
            peer.hear("control", lambda m: m["flag"] == "N" and m["number"] == config.loaded_ms)
            assert not node.finished.is_set()


def test_who_is_at_work_is_told_with_the_address_while_halted_too(config, tmp_path, patient):
    with OldNode(bus_of(config), "A1") as old, Peer(config) as peer:
        peer.command("H", "A1")
        eventually(lambda: not old.is_active)
        began_s = time.monotonic()
        answers = asked(config, tmp_path, ["A1", "B1"])
        assert set(answers) == {"A1"}
        assert answers["A1"][0] == "127.0.0.1"
        assert time.monotonic() - began_s < 5
        assert not old.was_replaced


def test_a_second_node_of_this_house_is_asked_too_and_answers(config, tmp_path, patient):
    with running(node_of(config, tmp_path, A1=Callbacks(), B1=Callbacks())):
        assert set(asked(config, tmp_path, ["A1", "B1"])) == {"A1", "B1"}


def test_two_nodes_that_get_their_network_at_once_do_not_refuse_each_other(config, tmp_path):
    """Neither has announced its components yet, so neither answers for them."""
    nodes = []
    for codifier in ("A1", "B1"):
        node = Node(config, tmp_path, asks_first=True)
        node.add(config.components[codifier], lambda channel: Callbacks())
        nodes.append(node)
    with Peer(config) as peer, running(nodes[0]), running(nodes[1]):
        began = {peer.hear("control", flag("N", source=code))["source"] for code in ("A1",)}
        assert began == {"A1"}
        eventually(lambda: all(r.announced for node in nodes for r in node.runners.values()))
        assert not any(node.finished.is_set() for node in nodes)
