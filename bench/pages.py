"""Measure the pages under load and attack: live readers, other pages meanwhile, memory, bytes.

    python -m bench.pages [--server gevent] [--readers 1000] [--seconds 10]

A web server in a process of its own shows 200 sensors that send 200 readings a second. Readers of
the live stream come from many addresses of the loopback network, as browsers would; other pages are
asked for one after the other. Then the same with readers that never read, with connections that
send a byte now and then, with strangers who ask for long histories, and with wrong passwords. The
last rows say what a dashboard costs on the wire.
"""

import argparse
import http.client
import json
import math
import os
import random
import selectors
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import urllib.parse
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from bench import common
from bench.memory import resident_mb
from jph.stores import open_history, row_of

SENSORS = [f"{first}{second}" for first in "ABCDEFGHIJ" for second in "abcdefghijklmnopqrst"]
BEFORE = 120  # readings of each sensor before the measurement, as many as a card shows
RATE = 200  # readings a second, of all sensors together
READING = struct.Struct("<I4xQ1s2s2s3xIf")
READERS_OF_ADDRESS = 5
PAGES = ("/", "/component/Aa", "/healthz", "/sensor/Aa", "/sign-in")
PAUSE_S = 0.02  # between two pages
HISTORY = 20_000  # readings of each of 50 sensors, about two weeks at one a minute
DASHBOARD = "/live?cards=1"
MOST_MS, MOST_MB, MOST_SNAPSHOT_KB, MOST_KB_S = 200, 120, 40, 12


class Bus(threading.Thread):
    """The sensors: random walks, each sensor once a second."""

    def __init__(self, place: common.Place) -> None:
        super().__init__(daemon=True)
        self._place = place
        self._filled = threading.Event()
        self._stop_now = threading.Event()

    def run(self) -> None:
        values = {code: random.uniform(-20, 1000) for code in SENSORS}
        with common.bare_sender() as sender:

            def send(number: int, time_ms: int) -> None:
                code = SENSORS[number % len(SENSORS)]
                values[code] += random.gauss(0, 0.1)
                head = number // len(SENSORS) + 1, time_ms, b"f", code.encode(), b"@@", 4
                sender.sendto(READING.pack(*head, values[code]), self._place)

            sent, now_ms = 0, time.time_ns() // 1_000_000
            for _ in range(BEFORE * len(SENSORS)):
                send(sent, now_ms - (BEFORE * len(SENSORS) - sent) * 1000 // RATE)
                sent += 1
                if sent % 50 == 0:
                    time.sleep(0.005)
            self._filled.set()
            began_s, first = time.monotonic(), sent
            while not self._stop_now.wait(0.005):
                for _ in range(int((time.monotonic() - began_s) * RATE) - (sent - first)):
                    send(sent, time.time_ns() // 1_000_000)
                    sent += 1

    def fill(self) -> None:
        """Begin; return when each sensor has sent as many readings as its card shows."""
        self.start()
        self._filled.wait()

    def stop(self) -> None:
        """Send no more."""
        self._stop_now.set()
        if self.is_alive():
            self.join()


class Crowd(threading.Thread):
    """Connections that ask for something and take what comes, or do not.

    Args:
        request: what each sends at once.
        reads: whether it takes what comes.
        drip: what each sends every second from then on.
    """

    def __init__(
        self, port: int, count: int, request: bytes, *, reads: bool = True, drip: bytes = b""
    ) -> None:
        super().__init__(daemon=True)
        self._selector = selectors.DefaultSelector()
        self._drip = drip
        self._stop_now = threading.Event()
        self.received = 0
        self.began = 0  # readers that got something
        self.ended = 0
        self._seen: set[socket.socket] = set()
        self._sockets: list[socket.socket] = []
        for number in range(count):
            connection = socket.socket()
            if not reads:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            place = number // READERS_OF_ADDRESS
            connection.bind((f"127.1.{place // 250}.{place % 250 + 1}", 0))
            connection.connect(("127.0.0.1", port))
            connection.sendall(request)
            connection.setblocking(False)
            self._sockets.append(connection)
            if reads:
                self._selector.register(connection, selectors.EVENT_READ)
        self.start()

    def run(self) -> None:
        due_s = time.monotonic() + 1
        while not self._stop_now.is_set():
            for key, _ in self._selector.select(0.2):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                try:
                    size = len(connection.recv(1 << 16))
                except OSError:
                    size = 0
                self.received += size
                if size:
                    self._seen.add(connection)
                    self.began = len(self._seen)
                else:
                    self.ended += 1
                    self._selector.unregister(connection)
            if self._drip and time.monotonic() >= due_s:
                due_s += 1
                for connection in self._sockets:
                    with suppress(OSError):
                        connection.send(self._drip)

    def stop(self) -> None:
        """Leave."""
        self._stop_now.set()
        self.join()
        for connection in self._sockets:
            connection.close()
        self._selector.close()


def request(path: str, **headers: str) -> bytes:
    """Return a request of HTTP."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", "Accept-Encoding: gzip"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def fetch(
    port: int, path: str, source: str = "127.0.0.1", form: str = "", cookie: str = ""
) -> tuple[int, str, bytes]:
    """Ask for a page; return status, cookie and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, 60, source_address=(source, 0))
    headers = {"Accept-Encoding": "identity"} | ({"Cookie": cookie} if cookie else {})
    if form:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request("POST" if form else "GET", path, form or None, headers)
        answer = connection.getresponse()
        given = (answer.headers.get("Set-Cookie") or "").partition(";")[0]
        return answer.status, given, answer.read()
    finally:
        connection.close()


def latencies(port: int, seconds: float, paths: Sequence[str] = PAGES) -> list[float]:
    """Ask for pages one after the other; return how long each took, ms."""
    found: list[float] = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        path = paths[len(found) % len(paths)]
        began_s = time.perf_counter()
        status, _, _ = fetch(port, path, "127.2.0.1")
        found.append((time.perf_counter() - began_s) * 1000)
        if status != 200:
            raise SystemExit(f"{path}: {status}")
        time.sleep(PAUSE_S)
    return found


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Served:
    """The server in its process, and what is measured of it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port
        self.rows: list[list[str]] = []

    def row(self, name: str, seconds: float, paths: Sequence[str] = PAGES, note: str = "") -> None:
        """Measure pages for a while, and add a row."""
        began_s, before_s = time.monotonic(), cpu_s(self.process.pid)
        found = sorted(latencies(self.port, seconds, paths))
        load = (cpu_s(self.process.pid) - before_s) / (time.monotonic() - began_s)
        p95 = found[min(len(found) - 1, math.ceil(len(found) * 0.95))]
        used_mb = resident_mb(self.process.pid)
        good = p95 < MOST_MS and used_mb <= MOST_MB
        self.rows.append(
            [
                name,
                f"{statistics.median(found):.1f}",
                f"{p95:.1f}",
                f"{found[-1]:.1f}",
                f"{load:.0%}",
                f"{used_mb:.0f}",
                "met" if good else "MISSED",
                note,
            ]
        )


@contextmanager
def served(server: str) -> Iterator[Served]:
    """Run the web server of a network of 200 sensors, whose readings arrive."""
    with common.network() as net, ExitStack() as stack:
        document = json.loads(net.config.read_text())
        document["Sensors"] = [
            {
                "Codifier": code,
                "Name": f"Sensor {code} of the house",
                "Symbol": "°C",
                "Type": "External",
                "SensorInterval": 1,
            }
            for code in SENSORS
        ]
        port = common.free_port()
        document["Sensors"] += [
            {"Codifier": "HW", "Type": "HistoryWriter", "Host": "nowhere"},
            {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": port, "Server": server}},
        ]
        config = net.folder / "pages.json"
        config.write_text(json.dumps(document))
        home = net.folder / "home"
        store_history(home)
        run = [sys.executable, "-m", "tools.main"]
        subprocess.run(
            [*run, "user", "add", "anna", "--home", str(home)],
            input=b"correct horse\n",
            cwd=common.ROOT,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        process = stack.enter_context(
            subprocess.Popen(
                [*run, "run", "WB", "-u", str(config), "--home", str(home)], cwd=common.ROOT
            )
        )
        stack.callback(process.send_signal, signal.SIGTERM)
        bus = Bus(net.data)
        stack.callback(bus.stop)
        common.await_pages(process, port)
        bus.fill()
        yield Served(process, port)


def store_history(home: Path) -> None:
    """Store two weeks of 50 sensors."""
    history = open_history("sqlite:///history.sqlite", home)
    now_ms = time.time_ns() // 1_000_000
    for block in range(0, HISTORY, 1000):
        rows = [
            row_of((code, now_ms - (HISTORY - n) * 60_000, n, n % 17 + 0.5, "f", 4, ("", 0)))
            for n in range(block, block + 1000)
            for code in SENSORS[:50]
        ]
        history.append([row for row in rows if row is not None])
    history.close()


def on_the_wire(port: int, seconds: float) -> list[list[str]]:
    """Return rows about one dashboard: its first event, and what follows."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request(DASHBOARD))
        connection.settimeout(10)
        unpacker = zlib.decompressobj(zlib.MAX_WBITS + 16)
        data, text, first = b"", b"", 0
        while b"\r\n\r\n" not in data:
            data += connection.recv(1 << 16)
        data = data.partition(b"\r\n\r\n")[2]
        size = len(data)
        text += unpacker.decompress(data)
        while b"event: snapshot" not in text or not text.endswith(b"\n\n"):
            data = connection.recv(1 << 16)
            size += len(data)
            text += unpacker.decompress(data)
        first = size
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            size += len(connection.recv(1 << 16))
    rate = (size - first) / seconds / 1e3
    return [
        [
            "first event, kB",
            f"{first / 1e3:.1f}",
            *common.verdict(first / 1e3 / MOST_SNAPSHOT_KB, most=1),
        ],
        ["then, kB/s", f"{rate:.1f}", *common.verdict(rate / MOST_KB_S, most=1)],
    ]


def strangers(port: int) -> list[threading.Thread]:
    """Have twelve strangers ask for 50 series each; return their threads."""
    items = [
        {"codifier": c, "key": n, "field": "value", "time": 0} for n, c in enumerate(SENSORS[:50])
    ]
    path = "/sensorts/" + urllib.parse.quote(json.dumps(items, separators=(",", ":")))
    return [started_thread(fetch, port, path, f"127.3.0.{n + 1}") for n in range(12)]


def sign_ins(port: int) -> list[threading.Thread]:
    """Try forty wrong passwords at once; return the threads."""
    _, cookie, page = fetch(port, "/sign-in", "127.4.0.1")
    token = page.partition(b'name="csrf" value="')[2].partition(b'"')[0].decode()
    form = urllib.parse.urlencode({"csrf": token, "name": "anna", "password": "wrong"})
    return [started_thread(fetch, port, "/sign-in", "127.4.0.1", form, cookie) for _ in range(40)]


def started_thread(function: object, *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def main() -> None:
    """Measure one server."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--server", choices=["waitress", "gevent"], default="waitress")
    parser.add_argument("--readers", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=10)
    arguments = parser.parse_args()
    seconds = arguments.seconds
    from web.serving.server import allow_files

    allow_files()  # for the sockets of this process
    with served(arguments.server) as site, ExitStack() as stack:
        port = site.port
        wire = on_the_wire(port, seconds)
        site.row("nobody reads", seconds)
        readers = Crowd(port, arguments.readers, request(DASHBOARD))
        stack.callback(readers.stop)
        time.sleep(2)
        began_s, before = time.monotonic(), readers.received
        site.row(f"{arguments.readers} readers", seconds)
        each = (readers.received - before) / (time.monotonic() - began_s) / arguments.readers / 1e3
        mute = Crowd(port, 50, request("/live"), reads=False)
        stack.callback(mute.stop)
        site.row("and 50 that never read", seconds)
        slow = Crowd(port, 500, b"GET / HTTP/1.1\r\nHost: ", drip=b"a")
        site.row("and 500 slow connections", seconds)
        slow.stop()
        asked = strangers(port)
        site.row("and 12 who ask for 50 series", seconds, ["/healthz"])
        for thread in asked:
            thread.join(60)
        asked = sign_ins(port)
        site.row("and 40 wrong passwords", seconds, ["/healthz"])
        for thread in asked:
            thread.join(60)
        note = f"{readers.began} readers got {each:.1f} kB/s each, {readers.ended} were dropped"
    common.print_table(
        f"Pages of {len(SENSORS)} sensors on {arguments.server}, {RATE} readings/s",
        ["", "median, ms", "p95, ms", "longest, ms", "processor", "MB", ""],
        [row[:7] for row in site.rows],
    )
    print(f"  {note}")
    common.print_table("One dashboard, as sent", ["", "", "of the limit", "target", ""], wire)


if __name__ == "__main__":
    main()
