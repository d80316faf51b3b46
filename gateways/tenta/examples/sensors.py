"""The example sensors: a program that speaks to an MQTT broker as sensors of Tenta do.

    python -m gateways.tenta.examples.sensors --port 1883

It ends when its input does, unless that is a terminal. With --user the first line of its input is
the password.

Each has a connection of its own. They measure every two seconds, take configurations, and say what
became of them: one fails with each, and one never answers.
"""

import json
import random
import time
from collections.abc import Sequence
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateways.address import BrokerAddress
from gateways.examples import begun, program_parser
from gateways.tenta.examples.networks import SENSORS, ExampleSensor

INTERVAL_S = 2.0
LOG_EVERY = 30  # measurements


class RunningSensor:
    """One sensor, connected to a broker."""

    def __init__(self, sensor: ExampleSensor, broker: BrokerAddress, base_topic: str) -> None:
        self._sensor = sensor
        self._base_topic = base_topic
        self._revision: int | None = None
        self._measured = 0
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, f"example-{sensor.network}-{sensor.name}"
        )
        self._client.on_connect = self._connected
        self._client.on_message = self._configured
        if broker.user:
            self._client.username_pw_set(broker.user, broker.password)
        self._client.connect_async(broker.host, broker.port, keepalive=30)
        self._client.loop_start()

    def measure(self, now_s: float) -> None:
        """Publish its readings, and now and then a line of its log."""
        self._publish("measurements", {"value": self._sensor.values(now_s)})
        self._measured += 1
        if self._measured % LOG_EVERY == 1:
            if self._sensor.behaviour == "fails":
                self._log("error", "The pump does not turn; look at its fuse")
            else:
                self._log("info", f"{self._measured} measurements since the start")

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{self._base_topic}configurations/{self._sensor.identifier}", qos=1)

    def _configured(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        if self._sensor.behaviour == "never acknowledges":
            return
        revision = json.loads(message.payload)["revision"]
        success = self._sensor.behaviour != "fails"
        if success:
            self._revision = revision
        else:
            self._log("warning", f"revision {revision} cannot be used without the pump")
        self._publish("acknowledgments", {"revision": revision, "success": success})

    def _log(self, severity: str, message: str) -> None:
        self._publish("logs", {"severity": severity, "message": message})

    def _publish(self, kind: str, entry: dict[str, object]) -> None:
        entry = {"timestamp": time.time(), **entry}
        if self._revision is not None:
            entry.setdefault("revision", self._revision)
        topic = f"{self._base_topic}{kind}/{self._sensor.identifier}"
        self._client.publish(topic, json.dumps([entry]), qos=1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Be all example sensors until SIGINT or SIGTERM."""
    parser = program_parser("Be the example sensors of Tenta.")
    parser.add_argument("--base-topic", default="")
    parser.add_argument("--interval", type=float, default=INTERVAL_S, help="seconds")
    given = parser.parse_args(arguments)
    broker = begun(given)
    sensors = [RunningSensor(each, broker, given.base_topic) for each in SENSORS]
    try:
        while True:
            time.sleep(given.interval * random.uniform(0.95, 1.05))
            for sensor in sensors:
                sensor.measure(time.time())
    finally:
        for sensor in sensors:
            sensor.close()


if __name__ == "__main__":
    main()
