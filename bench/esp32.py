"""Many ESP32 boards at one gateway: a storm of joins, then one value of each every 2 s.

    python -m bench.esp32 [--boards 500] [--seconds 60] [--broker mosquitto|nats]

The boards do as their firmware does, with its pause of 5 s between the two connections of a join.
The gateway is a process of its own, whose processor time is read from /proc; broker and boards are
others. Every value that a board published has to be in the store, and every board has to publish
as often as it should, on one connection: else the machine is too slow to tell.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import text

from bench import common
from bench.common import Network
from bench.esp32_boards import INTERVAL_S, Fleet
from bench.memory import resident_mb
from gateways.esp32 import tables
from gateways.esp32.examples.boards import mac_of
from gateways.store import Store
from tests.brokers import running_mosquitto, running_nats

MOST_JOIN_S = 10.0
MOST_CPU = 0.15
SETTLED_S = 3.0
STORED = (
    "SELECT mac, count(*) FROM esp32_reading JOIN esp32_board ON board = number WHERE kind = 2"
    " GROUP BY mac"
)


@contextmanager
def gateway(net: Network, broker: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the gateway, with the light of ten boards on the bus."""
    codes = [f"e{digit}" for digit in range(10)]
    items = [
        {"Codifier": code, "Device": mac_of(n), "Attribute": "photoresistor"}
        for n, code in enumerate(codes, 1)
    ]
    document = json.loads(net.config.read_text())
    own = {"Broker": broker, "Port": 0, "Proxy": items}
    document["Sensors"] = [
        {
            "Codifier": "EG",
            "Type": "Esp32",
            "SensorInterval": 10,
            "DataType": "json",
            "Sensor": own,
        },
        *({"Codifier": code, "Type": "Proxy"} for code in codes),
    ]
    config = net.folder / "esp32.json"
    config.write_text(json.dumps(document))
    command = [sys.executable, "-m", "tools.main", "run", "EG", "--config", str(config)]
    home = net.folder / "home"
    log = net.folder / "log"
    with open(log, "wb") as output:
        process = subprocess.Popen([*command, "--home", str(home)], stdout=output, stderr=output)
    try:
        wait_for(lambda: (home / "gateways.sqlite").exists(), 30)
        time.sleep(SETTLED_S)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def wait_for(condition: Callable[[], object], seconds: float) -> float:
    """Return how long it took until a condition was met.

    Raises:
        TimeoutError: it was not.
    """
    began_s = time.monotonic()
    while not condition():
        if time.monotonic() > began_s + seconds:
            raise TimeoutError(f"not within {seconds:g} s")
        time.sleep(0.02)
    return time.monotonic() - began_s


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--boards", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--broker", choices=["mosquitto", "nats"], default="mosquitto")
    given = parser.parse_args()
    running = running_nats() if given.broker == "nats" else running_mosquitto()
    with common.network() as net, running as broker, gateway(net, broker.url) as process:
        store = Store.open("sqlite:///gateways.sqlite", net.folder / "home", steps=tables.STEPS)

        def count(query: str) -> int:
            with store.reading() as connection:
                return connection.scalar(text(query)) or 0

        connected = "SELECT count(*) FROM esp32_board WHERE stage = 'started'"
        before_s = cpu_s(process.pid)
        fleet = Fleet([mac_of(n) for n in range(1, given.boards + 1)], broker.port)
        try:
            named_s = wait_for(lambda: all(board.session for board in fleet.boards), 120)
            joined_s = named_s + wait_for(lambda: count(connected) >= given.boards, 120)
            storm_s = cpu_s(process.pid) - before_s
            time.sleep(SETTLED_S)
            before_s, began_s = cpu_s(process.pid), time.monotonic()
            values = fleet.values
            time.sleep(given.seconds)
            passed_s = time.monotonic() - began_s
            used = (cpu_s(process.pid) - before_s) / passed_s
            rate = (fleet.values - values) / passed_s
            memory_mb = resident_mb(process.pid)
        finally:
            fleet.close()
        time.sleep(SETTLED_S)
        sent = {board.mac.decode(): board.values for board in fleet.boards}
        with store.reading() as connection:
            found = connection.execute(text(STORED))
            stored = {str(mac): int(values) for mac, values in found}
        store.close()
    lost = sum(max(0, values - stored.get(mac, 0)) for mac, values in sent.items())
    twice = sum(max(0, stored.get(mac, 0) - values) for mac, values in sent.items())
    expected = given.boards / INTERVAL_S
    print(f"{given.boards} boards with {given.broker}:")
    print(f"  named after {named_s:.1f} s, joined after {joined_s:.1f} s (at most {MOST_JOIN_S:g})")
    print(f"  the storm took {storm_s:.1f} s of processor time")
    print(
        f"  {rate:.0f} values/s: {used:.1%} of a core (at most {MOST_CPU:.0%}), {memory_mb:.0f} MB"
    )
    print(f"  {sum(sent.values()):,} values published, {lost} lost, {twice} twice")
    if fleet.failed:
        print(f"  {len(fleet.failed)} connections were lost: {fleet.failed[0]}")
    if is_too_slow := rate < 0.9 * expected:
        print(
            f"  the boards should have published {expected:.0f} values/s: the machine is too slow"
        )
    is_quick = joined_s <= MOST_JOIN_S and used <= MOST_CPU
    return 0 if is_quick and not (lost or fleet.failed or is_too_slow) else 1


if __name__ == "__main__":
    sys.exit(main())
