"""Shared by the programs of bench/: a bus of their own, C programs, runs side by side, a table."""

import http.client
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
BUFFER = 4 << 20  # bytes asked for by every receiver

T = TypeVar("T")
Place = tuple[str, int]  # multicast group and port


@dataclass(frozen=True, slots=True)
class Network:
    """A bus without other programs, and its configuration.

    Args:
        config: path of the configuration, with the Codifiers C1 and C2.
        data: group and port of its data channel.
        folder: for the files of a program.
    """

    config: Path
    data: Place
    folder: Path


@contextmanager
def network() -> Iterator[Network]:
    """Make a network on the loopback interface; its folder is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="jph-bench-") as name:
        folder = Path(name)
        os.environ["JPH_HOME"] = str(folder / "home")
        os.environ["JPH_SILENT"] = "1"
        channels = {}
        for channel in ("Control-Channel", "Data-Channel"):
            tail = f"{random.randint(100, 250)}.{random.randint(1, 250)}"
            place = {"Address": f"239.76.{tail}", "Port": free_port()}
            channels[channel] = {**place, "Interface": LOOPBACK, "TTL": 0}
        sensors = [
            {"Codifier": code, "Type": "Pipe", "Sensor": {"Pipe": "/proc/uptime"}}
            for code in ("C1", "C2")
        ]
        config = folder / "config.json"
        config.write_text(json.dumps({"Multicast": channels, "Sensors": sensors}))
        data = channels["Data-Channel"]
        yield Network(config, (str(data["Address"]), int(str(data["Port"]))), folder)


def free_port() -> int:
    """Return a UDP port that no program has now."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port


def compiled(name: str, folder: Path) -> str:
    """Compile bench/c/NAME.c into a folder, once; return the path of the program."""
    program = folder / name
    if not program.exists():
        source = ROOT / "bench" / "c" / f"{name}.c"
        subprocess.run(["gcc", "-O2", "-Wall", "-o", program, source], check=True)
    return str(program)


def bare_sender() -> socket.socket:
    """Open a socket that sends to multicast groups on the loopback interface."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
    return sender


def bare_receiver(place: Place) -> socket.socket:
    """Open a socket that receives from one multicast group on the loopback interface."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    receiver.bind(place)
    membership = socket.inet_aton(place[0]) + socket.inet_aton(LOOPBACK)
    receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    return receiver


@contextmanager
def started(command: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """Start a program, wait until it prints "ready", and terminate it at the end."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise SystemExit(f"this program ended before it was ready: {' '.join(command)}")
            yield process
        finally:
            process.terminate()


def await_pages(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a web server that was just started answers."""
    until_s = time.monotonic() + 30
    while True:
        with (
            suppress(OSError),
            closing(http.client.HTTPConnection(LOOPBACK, port, 60)) as connection,
        ):
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            return
        if time.monotonic() > until_s or process.poll() is not None:
            raise SystemExit("the web server does not start")
        time.sleep(0.1)


def python(module: str, *arguments: object) -> list[str]:
    """Return the command that runs one of these programs in a process of its own."""
    return [sys.executable, "-m", module, *map(str, arguments)]


def last_line(process: subprocess.Popen[str], timeout_s: float = 60) -> str:
    """Return the last line that a program prints before it ends by itself."""
    lines = process.communicate(timeout=timeout_s)[0].splitlines()
    if process.returncode or not lines:
        raise SystemExit(f"this program failed: {process.args!r}")
    return str(lines[-1])


def interleaved(measures: Mapping[str, Callable[[], T]], runs: int) -> dict[str, list[T]]:
    """Measure each in turn, several times, so that other load disturbs all of them."""
    results: dict[str, list[T]] = {name: [] for name in measures}
    for _ in range(runs):
        for name, measure in measures.items():
            results[name].append(measure())
    return results


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)


def verdict(ratio: float, least: float | None = None, most: float | None = None) -> list[str]:
    """Return the last columns of a row: the ratio, the target, and whether it is met."""
    if least is not None:
        return [f"{ratio:.2f}", f"at least {least:g}", "met" if ratio >= least else "MISSED"]
    if most is not None:
        return [f"{ratio:.2f}", f"at most {most:g}", "met" if ratio <= most else "MISSED"]
    return [f"{ratio:.2f}"]


def print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns, the first to the left and the others to the right."""
    lines = [list(heads), *([*row, *[""] * (len(heads) - len(row))] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    busy = os.getloadavg()[0]
    print(f"{title} (load average {busy:.1f} on {os.cpu_count()} processors)")
    for line in lines:
        first, *others = (
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        print("  ", first, "  ", "   ".join(others), sep="")
    sys.stdout.flush()
