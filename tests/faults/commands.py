"""Fault 8: somebody floods the control channel with commands, or forges signs of life.

    python -m tests.faults.commands [SECONDS [COMPONENTS]]

`jph up` runs sensors, a state cache and a web server. Each flood is 20,000 datagrams per second
from one address. Printed are the processor time, as a share of one core, the log in bytes per
second, and whether all components answer a ping afterwards; first all of it without a flood.
"""

import json
import os
import random
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.helpers import Bus, bare_receiver, bare_sender, eventually, free_tcp_port, new_bus
from tests.tools.program import start

RATE = 20_000  # datagrams per second
TICK_S = 0.005
CONTROL = struct.Struct("<I4xQ1s2s2s3xId?")
HERTZ = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a flood cost.

    Args:
        core: processor time, as a share of one core.
        log_bytes_s: what the process wrote to its log, per second.
        answer: how many components answered a ping after it.
        sent: datagrams per second that went out.
        alive: whether the process goes on.
    """

    core: float
    log_bytes_s: float
    answer: int
    sent: float
    alive: bool


def control(sequence: int, flag: str, source: str, to: str, number: float = 0.0) -> bytes:
    """Return a control message."""
    now_ms = time.time_ns() // 1_000_000
    codes = flag.encode(), source.encode(), to.encode()
    return CONTROL.pack(sequence & 0x7FFFFFFF, now_ms, *codes, 9, number, True)


class Target:
    """A running network of sensors, a state cache and a web server."""

    def __init__(self, folder: Path, components: int) -> None:
        self.bus: Bus = new_bus()
        self._home = folder
        (folder / "value").write_text("21.5\n")
        names = [f"{a}{b}" for a in "ABCDEFGHIJ" for b in "0123456789"][:components]
        sensors = [
            {
                "Codifier": name,
                "Type": "Pipe",
                "SensorInterval": 1,
                "Sensor": {"Pipe": str(folder / "value")},
            }
            for name in names
        ]
        services = [
            {"Codifier": "SC", "Type": "StateCache"},
            {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": free_tcp_port()}},
        ]
        self.codifiers = [*names, "SC", "WB"]
        config = folder / "network.json"
        config.write_text(json.dumps(self.bus.document(*sensors, *services)))
        self._process = start(folder, "up", "-u", str(config))
        eventually(lambda: "components started" in self._log(), 60)
        time.sleep(2)

    def _log(self) -> str:
        return (self._home / "err").read_text()

    def _cpu_s(self) -> float:
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        fields = text.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / HERTZ

    def answering(self, seconds: float = 20.0) -> int:
        """Return how many components answer a ping."""
        with bare_receiver(self.bus.control, 0.2) as receiver, bare_sender() as sender:
            left = set(self.codifiers)
            until_s = time.monotonic() + seconds
            number = random.randrange(1 << 30)
            while left and time.monotonic() < until_s:
                try:
                    datagram = receiver.recv(2048)
                except TimeoutError:  # a ping may be lost in what the flood has left
                    for codifier in sorted(left):
                        number += 1
                        sender.sendto(control(number, "P", "Q9", codifier), self.bus.control)
                    continue
                if datagram[16:17] == b"T" and datagram[19:21] == b"Q9":
                    left.discard(datagram[17:19].decode())
            return len(self.codifiers) - len(left)

    def flood(self, message: Callable[[int], bytes] | None, seconds: float) -> Cost:
        """Send messages for a time, and return what that cost."""
        log_bytes, cpu_s = len(self._log()), self._cpu_s()
        began_s, sent = time.monotonic(), 0
        with bare_sender() as sender:
            while (past_s := time.monotonic() - began_s) < seconds:
                for number in range(sent, int(past_s * RATE) if message else 0):
                    sender.sendto(message(number), self.bus.control)
                    sent = number + 1
                time.sleep(TICK_S)
        took_s = time.monotonic() - began_s
        alive = self._process.poll() is None
        core = (self._cpu_s() - cpu_s) / took_s if alive else 0.0
        log_bytes_s = (len(self._log()) - log_bytes) / took_s
        return Cost(core, log_bytes_s, self.answering() if alive else 0, sent / took_s, alive)

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(20)


def floods(codifiers: list[str]) -> dict[str, Callable[[int], bytes] | None]:
    """Return the floods by their names."""
    first = random.randrange(1 << 30)
    now_ms = time.time() * 1000

    def one(n: int) -> str:
        return codifiers[n % len(codifiers)]

    return {
        "nothing": None,
        "C to all": lambda n: control(first + n, "C", "Q1", "@@"),
        "C to one after another": lambda n: control(first + n, "C", "Q1", one(n)),
        "H and S to all": lambda n: control(first + n, "HS"[n % 2], "Q1", "@@"),
        "H and S to one after another": lambda n: control(
            first + n, "HS"[n // len(codifiers) % 2], "Q1", one(n)
        ),
        "P to all": lambda n: control(first + n, "P", "Q1", "@@"),
        "I of the future": lambda n: control(first + n, "I", one(n), "@@", now_ms * 2),
    }


def measure(seconds: float, components: int) -> dict[str, Cost]:
    """Return what each flood cost; each hits a network of its own."""
    costs = {}
    for name in floods([""]):
        with tempfile.TemporaryDirectory(prefix="jph-flood-") as folder:
            target = Target(Path(folder), components)
            try:
                costs[name] = target.flood(floods(target.codifiers)[name], seconds)
            finally:
                target.close()
        print(f"{name:30} {show(costs[name])}", flush=True)
    return costs


def show(cost: Cost) -> str:
    """Return the figures of a flood in one line."""
    state = "" if cost.alive else "  the process ended"
    return (
        f"{cost.core:5.2f} of a core {cost.log_bytes_s:9,.0f} bytes/s of log"
        f" {cost.answer:4} answer {cost.sent:8,.0f} sent/s{state}"
    )


def main() -> int:
    """Print what each flood costs."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    components = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    costs = measure(seconds, components)
    return 0 if all(cost.answer == components + 2 for cost in costs.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
