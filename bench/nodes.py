"""Measure a node with many sensors, the start of a small one, and one process against many.

    python -m bench.nodes [--seconds 20] [--runs 7]

1. A thousand simulated sensors in one process, each with a reading every second: processor time,
   resident memory, and how late the readings are. A reading is late by its distance from the
   schedule of its sensor: the latest schedule, one reading a second, that no reading is ahead of.
2. From the start of `jph up` to the first reading of a node with ten sensors on the bus.
3. The 76 components of a network in one process, and in a process each: the time until all of them
   are on the bus, and the memory (proportional set size, which counts shared pages once).
"""

import argparse
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench import common
from bench.common import Network, Place
from bench.memory import resident_mb

SENSORS = 1000
MOST_CORE = 0.25
MOST_MB = 60.0
MOST_LATE_MS = 50.0
MOST_START_S = 0.7
COMPONENTS = 76
WARM_UP_S = 4.0
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
HEADER = struct.Struct("<I4xQc2s2s3xI")


def codes(count: int) -> list[str]:
    """Return `count` Codifiers."""
    signs = LETTERS + LETTERS.lower() + "0123456789"
    return [first + second for first in LETTERS for second in signs][:count]


def write(net: Network, name: str, sensors: Sequence[Mapping[str, object]]) -> Path:
    """Write a configuration of these components on the bus of the bench."""
    document = json.loads(net.config.read_text())
    document["Sensors"] = list(sensors)
    path = net.folder / name
    path.write_text(json.dumps(document))
    return path


def simulated(net: Network) -> Path:
    """Write a configuration of a thousand simulated sensors."""
    settings = ({"Kind": "walk"}, {"Kind": "sine"})
    return write(
        net,
        "simulated.json",
        [
            {"Codifier": c, "Type": "Simulated", "SensorInterval": 1, "Sensor": settings[at % 2]}
            for at, c in enumerate(codes(SENSORS))
        ],
    )


def pipes(net: Network, count: int, interval_s: float) -> Path:
    """Write a configuration of Pipe sensors."""
    entry: dict[str, Any] = {"Type": "Pipe", "SensorInterval": interval_s}
    entry["Sensor"] = {"Pipe": "/proc/loadavg"}
    return write(net, f"pipes{count}.json", [{"Codifier": c, **entry} for c in codes(count)])


@contextmanager
def up(config: Path, home: Path, *codifiers: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run all components, or some, in a process of their own."""
    action = ["run", *codifiers] if codifiers else ["up"]
    program = Path(sys.executable).with_name("jph")
    command = [str(program), *action, "--home", str(home), "--config", str(config)]
    with (
        open(home.with_suffix(".log"), "ab") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def messages(receiver: socket.socket, until_s: float) -> Iterator[tuple[float, str, str, int]]:
    """Yield the time of arrival of each message, its flag, its source and its timestamp in ms."""
    while (left_s := until_s - time.monotonic()) > 0:
        if select.select([receiver], [], [], left_s)[0]:
            datagram = receiver.recv(2048)
            _, sent_ms, flag, source, _, _ = HEADER.unpack_from(datagram)
            yield time.monotonic(), flag.decode(), source.decode(), sent_ms


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def shared_mb(pid: int) -> float:
    """Return the proportional set size of a process in MB of 10**6 bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def lateness_ms(times_s: Sequence[float]) -> list[float]:
    """Return how far each time is behind a schedule of one a second."""
    offsets = [at_s - number for number, at_s in enumerate(times_s)]
    return [(offset - min(offsets)) * 1000 for offset in offsets]


def a_thousand(net: Network, seconds: float) -> list[list[str]]:
    """Return the rows of the first figure."""
    times: dict[str, list[float]] = defaultdict(list)
    with up(simulated(net), net.folder / "thousand") as process:
        receiver = common.bare_receiver(net.data)
        for _ in messages(receiver, time.monotonic() + 60):
            break  # the node is on the bus
        for _ in messages(receiver, time.monotonic() + WARM_UP_S):
            pass
        before_s, began_s = cpu_s(process.pid), time.monotonic()
        for at_s, flag, source, _ in messages(receiver, began_s + seconds):
            if flag == "f":
                times[source].append(at_s)
        core = (cpu_s(process.pid) - before_s) / (time.monotonic() - began_s)
        used_mb = resident_mb(process.pid)
        receiver.close()
    late = sorted(late for each in times.values() for late in lateness_ms(each))
    count = sum(map(len, times.values()))
    p99 = late[len(late) * 99 // 100] if late else float("inf")
    expected = len(times) * seconds
    return [
        [
            "readings of the expected",
            f"{count}",
            f"{count / expected:.3f}",
            f"{len(times)} sensors",
        ],
        ["processor, of one core", f"{core:.1%}", *common.verdict(core / MOST_CORE, most=1)],
        ["resident memory, MB", f"{used_mb:.1f}", *common.verdict(used_mb / MOST_MB, most=1)],
        ["late at p99, ms", f"{p99:.1f}", *common.verdict(p99 / MOST_LATE_MS, most=1)],
    ]


def first_reading_s(net: Network, config: Path, home: Path) -> float:
    """Return how long a node takes from its start to its first reading on the bus."""
    receiver = common.bare_receiver(net.data)
    began_s = time.monotonic()
    try:
        with up(config, home):
            for at_s, flag, _, _ in messages(receiver, began_s + 60):
                if flag == "f":
                    return at_s - began_s
    finally:
        receiver.close()
    raise SystemExit(f"no reading; see {home.with_suffix('.log')}")


def on_the_bus(net: Network, config: Path, *, together: bool) -> tuple[float, float]:
    """Start all components; return the seconds until all sent N, and their memory in MB."""
    document = json.loads(config.read_text())
    control = document["Multicast"]["Control-Channel"]
    place: Place = (control["Address"], control["Port"])
    names = [entry["Codifier"] for entry in document["Sensors"]]
    missing = set(names)
    receiver = common.bare_receiver(place)
    home = net.folder / "many"
    with ExitStack() as stack:
        stack.callback(receiver.close)
        began_s = time.monotonic()
        processes = [
            stack.enter_context(up(config, home, *group))
            for group in ([()] if together else [(name,) for name in names])
        ]
        took_s = float("inf")
        for at_s, flag, source, _ in messages(receiver, began_s + 180):
            if flag == "N":
                missing.discard(source)
            if not missing:
                took_s = at_s - began_s
                break
        time.sleep(3)
        used_mb = sum(shared_mb(process.pid) for process in processes)
        for process in processes:
            process.terminate()
        return took_s, used_mb


def main() -> None:
    """Measure all three."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    with common.network() as net:
        heads = ["", "", "of the limit", "target", ""]
        rows = a_thousand(net, arguments.seconds)
        common.print_table(f"{SENSORS} sensors at 1 s for {arguments.seconds:g} s", heads, rows)
        ten, home = pipes(net, 10, 1.0), net.folder / "ten"
        first_s = first_reading_s(net, ten, home)
        took_s = common.median([first_reading_s(net, ten, home) for _ in range(arguments.runs)])
        rows = [
            [
                "later starts",
                f"{took_s:.2f}",
                *common.verdict(took_s / MOST_START_S, most=1),
            ],
            ["first start, which makes the home", f"{first_s:.2f}"],
        ]
        title = f"Start to first reading of 10 sensors, s, median of {arguments.runs}"
        common.print_table(title, heads, rows)
        many = pipes(net, COMPONENTS, 10.0)
        on_the_bus(net, many, together=True)  # fills the caches of the system
        results = {kind: on_the_bus(net, many, together=kind == "one") for kind in ("one", "each")}
        rows = []
        for at, name in enumerate(("until all are on the bus, s", "memory, MB")):
            one, each = (results[kind][at] for kind in ("one", "each"))
            rows.append([name, f"{one:.2f}", f"{each:.2f}", f"{each / one:.1f}"])
        common.print_table(
            f"{COMPONENTS} components", ["", "one process", "a process each", "ratio"], rows
        )


if __name__ == "__main__":
    main()
