"""The HomeAssistant component between a real bus and a real broker; paho is the other side."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import jsonschema
import paho.mqtt.client as mqtt
import pytest

from gateways.broker import accounts
from gateways.rights import rights_on
from jph.node.building import build
from jph.node.node import Node
from jph.node.process import STATE
from tests.brokers import connected, is_refused
from tests.gateways.node import component_of
from tests.helpers import eventually, free_tcp_port, logged
from tests.network import Peer, Sensors, config_of, running

SCHEMA = json.loads((Path(__file__).parent / "discovery_schema.json").read_text())
BOILER = {
    "Codifier": "A1",
    "Name": "Boiler",
    "Symbol": "°C",
    "SensorInterval": 1,
    "TimeoutWarning": 3,
    "KeepAliveInterval": 5,
}
TARGET = {
    "Codifier": "S1",
    "Name": "Target",
    "Type": "SetPoint",
    "Control": "enabled",
    "Sensor": {"Min": 5, "Max": 30},
}


def network(broker, *entries, **settings):
    own = {"Broker": broker and broker.url, "Interval": 0.1, **settings}
    return config_of(
        {
            "Codifier": "HA",
            "Type": "HomeAssistant",
            "SensorInterval": 1,
            "DataType": "json",
            "Sensor": own,
        },
        *entries,
    )


@contextlib.contextmanager
def gateway(config, home):
    node = Node(config, home)
    node.add(config.components["HA"], build)
    with running(node):
        yield node


def state(node):
    return node.process.components()["HA"].state


class House:
    """What a Home Assistant has heard, by topic."""

    def __init__(self, client: mqtt.Client) -> None:
        self.messages: list[tuple[str, str]] = []
        self.client = client
        client.on_message = self._on_message
        client.on_connect = lambda *_: self._subscribe()  # a broker may be slow at first
        self._subscribe()

    def _subscribe(self):
        self.client.subscribe([("homeassistant/#", 1), ("jph/#", 1)])

    def _on_message(self, client, userdata, message):
        self.messages.append((message.topic, message.payload.decode(errors="replace")))

    def last(self, topic):
        return next((text for name, text in reversed(self.messages) if name == topic), None)

    def devices(self):
        latest = {name: text for name, text in self.messages if name.endswith("/config")}
        return {name: json.loads(text) for name, text in latest.items() if text}

    def sends(self, topic, text, retain=False):
        self.client.publish(topic, text, 1, retain).wait_for_publish(20)


@contextlib.contextmanager
def house_of(broker):
    with connected(broker.port, client_id="house") as client:
        yield House(client)


@pytest.fixture(params=["mosquitto", "nats"])
def broker(request):
    return request.getfixturevalue(request.param)


def test_devices_values_and_who_works_reach_home_assistant(broker, tmp_path):
    config = network(broker, BOILER, TARGET)
    with house_of(broker) as house, Peer(config) as peer, Sensors(peer) as sensors:
        with gateway(config, tmp_path):
            eventually(lambda: len(house.devices()) == 2)
            for device in house.devices().values():
                jsonschema.validate(device, SCHEMA)
            eventually(lambda: house.last("jph/status") == "online")
            eventually(lambda: house.last("jph/A1/status") == "offline")  # never heard
            sensors.values["A1"] = 21.5
            eventually(lambda: house.last("jph/A1/state") == "21.5")
            eventually(lambda: house.last("jph/A1/status") == "online")
            del sensors.values["A1"]
            eventually(lambda: house.last("jph/A1/status") == "offline")
        eventually(lambda: house.last("jph/status") == "offline")


def test_a_command_sets_the_component_and_no_other_does(broker, tmp_path, caplog):
    config = network(broker, BOILER, TARGET)
    with house_of(broker) as house, Peer(config) as peer, gateway(config, tmp_path):
        eventually(lambda: house.last("jph/status") == "online")
        for topic, text in [
            ("jph/S1/set", "31"),
            ("jph/S1/set", "warm"),
            ("jph/S1/set", b"\xff"),
            ("jph/A1/set", "20"),  # is no control
            ("jph/ZZ/set", "20"),
        ]:
            house.sends(topic, text)
        house.sends("jph/S1/set", "19.5")
        heard = peer.hear("control", lambda message: message["flag"] == "A")
        assert (heard["source"], heard["to"], heard["number"]) == ("HA", "S1", 19.5)
        assert logged(caplog, "command to S1", "not within 5 and 30")


def test_a_command_that_was_retained_is_not_obeyed(broker, tmp_path):
    config = network(broker, TARGET)
    with house_of(broker) as house, Peer(config) as peer:
        house.sends("jph/S1/set", "25", retain=True)
        with gateway(config, tmp_path):
            eventually(lambda: house.last("jph/status") == "online")
            house.sends("jph/S1/set", "7")
            heard = peer.hear("control", lambda message: message["flag"] == "A")
            assert heard["number"] == 7


def test_its_rights_follow_its_topics():
    entries = [
        {"Codifier": "BR", "Type": "Broker"},
        {"Codifier": "HA", "Type": "HomeAssistant", "Sensor": {"Broker": "BR", "Topic": "house"}},
    ]
    rights = rights_on(config_of(*entries), "BR")
    assert (*rights.own,) == ("house/#", "homeassistant/#")
    assert (*rights.programs,) == ("house/+/set", "homeassistant/status")
    assert not rights.devices


@pytest.mark.parametrize("engine", ["mosquitto", "nats"])
def test_at_our_broker_only_programs_give_commands(engine, tmp_path):
    own = {"Engine": engine, "Port": free_tcp_port(), "Anonymous": False}
    config = network(None, TARGET, {"Codifier": "BR", "Type": "Broker", "Sensor": own}, Broker="BR")
    port, word = own["Port"], "a password"
    accounts.add(tmp_path, "house", word, program=True)
    accounts.add(tmp_path, "station", word, all_devices=True)
    with Peer(config) as peer, component_of(config, "BR", tmp_path):

        def is_up():
            with contextlib.suppress(OSError):
                return not is_refused(port, "house", word)

        eventually(is_up)
        with (
            connected(port, user="house", password=word) as client,
            connected(port, user="station", password=word) as station,
            gateway(config, tmp_path),
        ):
            house = House(client)
            eventually(lambda: house.last("jph/status") == "online")
            device = next(iter(eventually(house.devices)))
            for topic in ("jph/status", "jph/S1/set", device):
                station.publish(topic, "6", 1)  # nobody says that it is not allowed
            house.sends("jph/S1/set", "7")
            heard = peer.hear("control", lambda message: message["flag"] == "A")
            assert heard["number"] == 7
            said = len(house.messages)
            house.sends("homeassistant/status", "online")  # all is said once more
            eventually(lambda: ("jph/status", "online") in house.messages[said:])
    assert not [text for _, text in house.messages if text == "6"]


def test_what_left_the_configuration_is_taken_away_after_a_restart_too(broker, tmp_path):
    with house_of(broker) as house:
        with gateway(network(broker, BOILER, TARGET), tmp_path):
            eventually(lambda: len(house.devices()) == 2)
        house.sends("homeassistant/device/of_another/config", '{"device": {}}')
        with gateway(network(broker, BOILER), tmp_path):
            eventually(lambda: house.last("homeassistant/device/jph_S1/config") == "")
        assert house.last("homeassistant/device/of_another/config") == '{"device": {}}'
        assert house.last("homeassistant/device/jph_A1/config")


def test_a_reload_announces_what_is_new_and_takes_away_what_is_gone(broker, tmp_path):
    config = network(broker, BOILER)
    with house_of(broker) as house, gateway(config, tmp_path) as node:
        eventually(lambda: len(house.devices()) == 1)
        changed = replace(config, components=network(broker, TARGET).components)
        node.runners["HA"].post_config(changed)
        eventually(lambda: house.last("homeassistant/device/jph_A1/config") == "")
        eventually(lambda: "homeassistant/device/jph_S1/config" in house.devices())


def test_a_home_assistant_that_starts_later_gets_the_values(broker, tmp_path):
    config = network(broker, BOILER)
    with house_of(broker) as house, Peer(config) as peer, gateway(config, tmp_path):
        with Sensors(peer) as sensors:
            sensors.values["A1"] = 21.5
            eventually(lambda: house.last("jph/A1/state") == "21.5")
        time.sleep(0.3)
        house.messages.clear()
        house.sends("homeassistant/status", "online")
        eventually(lambda: house.last("jph/A1/state") == "21.5")


def test_a_broker_that_comes_back_is_told_everything_again(broker, tmp_path):
    config = network(broker, BOILER)
    with Peer(config) as peer, Sensors(peer) as sensors, gateway(config, tmp_path) as node:
        sensors.values["A1"] = 21.5
        with house_of(broker) as house:
            eventually(lambda: house.last("jph/A1/state") == "21.5")
        broker.kill()
        eventually(lambda: state(node) == STATE.WITHERRORS)
        broker.start()
        with house_of(broker) as house:
            eventually(lambda: house.devices() and house.last("jph/A1/status") == "online")
            eventually(lambda: state(node) == STATE.GOOD)


def test_a_gateway_that_is_killed_is_offline_by_its_will(broker, tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(network(broker, BOILER).document))
    command = [sys.executable, "-m", "tools.main", "run", "HA", "--config", str(file)]
    with house_of(broker) as house:
        process = subprocess.Popen([*command, "--home", str(tmp_path)], stderr=subprocess.DEVNULL)
        try:
            eventually(lambda: house.last("jph/status") == "online", 60)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        eventually(lambda: house.last("jph/status") == "offline")
