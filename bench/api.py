"""Measure the API: 1,000 components with their states, and a long history.

    python -m bench.api [--server gevent] [--seconds 10]

A web server in a process of its own shows 1,000 sensors that send 200 readings a second. A program
asks for all of them again and again, as JSON and compressed, over connections of its own. Then it
asks for a history of a million readings, which it takes as fast as it comes.
"""

import argparse
import gzip
import http.client
import json
import math
import random
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import common
from bench.memory import resident_mb
from bench.pages import READING, cpu_s
from jph.stores import open_history, row_of

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SENSORS = [f"{a}{b}" for a in LETTERS for b in LETTERS if a + b not in ("HW", "WB")][:1000]
RATE = 200  # readings a second, of all sensors together
HISTORY = 1_000_000  # readings of the first sensor
MOST_MS, MOST_GROWTH_MB = 30, 10
PAUSE_S = 0.02


class Bus(threading.Thread):
    """The sensors, one after the other."""

    def __init__(self, place: common.Place) -> None:
        super().__init__(daemon=True)
        self._place = place
        self._stop_now = threading.Event()

    def run(self) -> None:
        with common.bare_sender() as sender:
            began_s, sent = time.monotonic(), 0
            while not self._stop_now.wait(0.005):
                for _ in range(int((time.monotonic() - began_s) * RATE) - sent):
                    code = SENSORS[sent % len(SENSORS)].encode()
                    now_ms = time.time_ns() // 1_000_000
                    head = sent // len(SENSORS) + 1, now_ms, b"f", code, b"@@", 4
                    sender.sendto(READING.pack(*head, random.gauss(20, 1)), self._place)
                    sent += 1

    def stop(self) -> None:
        """Send no more."""
        self._stop_now.set()
        self.join()


@contextmanager
def served(server: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run the web server of a network of 1,000 sensors; give its process and its port."""
    with common.network() as net, ExitStack() as stack:
        document = json.loads(net.config.read_text())
        port = common.free_port()
        document["Sensors"] = [
            *(
                {
                    "Codifier": code,
                    "Name": f"Sensor {code} of the house",
                    "Symbol": "°C",
                    "Type": "External",
                    "SensorInterval": 5,
                    "Area": f"House/Room {n % 20}",
                    "Labels": ["climate"],
                }
                for n, code in enumerate(SENSORS)
            ),
            {"Codifier": "HW", "Type": "HistoryWriter", "Host": "nowhere"},
            {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": port, "Server": server}},
        ]
        config = net.folder / "api.json"
        config.write_text(json.dumps(document))
        home = net.folder / "home"
        store_history(home)
        command = [sys.executable, "-m", "tools.main", "run", "WB", "-u", str(config)]
        process = stack.enter_context(
            subprocess.Popen([*command, "--home", str(home)], cwd=common.ROOT)
        )
        stack.callback(process.send_signal, signal.SIGTERM)
        bus = Bus(net.data)
        bus.start()
        stack.callback(bus.stop)
        common.await_pages(process, port)
        time.sleep(6)  # every sensor has spoken
        yield process, port


def store_history(home: Path) -> None:
    """Store a million readings of one sensor."""
    history = open_history("sqlite:///history.sqlite", home)
    now_ms = time.time_ns() // 1_000_000
    for block in range(0, HISTORY, 20_000):
        rows = [
            row_of((SENSORS[0], now_ms - (HISTORY - n) * 100, n, n % 17 + 0.5, "f", 4, ("", 0)))
            for n in range(block, block + 20_000)
        ]
        history.append([row for row in rows if row is not None])
    history.close()


def fetch(port: int, path: str, encoding: str = "identity") -> bytes:
    """Ask for something; return its body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, 60)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": encoding})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise SystemExit(f"{path}: {answer.status}")
    return gzip.decompress(body) if encoding == "gzip" else body


def measure(name: str, pid: int, ask: Callable[[], bytes], seconds: float) -> list[str]:
    """Ask again and again; return a row.

    The processor time is that of the whole server, which hears the bus meanwhile; on a busy machine
    it tells more than the clock.
    """
    size, before_s = len(ask()), cpu_s(pid)
    found: list[float] = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        began_s = time.perf_counter()
        ask()
        found.append((time.perf_counter() - began_s) * 1000)
        time.sleep(PAUSE_S)
    used_ms = (cpu_s(pid) - before_s) * 1000 / len(found)
    found.sort()
    p95 = found[min(len(found) - 1, math.ceil(len(found) * 0.95))]
    _, limit, verdict = common.verdict(p95 / MOST_MS, most=1)
    median = f"{statistics.median(found):.1f}"
    longest, used = f"{found[-1]:.1f}", f"{used_ms:.1f}"
    return [name, f"{size / 1e3:.0f}", used, median, f"{p95:.1f}", longest, limit, verdict]


def export(process: subprocess.Popen[bytes], port: int) -> list[str]:
    """Take a long history; return a row about time and memory."""
    before_mb = peak_mb = resident_mb(process.pid)
    began_s, size = time.perf_counter(), 0
    connection = http.client.HTTPConnection("127.0.0.1", port, 60)
    connection.request("GET", f"/api/v1/history/{SENSORS[0]}?from=0&format=ndjson")
    answer = connection.getresponse()
    while data := answer.read(1 << 20):
        size += len(data)
        peak_mb = max(peak_mb, resident_mb(process.pid))
    seconds = time.perf_counter() - began_s
    connection.close()
    growth = peak_mb - before_mb
    _, limit, verdict = common.verdict(growth / MOST_GROWTH_MB, most=1)
    each = f"{HISTORY / seconds / 1e3:.0f}"
    return ["a million readings", f"{size / 1e6:.0f}", each, f"{growth:.1f}", limit, verdict]


def main() -> None:
    """Measure one server."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--server", choices=["waitress", "gevent"], default="waitress")
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    path = "/api/v1/components"
    with served(arguments.server) as (process, port):
        rows = [
            measure(name, process.pid, ask, arguments.seconds)
            for name, ask in {
                "1,000 components": lambda: fetch(port, path),
                "compressed": lambda: fetch(port, path, "gzip"),
                "50 of them, by area": lambda: fetch(port, f"{path}?area=House/Room%207"),
            }.items()
        ]
        long = export(process, port)
    heads = ["", "kB", "processor, ms", "median, ms", "p95, ms", "longest, ms", "of 30 ms", ""]
    common.print_table(f"The API on {arguments.server}, {RATE} readings/s", heads, rows)
    heads = ["", "MB", "thousand/s", "growth, MB", "of 10 MB", ""]
    common.print_table("A long history", heads, [long])
    if any(row[-1] != "met" for row in [*rows, long]):
        raise SystemExit("missed a limit")


if __name__ == "__main__":
    main()
