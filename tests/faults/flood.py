"""A flood of the longest texts: the memory of the whole process stays bounded, drops are counted.

    python -m tests.faults.flood [--seconds 20] [--senders 2]

`jph up` runs the pages, a StateCache, Statistics and a HistoryWriter on SQLite, and hears texts of
1,440 bytes as fast as some processes can send them.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.faults.rig import CODIFIERS
from tests.helpers import Bus, bare_receiver, free_tcp_port, new_bus
from tests.tools.program import JPH, TOP, environment

MOST_MB = 150.0
SENDER = """
import struct, sys, time
from tests.helpers import bare_sender
place, codifiers, seconds = (sys.argv[1], int(sys.argv[2])), sys.argv[3].split(), float(sys.argv[4])
head = struct.Struct("<I4xQ1s2s2s3xII")
text, sent, until_s = b"x" * 1440, 0, time.monotonic() + seconds
with bare_sender() as sender:
    while time.monotonic() < until_s:
        now_ms = time.time_ns() // 1_000_000
        for codifier in codifiers:
            code = codifier.encode()
            for _ in range(20):
                sent += 1
                sender.sendto(head.pack(sent, now_ms, b"s", code, b"@@", 1444, 1440) + text, place)
print(sent)
"""


@dataclass
class Flooded:
    """How a process got through.

    Args:
        sent: messages.
        peak_mb: its largest resident memory.
        dropped: readings that it counted as lost, in its queues or the kernel's.
        answers: whether its pages answered at the end.
    """

    sent: int
    peak_mb: float
    dropped: int
    answers: bool


def peak_mb(pid: int) -> float:
    """Return the largest resident memory of a process so far, MB of 10**6 bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) * 1024 / 1e6


def document(bus: Bus, port: int) -> dict[str, object]:
    """Return the configuration of the process, and of the sources of the texts."""
    sources = [{"Codifier": code, "Type": "External", "DataType": "string"} for code in CODIFIERS]
    return bus.document(
        {"Codifier": "HW", "Type": "HistoryWriter", "DataType": "json", "SensorInterval": 1},
        {"Codifier": "ST", "Type": "Statistics", "SensorInterval": 60},
        {"Codifier": "SC", "Type": "StateCache", "Sensor": {"URL": "memory:"}},
        {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": port}},
        *sources,
    )


def flood(home: Path, seconds: float, senders: int) -> Flooded:
    """Flood a process; return what became of it."""
    bus, port = new_bus(), free_tcp_port()
    config = home / "config.json"
    config.write_text(json.dumps(document(bus, port)))
    command = [*JPH, "up", "-u", str(config)]
    share = len(CODIFIERS) // senders
    with ExitStack() as stack:
        log = stack.enter_context((home / "log").open("ab"))
        with bare_receiver(bus.control) as control:
            process = subprocess.Popen(
                command, env=environment(home), cwd=home, stdout=log, stderr=log
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            while control.recv(2048)[16:19] != b"NHW":
                pass
        running = []
        for number in range(senders):
            codes = " ".join(CODIFIERS[number * share :][:share])
            arguments = [bus.data[0], str(bus.data[1]), codes, str(seconds)]
            program = [sys.executable, "-c", SENDER, *arguments]
            running.append(subprocess.Popen(program, cwd=TOP, stdout=subprocess.PIPE, text=True))
        sent = sum(int(one.communicate(timeout=seconds + 60)[0]) for one in running)
        dropped, answers = counted(f"http://127.0.0.1:{port}")
        peak = peak_mb(process.pid)
        process.terminate()
        process.wait(30)
    return Flooded(sent, peak, dropped, answers)


def counted(address: str) -> tuple[int, bool]:
    """Return how many messages a process counted as dropped, and whether its pages answer."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        try:
            with urllib.request.urlopen(f"{address}/healthz", timeout=10) as answer:
                health = json.load(answer)
            with urllib.request.urlopen(f"{address}/sensor/HW", timeout=10) as answer:
                value = json.load(answer)[0].get("Object") or {}
            dropped = health["kernel_drops"] + health["overruns"] + value.get("dropped", 0)
            return dropped, True
        except OSError:
            time.sleep(0.2)
    return 0, False


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="A flood of the longest texts.")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--senders", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jph-flood-") as folder:
        result = flood(Path(folder), arguments.seconds, arguments.senders)
    rate = result.sent / arguments.seconds
    print(
        f"{rate:,.0f} texts/s of 1,440 bytes for {arguments.seconds:g} s:"
        f" at most {result.peak_mb:.0f} MB (limit {MOST_MB:g}), {result.dropped:,} of"
        f" {result.sent:,} dropped and counted, pages answer: {result.answers}"
    )
    return 0 if result.peak_mb <= MOST_MB and result.answers else 1


if __name__ == "__main__":
    sys.exit(main())
