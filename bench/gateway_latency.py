"""From an MQTT sensor to the bus: how long it takes.

    python -m bench.gateway_latency [--seconds 30] [--rate 100]

A sensor of Tenta publishes one reading per message with QoS 1 to mosquitto; a plain socket on the
data channel notes when the value of its proxy arrives. The node is one process with the pages and
the gateway.
"""

import argparse
import json
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from bench import common
from bench.common import LOOPBACK, Network
from bench.memory import visit
from tests.brokers import running_mosquitto

MOST_P95_MS = 40.0
SETTLED_S = 5.0


@contextmanager
def node(net: Network, name: str, *more: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Run a node with pages and more; give its process id and the port of the pages."""
    port = common.free_port()
    document = json.loads(net.config.read_text())
    pages = {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": port}}
    document["Sensors"] = [{"Codifier": "HW", "Type": "HistoryWriter"}, pages, *more]
    config = net.folder / f"{name}.json"
    config.write_text(json.dumps(document))
    command = [sys.executable, "-m", "tools.main", "up", "--config", str(config)]
    home = net.folder / f"home-{name}"
    log = net.folder / f"{name}.log"
    with open(log, "wb") as output:
        process = subprocess.Popen([*command, "--home", str(home)], stdout=output, stderr=output)
    try:
        until_s = time.monotonic() + 30
        while time.monotonic() < until_s:
            with suppress(OSError):
                ask(port, "/healthz")
                break
            time.sleep(0.1)
        visit(log.read_text())  # so that the pages have loaded what they need
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(20)


def ask(port: int, path: str, content: object = None, token: str = "") -> Any:
    """Ask a server of the node for JSON; with content, by POST."""
    data = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://{LOOPBACK}:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        body = answer.read()
        return json.loads(body) if answer.headers.get_content_type() == "application/json" else body


def sensor_of(port: int) -> str:
    """Return the identifier of a new sensor, bench/one."""
    token = ask(port, "/users", {"user_name": "bench", "password": "a password"})["access_token"]
    network = ask(port, "/networks", {"network_name": "bench"}, token)["network_identifier"]
    path = f"/networks/{network}/sensors"
    return str(ask(port, path, {"sensor_name": "one"}, token)["sensor_identifier"])


class Listener(threading.Thread):
    """Notes when each value of the proxy t1 arrives on the data channel."""

    def __init__(self, net: Network) -> None:
        super().__init__(daemon=True)
        address, port = net.data
        self.arrived_s: dict[int, float] = {}
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        member = socket.inet_aton(address) + socket.inet_aton(LOOPBACK)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)

    def run(self) -> None:
        """Receive until the program ends."""
        while True:
            datagram = self.socket.recv(2048)
            now_s = time.perf_counter()
            if datagram[17:19] != b"t1" or datagram[16:17] == b"n":
                continue
            kind, payload = datagram[16:17], datagram[28:]
            if kind == b"j":
                value = json.loads(payload[4:])["value"]  # behind its length
            else:
                (value,) = struct.unpack("<I" if kind == b"i" else "<f", payload[:4])
            self.arrived_s.setdefault(int(value), now_s)


def latencies_ms(net: Network, port: int, sensor: str, seconds: float, rate: float) -> list[float]:
    """Publish at a rate, and return the ms until each value was on the bus, in order."""
    listener = Listener(net)
    listener.start()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.connect(LOOPBACK, port)
    client.loop_start()
    sent_s: dict[int, float] = {}
    began_s = time.perf_counter()
    count = round(seconds * rate)
    for index in range(count):
        until_s = began_s + index / rate
        time.sleep(max(0.0, until_s - time.perf_counter()))
        entry = {"timestamp": time.time(), "value": {"n": float(index)}}
        sent_s[index] = time.perf_counter()
        client.publish(f"measurements/{sensor}", json.dumps([entry]), 1)
    until_s = time.monotonic() + 10
    while len(listener.arrived_s) < count and time.monotonic() < until_s:
        time.sleep(0.05)
    client.disconnect()
    client.loop_stop()
    missing = count - len(listener.arrived_s)
    if missing:
        print(f"{missing} of {count} values were not heard on the bus")
    arrived = listener.arrived_s
    return sorted((arrived[index] - sent_s[index]) * 1000 for index in sent_s if index in arrived)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=100.0, help="messages per second")
    given = parser.parse_args()
    with common.network() as net, running_mosquitto("max_queued_messages 0") as broker:
        api = common.free_port()
        item = {"Codifier": "t1", "Device": "bench/one", "Attribute": "n"}
        own = {"Broker": broker.url, "Port": api, "Proxy": [item]}
        entries: list[Mapping[str, Any]] = [
            {"Codifier": "TG", "Type": "Tenta", "SensorInterval": 10, "DataType": "json"}
            | {"Sensor": own},
            {"Codifier": "t1", "Type": "Proxy", "DataType": "double"},
        ]
        with node(net, "with", *entries):
            sensor = sensor_of(api)
            time.sleep(SETTLED_S)
            found = latencies_ms(net, broker.port, sensor, given.seconds, given.rate)
    p50, p95 = (found[int(len(found) * part)] for part in (0.5, 0.95))
    print(f"{len(found)} readings, {given.rate:g}/s, from publish to the bus:")
    print(f"  p50 {p50:.1f} ms, p95 {p95:.1f} ms (at most {MOST_P95_MS:g})")


if __name__ == "__main__":
    main()
