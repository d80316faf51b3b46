"""A gateway of Tenta as faults meet it: `jph run` with a broker and a store, and a sensor.

Every message has a number of its own. What the broker acknowledged to the sensor has to be in the
store in the end; and none twice, unless the sensor may have sent it twice.
"""

import json
import subprocess
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import text

from gateways.store import Store
from gateways.tenta import tables
from jph.config.model import build
from jph.devices import Gateway as Asked
from jph.errors import GatewayError
from tests.brokers import Broker
from tests.gateways.tenta.sensors import SENSOR, add_sensors
from tests.helpers import LOOPBACK, eventually, free_tcp_port, new_bus
from tests.tools.program import JPH, environment

SQLITE = "sqlite:///gateways.sqlite"
QUIET_S = 120.0  # longest time in which nothing more is stored
FIRST_S = 1_700_000_000


@dataclass
class Verdict:
    """What became of the messages.

    Args:
        acknowledged: messages that the broker acknowledged to the sensor.
        twice: messages that are stored more than once, and were sent once.
        sent_twice: messages that are stored more than once since the sensor may have sent them
            again: their acknowledgment was lost with the broker.
        grown_mb: memory that the gateway took meanwhile.
        back_s: longest time from the broker's return to the gateway's.
        refused: messages that the gateway refused, by reason.
        drained_s: time from the last acknowledgment until all was stored.
    """

    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    sent_twice: int = 0
    grown_mb: float = 0.0
    back_s: float = 0.0
    refused: int = 0
    drained_s: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.acknowledged:,} acknowledged, {self.lost} lost, {self.twice} stored twice "
            f"and {self.sent_twice} sent twice, "
            f"{self.refused:,} refused; memory +{self.grown_mb:.1f} MB; "
            f"back after {self.back_s:.1f} s at most, all stored after {self.drained_s:.1f} s"
        )


class Gateway:
    """The process of the gateway, which is killed and started again.

    Args:
        home: its home directory.
        url: of the store.
    """

    def __init__(self, broker: Broker, home: Path, url: str) -> None:
        self.home, self.url = home, url
        settings = {"Broker": broker.url, "Port": free_tcp_port(), "Store": url}
        entry = {"Codifier": "TG", "Type": "Tenta", "DataType": "json", "Sensor": settings}
        self._file = home / "network.json"
        self._file.write_text(json.dumps(new_bus().document(entry)))
        config = build(json.loads(self._file.read_text()), str(self._file))
        self._asked = Asked(config.components["TG"], home)
        with closing(self.store()) as store, store.writing() as connection:
            add_sensors(connection, SENSOR)
        self.start()

    def store(self) -> Store:
        """Return its store, opened once more; to be closed."""
        return Store.open(self.url, self.home, steps=tables.STEPS)

    def start(self) -> None:
        """Start it; it connects by itself."""
        with (self.home / "log").open("ab") as log:
            command = [*JPH, "run", "TG", "--config", str(self._file), "--take-over"]
            self.process = subprocess.Popen(
                command, env=environment(self.home), cwd=self.home, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        self.process.kill()
        self.process.wait()

    def state(self) -> dict[str, object]:
        """Return what it says of itself; nothing while it does not answer."""
        with suppress(GatewayError):
            found: dict[str, object] = self._asked.ask("state", deadline_s=5)
            return found
        return {}

    def is_connected(self) -> bool:
        """Tell whether it is connected to the broker."""
        return str(self.state().get("broker", "")).startswith("connected")

    def await_connection(self) -> None:
        """Wait until it is connected."""
        eventually(self.is_connected, 60, "the gateway is connected")

    def refused(self) -> dict[str, int]:
        """Return how many messages it refused, by reason."""
        counts = self.state().get("refused")
        return dict(counts) if isinstance(counts, dict) else {}

    @property
    def memory_mb(self) -> float:
        """What it has in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096 / 1e6


class Sensor:
    """Publishes numbers at a pace and knows which of them were acknowledged.

    Args:
        message: gives topic and payload for a number; absent: those of a sensor of Tenta.
    """

    def __init__(
        self, broker: Broker, message: Callable[[int], tuple[str, bytes]] | None = None
    ) -> None:
        self._message = message or (lambda number: (f"measurements/{SENSOR}", measured(number)))
        self.acknowledged: set[int] = set()
        self._numbers: dict[int, int] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=True)
        self._client.reconnect_delay_set(1, 1)
        self._answers: deque[int] = deque()  # packets, also some that are not in `_numbers` yet
        self._client.on_publish = lambda client, data, packet, *_: self._answers.append(packet)
        self.unanswered: set[int] = set()  # numbers without an answer when a connection was lost
        self._client.on_disconnect = lambda *_: self.unanswered.update(
            self._numbers.copy().values()
        )
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

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publish something else, without waiting."""
        self._client.publish(topic, payload, 1, retain)

    def _send_until(self, end: int) -> None:
        while self.next < end:
            info = self._client.publish(*self._message(self.next), qos=1)
            self._numbers[info.mid] = self.next
            self.next += 1

    def finish(self) -> None:
        """Wait until the broker has acknowledged everything."""
        eventually(self._collect, QUIET_S)

    def _collect(self) -> bool:
        """Note what was acknowledged; return whether that is all."""
        while self._answers:
            number = self._numbers.pop(self._answers.popleft(), None)
            if number is not None:
                self.acknowledged.add(number)
        return len(self.acknowledged) == self.next


def measured(number: int) -> bytes:
    """Return a message with a number."""
    entry = {"timestamp": FIRST_S + number / 100, "value": {"number": number}}
    return json.dumps([entry]).encode()


def stored(store: Store) -> list[int]:
    """Return the numbers in the store."""
    with store.reading() as connection:
        return [int(value) for value in connection.scalars(text("SELECT value FROM measurement"))]


@contextmanager
def network(
    broker: Broker, url: str = SQLITE, home: Path | None = None
) -> Iterator[tuple[Gateway, Store, Sensor]]:
    """Run a gateway and a sensor; give the store as another program sees it."""
    with tempfile.TemporaryDirectory(prefix="jph-faults-", dir=home) as name:
        gateway = Gateway(broker, Path(name), url)
        try:
            gateway.await_connection()
            with closing(gateway.store()) as store, closing(Sensor(broker)) as sensor:
                yield gateway, store, sensor
        finally:
            gateway.kill()


def judge(
    gateway: Gateway, store: Store, sensor: Sensor, verdict: Verdict, *, complete: bool = True
) -> Verdict:
    """Wait until all is stored, or nothing more comes; compare."""
    sensor.finish()
    began_s = changed_s = time.monotonic()
    numbers: list[int] = []
    while not sensor.acknowledged <= set(numbers):
        before = len(numbers)
        numbers = stored(store)
        if len(numbers) > before:
            changed_s = time.monotonic()
        if time.monotonic() > changed_s + (QUIET_S if complete else 15):
            break
        time.sleep(0.1)
    verdict.drained_s = time.monotonic() - began_s
    verdict.acknowledged = len(sensor.acknowledged)
    verdict.lost = len(sensor.acknowledged - set(numbers))
    again = {number for number, count in Counter(numbers).items() if count > 1}
    verdict.twice = len(again - sensor.unanswered)
    verdict.sent_twice = len(again & sensor.unanswered)
    verdict.refused = sum(gateway.refused().values())
    return verdict
