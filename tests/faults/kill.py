"""Fault 2: writers are killed with SIGKILL under load, at random moments.

    python -m tests.faults.kill [--kills 50] [--rate 1000]

With a spare: two writers, either is killed while the other runs, and started again. Alone: one is
killed; what is missing may be no older than a second.
"""

import argparse
import random
import sys
import time

from tests.faults.rig import Load, Rig, Verdict, own_rig
from tests.helpers import eventually

MOST_MS = 1000  # the readings of so long may be missing
BATCH_S = 1.0  # for so long the one that was started last has heard all, before the other may go


def kill_with_spare(rig: Rig, kills: int, rate: int) -> Verdict:
    """Kill the two writers in turn; return what became of the readings."""
    rig.hw.start()
    rig.h2.start()
    with Load(rig.bus, rate) as load:
        for number in range(kills):
            time.sleep(BATCH_S + random.random())
            victim = (rig.hw, rig.h2)[number % 2]
            victim.kill()
            time.sleep(random.random() * 0.2)
            victim.start()
        time.sleep(BATCH_S)
        load.stop()
        rig.await_stored(load, 30)
    rig.close()
    return rig.verdict(load.sent, kills=kills)


def kill_alone(
    rig: Rig, rate: int, *, during_outage: bool = False, most_ms: int = MOST_MS
) -> Verdict:
    """Kill the only writer, then start it again; what is younger than this is not lost."""
    rig.hw.start()
    with Load(rig.bus, rate) as load:
        eventually(lambda: rig.has_tables() and rig.count(), 20, "readings are stored")
        if during_outage:
            rig.server.stop()
            time.sleep(4)
        time.sleep(1 + random.random())
        rig.hw.kill()
        killed_ms = time.time_ns() // 1_000_000
        load.stop()
    rig.server.start()
    rig.hw.start()
    sent = [one for one in load.sent if one[1] <= killed_ms]
    old = {one for one in sent if one[1] < killed_ms - most_ms}
    eventually(lambda: old <= {row[:3] for row in rig.stored()}, 20, "what is older is stored")
    rig.hw.stop()
    verdict = rig.verdict(sent)
    oldest_ms = max((killed_ms - one[1] for one in verdict.lost), default=0)
    verdict.figures = {"missing": len(verdict.lost), "the oldest of them, ms": oldest_ms}
    verdict.lost = [one for one in verdict.lost if one in old]
    return verdict


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Writers killed under load.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rate", type=int, default=1000, help="readings per second")
    arguments = parser.parse_args()
    with own_rig() as rig:
        spare = kill_with_spare(rig, arguments.kills, arguments.rate)
    print(f"with a spare: {spare}", flush=True)
    with own_rig() as rig:
        alone = kill_alone(rig, arguments.rate)
    print(f"alone: {alone}", flush=True)
    with own_rig() as rig:
        away = kill_alone(rig, arguments.rate, during_outage=True)
    print(f"alone, PostgreSQL away: {away}")
    return 0 if spare.is_good and alone.is_good and away.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
