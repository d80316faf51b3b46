"""Forged readings with times of all years since 2000, over the bus to a writer on PostgreSQL.

    python -m tests.faults.forged [--readings 100000]

Those of the last year look like any others. The rest must make no partition, and none of the load
beside it may be lost.
"""

import argparse
import random
import sys
import time

from tests.faults.odd import datagram, number
from tests.faults.rig import Load, Rig, Verdict, own_rig
from tests.helpers import bare_sender, eventually

FIRST_MS = 946_684_800_000  # 2000-01-01
PER_S = 4000
PIECE = 40  # datagrams at once
YEAR = 53 + 6 + 2  # partitions of readings and of both statistics in a year, at most


def forged(rig: Rig, readings: int) -> Verdict:
    """Send forged readings among a load; return what became of both."""

    def ask(query: str) -> int:
        return int(rig.server.execute(f"SELECT count(*) FROM {query}", rig.database)[0][0])

    def quarantined() -> int:  # the table is made when it is first needed
        exists = ask("pg_class WHERE oid = to_regclass('quarantine')")
        return ask("quarantine") if exists else 0

    chance = random.Random(1)
    rig.hw.start()
    with Load(rig.bus, 200) as load, bare_sender() as sender:
        eventually(lambda: rig.has_tables() and rig.count(), 30, "readings are stored")
        before = ask("pg_inherits")
        for n in range(readings):
            time_ms = chance.randrange(FIRST_MS, time.time_ns() // 1_000_000)
            message = datagram(f"Q{n % 10}", time_ms, n + 1, "f", number(1.0))
            sender.sendto(message, rig.bus.data)
            if n % PIECE == 0:
                time.sleep(PIECE / PER_S)
        load.stop()
        rig.await_stored(load, 120)

        def arrived() -> int:
            return quarantined() + ask("measurement WHERE codifier LIKE 'Q_'")

        eventually(lambda: arrived() == readings, 120, "all forged readings are somewhere")
        figures = {
            "quarantined": quarantined(),
            "partitions_more": ask("pg_inherits") - before,
        }
    rig.hw.stop()
    return rig.verdict(load.sent, **figures)


def main() -> int:
    """Print the verdict."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--readings", type=int, default=100_000)
    readings = parser.parse_args().readings
    with own_rig() as rig:
        verdict = forged(rig, readings)
    print(verdict)
    return 0 if verdict.is_good and verdict.figures["partitions_more"] <= 2 * YEAR else 1


if __name__ == "__main__":
    sys.exit(main())
