"""Faults of a gateway of Tenta that takes messages from an MQTT broker and stores them.

python -m tests.faults.mqtt kills [--messages 20000] [--kills 50]   the gateway is killed
python -m tests.faults.mqtt broker [--kills 50]                     the broker is killed
python -m tests.faults.mqtt away [--seconds 300] [--rate 500]       its store takes nothing
python -m tests.faults.mqtt disk [--seconds 20] [--rate 500]        its disk is full
python -m tests.faults.mqtt flood [--messages 20000]                of sensors that nobody knows
python -m tests.faults.mqtt poison                                  messages that break rules
… --broker nats --store postgresql         instead of mosquitto and SQLite
"""

import argparse
import contextlib
import random
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.brokers import Broker, running_like_ours
from tests.faults import poison
from tests.faults.mqtt_rig import (
    QUIET_S,
    SQLITE,
    Gateway,
    Verdict,
    judge,
    measured,
    network,
    stored,
)
from tests.gateways.tenta.sensors import SENSOR
from tests.helpers import eventually
from tests.servers import PostgresServer, running_postgres
from tests.small_disk import mounted_disk

MOST_MB = 60  # more than a queue of 16 MB takes
FAULTS = ("kills", "broker", "away", "disk", "flood", "poison")
DISK_MB = 24


def kills(broker: Broker, messages: int, kills: int, url: str = SQLITE) -> Verdict:
    """Kill the gateway while messages come."""
    with network(broker, url) as (gateway, store, sensor):
        for _ in range(kills):
            seconds = random.uniform(0.2, 3)  # it takes about 1 s until it has connected
            sensor.send(messages / kills / seconds, seconds)
            gateway.kill()
            gateway.start()
        gateway.await_connection()
        return judge(gateway, store, sensor, Verdict())


def broker_kills(broker: Broker, kills: int, url: str = SQLITE) -> Verdict:
    """Kill the broker while messages come."""
    with network(broker, url) as (gateway, store, sensor):
        verdict = Verdict()
        for _ in range(kills):
            sensor.send(200, random.uniform(0.5, 1.5))
            broker.kill()
            sensor.send(200, 0.5)
            eventually(lambda: not gateway.is_connected(), 60, "the gateway knows of it")
            broker.start()
            began_s = time.monotonic()
            gateway.await_connection()
            verdict.back_s = max(verdict.back_s, time.monotonic() - began_s)
        sensor.send(200, 1)
        return judge(gateway, store, sensor, verdict, complete=broker.is_nats)


def away(
    broker: Broker, seconds: float, rate: float, server: PostgresServer | None = None
) -> Verdict:
    """Let the store take nothing for a while: a server ends, or a file is locked."""
    url = server.url(server.create_database()) if server else SQLITE
    with network(broker, url) as (gateway, store, sensor):
        sensor.send(rate, 1)
        eventually(lambda: stored(store))
        before_mb = gateway.memory_mb
        with stopped(server) if server else locked(gateway):
            sensor.send(rate, seconds)
            during_mb = gateway.memory_mb
        verdict = judge(gateway, store, sensor, Verdict())
        verdict.grown_mb = max(during_mb, gateway.memory_mb) - before_mb
        return verdict


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    """Stop a server for a while."""
    server.stop()
    yield
    server.start()


@contextmanager
def locked(gateway: Gateway) -> Iterator[None]:
    """Lock the file of the store for a while."""
    file = gateway.home / SQLITE.removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(file, timeout=20, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def full_disk(broker: Broker, seconds: float, rate: float) -> Verdict:
    """Fill the disk that the home directory is on, and free it."""
    with (
        tempfile.TemporaryDirectory(prefix="jph-faults-") as name,
        mounted_disk(Path(name) / "disk", DISK_MB) as disk,
        network(broker, home=disk.folder) as (gateway, store, sensor),
    ):
        sensor.send(rate, 1)
        eventually(lambda: stored(store))
        before_mb = gateway.memory_mb
        disk.fill()
        sensor.send(rate, seconds)
        eventually(lambda: "store" in str(gateway.state().get("fault")), 60, "it says so")
        grown_mb = gateway.memory_mb - before_mb
        disk.free()
        verdict = judge(gateway, store, sensor, Verdict())
        verdict.grown_mb = grown_mb
        return verdict


def flood(broker: Broker, messages: int, url: str = SQLITE) -> Verdict:
    """Have many sensors publish that nobody has made, while one that is known goes on."""
    with network(broker, url) as (gateway, store, sensor):
        sensor.send(100, 1)
        before_mb = gateway.memory_mb
        for number in range(messages):
            sensor.publish(f"measurements/{uuid.uuid4()}", measured(number))
            if number % 1000 == 0:
                sensor.send(100, 0.1)
        eventually(
            lambda: gateway.refused().get("unknown sensor") == messages, QUIET_S, "all are refused"
        )
        verdict = judge(gateway, store, sensor, Verdict())
        verdict.grown_mb = gateway.memory_mb - before_mb
        return verdict


def poisoned(broker: Broker, url: str = SQLITE) -> Verdict:
    """Send whatever breaks a rule, some of it retained, and kill the gateway afterwards.

    Each is refused once; what is right is stored.
    """
    with network(broker, url) as (gateway, store, sensor):
        before_mb = gateway.memory_mb
        wanted = 0
        for number, (topic, payload) in enumerate(poison.messages(SENSOR)):
            if broker.is_nats and len(payload) > poison.MOST_OF_NATS:
                continue  # it ends the connection, and the sensor would send it again for ever
            sensor.publish(topic, payload, retain=number % 7 == 0)
            wanted += 1
        sensor.send(100, 0.2)
        poison.publish_raw(broker.port)
        sensor.send(100, 0.2)

        def all_came() -> bool:
            return sum(gateway.refused().values()) == wanted

        eventually(all_came, QUIET_S, f"{wanted} are refused")
        grown_mb = gateway.memory_mb - before_mb
        gateway.kill()
        gateway.start()
        gateway.await_connection()
        sensor.send(100, 0.2)
        verdict = judge(gateway, store, sensor, Verdict(grown_mb=grown_mb))
        if verdict.refused != wanted:
            raise AssertionError(f"{verdict.refused - wanted} were refused once more")
        return verdict


def main() -> int:
    """Run one fault and print what became of the messages."""
    parser = argparse.ArgumentParser(description="Faults of a gateway with an MQTT broker.")
    parser.add_argument("fault", choices=FAULTS)
    parser.add_argument("--broker", choices=["mosquitto", "nats"], default="mosquitto")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rate", type=float, default=500)
    chosen = parser.parse_args()
    with ExitStack() as opened:
        broker = opened.enter_context(running_like_ours(chosen.broker))
        server = None
        if chosen.store == "postgresql":
            server = opened.enter_context(running_postgres(durable=True))
        url = server.url(server.create_database()) if server else SQLITE
        match chosen.fault:
            case "kills":
                verdict = kills(broker, chosen.messages, chosen.kills, url)
            case "broker":
                verdict = broker_kills(broker, chosen.kills, url)
            case "away":
                verdict = away(broker, chosen.seconds or 300, chosen.rate, server)
            case "disk":
                verdict = full_disk(broker, chosen.seconds or 20, chosen.rate)
            case "flood":
                verdict = flood(broker, chosen.messages, url)
            case _:
                verdict = poisoned(broker, url)
    print(f"{chosen.fault}, {chosen.broker}, {chosen.store}: {verdict}")
    of_mosquitto = chosen.fault == "broker" and chosen.broker == "mosquitto"
    is_good = of_mosquitto or not verdict.lost
    return (
        0
        if is_good and not verdict.twice and verdict.grown_mb < MOST_MB and verdict.back_s < 10
        else 1
    )


if __name__ == "__main__":
    sys.exit(main())
