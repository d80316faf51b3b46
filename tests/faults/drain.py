"""Fault 3: the writer is killed with SIGKILL while it drains its spool.

python -m tests.faults.drain [--kills 20] [--readings 400000]
"""

import argparse
import random
import sys
import time

from tests.faults.rig import Load, Rig, Verdict, own_rig
from tests.helpers import eventually

RATE = 10_000  # readings/s with which the spool is filled
LONGEST_S = 0.06  # a drain is killed within this time after it began; a batch takes half of it


def drain(rig: Rig, kills: int, readings: int) -> Verdict:
    """Fill the spool while the server is away, then kill each drain of it."""
    rig.hw.start()
    with Load(rig.bus, RATE) as load:
        eventually(lambda: rig.has_tables() and rig.count(), 20, "readings are stored")
        rig.server.stop()
        eventually(lambda: len(load.sent) >= readings, 2 * readings / RATE + 10)
        load.stop()
    time.sleep(1)  # then the last one is in the spool
    rig.hw.kill()
    spooled = rig.hw.spooled()
    rig.server.start()
    during = 0
    for _ in range(kills):
        before = rig.count()
        rig.hw.start()
        eventually(lambda before=before: rig.count() > before or before >= len(load.sent), 20)
        time.sleep(random.random() * LONGEST_S)
        rig.hw.kill()
        during += rig.hw.spooled() > 0
    rig.hw.start()
    rig.await_stored(load, 60)
    rig.hw.stop()
    return rig.verdict(load.sent, spooled=spooled, kills=kills, kills_while_draining=during)


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="A writer killed while it drains its spool.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--readings", type=int, default=400_000)
    arguments = parser.parse_args()
    with own_rig() as rig:
        verdict = drain(rig, arguments.kills, arguments.readings)
    print(verdict)
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
