"""A measurement of a sensor, on its way to the history and the pages."""

import json
import time
import urllib.request
from contextlib import closing

from gateways.store import Store
from gateways.tenta import tables
from jph.node.building import build
from jph.node.node import Node
from tests.gateways.tenta.sensors import SENSOR, add_sensors
from tests.helpers import eventually, free_tcp_port
from tests.network import config_of, running


def test_a_measurement_is_in_the_history_and_on_the_pages(mosquitto, tmp_path):
    proxy = {"Codifier": "t1", "Device": str(SENSOR), "Attribute": "temperature"}
    port = free_tcp_port()
    config = config_of(
        {
            **{"Codifier": "TG", "Type": "Tenta", "SensorInterval": 1, "DataType": "json"},
            "Sensor": {"Broker": mosquitto.url, "Port": 0, "Proxy": [proxy]},
        },
        {"Codifier": "t1", "Name": "Bed 3", "Symbol": "°C", "Type": "Proxy", "DataType": "double"},
        {"Codifier": "HW", "Type": "HistoryWriter", "DataType": "json", "SensorInterval": 1},
        {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": port}},
    )
    opened = Store.open("sqlite:///gateways.sqlite", tmp_path, steps=tables.STEPS)
    with closing(opened) as store, store.writing() as connection:
        add_sensors(connection, SENSOR)
    node = Node(config, tmp_path)
    for codifier in ("HW", "WB", "TG"):
        node.add(config.components[codifier], build)
    measured_ms = int(time.time() * 1000)
    entry = {"timestamp": measured_ms / 1000, "value": {"temperature": 23.75}}

    def on_the_pages():
        url = f"http://127.0.0.1:{port}/api/v1/components/t1"
        with urllib.request.urlopen(url, timeout=20) as answer:
            value = json.load(answer)["state"]["value"]
        return 23.75 in (value, value.get("value") if isinstance(value, dict) else None)

    def in_the_history():
        url = f"http://127.0.0.1:{port}/api/v1/history/t1?from={measured_ms - 1}"
        with urllib.request.urlopen(url, timeout=20) as answer:
            return str(measured_ms) in (text := answer.read().decode()) and "23.75" in text

    def publish():
        """Publish, perhaps again: before the first subscription a broker keeps nothing."""
        client.publish(f"measurements/{SENSOR}", json.dumps([entry]), 1).wait_for_publish(20)
        return on_the_pages()

    with running(node), mosquitto.client() as client:
        eventually(publish, 60, "it is on the pages")
        eventually(in_the_history, 60, "it is in the history")
