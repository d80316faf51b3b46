"""Fault 4, on the other side: the disk of PostgreSQL is full under load, and has room again.

    python -m tests.faults.server_disk [--seconds 20] [--rate 1000]

The server is on a disk of its own, of memory, which is filled to the last byte. What it does then
is its own affair: it refuses, or ends all sessions, or ends; where it ended, it is started again.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.faults.rig import Load, Rig, Verdict, rig_on
from tests.helpers import eventually
from tests.servers import PostgresServer
from tests.small_disk import Tmpfs, small_disk

DISK_MB = 96
SEGMENT_MB = 1  # of its log, so that the cluster is small
SETTLE_S = 1.0


class ServerLimit:
    """For who must not mount: the kernel refuses to let files of the server grow beyond 1 MB."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def fill(self) -> None:
        """Let no file grow beyond what its log needs."""
        # From now on what is added lies beyond: 20,000 rows are more than 1 MB.
        rows = "SELECT 'zz', (extract(epoch FROM now()) * 1000)::bigint - n, n, n, NULL"
        for name in databases(self._server):
            query = f"INSERT INTO measurement {rows} FROM generate_series(1, 20000) AS n"
            self._server.execute(query, name)
        self._server.limit_files(str(SEGMENT_MB << 20))

    def free(self) -> None:
        """Let files grow again."""
        self._server.limit_files("unlimited")


def databases(server: PostgresServer) -> list[str]:
    """Return the databases that a test made."""
    query = "SELECT datname FROM pg_database WHERE datname LIKE 'test%'"
    return [name for (name,) in server.execute(query)]


@contextlib.contextmanager
def server_on_small_disk() -> Iterator[tuple[PostgresServer, Tmpfs | ServerLimit]]:
    """Run a PostgreSQL on a disk that can be filled."""
    with tempfile.TemporaryDirectory(prefix="jph-faults-") as name:
        os.chmod(name, 0o755)  # the server runs as another user
        with small_disk(Path(name) / "disk", DISK_MB) as disk:
            folder = Path(name) / "disk" / "server"
            folder.mkdir()
            log = ["-c", "min_wal_size=2MB", "-c", "max_wal_size=8MB"]
            server = PostgresServer(folder, *log)
            server.create(f"--wal-segsize={SEGMENT_MB}")
            server.start()
            try:
                yield server, disk if isinstance(disk, Tmpfs) else ServerLimit(server)
            finally:
                server.kill()


def full(rig: Rig, disk: Tmpfs | ServerLimit, seconds: float, rate: int) -> Verdict:
    """Fill the disk of the server for so many seconds; return what became of the readings."""
    rig.hw.start()
    with Load(rig.bus, rate) as load:
        eventually(lambda: rig.has_tables() and rig.count(), what="readings are stored")
        disk.fill()
        eventually(lambda: said(rig), 60, "the writer says that it cannot store")
        time.sleep(seconds)
        ended = not rig.server.is_running
        disk.free()
        rig.server.start()
        began_s = time.monotonic()
        behind = rate * SETTLE_S
        eventually(lambda: rig.count() >= len(load.sent) - behind, 60, "the spool is drained")
        drained_s = time.monotonic() - began_s
        load.stop()
        rig.await_stored(load, 30)
    rig.hw.stop()
    figures = {"drained_s": f"{drained_s:.1f}", "the server ended": ended, "said": said(rig)}
    return rig.verdict(load.sent, **figures)


def said(rig: Rig) -> str:
    """Return the first line in which the writer says that it cannot store, empty if none does."""
    lines = rig.hw.log.read_text().splitlines()
    return next((line for line in lines if "readings wait" in line), "")


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="The disk of PostgreSQL is full.")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rate", type=int, default=1000, help="readings per second")
    arguments = parser.parse_args()
    with server_on_small_disk() as (server, disk), rig_on(server, server.create_database()) as rig:
        verdict = full(rig, disk, arguments.seconds, arguments.rate)
    print(f"PostgreSQL on a full disk for {arguments.seconds:g} s: {verdict}")
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
