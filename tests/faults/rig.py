"""What faults happen to: a bus under load, writers in processes of their own, a PostgreSQL.

A reading's identity is (Codifier, timestamp, sequence); its value follows from them. Afterwards
what is stored is compared with what was sent: each once, each with its value.
"""

import contextlib
import json
import random
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jph.stores.spool import Spool, spool_of
from tests.helpers import Bus, bare_receiver, bare_sender, eventually, new_bus
from tests.servers import PostgresServer, running_postgres
from tests.tools.program import JPH, environment

TICK_S = 0.01
CODIFIERS = [f"{a}{b}" for a in "ABCDEFGIJK" for b in "0123456789"]
FLOAT = struct.Struct("<I4xQ1s2s2s3xIf")

Identity = tuple[str, int, int]


def value_of(codifier: str, sequence: int) -> float:
    """Return the value of a reading; float32 holds it exactly."""
    return float((CODIFIERS.index(codifier) * 7919 + sequence * 31) % 65521)


class Load:
    """Readings on the bus at a steady rate, from a thread; what was sent is remembered."""

    def __init__(self, bus: Bus, rate: int = 1000) -> None:
        self.bus = bus
        self.rate = rate
        self.sent: list[Identity] = []
        self._sequences = {codifier: random.randrange(1, 1 << 30) for codifier in CODIFIERS}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send no more; return when the last one is sent."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        began_s, sent = time.monotonic(), 0
        with bare_sender() as sender:
            while not self._stop.wait(TICK_S):
                due = int((time.monotonic() - began_s) * self.rate)
                for _ in range(due - sent):
                    self._send(sender, sent)
                    sent += 1

    def _send(self, sender: socket.socket, number: int) -> None:
        codifier = CODIFIERS[number % len(CODIFIERS)]
        sequence = self._sequences[codifier] = self._sequences[codifier] + 1
        time_ms = time.time_ns() // 1_000_000
        value = value_of(codifier, sequence)
        datagram = FLOAT.pack(sequence, time_ms, b"f", codifier.encode(), b"@@", 4, value)
        sender.sendto(datagram, self.bus.data)
        self.sent.append((codifier, time_ms, sequence))


class Writer:
    """A HistoryWriter in a process of its own."""

    def __init__(self, codifier: str, rig: "Rig") -> None:
        self.codifier = codifier
        self.rig = rig
        self.log = rig.home / f"{codifier}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return when it is on the bus."""
        command = [*JPH, "run", self.codifier, "-u", str(self.rig.config)]
        with (
            bare_receiver(self.rig.bus.control, timeout_s=20) as control,
            self.log.open("ab") as log,
        ):
            self._process = subprocess.Popen(
                command, env=environment(self.rig.home), cwd=self.rig.home, stdout=log, stderr=log
            )
            while True:
                datagram = control.recv(2048)
                if datagram[16:19] == b"N" + self.codifier.encode():
                    return

    def kill(self) -> None:
        """Kill it with SIGKILL."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Stop it as systemd would."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    @property
    def is_running(self) -> bool:
        """Tell whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def spooled(self) -> int:
        """Return how many readings lie in its spool; only while it is not running."""
        spool: Spool = spool_of(self.codifier, self.rig.home)
        spool.close()
        return spool.readings


@dataclass
class Verdict:
    """What became of the readings.

    Args:
        sent: how many went out.
        lost: those that are not stored.
        twice: those that are stored more than once.
        wrong: those that were never sent, or have another value.
        figures: what else was measured, for people.
    """

    sent: int
    lost: list[Identity]
    twice: list[Identity]
    wrong: list[Identity]
    figures: dict[str, object] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Tell whether each reading is stored once."""
        return self.sent > 0 and not (self.lost or self.twice or self.wrong)

    def __str__(self) -> str:
        counts = f"{self.sent:,} sent, {len(self.lost)} lost, {len(self.twice)} twice"
        others = [f"{len(self.wrong)} wrong"] if self.wrong else []
        others += [f"{name} {figure}" for name, figure in self.figures.items()]
        return ", ".join([counts, *others])


class Rig:
    """One bus, one database, writers HW and H2 that share a home."""

    def __init__(self, folder: Path, server: PostgresServer, database: str) -> None:
        self.server = server
        self.database = database
        self.bus = new_bus()
        self.home = folder
        self.config = folder / "config.json"
        self.hw, self.h2 = Writer("HW", self), Writer("H2", self)
        entries = [
            {
                "Codifier": writer.codifier,
                "Type": "HistoryWriter",
                "DataType": "json",
                "SensorInterval": 1,
                "Sensor": {"URL": server.url(database)},
            }
            for writer in (self.hw, self.h2)
        ]
        self.config.write_text(json.dumps(self.bus.document(*entries)))

    def stored(self, among: Iterable[str] = CODIFIERS) -> list[tuple[str, int, int, float]]:
        """Return what the database has of some Codifiers."""
        query = (
            "SELECT codifier, timestamp, sequence, value FROM measurement WHERE codifier = ANY(%s)"
        )
        return self.server.execute(query, self.database, (list(among),))

    def count(self) -> int:
        """Return how many readings of the load the database has."""
        query = "SELECT count(*) FROM measurement WHERE codifier = ANY(%s)"
        return self.server.execute(query, self.database, (CODIFIERS,))[0][0]

    def has_tables(self) -> bool:
        """Tell whether a writer has made the tables."""
        query = "SELECT to_regclass('measurement') IS NOT NULL"
        return self.server.execute(query, self.database)[0][0]

    def await_stored(self, load: Load, timeout_s: float) -> float:
        """Wait until as many are stored as were sent; return how long that took."""
        began_s = time.monotonic()
        with contextlib.suppress(AssertionError):  # the verdict says what is missing
            eventually(lambda: self.count() >= len(load.sent), timeout_s)
        return time.monotonic() - began_s

    def verdict(self, sent: list[Identity], **figures: object) -> Verdict:
        """Compare what is stored with what was sent."""
        rows = self.stored()
        stored = Counter(row[:3] for row in rows)
        known = set(sent)
        values = [row[:3] for row in rows if value_of(row[0], row[2]) != row[3]]
        return Verdict(
            len(sent),
            [one for one in sent if one not in stored],
            [one for one, times in stored.items() if times > 1],
            values + [one for one in stored if one not in known],
            figures,
        )

    def close(self) -> None:
        """Stop the writers."""
        self.hw.stop()
        self.h2.stop()


@contextlib.contextmanager
def rig_on(server: PostgresServer, database: str) -> Iterator[Rig]:
    """Make a rig on a database that is there."""
    with tempfile.TemporaryDirectory(prefix="jph-faults-") as folder:
        rig = Rig(Path(folder), server, database)
        try:
            yield rig
        finally:
            rig.close()


@contextlib.contextmanager
def own_rig() -> Iterator[Rig]:
    """Make a rig on a server of its own, which writes to the disk as a real one."""
    with running_postgres(durable=True) as server, rig_on(server, server.create_database()) as rig:
        yield rig
