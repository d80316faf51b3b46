"""What every gateway has between its devices and the bus, and what it tells of that.

broker -> Inlet -> store -> Mapping -> bus
store -> Outbox -> broker
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from gateways.address import BrokerAddress
from gateways.inlet import Inlet
from gateways.mapping import Mapping as BusMapping
from gateways.outbox import Outbox
from gateways.store import Store
from jph.faults import MOST_TEXT
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.rate import Rate


@dataclass
class Link:
    """The parts of a gateway that all have; they are made by it, and closed here.

    Args:
        counts: gives what was stored and refused since the start: `messages`, `refused` and others.
    """

    channel: Channel
    address: BrokerAddress
    store: Store
    inlet: Inlet
    outbox: Outbox
    mapping: BusMapping
    counts: Callable[[], Mapping[str, int]]
    _rate: Rate = field(default_factory=Rate)
    _counted: int = 0  # messages, when the rate was last looked at
    _per_minute: float | None = None  # what was last published; None: nothing yet

    def start(self) -> None:
        """Begin to connect; never waits for broker or store."""
        self.inlet.start()
        self.outbox.start()

    @property
    def fault(self) -> str:
        """Why the broker or the store takes nothing; empty if they do."""
        status = self.inlet.status
        broker = "" if status.connected and not status.reason else f"broker: {status.reason}"
        store = status.store and f"store: {status.store}"
        return "; ".join(filter(None, (broker, store, self.outbox.fault)))

    def send_own(self, timestamp_ms: int, **more: object) -> STATE:
        """Publish messages per minute, what was refused, more, and the fault if there is one."""
        counts = self.counts()
        stored = counts.get("messages", 0)
        self._rate.add(stored - self._counted)
        self._counted = stored
        self._per_minute = self._rate.take()
        own = {"value": self._per_minute, "refused": counts.get("refused", 0), **more}
        fault = self.fault
        if fault:
            own["fault"] = fault[:MOST_TEXT]
        self.channel.send_data(own, timestamp_ms)
        return STATE.WITHERRORS if fault else STATE.GOOD

    def facts(self) -> dict[str, object]:
        """Return what pages and tools show; the store has what was refused, by reason."""
        status = self.inlet.status
        where = f"{self.address.host}:{self.address.port}"
        connected = f"connected to {where} by MQTT {status.protocol}"
        with self.store.reading() as connection:
            waiting = self.outbox.waiting(connection)
        return {
            "broker": connected if status.connected else status.reason,
            "fault": self.fault,
            "active": self.channel.is_active,
            "messages_per_minute": self._per_minute,
            **{name: count for name, count in self.counts().items() if name != "refused"},
            "waiting_for_the_store": status.queued,
            "waiting_for_the_broker": waiting,
            "sent_on_the_bus": self.mapping.sent,
            "not_sent_on_the_bus": self.mapping.dropped + self.mapping.refused,
        }

    def close(self) -> None:
        """Commit what has come, and close everything but the store."""
        self.outbox.close()
        self.inlet.close()
        self.mapping.close()


def client_id(kind: str, token: str, codifier: str) -> str:
    """Return the name of a gateway's session at the broker.

    It is the same at each start, since the broker keeps for it what comes meanwhile.
    """
    return f"jph-{kind}-{sha256(f'{token} {codifier}'.encode()).hexdigest()[:8]}"
