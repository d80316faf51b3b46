"""A gateway that keeps numbers, as a process which a fault kills: `mqtt_gateway PORT HOME`."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import text

from gateways.address import BrokerAddress
from gateways.inlet import Inlet
from gateways.message import Message
from gateways.recent import first_seen
from gateways.steps import Step
from gateways.store import Store
from tests.helpers import LOOPBACK

TABLE = "CREATE TABLE kept (number INTEGER NOT NULL)"
STEPS = (Step("faults", sqlite=(TABLE,), postgresql=(TABLE,)),)
STORE = "gateways.sqlite"
TOPIC = "numbers/+"


def main() -> None:
    """Store what comes until somebody kills us."""
    port, home = int(sys.argv[1]), Path(sys.argv[2])
    store = Store.open(f"sqlite:///{STORE}", home, steps=STEPS)

    def commit(batch: Sequence[Message]) -> None:
        with store.writing(longest_s=1) as connection:
            rows = [{"n": int(m.payload)} for m in first_seen(connection, "GT", batch)]
            if rows:
                connection.execute(text("INSERT INTO kept VALUES (:n)"), rows)

    def tell(connected: bool, reason: str) -> None:
        if connected:
            print("connected", flush=True)

    Inlet(BrokerAddress(LOOPBACK, port), "jph-faults", [TOPIC], commit, on_state=tell).start()
    threading.Event().wait()


if __name__ == "__main__":
    main()
