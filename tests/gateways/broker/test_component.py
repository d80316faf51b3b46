"""The Broker component with the real programs, and clients of paho."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from gateways import rights as rights_module
from gateways.address import address_of
from gateways.broker import accounts
from gateways.inlet import Inlet
from gateways.rights import Rights
from jph.errors import ConfigError
from jph.node.building import build
from jph.node.node import Node
from jph.node.process import STATE
from tests.brokers import connected
from tests.helpers import eventually, free_tcp_port, logged
from tests.network import config_of, running

pytestmark = pytest.mark.mosquitto
SENSOR = "81bf7042-e20f-4a97-ac44-c15853e3618f"
OTHER = "2d2a3794-2345-4500-8baa-493f88123087"
RIGHTS = Rights(
    own=("configurations/+",),
    devices=("measurements/%s", "logs/%s"),
    reads=("configurations/%s",),
    programs=("jph/+/set",),
)


@pytest.fixture(autouse=True)
def a_gateway_with_rights(monkeypatch):
    monkeypatch.setattr(rights_module, "_rights_of", lambda name, settings: RIGHTS)


@pytest.fixture(params=["mosquitto", "nats"])
def engine(request):
    return request.param


def network(engine, **settings):
    own = {"Engine": engine, "Port": free_tcp_port(), **settings}
    return config_of(
        {"Codifier": "BR", "Type": "Broker", "SensorInterval": 0.2, "Sensor": own},
        {"Codifier": "GW", "Type": "Python", "Sensor": {"Broker": "BR"}},
    )


@contextlib.contextmanager
def broker(config, home):
    node = Node(config, home)
    node.add(config.components["BR"], build)
    with running(node):
        yield node


def port_of(config):
    return config.components["BR"].settings["Port"]


def state(node):
    return node.process.components()["BR"].state


class Client:
    """A client of paho that knows what it heard, and what the broker refused."""

    def __init__(self, client):
        self.client, self.heard = client, []
        client.on_message = lambda _, __, message: self.heard.append(
            (message.topic, message.payload.decode())
        )

    def subscribe(self, topic):
        done = threading.Event()
        self.client.on_subscribe = lambda *_: done.set()
        self.client.subscribe(topic, 1)
        assert done.wait(20)

    def publish(self, topic, text):
        with contextlib.suppress(RuntimeError):  # nats ends the connection of who may not
            self.client.publish(topic, text, 1).wait_for_publish(5)


@contextlib.contextmanager
def client(config, user="", password=None):
    with connected(port_of(config), user=user, password=password) as it:
        yield Client(it)


@contextlib.contextmanager
def ours(config, home):
    with client(config, "jph", accounts.own_password(home)) as it:
        yield it


def test_it_runs_and_ends_with_the_component(engine, tmp_path, caplog):
    caplog.set_level("INFO", "gateways.broker")
    config = network(engine)
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        with ours(config, tmp_path) as us:
            us.subscribe("a/b")
            us.publish("a/b", "hello")
            eventually(lambda: us.heard == [("a/b", "hello")])
    with pytest.raises(OSError):
        mqtt.Client(mqtt.CallbackAPIVersion.VERSION2).connect("127.0.0.1", port_of(config))
    # What it says at each start is for nobody.
    assert "[INF]" not in caplog.text and "Plaintext" not in caplog.text


def test_its_home_may_be_named_from_here(engine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = Path("home")
    home.mkdir()
    with broker(network(engine), home) as node:
        eventually(lambda: state(node) == STATE.GOOD)


def test_a_broker_that_is_killed_is_started_again_with_what_it_kept(engine, tmp_path, caplog):
    config = network(engine)
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        component = node.runners["BR"].callbacks.close.__self__
        os.kill(component._process.pid, signal.SIGKILL)
        eventually(lambda: logged(caplog, "ended with status -9"))
        eventually(lambda: state(node) == STATE.GOOD)
        eventually(lambda: logged(caplog, "runs again"))


def kill(node):
    component = node.runners["BR"].callbacks.close.__self__
    eventually(lambda: component._process)
    os.kill(component._process.pid, signal.SIGKILL)


@contextlib.contextmanager
def gateway(config, home):
    """Take measurements as a gateway does; yield its inlet and the payloads that it committed."""
    taken = []

    def commit(batch):
        taken.extend(message.payload.decode() for message in batch)

    inlet = Inlet(address_of("BR", None, config, home), "jph-test", ["measurements/+"], commit)
    inlet.start()
    try:
        yield inlet, taken
    finally:
        inlet.close()


def is_gone(inlet):
    return lambda: not inlet.status.connected


def test_a_gateway_speaks_to_nats_as_it_understands(tmp_path, caplog):
    caplog.set_level("INFO", "gateways.broker")
    config = network("nats")
    with broker(config, tmp_path), gateway(config, tmp_path) as (inlet, _):
        eventually(lambda: inlet.status.connected, 60)
    assert "protocol version" not in caplog.text


def test_subscriptions_return_soon_after_a_kill(engine, tmp_path):
    config = network(engine)
    with broker(config, tmp_path) as node, gateway(config, tmp_path) as (inlet, taken):
        eventually(lambda: inlet.status.connected, 60)
        for text in ("first", "second"):
            kill(node)
            eventually(is_gone(inlet))
            eventually(lambda: inlet.status.connected, 30)  # 10 s where the machine is not busy
            with client(config) as device:
                device.publish(f"measurements/{SENSOR}", text)
            eventually(lambda text=text: text in taken)


def test_what_nats_acknowledged_outlives_its_kill(tmp_path):
    config, count = network("nats"), 5000
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        with gateway(config, tmp_path) as (inlet, _):
            eventually(lambda: inlet.status.connected)
        # The gateway is away; its session stays, and a device publishes until the broker dies.
        with client(config) as device:
            publish = device.client.publish
            sent = [publish(f"measurements/{SENSOR}", str(it), 1) for it in range(count)]
            eventually(lambda: sent[200].is_published())
            kill(node)
            eventually(lambda: not device.client.is_connected())
            device.client.disconnect()  # it must not send the rest again
        kept = {str(it) for it, message in enumerate(sent) if message.is_published()}
        assert 200 < len(kept) < count
        with gateway(config, tmp_path) as (_, taken):
            eventually(lambda: kept <= set(taken), 60)


def test_a_device_does_not_speak_the_other_protocol_of_nats(tmp_path):
    config = network("nats", WebSocket=free_tcp_port())
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        port = config.components["BR"].settings["WebSocket"]
        with connect(f"ws://127.0.0.1:{port}") as socket:
            assert socket.recv(20).startswith(b"INFO ")
            with contextlib.suppress(ConnectionClosed):
                socket.send(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n')
                said = socket.recv(20)
                assert b"Authorization Violation" in said or b"Authentication" in said, said
                return
            pytest.fail("it ended without a word")


def test_browsers_come_in_by_web_socket(engine, tmp_path):
    config = network(engine, WebSocket=free_tcp_port())
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        port = config.components["BR"].settings["WebSocket"]
        with ours(config, tmp_path) as us, connected(port, transport="websockets") as browser:
            us.subscribe("measurements/+")
            browser.publish(f"measurements/{SENSOR}", "21", 1).wait_for_publish(20)
            eventually(lambda: us.heard == [(f"measurements/{SENSOR}", "21")])


def test_a_device_does_not_hear_what_others_publish(engine, tmp_path):
    config = network(engine)
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        with gateway(config, tmp_path) as (_, taken), client(config) as spy:
            for topic in ("#", "measurements/#", "$MQTT/sub/#", "$MQTT/msgs/#", "$SYS/#"):
                spy.subscribe(topic)
            spy.subscribe(f"configurations/{SENSOR}")
            with client(config) as device, ours(config, tmp_path) as us:
                device.publish(f"measurements/{SENSOR}", "21")
                eventually(lambda: taken == ["21"])
                us.publish(f"configurations/{SENSOR}", "{}")
            eventually(lambda: spy.heard)
            assert {text for _, text in spy.heard} == {"{}"}


def test_an_account_may_be_called_anybody(tmp_path):
    config = network("nats")
    accounts.add(tmp_path, "anybody", "a password")
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        with client(config, "anybody", "a password"), client(config):
            pass


def test_only_we_publish_configurations(engine, tmp_path):
    config = network(engine)
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        with ours(config, tmp_path) as us, client(config) as device:
            us.subscribe("#")
            device.subscribe(f"configurations/{SENSOR}")
            us.publish(f"configurations/{SENSOR}", "ours")
            eventually(lambda: device.heard == [(f"configurations/{SENSOR}", "ours")])
            device.publish(f"measurements/{SENSOR}", "21")
            device.publish(f"configurations/{SENSOR}", "forged")
            eventually(lambda: (f"measurements/{SENSOR}", "21") in us.heard)
        with ours(config, tmp_path) as us, client(config) as device:
            us.subscribe("#")
            device.publish("elsewhere", "x")
        with ours(config, tmp_path) as us, client(config) as device:
            us.subscribe("#")
            device.publish(f"logs/{SENSOR}", "last")
            eventually(lambda: (f"logs/{SENSOR}", "last") in us.heard)
            assert [topic for topic, text in us.heard if text in ("forged", "x")] == []


def test_an_account_named_like_a_sensor_speaks_for_that_sensor_alone(engine, tmp_path):
    config = network(engine, Anonymous=False)
    accounts.add(tmp_path, SENSOR, "a password")
    accounts.add(tmp_path, "station", "a password", all_devices=True)
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        with ours(config, tmp_path) as us:
            us.subscribe("measurements/+")
            with client(config, SENSOR, "a password") as sensor:
                sensor.publish(f"measurements/{SENSOR}", "own")
                sensor.publish(f"measurements/{OTHER}", "forged")
            with client(config, "station", "a password") as station:
                station.publish(f"measurements/{OTHER}", "of all")
            eventually(lambda: len(us.heard) == 2)
            assert us.heard == [
                (f"measurements/{SENSOR}", "own"),
                (f"measurements/{OTHER}", "of all"),
            ]


def test_a_program_reads_all_and_gives_commands_and_a_device_does_not(engine, tmp_path):
    config = network(engine, Anonymous=False)
    accounts.add(tmp_path, "house", "a password", program=True)
    accounts.add(tmp_path, "station", "a password", all_devices=True)
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        with ours(config, tmp_path) as us, client(config, "house", "a password") as house:
            us.subscribe("#")
            house.subscribe("measurements/+")
            with client(config, "station", "a password") as station:
                station.publish(f"measurements/{SENSOR}", "21")
                station.publish("jph/S1/set", "forged")
            eventually(lambda: house.heard == [(f"measurements/{SENSOR}", "21")])
            house.publish("jph/S1/set", "20")
            eventually(lambda: ("jph/S1/set", "20") in us.heard)
            assert ("jph/S1/set", "forged") not in us.heard


@pytest.mark.parametrize("user, password", [("", None), ("jph", "wrong"), (SENSOR, "wrong")])
def test_without_an_account_nobody_comes_in(engine, tmp_path, user, password):
    config = network(engine, Anonymous=False)
    accounts.add(tmp_path, SENSOR, "a password")
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        refused = threading.Event()
        it = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        it.on_connect = lambda *arguments: arguments[3].is_failure and refused.set()
        it.username_pw_set(user, password) if user else None
        it.connect("127.0.0.1", port_of(config))
        it.loop_start()
        try:
            assert refused.wait(20)
        finally:
            it.loop_stop()


def test_an_account_that_is_added_while_it_runs_comes_in(engine, tmp_path):
    config = network(engine, Anonymous=False)
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        accounts.add(tmp_path, SENSOR, "a password")

        def comes_in():
            refusal = contextlib.suppress(AssertionError, OSError)
            with refusal, client(config, SENSOR, "a password"):
                return True

        eventually(comes_in, 60)


def test_a_port_that_is_taken_is_said_with_what_to_do(tmp_path, mosquitto, caplog):
    with broker(network("mosquitto", Port=mosquitto.port), tmp_path) as node:
        eventually(lambda: state(node) == STATE.WITHERRORS)
        eventually(
            lambda: (
                logged(caplog, str(mosquitto.port), "systemctl disable", "choose another Port") == 1
            )
        )


@pytest.mark.parametrize("engine, hint", [("mosquitto", "apt-get"), ("nats", "jph[nats]")])
def test_a_program_that_is_missing_is_said_with_how_to_get_it(
    engine, hint, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with broker(network(engine), tmp_path) as node:
        eventually(lambda: state(node) == STATE.WITHERRORS)
        eventually(lambda: logged(caplog, "is not on this machine", hint) == 1)


def test_a_broker_that_ends_at_once_is_told_with_its_last_words(engine, tmp_path, caplog):
    port = free_tcp_port()
    config = network(engine, Port=port, WebSocket=port)  # which is found when it listens
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.WITHERRORS)
        eventually(lambda: logged(caplog, "ended with status", "; it is started again") == 1)


def test_it_ends_with_a_process_that_is_killed(engine, tmp_path):
    config = network(engine)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config.document))
    command = [sys.executable, "-m", "tools.main", "run", "BR", "--config", str(file)]
    process = subprocess.Popen([*command, "--home", str(tmp_path)], stderr=subprocess.DEVNULL)

    def listens():
        with contextlib.suppress(OSError):
            mqtt.Client(mqtt.CallbackAPIVersion.VERSION2).connect("127.0.0.1", port_of(config))
            return True

    try:
        eventually(listens, 60)
    finally:
        process.kill()
        process.wait()
    eventually(lambda: not listens())


def test_its_files_are_closed_to_others_and_hold_no_password(engine, tmp_path):
    config = network(engine)
    accounts.add(tmp_path, SENSOR, "a password")
    with broker(config, tmp_path) as node:
        eventually(lambda: state(node) == STATE.GOOD)
        own = accounts.own_password(tmp_path)
        for file in (tmp_path / "broker").iterdir():
            if file.is_file() and file.name != "mosquitto.db":
                assert file.stat().st_mode & 0o077 == 0, file
                text = file.read_text()
                assert "a password" not in text
                assert own not in text or file.name == "account"


@pytest.mark.parametrize("name", ["jph", "", "a b", "a/b", "+", "#", "a:b", "x" * 65, "é"])
def test_no_account_has_such_a_name(name, tmp_path):
    with pytest.raises(ConfigError):
        accounts.add(tmp_path, name, "a password")


def test_the_address_of_a_broker(tmp_path):
    config = network("mosquitto", Host="0.0.0.0")
    (tmp_path / "secret").write_text("word\n")

    def address(broker, file=None):
        it = address_of(broker, file, config, tmp_path)
        return it.host, it.port, it.tls, it.user, it.password

    assert address("mqtt://10.0.0.1") == ("10.0.0.1", 1883, False, "", "")
    assert address("mqtts://me@b.example", tmp_path / "secret") == (
        *("b.example", 8883, True),
        *("me", "word"),
    )
    own = accounts.own_password(tmp_path)
    assert address("BR") == ("127.0.0.1", port_of(config), False, "jph", own)


@pytest.mark.parametrize(
    "broker", ["", "GW", "http://x", "mqtt://", "mqtt://a:b@c", "mqtt://a:99999", "mqtt://[x"]
)
def test_what_is_no_address_of_a_broker_is_said(broker, tmp_path):
    with pytest.raises(ConfigError, match="Broker: "):
        address_of(broker, None, network("mosquitto"), tmp_path)
