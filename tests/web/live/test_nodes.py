"""What does not work, as one thing for each cause."""

import time

import pytest

from jph.config.host import this_host
from jph.state import LastStates
from tests.web.bus import component, config_of, control, let_pass, reading
from web.live.nodes import by_node
from web.live.records import OFF_THE_BUS, Records


class Network:
    """Records whose time is told by the test: `pass_s` lets it pass for what was heard so far."""

    def __init__(self, *components):
        self.records = Records(config_of(*components), LastStates())
        self.records.own_addresses = lambda: [("192.0.2.1", 7601)]

    def hear(self, codifier, ip="192.0.2.9", value=1.0, at_ms=None):
        given = reading(codifier, value, timestamp_ms=at_ms)
        self.records.on_batch([(*given[:6], (ip, 5000))])

    def sign(self, codifier, ip="192.0.2.9", port=6000, **more):
        self.records.on_control(control("I", codifier, **more), (ip, port))

    def pass_s(self, seconds):
        let_pass(self.records, seconds)

    @property
    def troubles(self):
        return self.records.overview().troubles

    @property
    def places(self):
        nodes = by_node(
            list(self.records.all()), self.records.server_of, self.records.own_addresses()
        )
        return {name: [r.component.codifier for r in members] for name, members in nodes.items()}


def machine(host, *codifiers, **more):
    return [component(code, host=host, keep_alive_interval_s=60.0, **more) for code in codifiers]


def test_a_component_is_where_its_host_or_its_neighbours_or_its_address_say():
    network = Network(
        component("A1", host="pi1", settings={"Proxy": [{"Codifier": "P1"}]}),
        component("P1", type="Proxy"),
        component("A2", host="PI1.example.org"),
        component("A3"),
        component("B1"),
        component("B2"),
        component("C1"),
    )
    network.hear("A1", "192.0.2.5")
    network.hear("A3", "192.0.2.5")
    network.hear("B1", "192.0.2.1")
    network.hear("B2", "192.0.2.7")
    assert network.places == {
        "pi1": ["A1", "P1", "A2", "A3"],
        this_host(): ["B1"],
        "192.0.2.7": ["B2"],
        "": ["C1"],
    }


def test_a_dead_node_is_one_thing_long_before_its_slow_components_count_as_silent():
    codes = [f"A{n}" for n in range(9)]
    network = Network(
        *machine("pi1", *codes), *machine("pi1", "S1", type="Web"), *machine("pi2", "B1", "B2")
    )
    for code in [*codes, "B1", "B2"]:
        network.hear(code)
        network.sign(code)
    network.sign("S1")
    assert network.troubles == []
    network.pass_s(100)  # S1 may be quiet for 180 s
    network.hear("B1")
    network.hear("B2")
    (trouble,) = network.troubles
    assert (trouble.kind, trouble.name, trouble.codifiers) == ("node", "pi1", (*codes, "S1"))
    assert time.time() - 120 < trouble.since_ms / 1000 < time.time() - 90
    network.hear("A0")
    (part,) = network.troubles
    assert (part.kind, part.name, part.codifiers) == ("part", "pi1", tuple(codes[1:]))
    network.sign("S1")
    assert [it.kind for it in network.troubles] == ["part"]


def test_what_falls_silent_at_one_time_is_one_thing_and_what_does_so_apart_is_not():
    network = Network(
        *machine("pi1", "A1", "A2", "A3"),
        *machine("pi1", "A4", sensor_interval_s=30.0, timeout_warning_s=10.0),
        *machine("pi1", "B1", "B2", "B3"),
    )
    network.hear("B1")
    network.pass_s(60)
    network.hear("B2")
    network.hear("A4")
    network.pass_s(30)
    for code in ("A1", "A2", "A3"):
        network.hear(code)
    network.pass_s(30)
    network.hear("B3")
    told = [(it.kind, it.codifier, it.codifiers) for it in network.troubles]
    assert told == [
        ("part", "", ("A1", "A2", "A3", "A4")),
        ("component", "B2", ("B2",)),
        ("component", "B1", ("B1",)),
    ]
    assert time.time() - 40 < network.troubles[0].since_ms / 1000 < time.time() - 25


def test_one_slow_component_that_is_on_time_keeps_its_node_alive():
    network = Network(*machine("pi1", "A1"), *machine("pi1", "S1", type="Web"))
    network.hear("A1")
    network.pass_s(60)
    network.sign("S1")
    network.pass_s(30)
    (trouble,) = network.troubles
    assert (trouble.kind, trouble.codifier, trouble.state) == ("component", "A1", "silent")


def test_a_silent_server_is_one_thing_with_its_proxies():
    network = Network(
        component("A1", name="Meter", settings={"Proxy": [{"Codifier": "P1"}, {"Codifier": "P2"}]}),
        component("P1", type="Proxy", timeout_warning_s=1000.0),
        component("P2", type="Proxy"),
        component("W1", type="Web", sensor_interval_s=None),
    )
    for code in ("A1", "P1", "P2"):
        network.hear(code)
    network.pass_s(50)
    network.sign("W1")
    (trouble,) = network.troubles
    assert (trouble.name, trouble.codifier, trouble.codifiers) == ("Meter", "A1", ("A1", "P2"))


def test_what_fails_is_told_with_its_last_reading_and_comes_after_what_is_silent():
    network = Network(*machine("pi1", "A1", "A2"))
    network.hear("A1")
    network.pass_s(30)
    network.hear("A2")
    network.pass_s(30)
    network.sign("A1")
    assert [(it.codifier, it.state) for it in network.troubles] == [
        ("A2", "silent"),
        ("A1", "failing"),
    ]
    assert time.time() - 70 < network.troubles[1].since_ms / 1000 < time.time() - 50
    assert "no readings" in network.troubles[1].reason


def test_what_was_never_heard_is_one_thing_as_soon_as_it_is_due():
    network = Network(*machine("pi1", "A1", "A2"), component("CP", type="ControlProgram"))
    assert network.troubles == []
    network.pass_s(40)
    (trouble,) = network.troubles
    assert (trouble.kind, trouble.codifiers, trouble.since_ms) == ("unseen", ("A1", "A2"), None)


def test_a_halted_component_is_no_trouble():
    network = Network(*machine("pi1", "A1", "A2"))
    for code in ("A1", "A2"):
        network.hear(code)
    network.pass_s(30)
    network.sign("A1", is_active=False)
    network.hear("A2")
    assert network.troubles == []


@pytest.mark.parametrize("kept", [True, False])
def test_being_off_the_bus_is_a_fault_with_its_beginning(kept):
    network = Network(component("A1"))
    network.records.bus_fault = lambda: "no such interface: eth7"
    network.pass_s(0)
    (first,) = network.records.overview().faults.values()
    assert first[:2] == (OFF_THE_BUS, "no such interface: eth7")
    if kept:
        network.records.reconfigure(config_of(component("A2")))
    network.pass_s(0)
    assert list(network.records.overview().faults.values()) == [first]
    network.records.bus_fault = str
    network.pass_s(0)
    assert network.records.overview().faults == {}


def test_strangers_are_told_with_what_they_send():
    network = Network(component("A1"))
    network.hear("Z1", "192.0.2.33", 1.5)
    network.hear("Z1", "192.0.2.33", 2.5)
    network.sign("Z2", "192.0.2.34")
    network.sign("Z2", "192.0.2.34", number=5)
    one, two = network.records.strangers.lately()
    assert (one.codifier, one.readings, one.value, one.flag, one.ip) == (
        *("Z1", 2, 2.5, "f"),
        "192.0.2.33",
    )
    assert (two.codifier, two.readings, two.flag, two.ip) == ("Z2", 0, "", "192.0.2.34")
    assert one.since_ms <= one.heard_ms
    network.records.reconfigure(config_of(component("A1"), component("Z1")))
    assert [it.codifier for it in network.records.strangers.lately()] == ["Z2"]
