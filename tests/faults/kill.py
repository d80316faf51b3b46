"""Fault 2: writers are killed with SIGKILL under load, at random moments.

    python -m tests.faults.kill [--kills 50] [--rate 1000]

Two writers run; either is killed while the other one runs, and started again. `kills` beside this
one kills the only writer there is.
"""

import argparse
import random
import sys
import time

from tests.faults.rig import Load, Rig, Verdict, own_rig

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


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Writers killed under load.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rate", type=int, default=1000, help="readings per second")
    arguments = parser.parse_args()
    with own_rig() as rig:
        spare = kill_with_spare(rig, arguments.kills, arguments.rate)
    print(f"with a spare: {spare}")
    return 0 if spare.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
