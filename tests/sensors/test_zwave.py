"""Values of Z-Wave devices from a local server that speaks zwave-js-server's language."""

import contextlib
import json
import re
import select
import socket
import subprocess
import sys
import threading
import time

import pytest

from jph import SensorError, registry, tcp
from jph.errors import ConfigError
from jph.node.building import build
from jph.node.node import Node
from jph.settings import arguments
from sensors.zwave import component as zwave
from sensors.zwave import server as zwave_server
from sensors.zwave.component import Zwave
from tests.helpers import free_tcp_port, logged, naming
from tests.network import Peer, config_of, running
from tests.sensors import zwave_stub
from tests.sensors.zwave_stub import meter, node, sensor, value

SOCKET = node(
    2,
    value(37, "currentValue", now=True),
    value(37, "targetValue", now=True),
    value(112, 4, now=7),  # a parameter of the configuration
    value(50, "reset", 66049, readable=False, writeable=True),  # before the meter's own
    meter(0, 12.5),
    meter(2, -3.0, rate=2),  # what it produces
    meter(2, 81.25),
    meter(4, 231),
    sensor(4, "Power", 80.5),
    value(50, "reset", readable=False, writeable=True),
)
STRIP = node(
    3,
    meter(2, 10.0, endpoint=1),
    meter(2, 20.0, endpoint=2),
    meter(0, 1.5, endpoint=1),
)
CELLAR = node(7, sensor(1, "Air temperature", 11.5), value(48, "Any", now=False), status=1)


@pytest.fixture
def server():
    """Yield a server with three devices; no connection to it may be left."""
    with zwave_stub.running(*json.loads(json.dumps([SOCKET, STRIP, CELLAR]))) as stub:
        yield stub
    assert zwave_server.SERVERS.in_use == {}


@pytest.fixture
def make(server):
    """Return a function that makes a component of these settings; all are closed at the end."""
    with contextlib.ExitStack() as stack:

        def made(**settings) -> Zwave:
            cls = registry.find("ZwavePower")
            assert cls is Zwave
            given = {"Server": server.url, "node": 2, "index": 8, "Timeout": 20, **settings}
            component = cls(codifier="W1", **arguments(cls, given, "Sensors[0].Sensor"))
            stack.callback(component.close)
            return component

        yield made


def failure(component: Zwave) -> str:
    with pytest.raises(SensorError) as caught:
        component.read()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_older_configuration_loads_unchanged(make):
    proxies = [
        {"node": 2, "index": 8, "instance": 1, "Codifier": "W2"},
        {"node": 2, "index": 0, "instance": 1, "Codifier": "W3"},
        {"node": "3", "index": "8", "instance": "1", "Codifier": "W4"},
        {"node": 3, "index": 0, "instance": 1, "Codifier": "W5"},
        {"node": 7, "index": 1, "instance": 1, "Codifier": "W6"},
        {"node": 7, "index": 0, "instance": 1, "Codifier": "W7"},
    ]
    component = make(node=2, index=4, instance=1, Proxy=proxies)
    first = {"W1": 80.5, "W2": 81.25, "W3": 12.5, "W4": 10.0, "W5": 1.5, "W6": 11.5, "W7": 0}
    assert component.read() == first
    assert component.read() == first


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"index": 16}, 231),
        ({"index": 66049}, 81.25),
        ({"index": "power"}, 80.5),
        ({"index": 4, "CommandClass": 49}, 80.5),
        ({"index": 4, "CommandClass": 112}, 7),
        ({"index": 0, "CommandClass": 37}, 1),
        ({"index": None, "Property": "Power"}, 80.5),
        ({"index": None, "Property": "targetValue"}, 1),
        ({"index": None, "Property": 4, "CommandClass": 112}, 7),
        ({"index": None, "Property": "value", "PropertyKey": 66050}, -3.0),
        ({"index": None, "Property": "value", "PropertyKey": "65537"}, 12.5),
        ({"node": 3, "instance": 2}, 10.0),
        ({"node": 3, "instance": 3}, 20.0),
        ({"node": 3, "instance": 1}, 10.0),
        ({"node": 3, "Endpoint": 2}, 20.0),
        ({"node": 3, "index": None, "Property": "value", "PropertyKey": 65537, "Endpoint": 1}, 1.5),
    ],
)
def test_a_value_is_named_the_older_way_or_that_of_zwave_js(make, settings, expected):
    component = make(**settings)
    assert component.read() == {"W1": expected}
    assert component.read() == {"W1": expected}


def test_a_value_that_is_not_there_lists_those_that_are(make):
    assert failure(make(index=20)) == (
        "node 2, index 20, instance 1: there is no such value; it has (CommandClass Endpoint "
        "Property PropertyKey) 50 0 value 65537, 50 0 value 66050, 50 0 value 66049, "
        "50 0 value 66561, 49 0 Power"
    )
    assert failure(make(node=3, Endpoint=0)).startswith("node 3, index 8, Endpoint 0: there is no")


def test_odd_names_of_values_are_one_line(make, server):
    names = [f"a\x1b[2J\n\ud800{number}" + "x" * 1000 for number in range(100)]
    server.nodes[2] = node(2, *[sensor(1, name, 5) for name in names])
    said = failure(make())
    assert len(said) < 1200 and said.isprintable()


def test_what_changes_is_read_and_the_state_is_asked_for_rarely(make, server):
    component = make()
    assert component.read() == {"W1": 81.25}
    for power in (82.5, 0, 1e6):
        server.nodes[2]["values"][6]["value"] = power
        assert component.read() == {"W1": power}
    assert server.commands() == [
        "set_api_schema",
        "node.get_state",
        "node.get_value",
        "node.get_value",
        "node.get_value",
    ]
    assert server.asked[0]["schemaVersion"] == 14
    assert server.asked[2]["valueId"] == {
        "commandClass": 50,
        "endpoint": 0,
        "property": "value",
        "propertyKey": 66049,
    }


def test_a_value_of_another_kind_is_missing(make, server, caplog):
    component = make(Proxy=[{"Codifier": "W2", "node": 2, "index": 0}])
    assert component.read() == {"W1": 81.25, "W2": 12.5}
    for odd in (None, {"value": 5, "unit": "seconds"}, [1]):
        server.nodes[2]["values"][6]["value"] = odd
        assert component.read() == {"W2": 12.5}
    server.nodes[2]["values"][6]["value"] = 80
    assert component.read() == {"W1": 80, "W2": 12.5}
    assert logged(caplog, "W1", "node 2", "index 8", "instance 1") == len(caplog.records) == 1


def test_a_device_that_vanishes_and_returns(make, server, monkeypatch, caplog):
    monkeypatch.setattr(zwave, "STATE_S", 0.0)
    component = make(Proxy=[{"Codifier": "W2", "node": 3, "index": 8}])
    assert component.read() == {"W1": 81.25, "W2": 10.0}
    server.nodes[2]["status"] = 3
    assert component.read() == {"W2": 10.0}
    assert logged(caplog, "W1", "node 2", "dead") == len(caplog.records) == 1
    gone = server.nodes.pop(3)
    assert re.search(naming("node 2", "dead", "node 3"), failure(component))
    server.nodes[3] = gone
    server.nodes[2].update(status=4, ready=False, values=[])
    assert component.read() == {"W2": 10.0}
    server.nodes[2] = SOCKET
    assert component.read() == {"W1": 81.25, "W2": 10.0}


def test_all_components_share_a_connection_until_the_last_is_closed(make, server):
    components = [make(index=index) for index in (8, 0, 16, 4)]
    threads = [threading.Thread(target=component.read) for component in components]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.connections) == 1
    for component in components[1:]:
        component.close()
    assert components[0].read() == {"W1": 81.25}
    assert len(server.connections) == 1
    components[0].close()
    components[0].close()
    assert zwave_server.SERVERS.in_use == {}
    assert components[0].read() == {"W1": 81.25}  # a further reading opens it again
    assert len(server.connections) == 2


def test_a_server_that_is_started_again_costs_no_reading(make, server):
    component = make()
    assert component.read() == {"W1": 81.25}
    server.stop()
    server.start()
    assert component.read() == {"W1": 81.25}


def test_a_server_that_is_down_is_one_line_until_it_is_back(make, server):
    component = make()
    component.read()
    server.stop()
    for _ in range(2):
        assert re.search(naming(server.url, "Connection refused"), failure(component))
    server.start()
    assert component.read() == {"W1": 81.25}


def sends(*messages: str | bytes):
    """Return what sends these in place of an answer."""

    def answer(connection, _):
        for message in messages:
            connection.send(message)

    return answer


def answers(**parts):
    """Return what sends this answer."""
    return lambda connection, message: connection.send(
        json.dumps({"type": "result", "messageId": message["messageId"], **parts})
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (sends("{"), "JSON"),
        (sends(b"\xff\xfe{"), "JSON"),
        (sends("[" * 100_000), "JSON"),
        (sends("[]"), "object"),
        (sends(b" " * 100_000_000), "4194304 bytes"),
        (lambda connection, _: connection.close(), "closed"),
        (lambda connection, _: connection.socket.shutdown(2), "closed"),
        (answers(success=True), "state of node 2"),
        (answers(success=True, result=[]), "state of node 2"),
        (answers(success=False), "node.get_state"),
        (
            answers(
                success=False, errorCode="zwave_error", zwaveErrorMessage="The driver\nis not ready"
            ),
            "node.get_state: The driver is not ready",
        ),
        (answers(success=True, result={"state": {"values": 5}}), "value"),
        (answers(success=True, result={"state": {"values": [5, {}]}}), "value"),
    ],
)
def test_a_bad_answer_is_one_line_and_the_next_reading_is_good(make, server, answer, reason):
    server.answers["node.get_state"] = answer
    component = make()
    said = failure(component)
    assert reason in said
    assert said.startswith((server.url, "node 2, index 8"))
    del server.answers["node.get_state"]
    assert component.read() == {"W1": 81.25}


@pytest.mark.parametrize(
    ("version", "facts"),
    [
        ("hello", ["JSON"]),
        ({"type": "version"}, ["zwave-js-server"]),
        ({"type": "event", "minSchemaVersion": 0}, ["zwave-js-server"]),
        (
            {"type": "version", "minSchemaVersion": 0, "maxSchemaVersion": 13},
            ["schema 14"],
        ),
        (b" " * 5_000_000, ["4194304 bytes"]),
    ],
)
def test_another_greeting_is_one_line(make, server, version, facts):
    good, server.version = server.version, version
    component = make()
    assert re.search(naming(server.url, *facts), failure(component))
    server.version = good
    assert component.read() == {"W1": 81.25}


def test_a_schema_that_is_refused_is_one_line(make, server):
    server.answers["set_api_schema"] = answers(success=False, errorCode="schema_incompatible")
    component = make()
    said = failure(component)
    assert re.search(naming(server.url, "set_api_schema", "schema_incompatible"), said)
    del server.answers["set_api_schema"]
    assert component.read() == {"W1": 81.25}


def test_events_and_answers_to_others_are_passed_over(make, server):
    def answer(connection, message):
        event = {"source": "node", "event": "value updated", "nodeId": 2, "args": {}}
        for _ in range(100):
            connection.send(json.dumps({"type": "event", "event": event}))
            connection.send(json.dumps(zwave_stub.done({"messageId": "x"}, {"value": 5})))
        connection.send(json.dumps(zwave_stub.done(message, {"value": 6})))

    component = make()
    component.read()
    server.answers["node.get_value"] = answer
    assert component.read() == {"W1": 6}


def test_no_answer_costs_no_more_than_the_timeout(make, server):
    release = threading.Event()
    server.answers["node.get_state"] = lambda *_: release.wait(20)
    component = make(Timeout=0.5)
    began_s = time.monotonic()
    assert re.search(naming(server.url, "time"), failure(component))
    assert time.monotonic() - began_s < 10
    release.set()
    del server.answers["node.get_state"]
    assert make().read() == {"W1": 81.25}


def test_messages_that_never_end_cost_no_more_than_the_timeout(make, server):
    def answer(connection, _):
        with contextlib.suppress(Exception):  # until the other side is gone
            while True:
                connection.send('{"type": "event"}')

    server.answers["node.get_state"] = answer
    began_s = time.monotonic()
    assert re.search(naming(server.url, "time"), failure(make(Timeout=0.5)))
    assert time.monotonic() - began_s < 10


@pytest.mark.parametrize(
    "beginning", [b"", b"HTTP/1.1 101 ", b"\x00" * 10, b"HTTP/1.1 200 OK\r\n\r\n"]
)
def test_something_else_that_listens_there_is_one_line(make, beginning):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"ws://127.0.0.1:{other.getsockname()[1]}"
        taken = []

        def take():
            connected, _ = other.accept()
            taken.append(connected)
            connected.sendall(beginning)

        thread = threading.Thread(target=take)
        thread.start()
        assert failure(make(Server=address, Timeout=1)).startswith(f"{address}: ")
        thread.join()
        taken[0].close()


@pytest.mark.parametrize(
    "greeting",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: x\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_something_that_speaks_first_is_one_line(make, monkeypatch, caplog, greeting):
    connect = tcp.connect

    def greeted(*arguments):
        connected = connect(*arguments)
        select.select([connected], [], [], 20)
        return connected

    monkeypatch.setattr(tcp, "connect", greeted)
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"ws://127.0.0.1:{other.getsockname()[1]}"
        for _ in range(10):  # which of two threads comes first is left to chance

            def greet():
                with other.accept()[0] as connected:
                    connected.sendall(greeting)
                    while connected.recv(4096):
                        pass

            thread = threading.Thread(target=greet)
            thread.start()
            assert failure(make(Server=address)).startswith(f"{address}: ")
            thread.join()
    assert caplog.messages == []


def test_nobody_there_is_one_line(make):
    address = f"ws://127.0.0.1:{free_tcp_port()}"
    assert re.search(naming(address, "Connection refused"), failure(make(Server=address)))


def test_secrets_of_an_address_are_not_in_errors(make, server):
    place = f"127.0.0.1:{free_tcp_port()}/api"
    said = failure(make(Server=f"ws://someone:secret@{place}?token=secret"))
    assert re.search(naming(f"ws://{place}", "Connection refused"), said)
    assert "someone" not in said and "secret" not in said
    address = server.url.replace("//", "//someone:secret@") + "/?token=secret"
    component = make(Server=address)
    assert component.read() == {"W1": 81.25}
    assert server.connections[0].request.path == "/?token=secret"
    server.stop()
    assert "secret" not in failure(component)


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"index": None}, "index: is required, or Property"),
        ({"node": "two"}, "node: must be a whole number"),
        ({"instance": "first"}, "instance: must be a whole number"),
        ({"Server": "http://127.0.0.1:3000"}, "Server: must be ws://HOST:PORT"),
        ({"Server": "127.0.0.1:3000"}, "Server: must be ws://HOST:PORT"),
        ({"Server": "ws://127.0.0.1:99999"}, "Server: must be ws://HOST:PORT"),
        ({"Server": "ws://127.0.0.1:3000/#x"}, "Server: must be ws://HOST:PORT"),
    ],
)
def test_mistakes_of_the_configuration(make, settings, mistake):
    with pytest.raises((ValueError, ConfigError), match=mistake):
        make(**settings)


def test_without_the_package_the_type_says_what_to_install():
    script = """
import sys
class Without:
    def find_spec(self, name, *_):
        if name == "websockets":
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Without())
from jph import registry
try:
    registry.find("Zwave")
except Exception as error:
    print(error)
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert re.search(naming("Zwave", "websockets", "pip install 'jph[zwave]'"), said.stdout)
    assert said.stdout.count("\n") == 1


def test_a_node_sends_the_values_and_closes_the_connection(server, tmp_path):
    config = config_of(
        {
            "Codifier": "W1",
            "Type": "ZwavePower",
            "SensorInterval": 0.1,
            "Sensor": {
                "Server": server.url,
                "node": 2,
                "index": 8,
                "instance": 1,
                "Proxy": [{"Codifier": "W2", "node": 7, "index": 1, "instance": 1}],
            },
        },
        {"Codifier": "W2", "Type": "Proxy"},
    )
    node = Node(config, tmp_path)
    node.add(config.components["W1"], build)
    with Peer(config) as peer, running(node):
        for codifier, number in (("W1", 81.25), ("W2", 11.5)):
            message = peer.hear(
                "data", lambda m, c=codifier: (m["source"], m["flag"]) == (c, "f"), 20
            )
            assert message["value"] == number
