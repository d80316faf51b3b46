"""C while the node runs: only what changed is started, ended or built anew."""

import copy
import logging
import os
import signal
import threading
import time

import pytest

from jph.config.model import build
from jph.errors import ChannelError, ConfigError
from jph.node.building import build as build_component
from jph.node.node import Node
from jph.node.reload import Reloader
from jph.node.runner import Callbacks
from tests.helpers import eventually, logged
from tests.network import Peer, config_of, running


def flag(*flags: str, source: str):
    return lambda m: m["flag"] in flags and m["source"] == source


class Network:
    """A node of Pipe sensors, and the document that it reads at each C."""

    def __init__(self, folder, codifiers=("A1", "B1", "D1"), **more) -> None:
        self.folder = folder
        for number, codifier in enumerate(("A1", "B1", "D1")):
            (folder / codifier).write_text(f"{number}\n")
        self.config = config_of(*(self.entry(codifier, **more) for codifier in codifiers))
        self.document = copy.deepcopy(dict(self.config.document))
        self.hooks: list[bool] = []
        self.node = Node(self.config, folder)
        self.reloader = Reloader(self.node, self.load, self.choose)
        self.reloader.on_progress = self.hooks.append
        for component in self.config.components.values():
            self.node.add(component, build_component)

    def entry(self, codifier: str, **more: object) -> dict:
        settings = {"Pipe": str(self.folder / codifier)}
        return {"Codifier": codifier, "SensorInterval": 0.05, "Sensor": settings, **more}

    def load(self):
        return build(copy.deepcopy(self.document), "test")

    @staticmethod
    def choose(config):
        return [c for c in config.components.values() if c.runs_on("here")]


@pytest.fixture
def network(tmp_path):
    return Network(tmp_path)


def test_only_what_changed_starts_anew(network):
    sensors = network.document["Sensors"]
    with Peer(network.config) as peer, running(network.node):
        before = peer.hear("data", flag("f", source="A1"))["sequence"]
        sensors[1]["Sensor"]["Scale"] = 10.0  # B1
        del sensors[2]  # D1
        (network.folder / "E1").write_text("7\n")
        sensors.append({"Type": "Pipe", **network.entry("E1")})
        sensors.append({"Type": "Pipe", **network.entry("F1", Host="elsewhere")})
        peer.drain("control")
        peer.command("C")
        said = [peer.hear("control", lambda m: m["flag"] in "NI", 15) for _ in range(3)]
        assert {(m["source"], m["flag"]) for m in said} == {("A1", "I"), ("B1", "N"), ("E1", "N")}
        assert {m["number"] for m in said} == {float(network.node.config.loaded_ms)}
        assert set(network.node.runners) == {"A1", "B1", "E1"}
        peer.drain("data")
        assert peer.hear("data", flag("f", source="B1"))["value"] == 10.0
        assert peer.hear("data", flag("f", source="E1"))["value"] == 7.0
        after = peer.hear("data", flag("f", source="A1"))["sequence"]
        assert 0 < (after - before) % 2**31 < 1000  # the same sequence went on
        assert peer.quiet("data", flag("f", source="D1"), 0.3)
        assert network.hooks == [True, False]


def test_what_is_named_starts_anew_in_any_case(network):
    with Peer(network.config) as peer, running(network.node):
        peer.hear("control", flag("N", source="D1"))
        peer.command("C", "B1")
        assert peer.hear("control", lambda m: m["flag"] in "NI", 15)["source"] == "B1"
        assert peer.quiet("control", lambda m: m["flag"] in "NI", 0.3)


@pytest.mark.parametrize(
    "server, proxy", [({"Proxy": [{"Codifier": "P1"}]}, {}), ({}, {"Server": "A1"})]
)
def test_a_server_starts_anew_with_what_it_sends_for(tmp_path, server, proxy):
    script = ["/bin/echo", "3"]
    config = config_of(
        {"Codifier": "A1", "Sensor": {"Pipe": script, **server}},
        {"Codifier": "P1", "Type": "Proxy", "Sensor": proxy},
    )
    document = copy.deepcopy(dict(config.document))
    node = Node(config, tmp_path)
    Reloader(node, lambda: build(document, "test"), lambda c: [c.components["A1"]])
    node.add(config.components["A1"], build_component)
    with Peer(config) as peer, running(node):
        peer.hear("control", flag("N", source="A1"))
        document["Sensors"][1]["DataType"] = "integer"
        peer.command("C")
        assert peer.hear("control", flag("N", "I", source="A1"), 15)["flag"] == "N"


def test_a_proxy_is_set_as_the_newest_configuration_says(tmp_path):
    server = {"Codifier": "A1", "Type": "Python"}
    proxy = {"Codifier": "P1", "Type": "Proxy", "Sensor": {"Server": "A1"}}
    config = config_of(server, proxy)
    document = copy.deepcopy(dict(config.document))
    built, calls = [], []
    hold, held = threading.Event(), threading.Event()

    def make(channel):
        number = len(built)
        built.append(number)
        if number:
            held.set()
            assert hold.wait(15)
        return Callbacks(on_command=lambda *command: calls.append((number, *command)))

    node = Node(config, tmp_path)
    Reloader(node, lambda: build(copy.deepcopy(document), "test"))
    node.add(config.components["A1"], make)
    with Peer(config) as peer, running(node):
        peer.command("A", "P1", 1.0)
        document["Sensors"][1]["Control"] = "enabled"
        peer.command("C")
        assert held.wait(15)
        peer.command("A", "P1", 2.0)  # while it is built again
        peer.command("P", "A1", 7.0)
        peer.hear("control", flag("T", source="A1"), 15)
        hold.set()
        eventually(lambda: calls)
        assert calls == [(1, "P1", "A", 2.0)]


def test_what_was_taken_over_elsewhere_is_not_fetched_back(network):
    with Peer(network.config) as peer, running(network.node):
        peer.hear("control", flag("N", source="D1"))
        for _ in range(3):
            peer.command("I", "@@", network.config.loaded_ms + 5000.0, source="B1")
        eventually(lambda: "B1" not in network.node.runners, 15)
        peer.command("C")
        peer.hear("control", flag("I", source="A1"), 15)
        assert peer.quiet("control", flag("N", source="B1"), 0.3)
        assert set(network.node.runners) == {"A1", "D1"}


def test_what_cannot_be_built_is_said_and_tried_again_at_the_next_reload(network, caplog):
    entry = network.document["Sensors"][1]
    with caplog.at_level(logging.INFO), Peer(network.config) as peer, running(network.node):
        peer.hear("data", flag("f", source="B1"))
        pipe = entry["Sensor"].pop("Pipe")
        peer.command("C")
        eventually(lambda: logged(caplog, "B1", level=logging.ERROR), 15)
        peer.hear("control", flag("N", source="B1"), 15)  # it keeps its place on the bus
        entry["Sensor"]["Pipe"] = pipe
        peer.drain("data")
        peer.command("C")
        assert peer.hear("data", flag("f", source="B1"), 15)["value"] == 1.0


def test_what_could_not_be_built_is_tried_again_though_its_entry_is_the_same(network, caplog):
    network.document["Sensors"][1] = {"Codifier": "B1", "Type": "Web", "Sensor": {"Port": 0}}
    network.document["Sensors"][1]["Sensor"]["Host"] = "no address"
    with Peer(network.config) as peer, running(network.node):
        for count in (1, 2):
            peer.command("C")
            eventually(lambda n=count: logged(caplog, "B1", level=logging.ERROR) == n, 15)


def test_a_wrong_configuration_ends_the_reload_and_changes_nothing(network, caplog):
    def load():
        raise ConfigError(["Sensors[0].Type: is required"], "test")

    network.reloader._load = load
    with Peer(network.config) as peer, running(network.node):
        peer.hear("control", flag("N", source="D1"))
        network.node.reload()
        eventually(lambda: network.hooks == [True, False], 15)
        assert "Sensors[0].Type: is required" in caplog.text
        assert set(network.node.runners) == {"A1", "B1", "D1"}


def test_a_node_whose_only_component_got_another_codifier_goes_on(tmp_path):
    network = Network(tmp_path, ("A1",))
    with Peer(network.config) as peer, running(network.node):
        peer.hear("data", flag("f", source="A1"))
        network.document["Sensors"][0]["Codifier"] = "A2"
        peer.command("C")
        peer.hear("data", flag("f", source="A2"), 15)
        assert not network.node.finished.is_set()


def test_what_takes_the_place_of_another_begins_when_that_has_let_go(network, caplog):
    holds = threading.Lock()

    def build(channel):
        if not holds.acquire(blocking=False):
            raise ChannelError("it is taken")
        return Callbacks(close=lambda: (time.sleep(0.3), holds.release()))

    network.node.runners["B1"]._build = build
    network.node.runners["B1"].callbacks = build(None)
    network.document["Sensors"][1]["Codifier"] = "B2"
    add_later = network.node.add_later
    network.node.add_later = lambda component, _: add_later(component, build)
    with Peer(network.config) as peer, running(network.node):
        peer.hear("control", flag("N", source="D1"))
        peer.command("C")
        peer.hear("control", flag("N", source="B2"), 15)
        assert not logged(caplog, "B2", level=logging.ERROR)


class Stuck:
    """A read of a component that takes until it is let go."""

    def __init__(self, member) -> None:
        self._go, begun = threading.Event(), threading.Event()
        member.mailbox.post(lambda: (begun.set(), self._go.wait(30)))
        begun.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.let_go()

    def let_go(self) -> None:
        self._go.set()


def test_what_is_removed_while_it_waits_to_start_anew_does_not_come_back(network):
    node = network.node
    with Peer(network.config) as peer, running(node):
        peer.hear("data", flag("f", source="B1"))
        with Stuck(node.runners["B1"]) as stuck:
            peer.command("C", "B1")
            eventually(lambda: network.hooks == [True, False])
            del network.document["Sensors"][1]
            peer.command("C")
            eventually(lambda: "B1" not in node.runners)
            peer.drain("control")
            stuck.let_go()
            assert peer.quiet("control", flag("N", "I", source="B1"), 0.5)


def test_two_reloads_in_a_row_leave_what_cannot_be_built_as_it_was(network, caplog):
    node = network.node
    with Peer(network.config) as peer, running(node):
        peer.hear("data", flag("f", source="B1"))
        before = node.runners["B1"].channel.component
        with Stuck(node.runners["B1"]) as stuck:
            del network.document["Sensors"][1]["Sensor"]["Pipe"]
            for count in (1, 2):
                node.reload()
                eventually(lambda n=count: network.hooks == [True, False] * n)
            stuck.let_go()
            eventually(lambda: logged(caplog, "B1", level=logging.ERROR))
        eventually(lambda: node.runners["B1"].channel.component is before)
        peer.drain("data")
        peer.hear("data", flag("f", source="B1"))


def test_signs_of_life_go_on_while_a_slow_reading_keeps_it_from_starting_anew(tmp_path):
    network = Network(tmp_path, KeepAliveInterval=0.1)
    with Peer(network.config) as peer, running(network.node):
        peer.hear("control", flag("N", source="B1"))
        with Stuck(network.node.runners["B1"]):
            peer.command("C", "B1")
            eventually(lambda: network.hooks == [True, False])
            time.sleep(0.2)
            peer.drain("control")
            peer.hear("control", flag("I", source="B1"))


def test_a_component_that_raises_while_it_is_built_fails_alone(network, caplog):
    def build(channel):
        raise RuntimeError("no such chip")

    with Peer(network.config) as peer, running(network.node):
        peer.hear("control", flag("N", source="B1"))
        network.node.runners["B1"]._build = build
        peer.command("C", "B1")
        peer.hear("control", flag("N", source="B1"), 15)
        eventually(lambda: logged(caplog, "B1", level=logging.ERROR))
        assert "no such chip" in caplog.text
        assert network.node.process.components()["B1"].error == "no such chip"
        network.node.runners["B1"]._build = build_component
        peer.command("C")
        peer.hear("data", flag("f", source="B1"), 15)


def test_many_who_ask_at_once_get_few_loads_and_block_nobody(network):
    loads, calls = [], 5000

    def load():
        loads.append(1)
        return Network.load(network)

    network.reloader._load = load
    before = signal.signal(signal.SIGHUP, lambda number, frame: network.node.reload())
    try:
        with running(network.node):
            sender = os.fork()
            if not sender:
                for _ in range(calls):
                    os.kill(os.getppid(), signal.SIGHUP)
                os._exit(0)
            os.waitpid(sender, 0)
            network.node.reload()  # one more that comes alone, and is the last to be done
            eventually(lambda: loads and network.hooks == [True, False] * len(loads))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert len(loads) < calls / 5


@pytest.mark.parametrize(
    "change, is_built_again, said",
    [
        ({"Name": "Other"}, False, "N"),
        ({"Sensor": {"Pipe": "/dev/null"}}, False, "I"),
        ({"Sensor": {"Port": 2}}, True, "N"),
        ({"Type": "Simulated"}, True, "N"),
    ],
)
def test_what_takes_configurations_is_built_again_for_other_settings_or_another_type(
    network, change, is_built_again, said, caplog
):
    caplog.set_level("INFO")
    told, closed = [], []
    callbacks = Callbacks(
        on_config=told.append, close=lambda: closed.append(1), live_settings=frozenset({"Pipe"})
    )
    runner = network.node.runners["B1"]
    runner.callbacks, runner._build = callbacks, lambda channel: Callbacks()
    network.document["Sensors"][1].update(change)
    with Peer(network.config) as peer, running(network.node):
        peer.hear("control", flag("N", source="D1"))
        runner.channel.is_active = False  # somebody halted it
        peer.command("C")
        heard = peer.hear("control", lambda m: m["source"] == "B1" and m["flag"] in "NI", 15)
        assert heard["flag"] == said
        eventually(lambda: told or closed)
        assert (len(told), len(closed)) == ((0, 1) if is_built_again else (1, 0))
        assert runner.channel.is_active == (said == "N")
        assert ("B1 starts again" in caplog.messages) == (said == "N")
        assert ("B1 takes its new entry" in caplog.messages) == (said == "I")
        network.node.runners.pop("B1")


def test_a_load_that_raises_anything_ends_the_reload_and_the_next_one_works(network, caplog):
    def load():
        raise FileNotFoundError("jph/check.py")  # as while JPH is being updated

    network.reloader._load, right = load, network.reloader._load
    with running(network.node):
        network.node.reload()
        eventually(lambda: network.hooks == [True, False])
        assert "jph/check.py" in caplog.text
        network.reloader._load = right
        network.node.reload()
        eventually(lambda: network.hooks == [True, False] * 2)
