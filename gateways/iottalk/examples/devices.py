"""The example devices: a dial and a lamp, and a graph from one to the other.

    python -m gateways.iottalk.examples.devices --http http://127.0.0.1:9992 --port 1883

They are what IoTtalk calls device applications, and end when the input does, unless that is a
terminal. The dial turns up and down between 0 and 100. The graph makes a brightness of it, and can
set a component of the bus, too.
"""

import json
import logging
import math
import threading
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateways.address import BrokerAddress
from gateways.examples import begun, program_parser
from gateways.iottalk.dataflow.model import digest_of

log = logging.getLogger(__name__)

INTERVAL_S = 2.0
TURN_S = 120.0  # of the dial, up and down
WAIT_S = 20.0
GRAPH = "iottalk/api/{}/example/graph/dial-and-lamp"
DIAL = "00000000-0000-4000-8000-0000000000d1"
LAMP = "00000000-0000-4000-8000-0000000000d2"
DEVICES: dict[str, dict[str, object]] = {
    DIAL: {"name": "Dial", "idf_list": [["Position", [None]]]},
    LAMP: {"name": "Lamp", "odf_list": [["Brightness", ["%"]]]},
}
BRIGHTNESS = """def run(position):
    # The eye sees brightness as a power of the light.
    return round((position / 100) ** 2.2 * 100, 1)
"""


class Device:
    """A device application: registered over HTTP, online over MQTT."""

    def __init__(self, identifier: str, server: str, broker: BrokerAddress) -> None:
        body = {"accept_protos": ["mqtt"], **DEVICES[identifier]}
        answer = _put(f"{server}/{identifier}", body)
        self.topics: dict[str, str] = {}
        self._revision = answer["rev"]
        self._up, self._down = answer["ctrl_chans"]
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, f"example-{identifier}")
        if broker.user:
            self.client.username_pw_set(broker.user, broker.password)
        self.client.will_set(self._up, self._state("offline"), 2, retain=True)
        self.client.on_connect = self._connected
        self.client.on_message = self._signalled
        self.client.connect_async(broker.host, broker.port, keepalive=30)
        self.client.loop_start()

    def push(self, feature: str, value: float) -> None:
        """Publish a value of a feature, if somebody wants it."""
        topic = self.topics.get(feature)
        if topic is not None:
            self.client.publish(topic, json.dumps([value]))

    def close(self) -> None:
        """Go offline."""
        self.client.publish(self._up, self._state("offline"), 2, retain=True)
        self.client.disconnect()
        self.client.loop_stop()

    def _state(self, state: str) -> str:
        return json.dumps({"state": state, "rev": self._revision})

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(self._down, 2)
        client.publish(self._up, self._state("online"), 2, retain=True)

    def _signalled(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic != self._down:
            return  # a value of the lamp, which has nothing to light
        signal = json.loads(message.payload)
        kind = "idf" if "idf" in signal else "odf"
        if signal["command"] == "CONNECT":
            self.topics[signal[kind]] = signal["topic"]
            if kind == "odf":
                client.subscribe(signal["topic"])
        else:
            self.topics.pop(signal[kind], None)
        client.publish(self._up, json.dumps({"msg_id": signal["msg_id"], "state": "ok"}), 2)


class Builder:
    """A program that builds the graph; what is there already is refused, and so stays."""

    def __init__(self, client: mqtt.Client) -> None:
        self._client = client
        self._answer: dict[str, Any] | None = None
        self._answered = threading.Condition()
        client.message_callback_add(GRAPH.format("res"), self._on_answer)
        client.subscribe(GRAPH.format("res"), 1)

    def build(self, sets: str) -> None:
        """Build the graph.

        Args:
            sets: Codifier of a component of the bus that it sets, too; or empty.
        """
        digest = digest_of(BRIGHTNESS)
        self._ask(op="attach")
        self._ask(op="add_funcs", codes=[BRIGHTNESS], digests=[digest])
        self._ask(op="add_link", da_id=DIAL, idf="Position", func=None)
        self._ask(op="add_link", da_id=LAMP, odf="Brightness", func=digest)
        if sets:
            bus = next(
                (key for key, it in self._devices().items() if _has(it, sets)),
                None,
            )
            if bus is None:
                log.warning("the bus has no component %s that can be set", sets)
            else:
                self._ask(op="add_link", da_id=bus, odf=sets, func=None)

    def _devices(self) -> dict[str, dict[str, Any]]:
        topic = "iottalk/api/{}/example/device"
        self._client.message_callback_add(topic.format("res"), self._on_answer)
        self._client.subscribe(topic.format("res"), 1)
        found: dict[str, dict[str, Any]] = self._ask(topic, op="attach").get("da_list", {})
        self._ask(topic, op="detach")
        return found

    def _ask(self, topic: str = GRAPH, **request: object) -> dict[str, Any]:
        with self._answered:
            self._answer = None
            self._client.publish(topic.format("req"), json.dumps(request), 1)
            self._answered.wait_for(lambda: self._answer is not None, WAIT_S)
            return self._answer or {}

    def _on_answer(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        answer = json.loads(message.payload)
        if "state" in answer:
            with self._answered:
                self._answer = answer
                self._answered.notify_all()


def _has(device: dict[str, Any], feature: str) -> bool:
    return device.get("name") == "jph" and any(name == feature for name, _ in device["odf_list"])


def _put(url: str, body: dict[str, object]) -> dict[str, Any]:
    """Register, as soon as the server answers."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="PUT"
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                return json.load(answer)  # type: ignore[no-any-return]
        except OSError as error:
            log.warning("%s: %s", url, error)
            time.sleep(INTERVAL_S)


def main(arguments: Sequence[str] | None = None) -> None:
    """Be the devices until SIGINT or SIGTERM."""
    parser = program_parser("Be example devices of IoTtalk.")
    parser.add_argument("--http", default="http://127.0.0.1:9992", help="where devices register")
    parser.add_argument("--sets", default="", help="Codifier that the graph sets, too")
    parser.add_argument("--interval", type=float, default=INTERVAL_S, help="seconds")
    given = parser.parse_args(arguments)
    broker = begun(given)
    devices: list[Device] = []
    try:
        devices += (Device(identifier, given.http, broker) for identifier in DEVICES)
        dial = devices[0]
        while not dial.client.is_connected():
            time.sleep(0.05)
        Builder(dial.client).build(given.sets)
        while True:
            position = 50 - 50 * math.cos(time.time() * 2 * math.pi / TURN_S)
            dial.push("Position", round(position, 1))
            time.sleep(given.interval)
    finally:
        for device in devices:
            device.close()


if __name__ == "__main__":
    main()
