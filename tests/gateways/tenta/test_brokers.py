"""Tenta at the brokers that people have: ours, and Debian's mosquitto, plain and as documented."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from gateways.http import home_token
from gateways.store import Store
from gateways.tenta import readings, tables
from jph.node.building import build
from jph.node.node import Node
from tests import brokers
from tests.certificates import make_certificate
from tests.docs.blocks import fenced
from tests.gateways.tenta.client import Client
from tests.gateways.tenta.sensors import OTHER, SENSOR, add_sensors
from tests.helpers import eventually, free_tcp_port
from tests.network import config_of, running
from tests.tools.program import JPH, TOP, environment

pytestmark = pytest.mark.mosquitto
PASSWORD = "a password of the sensor"
BASE = "sensortopic/"
# What the documented commands need and a test must not do, or cannot: rights of root, a service,
# a person at the prompt.
SHELL = """
sudo() { "$@"; }
systemctl() { :; }
chown() { [ "$(id -u)" != 0 ] || command chown "$@"; }
mosquitto_passwd() { printf '%s\\n%s\\n' "$PASSWORD" "$PASSWORD" | command mosquitto_passwd "$@"; }
set -eu
"""


class Debian(brokers.Mosquitto):
    """A mosquitto with the settings of /etc/mosquitto/mosquitto.conf of Debian 12."""

    @property
    def etc(self) -> Path:
        """What is /etc/mosquitto there."""
        return self.folder / "etc"

    def _plain(self) -> list[str]:
        (self.etc / "conf.d").mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:  # it becomes that user
            shutil.chown(self.folder, "mosquitto")
        return [
            f"pid_file {self.folder}/mosquitto.pid",
            "persistence true",
            f"persistence_location {self.folder}/",
            f"log_dest file {self.folder}/mosquitto.log",
            f"include_dir {self.etc}/conf.d",
        ]

    def _command(self) -> list[str]:
        # Without a listener it is the port that it has by default, here another one.
        port = [] if any((self.etc / "conf.d").iterdir()) else ["-p", str(self.port)]
        return [*super()._command(), *port]


@dataclass
class Place:
    """A broker, and how the gateway and the sensor come in.

    Args:
        sensor: user and password.
        base: before all topics.
        others: whether a sensor may speak for another one.
        forges: whether it may give configurations.
    """

    port: int
    gateway: dict[str, object]
    component: dict[str, object] | None = None
    sensor: tuple[str, str] | tuple[()] = ()
    base: str = ""
    others: bool = False
    forges: bool = False


@contextlib.contextmanager
def own(home: Path, engine: str, base: str = "", **more: object) -> Iterator[Place]:
    port = free_tcp_port()
    sensor = () if more.get("Anonymous", True) else (str(SENSOR), PASSWORD)
    if sensor:
        command = [*JPH, "gateway", "account", "add", str(SENSOR)]
        subprocess.run(
            command, input=f"{PASSWORD}\n", text=True, env=environment(home), check=True, timeout=60
        )
    settings = {"Engine": engine, "Port": port, **more}
    component = {"Codifier": "BR", "Type": "Broker", "SensorInterval": 1, "Sensor": settings}
    gateway = {"Broker": "BR", "BaseTopic": base}
    yield Place(port, gateway, component, sensor, base, others=not sensor)


@contextlib.contextmanager
def debian(home: Path) -> Iterator[Place]:
    with brokers._running(Debian) as broker:
        yield Place(broker.port, {"Broker": broker.url}, others=True, forges=True)


@contextlib.contextmanager
def debian_as_documented(home: Path) -> Iterator[Place]:
    with brokers._running(Debian) as broker:
        broker.stop()
        script = fenced((TOP / "docs" / "gateways.md").read_text(), "sh")
        script = script.replace("/etc/mosquitto", str(broker.etc))
        script = script.replace("listener 1883", f"listener {broker.port} 127.0.0.1")
        script = script.replace("81bf7042-e20f-4a97-ac44-c15853e3618f", str(SENSOR))
        env = {**os.environ, "PASSWORD": PASSWORD}
        subprocess.run(["bash", "-c", SHELL + script], env=env, check=True, timeout=60)
        broker.start()
        (home / "password").write_text(PASSWORD)
        gateway = {"Broker": f"mqtt://jph@127.0.0.1:{broker.port}"}
        gateway["PasswordFile"] = str(home / "password")
        yield Place(broker.port, gateway, sensor=(str(SENSOR), PASSWORD))


PLACES = {
    "our mosquitto": lambda home: own(home, "mosquitto"),
    "our mosquitto with accounts": lambda home: own(home, "mosquitto", BASE, Anonymous=False),
    "our nats": lambda home: own(home, "nats", BASE),
    "our nats with accounts": lambda home: own(home, "nats", Anonymous=False),
    "that of Debian": debian,
    "that of Debian with accounts": debian_as_documented,
}


@contextlib.contextmanager
def network(place: Place, home: Path) -> Iterator[tuple[Client, Store]]:
    """Run the gateway, and the broker where it is ours; give a client of its API, and its store."""
    settings = {**place.gateway, "Port": free_tcp_port()}
    gateway = {"Codifier": "TG", "Type": "Tenta", "SensorInterval": 1, "DataType": "json"}
    entries = [place.component] if place.component else []
    config = config_of(*entries, {**gateway, "Sensor": settings})
    node = Node(config, home)
    with contextlib.ExitStack() as opened:
        store = Store.open("sqlite:///gateways.sqlite", home, steps=tables.STEPS)
        opened.callback(store.close)
        with store.writing() as connection:
            add_sensors(connection, SENSOR, OTHER)
        for component in config.components.values():
            node.add(component, build)
        opened.enter_context(running(node))
        client = Client(settings["Port"], home_token(home))
        opened.callback(client.close)
        eventually(lambda: broker_of(client).startswith("connected"), 60, "it is connected")
        yield client, store


def broker_of(client: Client) -> str:
    return client.get("/jph/state").json["broker"]


def values(store: Store, sensor: object) -> list[dict[str, float]]:
    with store.reading() as connection:
        return [row.value for row in readings.measurements(connection, sensor)]


def success(store: Store) -> object:
    with store.reading() as connection:
        return connection.execute(text("SELECT success FROM configuration")).scalar()


class Sensor:
    """A program that speaks for a sensor, with a connection for each message."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def publish(self, topic: str, content: object) -> None:
        with self.connected() as client, contextlib.suppress(RuntimeError):  # nats hangs up
            topic = self.place.base + topic
            client.publish(topic, json.dumps(content), 1).wait_for_publish(20)

    def measure(self, value: float, sensor: object = SENSOR) -> None:
        entry = {"timestamp": time.time(), "value": {"t": value}}
        self.publish(f"measurements/{sensor}", [entry])

    @contextlib.contextmanager
    def listening(self) -> Iterator[list[tuple[object, bool]]]:
        """Give what comes for it: each configuration, and whether the broker kept it."""
        heard: list[tuple[object, bool]] = []
        with self.connected() as client:
            client.on_message = lambda _, __, message: heard.append(
                (json.loads(message.payload), message.retain)
            )
            client.subscribe(f"{self.place.base}configurations/{SENSOR}", 1)
            yield heard

    def connected(self) -> contextlib.AbstractContextManager:
        return brokers.connected(self.place.port, "", *self.place.sensor)


@pytest.mark.parametrize("name", PLACES)
def test_a_sensor_is_stored_and_configured_and_speaks_for_itself(name, tmp_path):
    with PLACES[name](tmp_path) as place, network(place, tmp_path) as (client, store):
        sensor = Sensor(place)
        sensor.measure(1.0)
        eventually(lambda: values(store, SENSOR) == [{"t": 1.0}], 60)
        first, second = ({"revision": n, "configuration": {"interval": n}} for n in (0, 1))

        def give(wanted: dict[str, object]) -> None:
            given = {"configuration": wanted["configuration"]}
            posted = client.post(f"/jph/devices/{SENSOR}/configurations", given)
            assert (posted.status, posted.json) == (201, {"revision": wanted["revision"]})

        with sensor.listening() as heard:
            give(first)
            eventually(lambda: [it for it, _ in heard] == [first], 60)
            forged = {"revision": 1, "configuration": {}}
            sensor.publish(f"configurations/{SENSOR}", forged)
            taken = {"revision": 0, "timestamp": time.time(), "success": True}
            sensor.publish(f"acknowledgments/{SENSOR}", [taken])
            sensor.measure(2.0, OTHER)
            sensor.measure(3.0)  # the broker hands over in this order
            eventually(lambda: len(values(store, SENSOR)) == 2, 60)
            eventually(lambda: success(store), 60)  # of another topic
            assert values(store, OTHER) == ([{"t": 2.0}] if place.others else [])
            for stranger in ((), (str(OTHER), PASSWORD), (str(SENSOR), "a wrong password")):
                if place.sensor:
                    assert brokers.is_refused(place.port, *stranger)
            give(second)
            wanted = [first, forged, second] if place.forges else [first, second]
            eventually(lambda: [it for it, _ in heard] == wanted, 60)
        with sensor.listening() as heard:  # one that comes later gets the newest
            eventually(lambda: heard == [(second, True)], 60)


def test_the_client_of_pypi_comes_in_by_tls_and_its_account(tmp_path):
    chain, key = make_certificate(tmp_path, "broker")
    more = {"Anonymous": False, "Certificate": str(chain), "Key": str(key)}
    with (
        own(tmp_path, "mosquitto", **more) as place,
        network(place, tmp_path) as (client, store),
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.gateways.tenta.real_sensor"),
                *(str(place.port), str(SENSOR), "2", str(chain), PASSWORD),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(tmp_path),
            cwd=TOP,
        ) as sensor,
    ):
        assert sensor.stdout.readline() == "sent\n"
        found = [{"temperature": 20.5}, {"temperature": 21.5}]
        eventually(lambda: values(store, SENSOR) == found, 60)
        client.post(f"/jph/devices/{SENSOR}/configurations", {"configuration": {"interval": 5}})
        assert json.loads(sensor.stdout.readline()) == [0, {"interval": 5}]
        assert sensor.stdout.readline() == "acknowledged\n"
        eventually(lambda: success(store), 60)
        sensor.stdin.close()
