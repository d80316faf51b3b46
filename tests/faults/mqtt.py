"""Faults of a gateway that takes messages from an MQTT broker and stores them.

    python -m tests.faults.mqtt kills [--messages 20000] [--kills 50]   the gateway is killed
    python -m tests.faults.mqtt away [--seconds 300] [--rate 500]       its store takes nothing
    python -m tests.faults.mqtt broker [--kills 5]                      the broker is killed
    … --broker nats                                                     instead of mosquitto

Every message has a number of its own. What the broker acknowledged to the sensor has to be in the
store in the end; and none twice, unless the sensor itself sent it twice.
"""

import argparse
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.brokers import Broker, running_mosquitto, running_nats
from tests.faults.mqtt_gateway import STORE
from tests.helpers import LOOPBACK, eventually

MOST_MB = 60  # more than a queue of 16 MB takes
QUIET_S = 120.0  # longest time until all is stored in the end
NO_LIMIT = ("max_queued_messages 0", "max_queued_bytes 0")  # as of the broker that JPH runs


@dataclass
class Verdict:
    """What became of the messages.

    Args:
        acknowledged: messages that the broker acknowledged to the sensor.
        twice: messages that are stored more than once.
        grown_mb: memory that the gateway took while its store was away.
        back_s: longest time from the broker's return to the gateway's.
    """

    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    grown_mb: float = 0.0
    back_s: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.acknowledged:,} acknowledged, {self.lost} lost, {self.twice} stored twice; "
            f"memory +{self.grown_mb:.1f} MB; back after {self.back_s:.1f} s at most"
        )


class Gateway:
    """The process of the gateway, which is killed and started again."""

    def __init__(self, broker: Broker, home: Path) -> None:
        self._arguments = [str(broker.port), str(home)]
        self.connected: list[float] = []  # when it was
        self.start()

    def start(self) -> None:
        """Start it; it connects by itself."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.mqtt_gateway", *self._arguments],
            stdout=subprocess.PIPE,
        )
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,))
        self._reader.start()

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()

    @property
    def memory_mb(self) -> float:
        """What it has in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096 / 1e6

    def _read(self, lines) -> None:
        for _ in lines:
            self.connected.append(time.monotonic())


class Sensor:
    """Publishes numbers at a pace and knows which of them were acknowledged."""

    def __init__(self, broker: Broker) -> None:
        self.acknowledged: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=True)
        self._client.reconnect_delay_set(1, 1)
        self._answers: deque[int] = deque()  # packets, also some that are not in `_numbers` yet
        self._client.on_publish = lambda client, data, packet, *_: self._answers.append(packet)
        self._client.connect(LOOPBACK, broker.port)
        self._client.loop_start()
        self.next = 0

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, rate: float, seconds: float) -> None:
        """Publish for so long."""
        began_s, first = time.monotonic(), self.next
        while (passed_s := time.monotonic() - began_s) < seconds:
            self._send_until(first + round(rate * passed_s))
            self._collect()
            time.sleep(0.01)
        self._send_until(first + round(rate * seconds))

    def _send_until(self, end: int) -> None:
        while self.next < end:
            info = self._client.publish("numbers/a", b"%d" % self.next, qos=1)
            self._numbers[info.mid] = self.next
            self.next += 1

    def finish(self) -> None:
        """Wait until the broker has acknowledged everything."""
        eventually(self._collect, QUIET_S)

    def _collect(self) -> bool:
        """Note what was acknowledged; return whether that is all."""
        while self._answers:
            self.acknowledged.add(self._numbers[self._answers.popleft()])
        return len(self.acknowledged) == self.next


def stored(home: Path) -> list[int]:
    """Return the numbers in the store."""
    with sqlite3.connect(f"file:{home / STORE}?mode=ro", uri=True, timeout=20) as file:
        numbers = [number for (number,) in file.execute("SELECT number FROM kept")]
    file.close()
    return numbers


@contextmanager
def network(broker: Broker) -> Iterator[tuple[Path, Gateway, Sensor]]:
    """Run a gateway and a sensor."""
    with tempfile.TemporaryDirectory(prefix="jph-faults-") as name:
        gateway = Gateway(broker, Path(name))
        try:
            eventually(lambda: gateway.connected, 60)
            sensor = Sensor(broker)
            try:
                yield Path(name), gateway, sensor
            finally:
                sensor.close()
        finally:
            gateway.kill()


def judge(home: Path, sensor: Sensor, verdict: Verdict, *, complete: bool = True) -> Verdict:
    """Wait until all is stored, or nothing more comes; compare."""
    sensor.finish()
    with suppress(AssertionError):
        eventually(lambda: sensor.acknowledged <= set(stored(home)), QUIET_S if complete else 15)
    numbers = stored(home)
    verdict.acknowledged = len(sensor.acknowledged)
    verdict.lost = len(sensor.acknowledged - set(numbers))
    verdict.twice = len(numbers) - len(set(numbers))
    return verdict


def kills(broker: Broker, messages: int, kills: int) -> Verdict:
    """Kill the gateway while messages come."""
    with network(broker) as (home, gateway, sensor):
        for _ in range(kills):
            seconds = random.uniform(0.2, 1.5)  # it takes about 0.5 s until it has connected
            sensor.send(messages / kills / seconds, seconds)
            gateway.kill()
            gateway.start()
        return judge(home, sensor, Verdict())


def away(broker: Broker, seconds: float, rate: float) -> Verdict:
    """Let the store take nothing for a while."""
    with network(broker) as (home, gateway, sensor):
        sensor.send(rate, 1)
        eventually(lambda: stored(home))
        before_mb = gateway.memory_mb
        with sqlite3.connect(home / STORE, timeout=20, isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            sensor.send(rate, seconds)
            during_mb = gateway.memory_mb
            other.execute("ROLLBACK")
        other.close()
        verdict = Verdict(grown_mb=max(during_mb, gateway.memory_mb) - before_mb)
        return judge(home, sensor, verdict)


def broker_kills(broker: Broker, kills: int) -> Verdict:
    """Kill the broker while messages come."""
    with network(broker) as (home, gateway, sensor):
        verdict = Verdict()
        for _ in range(kills):
            sensor.send(200, 1)
            broker.kill()
            sensor.send(200, 0.5)
            before = len(gateway.connected)
            broker.start()
            returned_s = time.monotonic()
            eventually(lambda before=before: len(gateway.connected) > before, 30)
            verdict.back_s = max(verdict.back_s, gateway.connected[-1] - returned_s)
        sensor.send(200, 1)
        return judge(home, sensor, verdict, complete=broker.is_nats)


def main() -> int:
    """Run one fault and print what became of the messages."""
    parser = argparse.ArgumentParser(description="Faults of a gateway with an MQTT broker.")
    parser.add_argument("fault", choices=["kills", "away", "broker"])
    parser.add_argument("--broker", choices=["mosquitto", "nats"], default="mosquitto")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--rate", type=float, default=500)
    chosen = parser.parse_args()
    running = running_nats() if chosen.broker == "nats" else running_mosquitto(*NO_LIMIT)
    with running as broker:
        if chosen.fault == "kills":
            verdict = kills(broker, chosen.messages, chosen.kills or 50)
        elif chosen.fault == "away":
            verdict = away(broker, chosen.seconds, chosen.rate)
        else:
            verdict = broker_kills(broker, chosen.kills or 5)
    print(verdict)
    may_lose = chosen.fault == "broker" and chosen.broker == "mosquitto"
    is_good = may_lose or not verdict.lost
    return 0 if is_good and verdict.grown_mb < MOST_MB and verdict.back_s < 10 else 1


if __name__ == "__main__":
    sys.exit(main())
