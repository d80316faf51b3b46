"""Messages of Tenta's sensors from an MQTT broker into a store: how many in a second?

    python -m bench.ingest [--messages 20000] [--rounds 3] [--store sqlite|postgresql]

The messages wait in mosquitto, with QoS 1, for the session of each program in turn; what is
measured is the time from the first that arrives to the last one that is stored.

    mosquitto  only paho, which acknowledges each message at once and drops it
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path

import psycopg2
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from psycopg2.extras import execute_values
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
from tests.servers import PostgresServer, running_postgres

LIMITS = (
    "max_queued_messages 0",
    "max_queued_bytes 0",
)
TOPIC = "measurements/+"
BATCH_S = 0.02
SENSORS = 10
KINDS = {"limit": "mosquitto", "bare": "bare loop", "gateway": "gateway"}
STORED_LEAST = 50_000  # readings in a second, a hundred in each message


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


def subscribed(port: int, name: str, *, manual_ack: bool) -> mqtt.Client:
    """Return a client of paho with a session of its own, which is subscribed when it is asked."""
    version = mqtt.MQTTv5
    client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=version, manual_ack=manual_ack)
    client.on_connect = lambda client, *_: client.subscribe(TOPIC, qos=1)
    properties = Properties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = 4000
    client.connect(LOOPBACK, port, clean_start=False, properties=properties)
    return client


def make_session(port: int, name: str) -> None:
    """Let the broker keep messages for a client."""
    client = subscribed(port, name, manual_ack=False)
    done: list[object] = []
    client.on_subscribe = lambda *some: done.append(some)
    while not done:
        client.loop(0.1)
    client.disconnect()


def drain_limit(port: int, count: int) -> float:
    """Take messages and do nothing with them."""
    times: list[float] = []
    arrived = 0

    def on_message(client: mqtt.Client, data: object, message: mqtt.MQTTMessage) -> None:
        nonlocal arrived
        if not times:
            times.append(time.perf_counter())
        arrived += 1

    client = subscribed(port, "limit", manual_ack=False)
    client.on_message = on_message
    while arrived < count:
        client.loop(0.1)
    took_s = time.perf_counter() - times[0]
    client.disconnect()
    return took_s


Rows = list[tuple[str, float, str, float, int]]


@contextmanager
def bare_table(folder: Path, url: str) -> Iterator[Callable[[Rows], object]]:
    """Make a table without an index; give what inserts rows and commits."""
    columns = "(sensor TEXT, time FLOAT, name TEXT, value FLOAT, revision INT)"
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(folder / "bare.sqlite", isolation_level=None)) as file:
            file.execute("PRAGMA journal_mode = WAL")
            file.execute("PRAGMA synchronous = FULL")
            file.execute(f"CREATE TABLE m {columns}")

            def insert(rows: Rows) -> None:
                file.execute("BEGIN")
                file.executemany("INSERT INTO m VALUES (?, ?, ?, ?, ?)", rows)
                file.execute("COMMIT")

            yield insert
        return
    with closing(psycopg2.connect(url)) as server, server.cursor() as cursor:
        cursor.execute(f"CREATE TABLE m {columns}")
        server.commit()

        def insert_there(rows: Rows) -> None:
            execute_values(cursor, "INSERT INTO m VALUES %s", rows, page_size=len(rows))
            server.commit()

        yield insert_there


def drain_bare(port: int, folder: Path, url: str, count: int) -> float:
    """Store messages by the simplest loop that acknowledges what it has committed."""
    rows: Rows = []
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

    client = subscribed(port, "bare", manual_ack=True)
    client.on_message = on_message
    done = 0
    with bare_table(folder, url) as insert:
        while done < count:
            until_s = time.perf_counter() + BATCH_S
            while (left_s := until_s - time.perf_counter()) > 0 and done + len(waiting) < count:
                client.loop(left_s)
            if waiting:
                insert(rows)
                for identifier in waiting:
                    client.ack(identifier, 1)
                done += len(waiting)
                rows.clear()
                waiting.clear()
        took_s = time.perf_counter() - times[0]
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
    if kind != "gateway" and not count:
        make_session(port, kind)
        return 0.0
    if kind == "limit":
        return drain_limit(port, count)
    if kind == "bare":
        return drain_bare(port, folder, url, count)
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
    """Print the tables, or take messages as one of its programs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--drain", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.drain:
        print(drain(chosen.drain, chosen.port, chosen.folder, chosen.url, chosen.messages))
        return
    with ExitStack() as opened:
        server = None
        if chosen.store == "postgresql":
            server = opened.enter_context(running_postgres(durable=True))
        for readings in (1, 100):
            count = chosen.messages // (1 if readings == 1 else 20)
            compare(server, count, readings, chosen.rounds)


def compare(server: PostgresServer | None, count: int, readings: int, rounds: int) -> None:
    """Measure all programs in turn, and print a table."""

    def measured(kind: str) -> float:
        url = server.url(server.create_database()) if server else "sqlite:///gateways.sqlite"
        return rate(kind, url, count, readings)

    measures = {name: partial(measured, kind) for kind, name in KINDS.items()}
    results = common.interleaved(measures, rounds)
    medians = {name: common.median(values) for name, values in results.items()}
    of_limit, of_bare = medians["mosquitto"], medians["bare loop"]
    rows = []
    for name, middle in medians.items():
        goal: list[str] = []
        if name == "gateway":
            ratio, least = middle / of_bare, 0.6
            if readings > 1:
                ratio, least = middle / STORED_LEAST, 1.0
            goal = common.verdict(ratio, least=least)[1:]
        ratios = [f"{middle / each:.2f}" for each in (of_limit, of_bare)]
        rows.append([name, f"{middle:,.0f}", *ratios, *goal])
    where = "PostgreSQL" if server else "SQLite"
    title = f"{count:,} messages of {readings} readings into {where}, in readings/s"
    heads = ["", "median", "to mosquitto", "to the bare loop", "goal", ""]
    common.print_table(title, heads, rows)


if __name__ == "__main__":
    main()
