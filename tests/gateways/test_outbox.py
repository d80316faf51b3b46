"""Messages from the store to real brokers: in order, and none that the broker has not taken."""

import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from gateways import outbox as outbox_module
from gateways.address import BrokerAddress
from gateways.inlet import Inlet
from gateways.outbox import Outbox
from gateways.schema import put_out
from gateways.store import Store
from tests.brokers import running_mosquitto
from tests.helpers import LOOPBACK, eventually

G = "GT"
PUBLISHER = """
import sys, threading
from pathlib import Path
from gateways.address import BrokerAddress
from gateways.inlet import Inlet
from gateways.outbox import Outbox
from gateways.store import Store

address = BrokerAddress("127.0.0.1", int(sys.argv[1]))
inlet = Inlet(address, "jph-test", ["none"], lambda batch: None)
outbox = Outbox(Store.open(sys.argv[2], Path(sys.argv[3])), "GT", inlet)
inlet.start()
outbox.start()
print("ready", flush=True)
threading.Event().wait()
"""


@contextmanager
def outbox_to(broker, store, published=lambda connection, row: None, **options):
    inlet = Inlet(BrokerAddress(LOOPBACK, broker.port, **options), "jph-test", ["none"], len)
    outbox = Outbox(store, G, inlet, published)
    inlet.start()
    outbox.start()
    try:
        yield outbox
    finally:
        outbox.close()
        inlet.close()


@contextmanager
def hearing(broker, topic="configurations/#"):
    """Collect what is published."""
    heard = []
    with broker.client() as client:
        client.on_message = lambda client, data, message: heard.append(
            (message.topic, message.payload)
        )
        subscribed = []
        client.on_subscribe = lambda *some: subscribed.append(some)
        client.subscribe(topic, qos=1)
        eventually(lambda: subscribed)
        yield heard


def put(store, topic, payload, **options):
    with store.writing() as connection:
        return put_out(connection, G, topic, payload, **options)


def waiting(store):
    with store.reading() as connection:
        return connection.scalar(text("SELECT count(*) FROM outbox"))


def test_messages_are_published_in_order_and_then_gone(mqtt_broker, store):
    published = []
    with (
        hearing(mqtt_broker) as heard,
        outbox_to(mqtt_broker, store, lambda c, row: published.append(row.number)) as outbox,
    ):
        numbers = [put(store, "configurations/a", b"%d" % number) for number in range(100)]
        outbox.wake()
        eventually(lambda: len(heard) == 100)
        eventually(lambda: waiting(store) == 0)
    assert heard == [("configurations/a", b"%d" % number) for number in range(100)]
    assert published == numbers


def test_only_the_newest_of_a_key_is_published(mqtt_broker, store):
    for number in range(10):
        put(store, "configurations/a", b"%d" % number, key="a", retain=True)
        put(store, "configurations/b", b"%d" % number, key="b", retain=True)
    with outbox_to(mqtt_broker, store):
        eventually(lambda: waiting(store) == 0)
    with hearing(mqtt_broker) as heard:
        eventually(lambda: len(heard) == 2)
    assert sorted(heard) == [("configurations/a", b"9"), ("configurations/b", b"9")]


def test_what_is_put_while_the_broker_is_away_is_published_later(mqtt_broker, store):
    with outbox_to(mqtt_broker, store) as outbox:
        mqtt_broker.kill()
        put(store, "configurations/a", b"1", retain=True)
        outbox.wake()
        mqtt_broker.start()
        eventually(lambda: waiting(store) == 0)
    with hearing(mqtt_broker) as heard:
        eventually(lambda: heard == [("configurations/a", b"1")])


def test_what_the_broker_refuses_is_tried_again(store, tmp_path, monkeypatch):
    monkeypatch.setattr(outbox_module, "LOOK_S", 0.2)
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite other\ntopic read #\n")
    with (
        running_mosquitto(f"acl_file {rules}") as broker,
        hearing(broker) as heard,
        outbox_to(broker, store) as outbox,
    ):
        put(store, "configurations/a", b"1")
        outbox.wake()
        eventually(lambda: "configurations/a: Not authorized" in outbox.fault)
        rules.write_text("topic readwrite #\n")
        broker.reload()
        eventually(lambda: heard == [("configurations/a", b"1")])
        eventually(lambda: waiting(store) == 0)
        eventually(lambda: not outbox.fault)


def test_a_message_that_can_never_be_published_does_not_stop_others(mosquitto, store):
    put(store, "with/#/wildcard", b"1")
    put(store, "configurations/a", b"2")
    with hearing(mosquitto) as heard, outbox_to(mosquitto, store):
        eventually(lambda: heard == [("configurations/a", b"2")])
        eventually(lambda: waiting(store) == 0)


def test_a_publication_that_cannot_be_noted_is_repeated(mosquitto, store, monkeypatch):
    monkeypatch.setattr(outbox_module, "LOOK_S", 0.2)
    tries = []

    def published(connection, row):
        tries.append(row.number)
        if len(tries) < 2:
            raise ZeroDivisionError

    number = put(store, "configurations/a", b"1")
    with hearing(mosquitto) as heard, outbox_to(mosquitto, store, published):
        eventually(lambda: waiting(store) == 0)
        eventually(lambda: set(heard) == {("configurations/a", b"1")})
    assert tries == [number] * 2


@pytest.mark.parametrize("url", ["sqlite:///gateways.sqlite"])
def test_kills_lose_nothing_and_keep_the_order(mosquitto, tmp_path, url):
    store = Store.open(url, tmp_path)
    with hearing(mosquitto) as heard:
        for number in range(400):
            put(store, "configurations/a", b"%d" % number)
        for kill in range(8):
            arguments = [sys.executable, "-c", PUBLISHER, str(mosquitto.port), url, str(tmp_path)]
            with subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=Path.cwd()) as process:
                process.stdout.readline()
                before = len(heard)
                eventually(lambda: len(heard) > before or not waiting(store))  # noqa: B023
                process.send_signal(signal.SIGKILL)
            for number in range(10):
                put(store, "configurations/a", b"%d" % (400 + 10 * kill + number))
        with outbox_to(mosquitto, store):
            eventually(lambda: waiting(store) == 0)
        eventually(lambda: heard[-1][1] == b"479")
    store.close()
    numbers = [int(payload) for _, payload in heard]
    firsts = list(dict.fromkeys(numbers))
    assert firsts == list(range(480))
