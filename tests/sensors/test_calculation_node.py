"""Calculations in a node at work, on a bus with an independent peer."""

import itertools
import struct

import pytest

from jph.node.building import build
from jph.node.node import Node
from tests.helpers import eventually, logged
from tests.network import Peer, config_of, running
from tests.sensors.test_calculation import HOSTILE, SOON_S

INPUTS = ({"Codifier": "A4", "Type": "External"}, {"Codifier": "A5", "Type": "External"})


def entry(codifier: str, type: str, **settings: object) -> dict:
    return {
        "Codifier": codifier,
        "Type": type,
        "DataType": "double" if type == "Formula" else "float",
        "SensorInterval": 0.1,
        "KeepAliveInterval": 0.2,
        "Report": {"Failures": 100_000},  # so that it does not back off
        "Sensor": {"Timeout": SOON_S, **settings} if type == "Python" else settings,
    }


@pytest.fixture
def bus(tmp_path):
    """Return a function that runs components, and gives a peer on their bus."""
    with_node = []

    def start(*sensors: dict) -> Peer:
        config = config_of(*sensors)
        peer = Peer(config).__enter__()
        node = Node(config, tmp_path)
        for component in config.components.values():
            if component.type in ("Python", "Formula"):
                node.add(component, build)
        at_work = running(node)
        at_work.__enter__()
        with_node.extend([peer, at_work])
        return peer

    yield start
    for one in reversed(with_node):
        one.__exit__(None, None, None)


@pytest.fixture
def calculation(tmp_path):
    def write(text: str, codifier: str = "C1", **settings: object) -> dict:
        (tmp_path / f"{codifier}.py").write_text(text)
        return entry(codifier, "Python", Filename=str(tmp_path / f"{codifier}.py"), **settings)

    return write


sequences = itertools.count(1)


def publish(peer: Peer, codifier: str, value: float | str) -> None:
    if isinstance(value, str):
        payload = struct.pack("<I", len(value.encode())) + value.encode()
        peer.publish(codifier, "s", payload, next(sequences))
    else:
        peer.publish(codifier, "f", struct.pack("<f", value), next(sequences))


def heard(peer: Peer, codifier: str, value: object) -> dict:
    return peer.hear("data", lambda m: (m["source"], m.get("value")) == (codifier, value), SOON_S)


def test_values_from_the_bus_go_in_and_values_and_commands_come_out(bus, calculation):
    text = """
hot = {{ A4 }} - {{ A5 }}
sendData(hot)
sendData(hot * 2, Codifier="P1")
if hot > 5:
    sendCtrl(to="FK", flag="A", timeComponent=hot)
"""
    peer = bus(
        calculation(text, Proxy=[{"Codifier": "P1"}]),
        {"Codifier": "P1", "Type": "Proxy"},
        entry("F1", "Formula", Formula="max(A4, A5) if age(A4) < 1e6 else value(C1, 0)"),
        *INPUTS,
    )
    publish(peer, "A4", 40.0)
    publish(peer, "A5", 33.5)
    assert heard(peer, "C1", 6.5)["flag"] == "f"
    heard(peer, "P1", 13.0)
    heard(peer, "F1", '{"value":40.0}')
    command = peer.hear("control", lambda m: m["flag"] == "A", SOON_S)
    assert (command["source"], command["to"], command["number"]) == ("C1", "FK", 6.5)


def test_no_text_on_the_bus_is_run_as_code(bus, calculation, tmp_path):
    text = "sendData({{ A4 }})\nsendData('{{ A4 }}', Codifier='P1')"
    proxy = {"Codifier": "P1", "Type": "Proxy", "Sensor": {"Server": "C1"}}
    is_text = {"DataType": "string"}
    peer = bus({**calculation(text), **is_text}, {**proxy, **is_text}, *INPUTS)
    for hostile in HOSTILE:
        hostile = hostile.replace("PWNED", str(tmp_path / "pwned"))
        publish(peer, "A4", hostile)
        heard(peer, "C1", hostile)
        heard(peer, "P1", hostile)
    assert not (tmp_path / "pwned").exists()


def test_pings_are_answered_and_signs_of_life_given_while_a_file_hangs(bus, calculation, tmp_path):
    began, hold = tmp_path / "began", tmp_path / "hold"
    hold.touch()
    text = f"""
open({str(began)!r}, "w").close()
while os.path.exists({str(hold)!r}):
    pass
sendData(1)
"""
    peer = bus(calculation(text), entry("F1", "Formula", Formula="2"))
    try:
        eventually(began.exists, SOON_S)
        peer.drain("control")
        peer.drain("data")
        peer.command("P", "C1", 77.0)
        peer.hear("control", lambda m: m["flag"] == "T" and m["source"] == "C1", SOON_S)
        peer.hear("control", lambda m: m["flag"] == "I" and m["source"] == "C1", SOON_S)
        heard(peer, "F1", '{"value":2.0}')
    finally:
        hold.unlink()
    heard(peer, "C1", 1)


@pytest.mark.parametrize(
    ("fault", "place", "fact"),
    [
        ("while True: pass", "C1.py line 4", "2 s"),
        ("os._exit(3)", "C1.py", "status 3"),
        ("x = bytearray(10**10)", "C1.py line 4", "256 MB"),
    ],
)
def test_a_fault_costs_one_reading_and_the_next_ones_come(
    bus, calculation, tmp_path, caplog, fault, place, fact
):
    once = tmp_path / "once"
    text = f"""
if not os.path.exists({str(once)!r}):
    open({str(once)!r}, "w").close()
    {fault}
sendData({{{{ A4 }}}})
"""
    peer = bus(calculation(text, Timeout=2), *INPUTS)
    publish(peer, "A4", 40.0)
    heard(peer, "C1", 40.0)
    assert logged(caplog, place, fact) == logged(caplog, fact) == 1
