"""A bus edge that tests hold in their hands, in place of a node and its sockets."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jph.bus.bus import BusStatus
from jph.bus.group import Group, Multicast
from jph.bus.joined_group import GroupStatus
from jph.bus.sequence import SequenceTracker
from jph.bus.wire import Address, Control, Reading, Value
from jph.clock import time_now_ms
from jph.config.model import Component, Config, with_servers
from jph.node.process import ComponentStatus, Process
from jph.state import LastStates
from web.live.records import Records
from web.service import Web

both_servers = pytest.mark.parametrize("server", ["waitress", "gevent"])
SENDER = ("127.0.0.1", 7601)


def component(codifier: str, **fields: Any) -> Component:
    """Return a component with what a test does not care about filled in."""
    return Component(
        **{
            "codifier": codifier,
            "name": f"Name of {codifier}",
            "symbol": "",
            "type": "Pipe",
            "sensor_interval_s": 1.0,
            **fields,
        }
    )


def config_of(*components: Component) -> Config:
    """Return a configuration of these components."""
    return Config(
        multicast=Multicast(
            control=Group("239.76.80.1", 7601, "127.0.0.1", 0),
            data=Group("239.76.80.2", 7602, "127.0.0.1", 0),
        ),
        components=with_servers({one.codifier: one for one in components}),
        document={"Sensors": [{"Codifier": one.codifier, "Name": one.name} for one in components]},
        source="test",
        loaded_ms=time_now_ms(),
    )


def group_status(**fields: Any) -> GroupStatus:
    """Return how a channel is that is joined and has no fault."""
    counts = dict.fromkeys(("sent", "unsent", "received", "refused", "lost", "kernel_drops"), 0)
    return GroupStatus(
        **{"joined": True, "fault": "", "joins": 1, "receive_buffer_bytes": 4 << 20}
        | counts
        | fields
    )


class FakeBus:
    """Says what a joined bus says."""

    def __init__(self) -> None:
        self.control = group_status(receive_buffer_bytes=212992, kernel_drops=1, received=10)
        self.counted: dict[str, dict[str, SequenceTracker]] = {"control": {}, "data": {}}
        self.data = group_status(
            receive_buffer_bytes=425984, kernel_drops=2, received=20, refused=3
        )

    def status(self) -> BusStatus:
        """Return the status of both channels."""
        return BusStatus("lo", self.control, self.data, holds=False)

    def own_addresses(self) -> tuple[Address, ...]:
        """Return the address that components of the tests send from."""
        return (SENDER,)

    def sources(self) -> dict[str, dict[str, SequenceTracker]]:
        """Return what was counted of each source, by channel."""
        return self.counted


class FakeChannel:
    """Records what is sent; `deliver` of a test plays the bus."""

    def __init__(self, config: Config, home: Path) -> None:
        self.codifier = "W1"
        self.is_active = True
        self.config = config
        self.home = home
        self.statuses: dict[str, ComponentStatus] = {}
        self.process = Process(config, home, FakeBus(), lambda: self.statuses)
        self.control_sources, self.data_sources = self.process.bus.sources().values()
        self.sent: list[tuple[str, str, float | None]] = []
        self.on_sent: Callable[[str, str, float | None], None] = lambda flag, to, number: None

    @property
    def component(self) -> Component:
        """The component that it is the channel of."""
        return self.config.components[self.codifier]

    def last_states(self) -> LastStates:
        """Return the last states, which `FedWeb` feeds."""
        return self.process.last_states()

    def send_control(
        self,
        flag: str,
        to: str = "@@",
        number: float | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Record a control message."""
        self.sent.append((flag, to, number))
        self.on_sent(flag, to, number)

    @property
    def told(self) -> list[tuple[str, str, float | None]]:
        """What was sent, without the ping that follows each command."""
        return [sent for sent in self.sent if sent[0] != "P"]


def reading(
    codifier: str, value: Value, *, timestamp_ms: int | None = None, sequence: int = 1
) -> Reading:
    """Return a reading as a node delivers it."""
    flag = {float: "f", int: "i", str: "s", dict: "j"}[type(value)]
    time_ms = time_now_ms() if timestamp_ms is None else timestamp_ms
    return (codifier, time_ms, sequence, value, flag, 4, SENDER)


def control(
    flag: str, source: str, to: str = "@@", *, number: float = 0.0, is_active: bool = True
) -> Control:
    """Return a control message as a node delivers it."""
    return Control(1, time_now_ms(), flag, source, to, float(number), is_active)


def let_pass(records: Records, seconds: int) -> None:
    """Make everything that was heard so far older."""
    records._started_s -= seconds
    for record in records.all():
        heard, state = record.heard, records.states._states.get(record.component.codifier)
        for at, name in ((heard, "data_s"), (heard, "control_s"), (heard, "since_s")):
            if (then_s := getattr(at, name)) is not None:
                setattr(at, name, then_s - seconds)
        for name in ("data_ms", "control_ms", "heard_ms"):
            if (then_ms := getattr(record, name)) is not None:
                setattr(record, name, then_ms - seconds * 1000)
        if state is not None:
            state.heard_s -= seconds
    records._refreshed_s = 0.0


def source(codifier: str, **counts: int) -> SequenceTracker:
    """Return the loss counters of one source."""
    made = SequenceTracker(codifier, 1, time_now_ms())
    for name, count in counts.items():
        setattr(made, name, count)
    return made


class FedWeb(Web):
    """The pages, and the last states fed before them, as a node does it."""

    channel: FakeChannel

    def on_batch(self, readings: list[Reading]) -> None:
        """Take readings."""
        self.channel.last_states().on_readings(readings, self.channel.data_sources)
        super().on_batch(readings)

    def on_control(self, message: Control, address: Address) -> None:
        """Take a control message."""
        states = self.channel.last_states()
        states.on_control(message, time_now_ms(), self.channel.control_sources)
        super().on_control(message, address)


def obey(web: FedWeb, limit: float = 100.0) -> None:
    """Have components obey what they are told, as a node does it; no value goes beyond a limit."""
    halted: set[str] = set()
    values: dict[str, float] = {}

    def on_sent(flag: str, to: str, number: float | None) -> None:
        if flag == "P":
            web.on_control(
                control("T", to, "W1", number=number or 0.0, is_active=to not in halted), SENDER
            )
        elif flag in "HS":
            (halted.add if flag == "H" else halted.discard)(to)
            web.on_control(control("I", to, is_active=flag == "S"), SENDER)
        elif flag == "C":
            web.on_control(control("N", to, number=time_now_ms()), SENDER)
        elif number is not None:
            wanted = number if flag == "A" else values.get(to, 0.0) + number
            values[to] = wanted if wanted <= limit else values.get(to, 0.0)
            threading.Timer(0.02, web.on_batch, [[reading(to, values[to])]]).start()

    web.channel.on_sent = on_sent
