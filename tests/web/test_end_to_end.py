"""The pages on a real bus: sockets, a node with all that the pages need, and a peer of our own."""

import struct
from types import SimpleNamespace

import pytest

from jph.errors import SensorError
from jph.node.building import build
from jph.node.node import Node
from jph.node.runner import Callbacks
from tests.helpers import eventually
from tests.network import Peer, config_of, running
from tests.web.client import Client, LiveReader
from web.outcomes import TIMEOUT_S

FLOAT = struct.Struct("<f")


LAMP = {"Server": "G1", "Min": 0, "Max": 100}


def lamps(channel):
    """Return the callbacks of a gateway whose lamps take what they are told."""

    def on_command(codifier, flag, number):
        if number > LAMP["Max"]:
            raise SensorError("a lamp takes 0 to 100")
        channel.send_data(float(number), codifier=codifier)

    return Callbacks(on_command=on_command)


@pytest.fixture
def network(tmp_path):
    """Return a running node with the web server, a history writer and a sensor, and a peer."""
    source = tmp_path / "source"
    source.write_text("21.5\n")
    config = config_of(
        {
            "Codifier": "A1",
            "Name": "Bench",
            "Symbol": "°C",
            "SensorInterval": 0.2,
            "Sensor": {"Pipe": str(source)},
        },
        {"Codifier": "B1", "Name": "Elsewhere", "SensorInterval": 1},
        {"Codifier": "H1", "Type": "HistoryWriter", "Sensor": {"BatchTime": 0.2}},
        {"Codifier": "W1", "Type": "Web", "Sensor": {"Port": 0}},
        {"Codifier": "G1", "Name": "Gateway", "Type": "Python"},
        {"Codifier": "L1", "Type": "Proxy", "Control": "enabled", "Sensor": LAMP},
    )
    node = Node(config, tmp_path / "home")
    for codifier in ("A1", "H1", "W1"):
        node.add(config.components[codifier], build)
    node.add(config.components["G1"], lamps)
    with running(node), Peer(config, "B1") as peer:
        yield node, peer


def url_of(node):
    """Return the greeting of the web server, split into address and link."""
    greeting = node.runners["W1"].callbacks.greeting()
    address, link = (line.split()[-1] for line in greeting.splitlines())
    return address, link


@pytest.fixture
def client(network):
    """Return a client that signed in."""
    address, link = url_of(network[0])
    client = Client(int(address.rstrip("/").rpartition(":")[2]))
    assert client.follow_link(link).status == 303
    return client


def test_a_reading_goes_from_the_sensor_to_the_page(network, client):
    eventually(lambda: client.get("/sensor/A1").json[0]["Value"] == 21.5)
    page = client.get("/").text
    assert ">21.5<" in page
    assert client.get("/healthz").json["status"] == "ok"


def test_what_an_independent_program_publishes_is_on_the_page_and_in_the_history(network, client):
    _, peer = network
    with LiveReader(client.port, "?codifier=B1") as reader:
        reader.event()
        peer.publish("B1", "n", struct.pack("<I", 7), 7)
        peer.publish("B1", "f", FLOAT.pack(2.5), 8)
        _, frame = reader.event()
        while frame["components"]["B1"]["Value"] is None:  # the start of its sequence alone
            _, frame = reader.event()
    assert frame["components"]["B1"]["Value"] == 2.5
    assert frame["components"]["B1"]["State"] == "active"
    eventually(lambda: client.get("/history/B1").json["v"] == [2.5], 15.0)


def test_lost_readings_are_counted(network, client):
    _, peer = network
    for sequence in (100, 101, 105):
        peer.publish("B1", "f", FLOAT.pack(1.0), sequence)
    eventually(lambda: client.get("/sensor/B1").json[0]["DPacketsLost"] == 3)


def test_halt_start_and_ping_reach_the_component(network, client, monkeypatch):
    for flag in "HSP":
        monkeypatch.setitem(TIMEOUT_S, flag, 20.0)  # a busy machine may take long

    def is_active():
        return client.get("/sensor/A1").json[0]["IsActive"]

    eventually(lambda: is_active() is True)
    assert client.command("A1", "H").json["outcome"] == "is halted"
    eventually(lambda: is_active() is False)
    assert "Halted" in client.get("/component/A1").text
    assert client.command("A1", "S").json["outcome"] == "is active"
    assert client.command("A1", "C").json["outcome"].startswith("runs, but")  # no reloader here
    eventually(lambda: is_active() is True)
    assert client.command("A1", "P").json["round_trip_ms"] > 0
    monkeypatch.setitem(TIMEOUT_S, "P", 0.1)
    assert client.command("B1", "P").json["round_trip_ms"] is None


def test_a_failing_sensor_is_shown_with_its_reason_until_it_reads_again(network, client, tmp_path):
    def shown():
        health = client.get("/healthz").json
        return health["failing"], health["failing_reasons"]

    eventually(lambda: client.get("/sensor/A1").json[0]["Value"] == 21.5)
    assert shown() == (0, None)
    (tmp_path / "source").rename(tmp_path / "away")
    reason = f"A1: {tmp_path / 'source'}: No such file or directory"
    eventually(lambda: shown() == (1, reason), 20)
    page = client.get("/component/A1").text
    assert 'data-state="failing"' in page
    assert reason.removeprefix("A1: ") in page
    assert client.get("/sensor/A1").json[0]["Value"] == 21.5  # the last one, with its time
    (tmp_path / "away").rename(tmp_path / "source")
    eventually(lambda: shown() == (0, None), 20)


def test_a_failure_now_and_then_is_not_failing(network, client):
    node, _ = network
    runner = node.runners["A1"]
    eventually(lambda: runner.status().last_good_ms)
    read, failures = runner.callbacks.on_timer._reader.read, []

    def fail_twice():
        if len(failures) < 2:
            failures.append(runner.status().is_failing)
            raise SensorError("checksum")
        return read()

    runner.callbacks.on_timer._reader = SimpleNamespace(read=fail_twice)
    eventually(lambda: len(failures) == 2 and runner.status().error is None)
    assert failures == [False, False]


def test_a_command_is_heard_on_the_wire(network, client):
    _, peer = network
    client.command("B1", "C")
    message = peer.hear("control", lambda one: one["flag"] == "C")
    assert (message["source"], message["to"]) == ("W1", "B1")


def test_a_proxy_is_set_through_the_gateway_that_serves_it(network, client):
    answer = client.command("L1", "A", number=40).json
    assert (answer["done"], answer["outcome"]) == (True, "is 40 now")
    refused = client.command("L1", "A", number=101).json
    assert (refused["done"], refused["outcome"]) == (False, "answered, but has not sent its value")
    eventually(lambda: client.get("/sensor/L1").json[0]["Value"] == 40.0)
    page = client.get("/component/L1").text
    assert 'id="slider" aria-label="Slider from 0 to 100"' in page
    assert "which all other commands go to" in page
    client.command("G1", "H")
    halted = client.command("L1", "A", number=50).json
    assert (halted["done"], halted["outcome"]) == (False, "is halted; start it first")
