"""Fault 1: PostgreSQL is stopped under load and started again.

python -m tests.faults.outage [--seconds 60] [--rate 1000]
"""

import argparse
import sys
import time

from tests.faults.rig import Load, Rig, Verdict, own_rig
from tests.helpers import eventually

SETTLE_S = 1.0


def outage(rig: Rig, seconds: float, rate: int) -> Verdict:
    """Stop the server for so many seconds; return what became of the readings."""
    rig.hw.start()
    with Load(rig.bus, rate) as load:
        eventually(lambda: rig.has_tables() and rig.count(), 20, "readings are stored")
        rig.server.stop()
        time.sleep(seconds)
        rig.server.start()
        began_s = time.monotonic()
        # Live readings go on; the spool is empty when all that was sent a second ago is there.
        behind = rate * SETTLE_S
        eventually(lambda: rig.count() >= len(load.sent) - behind, 60, "the spool is drained")
        drained_s = time.monotonic() - began_s
        load.stop()
        rig.await_stored(load, 30)
    rig.hw.stop()
    return rig.verdict(load.sent, drained_s=f"{drained_s:.1f}")


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="PostgreSQL stopped under load.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=1000, help="readings per second")
    arguments = parser.parse_args()
    with own_rig() as rig:
        verdict = outage(rig, arguments.seconds, arguments.rate)
    print(f"PostgreSQL away for {arguments.seconds:g} s: {verdict}")
    return 0 if verdict.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
