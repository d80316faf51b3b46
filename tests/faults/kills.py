"""The whole process is killed with SIGKILL under load, again and again: nothing is lost, or twice.

    python -m tests.faults.kills --store sqlite|postgres|away --kills 100 [--rate 500]

`jph up` runs a HistoryWriter, Statistics and a StateCache. A listener of its own, which is passive
and shares no code with JPH, hears the same group; what it heard is the reference. At a kill the
sender pauses: the process is frozen first (SIGSTOP), then the kernel is asked how many datagrams
wait in its socket, and then it is killed. These have not reached the collector; they are counted
apart, and only the very last ones that were sent can be among them. With `away` PostgreSQL is
stopped while the process is killed, and comes back at the end.
"""

import argparse
import contextlib
import json
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.rig import CODIFIERS, FLOAT, Identity, Verdict, value_of
from tests.helpers import Bus, bare_receiver, bare_sender, eventually, new_bus
from tests.servers import PostgresServer, running_postgres
from tests.tools.program import JPH, environment

STORES = ("sqlite", "postgres", "away")
LIVES_S = (0.2, 1.5)  # how long the process lives between two kills
TICK_S = 0.002


class Listener:
    """What the data channel carries, heard by a bare socket."""

    def __init__(self, bus: Bus) -> None:
        self.heard: list[Identity] = []
        self._socket = bare_receiver(bus.data, timeout_s=0.1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener")
        self._thread.start()

    def close(self) -> None:
        """Hear no more."""
        self._ending.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                datagram = self._socket.recv(2048)
                if len(datagram) == FLOAT.size and datagram[16:17] == b"f":
                    sequence, time_ms, _, code, _, _, _ = FLOAT.unpack(datagram)
                    if code.decode() in CODIFIERS:
                        self.heard.append((code.decode(), time_ms, sequence))


class Sender:
    """Readings at a steady rate, from a thread that can be paused between two of them."""

    def __init__(self, bus: Bus, rate: int) -> None:
        self.sent = 0
        self.goes_on = threading.Lock()  # whoever holds it stops the sender
        self._bus = bus
        self._rate = rate
        self._ending = threading.Event()
        self._sequences = {codifier: random.randrange(1, 1 << 30) for codifier in CODIFIERS}
        self._thread = threading.Thread(target=self._run, name="sender")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End, if it began."""
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        owed = 0.0
        with bare_sender() as sender:
            while not self._ending.wait(TICK_S):
                with self.goes_on:
                    owed += TICK_S * self._rate
                    for _ in range(int(owed)):
                        self._send(sender)
                    owed %= 1

    def _send(self, sender: socket.socket) -> None:
        codifier = CODIFIERS[self.sent % len(CODIFIERS)]
        sequence = self._sequences[codifier] = self._sequences[codifier] + 1
        time_ms = time.time_ns() // 1_000_000
        value = value_of(codifier, sequence)
        datagram = FLOAT.pack(sequence, time_ms, b"f", codifier.encode(), b"@@", 4, value)
        sender.sendto(datagram, self._bus.data)
        self.sent += 1


class Process:
    """`jph up` in a home of its own."""

    def __init__(self, home: Path, bus: Bus, url: str) -> None:
        self.home = home
        self.bus = bus
        writer = {"Codifier": "HW", "Type": "HistoryWriter", "DataType": "json"}
        writer |= {"SensorInterval": 5, "Sensor": {"URL": url}}
        others = [{"Codifier": "ST", "Type": "Statistics", "SensorInterval": 60}]
        others += [{"Codifier": "SC", "Type": "StateCache", "Sensor": {"URL": "memory:"}}]
        self.config = home / "config.json"
        self.config.write_text(json.dumps(bus.document(writer, *others)))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it has joined both channels."""
        command = [*JPH, "up", "-u", str(self.config)]
        with bare_receiver(self.bus.control) as control, (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment(self.home), cwd=self.home, stdout=log, stderr=log
            )
            while control.recv(2048)[16:19] != b"NHW":
                pass

    def freeze(self) -> int:
        """Stop it where it is; return the bytes that wait in its socket of the data channel."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        status = Path(f"/proc/{self._process.pid}/status")
        eventually(lambda: "\nState:\tT" in status.read_text(), what="it stands still")
        return waiting_bytes(self.bus, inodes_of(self._process.pid))

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """End it as a service manager does."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(30)
        self._process = None


def inodes_of(pid: int) -> set[str]:
    """Return the inodes of the sockets of a process."""
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            name = str(link.readlink())
            if name.startswith("socket:["):
                found.add(name[8:-1])
    return found


def waiting_bytes(bus: Bus, inodes: set[str]) -> int:
    """Return what the kernel holds for the sockets among these that are bound to the data group."""
    packed = socket.inet_aton(bus.data[0])
    place = f"{int.from_bytes(packed, sys.byteorder):08X}:{bus.data[1]:04X}"
    total = 0
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == place and fields[9] in inodes:
            total += int(fields[4].partition(":")[2], 16)
    return total


def bytes_of_one(bus: Bus) -> int:
    """Return what the kernel counts for one waiting reading."""
    with bare_receiver(bus.data) as receiver, bare_sender() as sender:
        inode = {str(Path(f"/proc/self/fd/{receiver.fileno()}").readlink())[8:-1]}
        for _ in range(16):
            sender.sendto(bytes(FLOAT.size), bus.data)
        return eventually(lambda: waiting_bytes(bus, inode)) // 16


def kills(process: Process, store: "Store", count: int, rate: int) -> Verdict:
    """Kill a process so many times; return what became of what the listener heard."""
    one = bytes_of_one(process.bus)
    unread: set[Identity] = set()
    unread_counts: list[int] = []
    listener, sender = Listener(process.bus), Sender(process.bus, rate)
    try:
        process.start()
        sender.start()
        store.begin()
        for _ in range(count):
            time.sleep(random.uniform(*LIVES_S))
            with sender.goes_on:
                waiting = process.freeze() // one
                eventually(lambda: len(listener.heard) == sender.sent, what="all was heard")
                process.kill()
                unread |= set(listener.heard[len(listener.heard) - waiting :] if waiting else ())
                unread_counts.append(waiting)
                process.start()
        time.sleep(1)
        sender.close()
        eventually(lambda: len(listener.heard) == sender.sent, what="all was heard")
        store.end()
        heard = set(listener.heard) - unread
        with contextlib.suppress(AssertionError):  # the verdict tells what is missing
            eventually(lambda: store.has_all(heard, process), 60)
        process.stop()
    finally:
        sender.close()
        process.kill()
        listener.close()
    rows = store.rows()
    stored: dict[Identity, int] = {}
    wrong = []
    for code, time_ms, sequence, value in rows:
        identity = (code, time_ms, sequence)
        stored[identity] = stored.get(identity, 0) + 1
        if value != value_of(code, sequence):
            wrong.append(identity)
    known = set(listener.heard)
    return Verdict(
        len(known),
        sorted(heard - stored.keys()),
        [identity for identity, times in stored.items() if times > 1],
        wrong + [identity for identity in stored if identity not in known],
        {"kills": count, "not read from the socket at a kill": sum(unread_counts)},
    )


class Store:
    """The history of a run."""

    url: str

    def begin(self) -> None:
        """Called when the process runs."""

    def end(self) -> None:
        """Called when no more is sent."""

    def rows(self) -> list[tuple[str, int, int, float]]:
        """Return all readings of the load."""
        raise NotImplementedError

    def has_all(self, wanted: set[Identity], process: Process) -> bool:
        """Tell whether all these are stored."""
        time.sleep(0.2)
        return wanted <= {row[:3] for row in self.rows()}


class SqliteStore(Store):
    """A file in the home."""

    def __init__(self, home: Path) -> None:
        self.url = "sqlite:///history.sqlite"
        self._path = home / "history.sqlite"

    def rows(self) -> list[tuple[str, int, int, float]]:
        query = "SELECT codifier, timestamp, sequence, value FROM measurement"
        with contextlib.closing(sqlite3.connect(self._path, timeout=10)) as connection:
            return [row for row in connection.execute(query) if row[0] in CODIFIERS]

    def has_all(self, wanted: set[Identity], process: Process) -> bool:
        return True  # a stop writes what waits


class PostgresStore(Store):
    """A database; `away`: its server is stopped during the kills."""

    def __init__(self, server: PostgresServer, database: str, *, away: bool) -> None:
        self.url = server.url(database)
        self._server, self._database, self._away = server, database, away

    def begin(self) -> None:
        query = "SELECT to_regclass('measurement') IS NOT NULL"
        eventually(lambda: self._server.execute(query, self._database)[0][0], what="tables")
        if self._away:
            self._server.stop()

    def end(self) -> None:
        self._server.start()

    def rows(self) -> list[tuple[str, int, int, float]]:
        query = (
            "SELECT codifier, timestamp, sequence, value FROM measurement WHERE codifier = ANY(%s)"
        )
        return self._server.execute(query, self._database, (CODIFIERS,))


@contextlib.contextmanager
def store_of(kind: str, home: Path) -> Iterator[Store]:
    """Make a store."""
    if kind == "sqlite":
        yield SqliteStore(home)
        return
    with running_postgres(durable=True) as server:
        yield PostgresStore(server, server.create_database(), away=kind == "away")


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="The whole process is killed under load.")
    parser.add_argument("--store", choices=STORES, default="sqlite")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--rate", type=int, default=500, help="readings per second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jph-kills-") as folder:
        home = Path(folder)
        with store_of(arguments.store, home) as store:
            process = Process(home, new_bus(), store.url)
            verdict = kills(process, store, arguments.kills, arguments.rate)
    print(f"{arguments.store}: {verdict}")
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
