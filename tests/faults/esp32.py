"""Faults of the gateway of ESP32 boards, as a node of its own between broker, store and bus.

    python -m tests.faults.esp32 kills [--messages 20000] [--kills 50]   the gateway is killed
    python -m tests.faults.esp32 away [--seconds 120]                    its store takes nothing
    python -m tests.faults.esp32 broker [--kills 5]                      the broker is killed
    … --broker nats                                                      instead of mosquitto

Ten boards publish values with QoS 1. What the broker acknowledged has to be in the store in the
end, and every board is connected again by itself. With mosquitto each value is there once, and all
in their order; nats-server sends again what was not acknowledged, after what is newer, and without
a number by which it could be known.
"""

import argparse
import random
import sqlite3
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateways.address import BrokerAddress
from gateways.esp32.examples.boards import Fleet, Habits, SimulatedBoard, mac_of
from tests.brokers import Broker, running_like_ours
from tests.faults.gateway_process import GatewayProcess
from tests.faults.mqtt import MOST_MB
from tests.faults.mqtt_rig import QUIET_S, Sensor
from tests.helpers import LOOPBACK, eventually

STORE = "gateways.sqlite"
BOARDS = 10
STARTED_S = 60.0


@dataclass
class Verdict:
    """What became of values and boards.

    Args:
        acknowledged: values that the broker acknowledged to the boards.
        lost: of these, values that are not in the store.
        twice: values that are in the store once more.
        wrong: values in the store that are not at their place.
        away: boards that are not connected in the end.
    """

    acknowledged: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    away: int = 0
    grown_mb: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.acknowledged:,} acknowledged, {self.lost} lost, {self.twice} twice, "
            f"{self.wrong} not in order; "
            f"{self.away} boards not connected; memory +{self.grown_mb:.1f} MB"
        )


class Boards:
    """Boards with connections of their own, whose values are published by one more, and counted."""

    def __init__(self, broker: Broker) -> None:
        address = BrokerAddress(LOOPBACK, broker.port)
        habits = Habits(pause_s=0.2, measures=False)
        self.boards = [SimulatedBoard(mac_of(n), address, habits) for n in range(BOARDS)]
        self._ending = threading.Event()
        fleet = Fleet(self.boards)
        self._thread = threading.Thread(target=fleet.run, args=[lambda: not self._ending.is_set()])
        self._thread.start()
        self.sensor: Sensor | None = None

    def begin(self, broker: Broker) -> Sensor:
        """Wait until all have joined; return what publishes for them."""
        eventually(self.all_started, STARTED_S, "all boards have joined")
        names = [(board.name, board.session) for board in self.boards]

        def message(number: int) -> tuple[str, bytes]:
            name, session = names[number % BOARDS]
            return "photoresistor/status", f"{name};{session};{value_of(number)}".encode()

        self.sensor = Sensor(broker, message)
        return self.sensor

    def all_started(self) -> bool:
        """Whether all have begun a session."""
        return all(board.is_started for board in self.boards)

    def close(self) -> None:
        """End them."""
        if self.sensor is not None:
            self.sensor.close()
        self._ending.set()
        self._thread.join(30)


def value_of(number: int) -> int:
    """Return the value of a board with the message of a number."""
    return number // BOARDS % 101


def rows(home: Path, query: str) -> list[tuple[object, ...]]:
    """Ask the store."""
    with sqlite3.connect(f"file:{home / STORE}?mode=ro", uri=True, timeout=20) as file:
        found = file.execute(query).fetchall()
    file.close()
    return found


def stored(home: Path) -> dict[str, list[int]]:
    """Return the values of each board, in the order they came."""
    values: dict[str, list[int]] = {mac_of(n): [] for n in range(BOARDS)}
    query = (
        "SELECT mac, value FROM esp32_reading JOIN esp32_board ON board = number WHERE kind = 2"
        " ORDER BY at_ms, n"
    )
    for mac, value in rows(home, query):
        values[str(mac)].append(int(str(value)))
    return values


def connected(home: Path) -> int:
    """Return how many boards are connected."""
    query = "SELECT count(*) FROM esp32_board WHERE stage = 'started'"
    return int(str(rows(home, query)[0][0]))


@contextmanager
def network(broker: Broker) -> Iterator[tuple[Path, GatewayProcess, Boards, Sensor]]:
    """Run a gateway and boards that have joined."""
    with tempfile.TemporaryDirectory(prefix="jph-faults-") as name:
        home = Path(name)
        own = {"Broker": broker.url, "Port": 0, "Store": f"sqlite:///{STORE}"}
        entry = {"Codifier": "EG", "Type": "Esp32", "SensorInterval": 1, "Sensor": own}
        gateway = GatewayProcess(entry, home)
        try:
            boards = Boards(broker)
            try:
                yield home, gateway, boards, boards.begin(broker)
            finally:
                boards.close()
        finally:
            gateway.kill()


def judge(broker: Broker, home: Path, sensor: Sensor, verdict: Verdict) -> Verdict:
    """Wait until all is stored, or nothing more comes; compare."""
    sensor.finish()
    verdict.acknowledged = len(sensor.acknowledged)

    def compare() -> bool:
        verdict.lost = verdict.twice = verdict.wrong = 0
        for n in range(BOARDS):
            sent = [value_of(number) for number in range(n, sensor.next, BOARDS)]
            found = stored(home)[mac_of(n)]
            verdict.lost += sum((Counter(sent) - Counter(found)).values())
            verdict.twice += sum((Counter(found) - Counter(sent)).values())
            verdict.wrong += sum(a != b for a, b in zip(found, sent, strict=False))
        verdict.away = BOARDS - connected(home)
        return is_good(verdict, broker)

    with suppress(AssertionError):
        eventually(compare, QUIET_S)
    return verdict


def is_good(verdict: Verdict, broker: Broker) -> bool:
    """Tell whether nothing was lost, and all is as it was sent, if the broker can do so."""
    order = 0 if broker.is_nats else verdict.twice + verdict.wrong
    return not (verdict.lost or verdict.away or order)


def kills(broker: Broker, messages: int, kills: int) -> Verdict:
    """Kill the gateway while values come."""
    with network(broker) as (home, gateway, _, sensor):
        for _ in range(kills):
            seconds = random.uniform(0.5, 2.5)  # it takes about 1 s until it has connected
            sensor.send(messages / kills / seconds, seconds)
            gateway.kill()
            gateway.start()
        return judge(broker, home, sensor, Verdict())


def away(broker: Broker, seconds: float, rate: float) -> Verdict:
    """Let the store take nothing for a while."""
    with network(broker) as (home, gateway, _, sensor):
        sensor.send(rate, 1)
        before_mb = gateway.memory_mb
        with sqlite3.connect(home / STORE, timeout=20, isolation_level=None) as other:
            other.execute("BEGIN EXCLUSIVE")
            sensor.send(rate, seconds)
            during_mb = gateway.memory_mb
            other.execute("ROLLBACK")
        other.close()
        verdict = Verdict(grown_mb=max(during_mb, gateway.memory_mb) - before_mb)
        return judge(broker, home, sensor, verdict)


def broker_kills(broker: Broker, kills: int) -> Verdict:
    """Kill the broker while boards are there; they join again, and get sessions that are new."""
    with network(broker) as (home, _, boards, sensor):
        sensor.send(100, 1)
        verdict = judge(broker, home, sensor, Verdict())
        for _ in range(kills):
            sessions = {board.session for board in boards.boards}
            broker.kill()
            eventually(lambda: not any(board.is_started for board in boards.boards), STARTED_S)
            broker.start()
            eventually(boards.all_started, STARTED_S, "all boards have joined again")
            assert sessions.isdisjoint(board.session for board in boards.boards)

        def is_as_the_boards_say() -> bool:
            found = rows(home, "SELECT mac, session FROM esp32_board WHERE stage = 'started'")
            return dict(found) == {board.mac: board.session for board in boards.boards}

        verdict.away = BOARDS
        with suppress(AssertionError):
            eventually(is_as_the_boards_say, STARTED_S)
            verdict.away = 0
        return verdict


def main() -> int:
    """Run one fault and print what became of values and boards."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("fault", choices=["kills", "away", "broker"])
    parser.add_argument("--broker", choices=["mosquitto", "nats"], default="mosquitto")
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=float, default=250)
    chosen = parser.parse_args()
    with running_like_ours(chosen.broker) as broker:
        if chosen.fault == "kills":
            verdict = kills(broker, chosen.messages, chosen.kills or 50)
        elif chosen.fault == "away":
            verdict = away(broker, chosen.seconds, chosen.rate)
        else:
            verdict = broker_kills(broker, chosen.kills or 5)
    print(verdict)
    good = is_good(verdict, broker) and verdict.grown_mb < MOST_MB
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
