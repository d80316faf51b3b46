"""One channel of a bus: it opens its sockets, and opens them again after the network changed.

It never gives up: it tries a missing interface again, at the start or later, with a back-off.
"""

import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from jph.backoff import Backoff
from jph.bus import sockets
from jph.bus.group import Group
from jph.bus.receiver import ControlReceiver, DataReceiver
from jph.bus.sender import Sender
from jph.faults import Fault

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 30.0  # for changes without an event, such as a new default route
_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 30.0
_SETTLE_S = 0.2  # changes of links come several at a time


R = TypeVar("R", ControlReceiver, DataReceiver)


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """The state and the counters of one channel."""

    joined: bool
    fault: str  # why it is not joined, for a person; empty while it is
    joins: int
    receive_buffer_bytes: int  # that the kernel granted; 0: nobody listens
    sent: int
    unsent: int
    received: int
    refused: int
    lost: int  # messages, by their sequence numbers
    kernel_drops: int


class JoinedGroup(Generic[R]):
    """A multicast group with its sender and its receiver.

    Args:
        name: "control" or "data", for the log.
        receiver: gets each newly joined socket, after `listen`.
        wake: called (from any thread) when a send failed, since `look` is due soon then.
    """

    def __init__(self, name: str, group: Group, receiver: R, wake: Callable[[], object]) -> None:
        self.sender = Sender(name, self._suspect)
        self.receiver: R = receiver
        self.joined = False
        self.due_s = 0.0  # when to look again, monotonic
        self._name = name
        self._group = group
        self._take: Callable[[socket.socket], object] | None = None
        self._wake = wake
        self._suspected = False
        self._path: tuple[int, str] | None = None
        self._backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        self._joins = 0
        self._granted_bytes = 0
        self._fault = Fault(log)

    def move(self, group: Group) -> None:
        """Join another group, or the same one with other options, at the next look."""
        if group != self._group:
            self._group, self._path, self.due_s = group, None, 0.0

    def listen(self, take: Callable[[socket.socket], object] | None = None) -> None:
        """Receive too, from the next look on.

        Args:
            take: gets each new socket, and hands it to the receiver in the thread that polls; by
                default the receiver gets it at once.
        """
        self._take, self._path, self.due_s = take or self.receiver.use, None, 0.0

    def look(self) -> bool:
        """Open the sockets unless they are right; return whether they were opened."""
        path = sockets.path_of(self._group)
        if self.joined and path == self._path and path is not None and not self._suspected:
            self.due_s = time.monotonic() + _LOOK_EVERY_S
            return False
        try:
            self._open()
        except OSError as error:
            self._failed(error)
            return False
        self._path = path
        self._suspected = False
        self.joined = True
        self._joins += 1
        self.due_s = time.monotonic() + _LOOK_EVERY_S
        return True

    def link_changed(self) -> None:
        """Look soon: a link or an address of this machine changed."""
        self._backoff.reset()
        self.due_s = min(self.due_s, time.monotonic() + _SETTLE_S)

    def status(self) -> GroupStatus:
        """Return the state and the counters of now."""
        return GroupStatus(
            joined=self.joined,
            fault=self._fault.text,
            joins=self._joins,
            receive_buffer_bytes=self._granted_bytes,
            sent=self.sender.sent,
            unsent=self.sender.unsent,
            received=self.receiver.received,
            refused=self.receiver.refusals.count,
            lost=self.receiver.lost,
            kernel_drops=self.receiver.kernel_drops,
        )

    def close(self) -> None:
        """Close both sockets."""
        self.joined = False
        self.sender.close()
        self.receiver.close()

    def _open(self) -> None:
        group = self._group
        self.sender.open(group)
        if self._take is not None:
            receiver = sockets.open_receiver(group)
            self._granted_bytes = sockets.granted_buffer(receiver)
            self._take(receiver)
        joined = (
            f"{self._name} channel: joined {group.address}:{group.port}"
            f" on {group.interface or 'the default interface'}"
            f"{self._buffer_note() if self._take else ' to send'}"
        )
        if not self._fault.end(joined):
            log.log(logging.DEBUG if self.joined else logging.INFO, "%s", joined)
        if not self._suspected:  # a link that fails again at once is tried less and less often
            self._backoff.reset()

    def _buffer_note(self) -> str:
        asked = self._group.receive_buffer
        note = f", receive buffer {self._granted_bytes} bytes"
        if self._granted_bytes < asked:
            note += f" of {asked} asked for; raise it with: sysctl -w net.core.rmem_max={asked}"
        return note

    def _failed(self, error: OSError) -> None:
        self.joined = False
        self._path = None
        self.due_s = time.monotonic() + self._backoff.next_s()
        reason = sockets.explain(error, self._group)
        place = f"{self._group.address}:{self._group.port}"
        self._fault.note(
            reason, f"{self._name} channel: cannot join {place}: {reason}; trying again"
        )

    def _suspect(self) -> None:
        if not self._suspected:
            self._suspected = True
            self.due_s = time.monotonic() + self._backoff.next_s()
            self._wake()
