"""Messages of Tenta's sensors from an MQTT broker into a store: how many in a second?

    python -m bench.ingest [--messages 20000] [--rounds 3]

The messages wait in mosquitto, with QoS 1, for the session of each program in turn; what is
measured is the time from the first that arrives to the last one that is stored.

    bare loop  paho with manual acknowledgements, pydantic, one insert and commit in each 20 ms
    gateway    what the component Tenta does with them, all its rules and tables
"""

import argparse
import json
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import BaseModel, TypeAdapter

from bench import common
from gateways.address import BrokerAddress
from gateways.inlet import Inlet
from gateways.message import Message
from gateways.store import Store
from gateways.tenta import people, tables
from gateways.tenta.ingest import Ingest
from gateways.tenta.models import subscriptions
from gateways.tenta.proxies import Proxies
from tests.brokers import running_mosquitto
from tests.helpers import LOOPBACK

LIMITS = (
    "max_queued_messages 0",
    "max_queued_bytes 0",
)
TOPIC = "measurements/+"
BATCH_S = 0.02
SENSORS = 10
KINDS = ("bare", "gateway")


class Measurement(BaseModel, strict=True, extra="forbid", allow_inf_nan=False):
    """One measurement, as the bare loop reads it."""

    revision: int
    timestamp: float
    value: dict[str, float]


MEASUREMENTS = TypeAdapter(list[Measurement])


class Socket:
    """As little of MQTT 3.1.1 as it takes to publish with QoS 1."""

    def __init__(self, port: int, client_id: str) -> None:
        self._socket = socket.create_connection((LOOPBACK, port), 30)
        name = client_id.encode()
        variable = b"\0\4MQTT\4\0\0\0" + len(name).to_bytes(2, "big") + name
        self._socket.sendall(bytes([0x10, len(variable)]) + variable)
        self._received = b""
        self._take(4)

    def close(self) -> None:
        """Disconnect; the session stays."""
        self._socket.sendall(b"\xe0\0")
        self._socket.close()

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish messages and wait until the broker has acknowledged all."""
        ahead = 0
        for number, (topic, payload) in enumerate(messages, 1):
            body = len(topic).to_bytes(2, "big") + topic.encode() + number.to_bytes(2, "big")
            body += payload
            self._socket.sendall(b"\x32" + _length(len(body)) + body)
            ahead += 1
            if ahead == 200:
                self._take(4 * ahead)
                ahead = 0
        self._take(4 * ahead)

    def _take(self, size: int) -> None:
        while len(self._received) < size:
            self._received += self._socket.recv(1 << 16)
        self._received = self._received[size:]


def _length(size: int) -> bytes:
    digits = bytearray()
    while True:
        size, digit = divmod(size, 128)
        digits.append(digit | 128 if size else digit)
        if not size:
            return bytes(digits)


def drain_bare(port: int, folder: Path, count: int) -> float:
    """Store messages by the simplest loop that acknowledges what it has committed."""
    rows: list[tuple[str, float, str, float, int]] = []
    waiting: list[int] = []
    times: list[float] = []

    def on_message(client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        if not times:
            times.append(time.perf_counter())
        sensor = message.topic.rpartition("/")[2]
        for measured in MEASUREMENTS.validate_json(message.payload):
            for name, value in measured.value.items():
                rows.append((sensor, measured.timestamp, name, value, measured.revision))
        waiting.append(message.mid)

    client = mqtt.Client(CallbackAPIVersion.VERSION2, "bare", protocol=mqtt.MQTTv5, manual_ack=True)
    client.on_message = on_message
    client.on_connect = lambda client, *_: client.subscribe(TOPIC, qos=1)
    subscribed: list[object] = []
    client.on_subscribe = lambda *some: subscribed.append(some)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = 4000
    client.connect(LOOPBACK, port, clean_start=False, properties=properties)
    done = 0
    with closing(sqlite3.connect(folder / "bare.sqlite", isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        file.execute("CREATE TABLE IF NOT EXISTS m (sensor, time, name, value, revision)")
        while done < count or not (count or subscribed):
            until_s = time.perf_counter() + BATCH_S
            while (left_s := until_s - time.perf_counter()) > 0 and done + len(waiting) < count:
                client.loop(left_s)
            if not count:
                client.loop(0.1)
            if waiting:
                file.execute("BEGIN")
                file.executemany("INSERT INTO m VALUES (?, ?, ?, ?, ?)", rows)
                file.execute("COMMIT")
                for identifier in waiting:
                    client.ack(identifier, 1)
                done += len(waiting)
                rows.clear()
                waiting.clear()
        took_s = time.perf_counter() - times[0] if times else 0.0
    client.disconnect()
    return took_s


def drain_gateway(port: int, folder: Path, url: str, count: int) -> float:
    """Store messages by what the component Tenta consists of."""
    store = Store.open(url, folder, steps=tables.STEPS)
    ingest = Ingest(store, "TN", "", Proxies(()), lambda values: None)
    first_us: list[int] = []
    all_done = threading.Event()

    def commit(batch: Sequence[Message]) -> None:
        first_us.append(batch[0].received_us)
        ingest.commit(batch)
        if ingest.counts["messages"] >= count:
            all_done.set()

    inlet = Inlet(
        BrokerAddress(LOOPBACK, port),
        "gateway",
        subscriptions(""),
        commit,
        refused=ingest.refuse,
        on_state=lambda connected, reason: all_done.set() if connected and not count else None,
    )
    inlet.start()
    if not all_done.wait(200):
        raise SystemExit(f"not all of the messages were stored: {ingest.counts}")
    took_s = time.time() - first_us[0] / 1e6 if first_us else 0.0
    inlet.close()
    store.close()
    return took_s


def drain(kind: str, port: int, folder: Path, url: str, count: int) -> float:
    """Take so many messages in this process; with 0 of them only make the session."""
    if kind == "bare":
        return drain_bare(port, folder, count)
    return drain_gateway(port, folder, url, count)


def messages_of(sensors: Sequence[uuid.UUID], count: int, readings: int) -> list[tuple[str, bytes]]:
    """Return messages with so many readings each."""
    found = []
    for number in range(count):
        measured = [
            {
                "revision": 0,
                "timestamp": 1.7e9 + number + index / 1000,
                "value": {"temperature": 20 + index / 10},
            }
            for index in range(readings)
        ]
        topic = f"measurements/{sensors[number % len(sensors)]}"
        found.append((topic, json.dumps(measured).encode()))
    return found


def new_sensors(url: str, folder: Path) -> list[uuid.UUID]:
    """Make the sensors in the gateway's store."""
    store = Store.open(url, folder, steps=tables.STEPS)
    with store.writing() as connection:
        owner = people.create_user(connection, "bench", "none")
        network = people.create_network(connection, "bench", owner)
        sensors = [
            people.create_sensor(connection, network, f"sensor-{number}")
            for number in range(SENSORS)
        ]
    store.close()
    return sensors


@contextmanager
def prepared(url: str, folder: Path) -> Iterator[tuple[int, list[uuid.UUID]]]:
    """Run a broker in which each program has its session; yield its port and the sensors."""
    sensors = new_sensors(url, folder)
    with running_mosquitto(*LIMITS) as broker:
        yield broker.port, sensors


def rate(kind: str, url: str, count: int, readings: int) -> float:
    """Let one program take messages that wait for it; return the readings in a second."""
    with tempfile.TemporaryDirectory(prefix="jph-bench-") as name:
        folder = Path(name)
        with prepared(url, folder) as (port, sensors):
            arguments = ["--drain", kind, "--port", port, "--folder", folder, "--url", url]
            command = common.python("bench.ingest", *arguments, "--messages")
            subprocess.run([*command, "0"], check=True, stdout=subprocess.DEVNULL)
            with closing(Socket(port, "publisher")) as publisher:
                publisher.publish(messages_of(sensors, count, readings))
            with subprocess.Popen(
                [*command, str(count)], stdout=subprocess.PIPE, text=True
            ) as process:
                took_s = float(common.last_line(process, 300))
    return count * readings / took_s


def main() -> None:
    """Print the table, or take messages as one of its programs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--drain", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.drain:
        print(drain(chosen.drain, chosen.port, chosen.folder, chosen.url, chosen.messages))
        return
    url = "sqlite:///gateways.sqlite"
    for readings in (1, 100):
        count = chosen.messages // (1 if readings == 1 else 20)
        compare(url, count, readings, chosen.rounds)


def compare(url: str, count: int, readings: int, rounds: int) -> None:
    """Measure all programs in turn, and print a table."""
    measures = {
        name: partial(rate, kind, url, count, readings)
        for kind, name in zip(KINDS, ("bare loop", "gateway"), strict=True)
    }
    results = common.interleaved(measures, rounds)
    medians = {name: common.median(values) for name, values in results.items()}
    rows = []
    for name, middle in medians.items():
        least = 0.6 if readings == 1 and name == "gateway" else None
        goal = common.verdict(middle / medians["bare loop"], least=least)
        rows.append([name, f"{middle:,.0f}", *goal])
    title = f"{count:,} messages of {readings} readings, in readings/s"
    common.print_table(title, ["", "median", "to the bare loop", "goal", ""], rows)


if __name__ == "__main__":
    main()
