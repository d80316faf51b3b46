"""Fault 4: the disk is full, for the spool while PostgreSQL is away and for a history in SQLite.

    python -m tests.faults.disk [--seconds 10]

A writer runs on a disk of its own, 1 MB of memory, which is filled to the last byte, and freed.
"""

import argparse
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

from collectors.history_writer import HistoryWriter
from jph.kept_files import KeptFiles
from jph.stores import open_history
from tests.faults.rig import CODIFIERS, Identity, Verdict, value_of
from tests.helpers import eventually
from tests.servers import PostgresServer, running_postgres
from tests.small_disk import small_disk

SENDER = ("127.0.0.1", 7602)
TICK_S = 0.02


class Published:
    """A channel whose data goes into a list."""

    codifier = "HW"

    def __init__(self) -> None:
        self.faults: list[str] = []
        bus = SimpleNamespace(status=lambda: SimpleNamespace(holds=False))
        self.process = SimpleNamespace(kept_files=KeptFiles(Path("/nonexistent")), bus=bus)

    def send_data(self, value: dict, timestamp_ms: int | None = None) -> None:
        """Remember a fault that is said."""
        if "fault" in value:
            self.faults.append(value["fault"])


class Feed:
    """Gives readings to a writer, as the bus does."""

    def __init__(self, writer: HistoryWriter) -> None:
        self.writer = writer
        self.sent: list[Identity] = []

    def send(self, seconds: float, rate: int) -> None:
        """Give readings for so many seconds, and let its timer run."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            readings = []
            for _ in range(int(rate * TICK_S)):
                number = len(self.sent)
                codifier = CODIFIERS[number % len(CODIFIERS)]
                one = (codifier, time.time_ns() // 1_000_000, number + 1)
                self.sent.append(one)
                readings.append((*one, value_of(codifier, one[2]), "f", 4, SENDER))
            self.writer.on_batch(readings)
            time.sleep(TICK_S)
        self.writer.on_timer(time.time_ns() // 1_000_000, "", 0.0)


def full_disk(
    folder: Path, seconds: float, url: str, server: PostgresServer | None, rate: int = 1000
) -> Verdict:
    """Fill the disk of a writer, and free it; stop a server meanwhile, if there is one."""
    said = Published()
    with small_disk(folder) as disk:
        settings = {"batch_s": 0.3, "batch_rows": 1000}
        with closing(HistoryWriter(said, disk.folder, url=url, **settings)) as writer:
            feed = Feed(writer)
            feed.send(1, rate)
            eventually(lambda: not writer.status()["waiting"], 10, "readings are stored")
            if server is not None:
                server.stop()
                feed.send(1, rate)  # the spool is begun
            disk.fill()
            feed.send(seconds, rate)
            waited = writer.status()["waiting"]
            disk.free()
            if server is not None:
                feed.send(3, rate)  # the spool takes what waited
                spooled = writer.status().get("spooled", 0)
                server.start()
            status = writer.status
            began_s = time.monotonic()
            eventually(lambda: not status()["waiting"] and not status().get("spooled"), 30)
            took_s = time.monotonic() - began_s
            dropped = status()["dropped"]
        with closing(open_history(url, disk.folder)) as store:
            rows = [row for code in CODIFIERS for row in store.last(code, len(feed.sent))]
    stored = [(row[1], row[0], row[2]) for row in rows]
    wrong = [(row[1], row[0], row[2]) for row in rows if row[3] != value_of(row[1], row[2])]
    figures: dict[str, object] = {
        "waited_in_memory": waited,
        "dropped": dropped,
        "stored_again_after_s": f"{took_s:.1f}",
        "said": repr(next((text for text in said.faults if "full" in text or "I/O" in text), "")),
    }
    if server is not None:
        figures["spooled"] = spooled
    kept = set(stored)
    return Verdict(
        len(feed.sent),
        [one for one in feed.sent if one not in kept],
        stored if len(stored) != len(kept) else [],
        wrong,
        figures,
    )


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="The disk is full.")
    parser.add_argument("--seconds", type=float, default=10)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="jph-faults-") as name:
        sqlite = full_disk(Path(name) / "a", seconds, "sqlite:///history.sqlite", None, rate=200)
        print(f"SQLite: {sqlite}", flush=True)
        with running_postgres(durable=True) as server:
            url = server.url(server.create_database())
            spool = full_disk(Path(name) / "b", seconds, url, server)
        print(f"the spool: {spool}")
    return 0 if sqlite.is_good and spool.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
