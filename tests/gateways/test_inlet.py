"""Messages from real brokers into a store, and what is acknowledged when."""

import threading
import time
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from gateways.address import BrokerAddress
from gateways.inlet import BATCH_BYTES, Inlet
from gateways.message import Message
from gateways.recent import MOST_RECENT, Resumption, first_seen
from jph.errors import StoreError
from tests.brokers import running_mosquitto
from tests.helpers import LOOPBACK, eventually

TOPICS = ["measurements/+"]
G = "GT"


class Taken:
    """Takes batches, and fails as a test says; counts what it took."""

    def __init__(self):
        self.messages = []
        self.batches = []
        self.error = None
        self.poison = b""

    def __call__(self, batch):
        if self.error:
            raise self.error
        if self.poison and any(message.payload == self.poison for message in batch):
            raise OverflowError("too large")
        self.messages.extend(batch)
        self.batches.append(len(batch))

    @property
    def payloads(self):
        return [message.payload for message in self.messages]


@contextmanager
def inlet_to(broker, commit, close_s=5.0, **options):
    address = BrokerAddress(LOOPBACK, broker.port)
    inlet = Inlet(address, "jph-test", options.pop("topics", TOPICS), commit, **options)
    inlet.start()
    try:
        yield inlet
    finally:
        inlet.close(close_s)


def connected(inlet):
    eventually(lambda: inlet.status.connected, what="the inlet is connected")


def publish(client, payloads, topic="measurements/a", **options):
    """Publish with QoS 1, and wait until the broker has acknowledged all."""
    options = {"qos": 1, **options}
    infos = [client.publish(topic, payload, **options) for payload in payloads]
    for info in infos:
        info.wait_for_publish(20)
        assert info.is_published()


def numbered(count, first=0):
    return [b"%d" % number for number in range(first, first + count)]


def test_messages_come_in_order_and_in_batches(mqtt_broker):
    taken = Taken()
    with inlet_to(mqtt_broker, taken) as inlet, mqtt_broker.client() as client:
        connected(inlet)
        publish(client, numbered(500))
        eventually(lambda: len(taken.messages) == 500)
        assert taken.payloads == numbered(500)
        assert len(taken.batches) < 250
        status = inlet.status
    assert (status.messages, status.committed, status.queued) == (500, 500, 0)
    assert status.protocol == ("3.1.1" if mqtt_broker.is_nats else "5.0")


def test_a_message_alone_does_not_wait_long(mqtt_broker):
    taken = Taken()
    with inlet_to(mqtt_broker, taken) as inlet, mqtt_broker.client() as client:
        connected(inlet)
        publish(client, [b"1"])
        eventually(lambda: taken.payloads == [b"1"])


def test_what_comes_while_nobody_is_here_is_kept_for_the_session(mqtt_broker):
    taken = Taken()
    with inlet_to(mqtt_broker, taken) as inlet:
        connected(inlet)
    with mqtt_broker.client() as client:
        publish(client, numbered(300))
    with inlet_to(mqtt_broker, taken):
        eventually(lambda: len(taken.messages) == 300)
    assert taken.payloads == numbered(300)


def test_nothing_is_acknowledged_before_it_is_committed(mqtt_broker):
    away = Taken()
    away.error = StoreError("away")
    with inlet_to(mqtt_broker, away, close_s=0.5) as inlet, mqtt_broker.client() as client:
        connected(inlet)
        publish(client, numbered(50))
        eventually(lambda: inlet.status.store == "away" and inlet.status.queued)
    assert not away.messages
    taken = Taken()
    with inlet_to(mqtt_broker, taken):
        eventually(lambda: len(set(taken.payloads)) == 50)
    assert list(dict.fromkeys(taken.payloads)) == numbered(50)
    assert any(message.duplicate for message in taken.messages)


def test_a_store_that_returns_gets_everything_in_order(mqtt_broker):
    taken = Taken()
    taken.error = StoreError("away")
    with inlet_to(mqtt_broker, taken) as inlet, mqtt_broker.client() as client:
        connected(inlet)
        publish(client, numbered(3000))
        eventually(lambda: inlet.status.store)
        taken.error = None
        eventually(lambda: len(set(taken.payloads)) == 3000)
        eventually(lambda: not inlet.status.store)
    found = list(dict.fromkeys(taken.payloads))
    if mqtt_broker.is_nats:  # what it has no room for it sends later, behind newer ones
        found.sort(key=int)
    assert found == numbered(3000)


@pytest.mark.parametrize("qos", [0, 1])
def test_a_full_queue_stops_the_reading_and_loses_nothing(mosquitto, qos):
    taken = Taken()
    taken.error = StoreError("away")
    with (
        running_mosquitto("max_queued_messages 0") as broker,
        inlet_to(broker, taken, most_messages=100) as inlet,
        broker.client() as client,
    ):
        connected(inlet)
        publish(client, numbered(1000), qos=qos)
        eventually(lambda: inlet.status.queued == 100)
        time.sleep(0.3)
        assert inlet.status.queued == 100
        taken.error = None
        eventually(lambda: len(taken.messages) == 1000)
    assert taken.payloads == numbered(1000)


def test_it_tells_since_when_it_reads_all_that_comes(mosquitto):
    taken = Taken()
    with inlet_to(mosquitto, taken, most_messages=2) as inlet, mosquitto.client() as client:
        connected(inlet)

        def is_steady():
            since_us = inlet.connection.listening_since_us
            time.sleep(0.3)
            return since_us == inlet.connection.listening_since_us

        eventually(is_steady, 60)
        publish(client, [b"1"])
        eventually(lambda: taken.messages)
        eventually(is_steady, 60)
        taken.error = StoreError("away")
        publish(client, [b"2", b"3"])
        eventually(lambda: inlet.status.queued == 2)
        eventually(lambda: not is_steady(), 60, "a full queue is noticed")
        taken.error = None
        eventually(lambda: len(taken.messages) == 3)
        eventually(is_steady, 60)
        mosquitto.kill()
        eventually(lambda: not inlet.status.connected)
        assert not is_steady()


def test_the_queue_is_bounded_in_bytes(mosquitto):
    taken = Taken()
    taken.error = StoreError("away")
    large = [bytes([number]) * 100_000 for number in range(40)]
    with (
        inlet_to(mosquitto, taken, most_bytes=1_000_000) as inlet,
        mosquitto.client() as client,
    ):
        connected(inlet)
        publish(client, large)
        eventually(lambda: inlet.status.queued_bytes >= 1_000_000)
        time.sleep(0.3)
        assert inlet.status.queued_bytes < 1_200_000
        taken.error = None
        eventually(lambda: len(taken.messages) == 40)
    assert taken.payloads == large


def test_a_batch_is_bounded_in_bytes(mosquitto):
    taken = Taken()
    taken.error = StoreError("away")  # so that they wait when it takes them
    large = [bytes([number]) * (BATCH_BYTES // 4) for number in range(15)]
    with inlet_to(mosquitto, taken) as inlet, mosquitto.client() as client:
        connected(inlet)
        publish(client, [b"first", *large, bytes(BATCH_BYTES * 2), b"last"])
        eventually(lambda: inlet.status.queued > 8)
        taken.error = None
        eventually(lambda: len(taken.messages) == 18)
    assert taken.payloads[:16] == [b"first", *large]
    assert max(taken.batches) <= 5 and 1 in taken.batches


def test_poison_is_refused_and_the_rest_is_stored(mqtt_broker):
    taken, refused = Taken(), []
    taken.poison = b"37"
    with (
        inlet_to(
            mqtt_broker, taken, refused=lambda message, error: refused.append(message)
        ) as inlet,
        mqtt_broker.client() as client,
    ):
        connected(inlet)
        publish(client, numbered(100))
        eventually(lambda: len(taken.messages) == 99)
    assert [message.payload for message in refused] == [b"37"]
    assert taken.payloads == [payload for payload in numbered(100) if payload != b"37"]
    assert inlet.status.refused == 1
    again = Taken()
    with inlet_to(mqtt_broker, again) as inlet, mqtt_broker.client() as client:
        connected(inlet)
        publish(client, [b"later"])
        eventually(lambda: b"later" in again.payloads)
    # A broker may not have read the last acknowledgements when the next session took over.
    assert [each.payload for each in again.messages if not each.duplicate] == [b"later"]


def test_a_refusal_that_finds_the_store_away_is_tried_again(mosquitto):
    taken, tries = Taken(), []
    taken.poison = b"1"

    def refused(message, error):
        tries.append(message.payload)
        if len(tries) < 3:
            raise StoreError("away")

    with inlet_to(mosquitto, taken, refused=refused) as inlet, mosquitto.client() as client:
        connected(inlet)
        publish(client, numbered(4))
        eventually(lambda: len(taken.messages) == 3)
    assert tries == [b"1"] * 3
    assert taken.payloads == [b"0", b"2", b"3"]


def test_subscriptions_return_with_the_broker(mqtt_broker):
    taken, states = Taken(), []
    with inlet_to(mqtt_broker, taken, on_state=lambda *state: states.append(state)) as inlet:
        connected(inlet)
        mqtt_broker.kill()
        eventually(lambda: not inlet.status.connected)
        assert str(mqtt_broker.port) in inlet.status.reason
        mqtt_broker.start()
        eventually(lambda: inlet.status.connected, what="subscribed again")
        with mqtt_broker.client() as client:
            publish(client, [b"back"])
        eventually(lambda: b"back" in taken.payloads)
    assert [connected for connected, _ in states][:1] == [True]
    assert states[-1] == (True, "")


def test_a_start_does_not_wait_for_the_broker(mosquitto):
    mosquitto.stop()
    taken = Taken()
    with inlet_to(mosquitto, taken) as inlet:
        eventually(lambda: "refused" in inlet.status.reason)
        mosquitto.start()
        eventually(lambda: inlet.status.connected)


def test_a_broker_that_refuses_us_is_told(tmp_path):
    with running_mosquitto("allow_anonymous false") as broker, inlet_to(broker, Taken()) as inlet:
        eventually(lambda: "Not authorized" in inlet.status.reason)
        assert not inlet.status.connected


def test_a_large_message_comes_whole(mqtt_broker):
    taken = Taken()
    large = bytes(range(256)) * 3000
    with inlet_to(mqtt_broker, taken) as inlet, mqtt_broker.client() as client:
        connected(inlet)
        publish(client, [large, b"after"])
        eventually(lambda: len(taken.messages) == 2)
    assert taken.payloads == [large, b"after"]


def test_retained_messages_are_marked(mqtt_broker):
    taken = Taken()
    with mqtt_broker.client() as client:
        publish(client, [b"kept"], retain=True)
        with inlet_to(mqtt_broker, taken) as inlet:
            connected(inlet)
            eventually(lambda: taken.messages)
            publish(client, [b"live"])
            eventually(lambda: len(taken.messages) == 2)
    kept = {message.payload: message.retained for message in taken.messages}
    assert kept == {b"kept": True, b"live": False}


class Storing:
    """Stores payloads as a gateway does; a test may have it fail before or after the commit."""

    def __init__(self, store):
        self.store = store
        self.fails_after = 0
        with store.writing() as connection:
            connection.execute(text("CREATE TABLE kept (payload TEXT)"))

    def __call__(self, batch):
        with self.store.writing() as connection:
            rows = [{"p": m.payload.decode()} for m in first_seen(connection, G, batch)]
            if rows:
                connection.execute(text("INSERT INTO kept VALUES (:p)"), rows)
        if self.fails_after:
            self.fails_after -= 1
            raise StoreError("the answer was lost")

    @property
    def payloads(self):
        with self.store.reading() as connection:
            return [row.encode() for row in connection.scalars(text("SELECT payload FROM kept"))]


def test_a_commit_whose_answer_is_lost_stores_once(mqtt_broker, store):
    storing = Storing(store)
    storing.fails_after = 2
    with inlet_to(mqtt_broker, storing) as inlet, mqtt_broker.client() as client:
        connected(inlet)
        publish(client, [b"same", b"same", *numbered(200)])
        eventually(lambda: inlet.status.committed >= 202)
    assert storing.payloads == [b"same", b"same", *numbered(200)]


def test_a_lost_connection_stores_once(mqtt_broker, store):
    """The broker sends again what was not acknowledged; some of that is still in the queue here."""
    storing, may_go_on = Storing(store), threading.Event()

    def commit(batch):
        may_go_on.wait()
        storing(batch)

    with inlet_to(mqtt_broker, commit) as inlet, mqtt_broker.client() as client:
        connected(inlet)
        publish(client, [b"same", b"same", *numbered(60)])
        eventually(lambda: inlet.status.queued >= 62)
        # The same name takes the session over.
        with mqtt_broker.client("jph-test", clean_session=False, manual_ack=True):
            eventually(lambda: not inlet.status.connected)
        eventually(lambda: inlet.status.connected)
        # nats-server sends again what waits for long, on the same connection, too.
        eventually(lambda: inlet.status.queued >= 124)
        may_go_on.set()
        eventually(lambda: inlet.status.queued == 0)
    assert sorted(storing.payloads) == sorted([b"same", b"same", *numbered(60)])


def message(payload, identifier=1, *, duplicate=False, retained=False, **more):
    return Message("t", payload, retained, duplicate, 0, identifier, **more)


def seen(store, *batch):
    with store.writing() as connection:
        return [m.payload for m in first_seen(connection, G, batch)]


def test_what_is_recent(store):
    assert seen(store, message(b"a", 1), message(b"a", 2)) == [b"a", b"a"]
    assert seen(store, message(b"a", 1)) == [b"a"]  # sent again by the device, not by the broker
    assert seen(store, message(b"a", 1, duplicate=True)) == []
    assert seen(store, message(b"a", 3, duplicate=True)) == [b"a"]
    assert seen(store, message(b"b", 4), message(b"b", 4, duplicate=True)) == [b"b"]
    assert seen(store, message(b"c", 0), message(b"c", 0, duplicate=True)) == [b"c", b"c"]
    assert seen(store, message(b"d", 5, retained=True)) == [b"d"]
    assert seen(store, message(b"e", 5), message(b"d", 6, retained=True)) == [b"e"]
    # With MQTT 3.1.1 identifiers may change, and what is retained comes with each connection.
    assert seen(store, message(b"g", 8, is_numbered=False)) == [b"g"]
    assert seen(store, message(b"g", 9, is_numbered=False, duplicate=True)) == []
    assert seen(store, message(b"g", 10, is_numbered=False, retained=True)) == []
    assert seen(store, *[message(b"f", 7, retried=True)] * 2) == [b"f", b"f"]
    assert seen(store, *[message(b"f", 7, retried=True)] * 2) == []
    assert seen(store) == []


def test_what_a_killed_broker_sends_as_if_it_were_new(store):
    resumption = Resumption()

    def seen(connection, *topics_and_payloads, is_numbered=False, **more):
        batch = [
            Message(topic, payload, False, False, 0, 1, is_numbered=is_numbered,
                    connection=connection, **more)
            for topic, payload in topics_and_payloads
        ]  # fmt: skip
        with store.writing() as transaction:
            return [m.payload for m in first_seen(transaction, G, batch, resumption)]

    a, b, c, d = (("a/1", name) for name in (b"a", b"b", b"c", b"d"))
    other, more = ("b/1", b"other"), ("b/2", b"more")
    assert seen(2, a, b, other, c) == [b"a", b"b", b"other", b"c"]
    assert seen(2, c) == [b"c"]  # a device sent it again
    assert seen(4, b) == []  # the end of what came before, in its order
    assert seen(4, c, more, d, other) == [b"more", b"d", b"other"]
    assert seen(4, b) == [b"b"]
    assert seen(2, c) == [b"c"]  # of the connection before: it waited here
    assert seen(6, d, is_numbered=True) == [b"d"]


def test_a_transaction_that_fails_remembers_nothing(store):
    with pytest.raises(ZeroDivisionError), store.writing() as connection:
        first_seen(connection, G, [message(b"a")])
        raise ZeroDivisionError
    assert seen(store, message(b"a", duplicate=True)) == [b"a"]


def test_old_digests_are_forgotten(store):
    seen(store, message(b"old"))
    for first in range(0, MOST_RECENT, 1000):
        seen(store, *(message(b"%d" % (first + n), n) for n in range(1000)))
    with store.reading() as connection:
        assert connection.scalar(text("SELECT count(*) FROM recent")) == MOST_RECENT // 1000
    assert seen(store, message(b"old", duplicate=True)) == [b"old"]
