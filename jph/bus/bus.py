"""The bus: both channels of one network, kept joined, with their senders and receivers.

A bus has no thread of its own. Its owner opens it, calls `look` when it is due, and receives where
it polls: a node in its loop, a component of its own in the thread that runs it, a command while it
waits for answers. Nothing else opens a socket of the network.

The parts to come have their places here:

    a router    two buses in one loop; the messages of one go to the senders of the other
    a recorder  one bus; it reads `control.receiver.datagrams` and `data.receiver.datagrams`, the
                bytes as they came, and writes them to a file; a replay gives bytes to the senders
    a relay     a `Sender` whose `open` connects its socket to one address instead of the group
    a key       `Sender.send` and `Datagrams` are the only places where bytes leave and arrive: a
                seal is put on in the one and taken off in the other
    repair      a third socket beside the two groups, opened, looked after, and closed with them
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jph.bus.clock_guard import NOTE_EVERY_S, ClockGuard
from jph.bus.group import Multicast
from jph.bus.joined_group import GroupStatus, JoinedGroup
from jph.bus.receiver import ControlReceiver, DataReceiver
from jph.bus.sequence import SequenceTracker
from jph.bus.sockets import LinkWatch
from jph.bus.wire import Address

_DOUBT_EVERY_S = 1.0  # between looks at a clock that cannot be right
_RELEASE = 200  # readings that waited for the clock, at once: 150 kB of a receiver's buffer
_RELEASE_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class BusStatus:
    """The state and the counters of a bus.

    Args:
        interface: name or address of the network interface, "default" for the kernel's choice.
        holds: whether readings wait until the clock is set.
    """

    interface: str
    control: GroupStatus
    data: GroupStatus
    holds: bool

    @property
    def joined(self) -> bool:
        """Whether both channels are joined."""
        return self.control.joined and self.data.joined

    @property
    def channels(self) -> dict[str, GroupStatus]:
        """Both channels by their names."""
        return {"control": self.control, "data": self.data}

    def total(self, counter: str) -> int:
        """Return the sum of a counter of both channels, such as "lost"."""
        return sum(getattr(channel, counter) for channel in self.channels.values())


class Bus:
    """Both channels of one network.

    Args:
        guard: tells whether the clock can be right; readings wait until it can. None: it is right.
        wake: called, from any thread, when `look` became due earlier than `due_s`.
    """

    def __init__(
        self,
        multicast: Multicast,
        *,
        guard: ClockGuard | None = None,
        wake: Callable[[], object] = lambda: None,
        plain: bool = False,
    ) -> None:
        self.control = JoinedGroup("control", multicast.control, ControlReceiver(), wake)
        self.data = JoinedGroup("data", multicast.data, DataReceiver(plain=plain), wake)
        self.links = LinkWatch()
        self.on_joined: Callable[[], object] = lambda: None  # the control channel, again
        self.on_clock_set: Callable[[int], object] = lambda moved_ms: None
        self._interface = multicast.control.interface
        self._guard = guard
        self._doubts = False  # that the clock is right
        self._holds = False  # readings back, until all that waited are sent
        self._clock_due_s = float("inf")

    def open(self) -> None:
        """Join both channels; `look` tries again later if one cannot be joined yet."""
        now_s = time.monotonic()
        if self._guard is not None and self._clock_due_s == float("inf"):
            self._holds = self._doubts = self._guard.hold(self.data.sender)
            self._clock_due_s = now_s + _DOUBT_EVERY_S if self._doubts else now_s
        self.look(now_s)

    @property
    def due_s(self) -> float:
        """When `look` wants to be called, by the monotonic clock."""
        return min(self.control.due_s, self.data.due_s, self._clock_due_s)

    def look(self, now_s: float) -> None:
        """Join the channels again, check the clock, and send readings that waited, where due."""
        if self.data.due_s <= now_s:
            self.data.look()
        if self.control.due_s <= now_s and self.control.look():
            self.on_joined()
        if self._guard is not None and self._clock_due_s <= now_s:
            self._clock_due_s = now_s + self._look_at_clock(self._guard)

    def link_changed(self) -> None:
        """Empty `links`, and look soon."""
        self.links.drain()
        self.control.link_changed()
        self.data.link_changed()

    def move(self, multicast: Multicast) -> None:
        """Join the groups of a new configuration, at the next look."""
        self._interface = multicast.control.interface
        self.control.move(multicast.control)
        self.data.move(multicast.data)

    @property
    def is_releasing(self) -> bool:
        """Whether readings that waited for the clock are being sent now."""
        return self._holds and not self._doubts

    def status(self) -> BusStatus:
        """Return the state and the counters of now; any thread may call this."""
        return BusStatus(
            interface=self._interface or "default",
            control=self.control.status(),
            data=self.data.status(),
            holds=self._holds,
        )

    def own_addresses(self) -> tuple[Address, ...]:
        """Return the addresses that our control messages come from."""
        return self.control.sender.addresses

    def sources(self) -> dict[str, Mapping[str, SequenceTracker]]:
        """Return what was counted of each source, by channel."""
        return {"control": self.control.receiver.sources, "data": self.data.receiver.sources}

    def close(self) -> None:
        """Leave both groups and close the sockets."""
        if self._guard is not None and not self._holds:
            self._guard.note()
        self.control.close()
        self.data.close()
        self.links.close()

    def _look_at_clock(self, guard: ClockGuard) -> float:
        """Check the clock, release readings; return the seconds until the next check."""
        if self._doubts:
            moved_ms = guard.ends(self.data.sender)
            if moved_ms is None:
                return _DOUBT_EVERY_S
            self._doubts = False
            self.on_clock_set(moved_ms)
        if self._holds:
            self._holds = not self.data.sender.release(_RELEASE)
            if self._holds:
                return _RELEASE_EVERY_S
        guard.note()
        return NOTE_EVERY_S
