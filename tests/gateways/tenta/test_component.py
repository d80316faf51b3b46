"""The Tenta component between real brokers, real stores and a real bus."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.request

import pytest
from sqlalchemy import text

from gateways.store import Store
from gateways.tenta import configurations, readings, tables
from jph import child
from jph.config.model import build as build_config
from jph.node.process import STATE
from tests.gateways.node import gateway_of
from tests.gateways.tenta.client import Client
from tests.gateways.tenta.sensors import NOBODY, SENSOR, add_sensors
from tests.helpers import eventually
from tests.network import Peer, config_of

PROXY = {"Codifier": "t1", "Device": f"greenhouse/{SENSOR.hex}", "Attribute": "temperature"}


def network(broker, store_url, *more, **settings):
    own = {"Broker": broker.url, "Port": 0, "Store": store_url, "Proxy": [PROXY], **settings}
    return config_of(
        {"Codifier": "TG", "Type": "Tenta", "SensorInterval": 1, "DataType": "json", "Sensor": own},
        {"Codifier": "t1", "Type": "Proxy", "DataType": "double"},
        *more,
    )


def gateway(config, home):
    """Run the gateway; give the node and the component."""
    return gateway_of(config, "TG", home)


@pytest.fixture
def filled(store):
    with store.writing() as connection:
        add_sensors(connection, SENSOR)
    return store


def ask(component, path, content=None, token=None):
    url = f"http://127.0.0.1:{component.bound_port}{path}"
    data = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=20) as answer:
        return json.load(answer)


def measured(client, value, sensor=SENSOR, attribute="temperature"):
    entry = {"timestamp": time.time(), "value": {attribute: value}}
    client.publish(f"measurements/{sensor}", json.dumps([entry]), 1).wait_for_publish(20)


def stored(store, sensor=SENSOR):
    with store.reading() as connection:
        return [row.value for row in readings.measurements(connection, sensor)]


def own_data(peer, wanted):
    return json.loads(
        peer.hear(
            "data",
            lambda m: m["source"] == "TG" and m["flag"] == "j" and wanted(json.loads(m["value"])),
            60,
        )["value"]
    )


def of_proxy(codifier, value):
    return lambda m: m["source"] == codifier and m["flag"] in "fij" and as_number(m) == value


def as_number(message):
    value = message["value"]
    return json.loads(value)["value"] if message["flag"] == "j" else value


def test_a_sensor_of_the_public_client_is_stored_heard_and_configured(
    mqtt_broker, filled, store_url, tmp_path
):
    config = network(mqtt_broker, store_url)
    with gateway(config, tmp_path) as (_, component), Peer(config) as peer:
        command = [sys.executable, "-m", "tests.gateways.tenta.real_sensor"]
        with subprocess.Popen(
            [*command, str(mqtt_broker.port), str(SENSOR), "3"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=child.environment(),
        ) as sensor:
            assert sensor.stdout.readline() == "sent\n"
            for value in (20.5, 21.5, 22.5):
                peer.hear("data", of_proxy("t1", value))
            token = (tmp_path / "gateways" / "token").read_text().strip()
            wanted = {"configuration": {"interval": 5}}
            assert ask(component, f"/jph/devices/{SENSOR}/configurations", wanted, token) == {
                "revision": 0
            }
            assert json.loads(sensor.stdout.readline()) == [0, {"interval": 5}]
            assert sensor.stdout.readline() == "acknowledged\n"
            query = text(
                "SELECT success FROM configuration WHERE acknowledgment_timestamp IS NOT NULL"
                " AND publication_timestamp IS NOT NULL"
            )

            def is_taken():
                with filled.reading() as connection:
                    return connection.scalar(query)

            eventually(is_taken, what="the acknowledgment is stored")
            sensor.stdin.close()
        assert stored(filled) == [{"temperature": value} for value in (20.5, 21.5, 22.5)]
        with filled.reading() as connection:
            assert readings.logs(connection, SENSOR)[0].message == "The door is open"
        assert ask(component, "/status")["mqtt_port"] == mqtt_broker.port
        (device,) = ask(component, "/jph/devices", token=token)
        assert device["identifier"] == str(SENSOR)


def test_while_it_is_halted_it_stores_and_sends_nothing(mosquitto, filled, store_url, tmp_path):
    config = network(mosquitto, store_url)
    with (
        gateway(config, tmp_path) as (_, component),
        Peer(config) as peer,
        mosquitto.client() as client,
    ):
        peer.command("H", "TG")
        peer.hear("control", lambda m: m["source"] == "TG" and m.get("active") is False)
        measured(client, 1.0)
        eventually(lambda: component._inlet.status.committed == 1, what="it is done with it")
        assert stored(filled) == [{"temperature": 1.0}]
        peer.command("S", "TG")
        peer.hear("control", lambda m: m["source"] == "TG" and m.get("active") is True)
        measured(client, 2.0)
        heard = peer.hear("data", lambda m: m["source"] == "t1" and m["flag"] in "fij")
        assert as_number(heard) == 2.0


def test_it_has_a_fault_while_the_broker_is_away_and_goes_on(
    mqtt_broker, filled, store_url, tmp_path
):
    config = network(mqtt_broker, store_url)
    with gateway(config, tmp_path) as (node, component), Peer(config) as peer:
        assert not component.fault
        mqtt_broker.kill()
        assert own_data(peer, lambda own: "fault" in own)["fault"].startswith("broker: ")
        eventually(lambda: node.process.components()["TG"].state == STATE.WITHERRORS)
        mqtt_broker.start()
        own_data(peer, lambda own: "fault" not in own)
        with mqtt_broker.client() as client:
            measured(client, 3.0)
            peer.hear("data", of_proxy("t1", 3.0))
        eventually(lambda: stored(filled) == [{"temperature": 3.0}])


def test_another_list_of_proxies_is_taken_without_a_new_connection(
    mosquitto, filled, store_url, tmp_path
):
    config = network(mosquitto, store_url, {"Codifier": "t2", "Type": "Proxy"})
    with gateway(config, tmp_path) as (node, component), Peer(config) as peer:
        runner = node.runners["TG"]
        document = json.loads(json.dumps(dict(config.document)))
        document["Sensors"][0]["Sensor"]["Proxy"].append(
            {"Codifier": "t2", "Device": str(SENSOR), "Attribute": "humidity"}
        )
        changed = build_config(document, "test")
        assert runner.carries_on(changed.components["TG"])
        since_us = component._inlet.status.since_us
        node.move(changed)
        runner.post_config(changed)
        eventually(lambda: len(component.proxy) == 2)
        with mosquitto.client() as client:
            measured(client, 0.5, attribute="humidity")
            peer.hear("data", of_proxy("t2", 0.5))
        assert component._inlet.status.since_us == since_us


def test_what_is_refused_is_counted_and_stops_nothing(mqtt_broker, filled, store_url, tmp_path):
    poison = [b"\xff", b"[" * 10_000, b'[{"timestamp":NaN,"value":{"t":1}}]', b""]
    config = network(mqtt_broker, store_url)
    with (
        gateway(config, tmp_path) as (_, component),
        Peer(config) as peer,
        mqtt_broker.client() as client,
    ):
        with mqtt_broker.client() as other:  # nats-server sends it away
            other.publish(f"measurements/{SENSOR}", b"x" * 1_100_000, 1)
            too_long = {} if mqtt_broker.is_nats else {"too long": 1}
        for payload in poison:
            client.publish(f"measurements/{SENSOR}", payload, 1, retain=payload == b"\xff")
        client.publish("measurements/nonsense", b"[]", 1)
        for number in range(200):
            measured(client, number, sensor=NOBODY)
        measured(client, 1.0)
        assert own_data(peer, lambda own: own["refused"] == 205 + len(too_long))
        eventually(lambda: stored(filled) == [{"temperature": 1.0}])
        token = (tmp_path / "gateways" / "token").read_text().strip()
        state = ask(component, "/jph/state", token=token)
        assert isinstance(state["messages_per_minute"], float)
        assert state["refused"] == {
            **{"not UTF-8": 1, "too deep": 1, "invalid timestamp": 1, "empty": 1},
            **{"invalid identifier": 1, "unknown sensor": 200},
            **too_long,
        }
        last = ask(component, "/jph/refusals", token=token)
        assert len([each for each in last if each["reason"] == "unknown sensor"]) == 20


def test_nothing_is_lost_or_doubled_when_it_is_killed(mosquitto_like_ours, tmp_path):
    """The node runs in a process of its own, which is killed while a sensor publishes."""
    url = "sqlite:///gateways.sqlite"
    config = network(mosquitto_like_ours, url)
    with contextlib.closing(Store.open(url, tmp_path, steps=tables.STEPS)) as store:
        with store.writing() as connection:
            add_sensors(connection, SENSOR)
        file = tmp_path / "config.json"
        file.write_text(json.dumps(dict(config.document)))
        command = [sys.executable, "-m", "tools.main", "run", "TG", "--home", str(tmp_path)]

        def start():
            options = {"stdout": subprocess.DEVNULL, "env": child.environment()}
            return subprocess.Popen([*command, "--config", str(file), "--take-over"], **options)

        count = 0
        process = start()
        try:
            eventually(lambda: (tmp_path / "gateways" / "token").exists(), 60)
            query = text("SELECT count(*), count(DISTINCT creation_timestamp) FROM measurement")

            def rows():
                with store.reading() as connection:
                    return tuple(connection.execute(query).one())

            with mosquitto_like_ours.client() as client, Peer(config) as peer:
                own_data(peer, lambda own: "fault" not in own)
                for _ in range(5):
                    before = rows()[1]
                    for _ in range(1000):
                        entry = {"timestamp": 1000 + count, "value": {"temperature": count}}
                        client.publish(f"measurements/{SENSOR}", json.dumps([entry]), 1)
                        count += 1
                    eventually(lambda before=before: rows()[1] > before, 60)
                    process.kill()
                    process.wait()
                    process = start()
                eventually(lambda: rows()[1] == count, 120, "all are stored")
                time.sleep(0.5)
                assert rows() == (count, count)
        finally:
            process.terminate()
            process.wait()


def test_settings_that_cannot_be_are_refused(mosquitto, tmp_path):
    from gateways.tenta.component import Tenta
    from jph.errors import ConfigError

    for given in ({"base_topic": "x"}, {"base_topic": "#/"}, {"codifiers": "t9-t0"}):
        with pytest.raises(ConfigError):
            Tenta.check_settings(given, ())
    Tenta.check_settings({"base_topic": "sensortopic/", "codifiers": "t0-tz"}, ())


@pytest.mark.parametrize(
    "more, status",
    [
        ({}, 201),
        ({"Host": "0.0.0.0"}, 403),
        ({"Host": "0.0.0.0", "Registration": True}, 201),
        ({"Registration": False}, 403),
    ],
)
def test_who_may_register_depends_on_who_can_ask(mosquitto, tmp_path, more, status):
    config = network(mosquitto, "sqlite:///gateways.sqlite", **more)
    body = {"user_name": "ada", "password": "12345678"}
    with (
        gateway(config, tmp_path) as (_, component),
        contextlib.closing(Client(component.bound_port)) as client,
    ):
        assert client.post("/users", body).status == status


def test_a_configuration_outlives_a_broker_that_is_killed(mqtt_broker, filled, store_url, tmp_path):
    """Which acknowledged it, and had not written it to its disk."""
    config = network(mqtt_broker, store_url)
    with gateway(config, tmp_path) as (_, component):
        with filled.writing() as connection:
            configurations.post(connection, SENSOR, {"a": 1}, configurations.Outgoing("TG"))
        component._outbox.wake()

        def is_published():
            with filled.reading() as connection:
                (row,) = configurations.page(connection, SENSOR)
                return row.publication_timestamp is not None

        eventually(is_published)
        mqtt_broker.kill()
        mqtt_broker.start()
        heard = []
        with mqtt_broker.client() as sensor:
            sensor.on_message = lambda client, data, message: heard.append(message.payload)
            sensor.subscribe(f"configurations/{SENSOR}", 1)
            eventually(lambda: heard, 60)
        assert json.loads(heard[0]) == {"revision": 0, "configuration": {"a": 1}}


def test_another_broker_gets_all_configurations(mqtt_broker, filled, store_url, tmp_path):
    with filled.writing() as connection:
        connection.execute(
            tables.configuration.insert(),
            [
                {"sensor_identifier": SENSOR, "value": {"a": n}, "revision": n,
                 "creation_timestamp": 1, "publication_timestamp": 1}
                for n in (0, 1)
            ],
        )  # fmt: skip
    config = network(mqtt_broker, store_url)
    heard = []
    with gateway(config, tmp_path), mqtt_broker.client() as sensor:
        sensor.on_message = lambda client, data, message: heard.append(message.payload)
        sensor.subscribe(f"configurations/{SENSOR}", 1)
        eventually(lambda: heard, 60)
    assert {json.loads(payload)["revision"] for payload in heard} == {1}
