"""Keeps one channel joined: opens its sockets, and opens them again after the network changed.

It never gives up: an interface that is missing, at start or later, is tried again with a back-off.
"""

import logging
import random
import socket
import time
from collections.abc import Callable

from jph.bus import sockets as multicast
from jph.bus.sender import Sender
from jph.config import Group

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 30.0  # for what no event tells, such as a new default route
_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 30.0


class JoinedGroup:
    """One channel's place in its group.

    Args:
        channel: "control" or "data", for the log.
        group: where it is.
        use_receiver: takes each newly joined socket; None where nobody listens.
        suspect: called (from any thread) when a send failed; wakes the loop.
    """

    def __init__(
        self,
        channel: str,
        group: Group,
        use_receiver: Callable[[socket.socket], object] | None,
        suspect: Callable[[], None],
    ) -> None:
        self.sender = Sender(channel, self._suspect)
        self.joined = False
        self.granted_bytes = 0
        self.joins = 0  # how often the sockets were opened
        self.due_s = 0.0  # when to look again, monotonic
        self._channel = channel
        self._group = group
        self._use_receiver = use_receiver
        self._wake = suspect
        self._suspected = False
        self._path: tuple[int, str] | None = None
        self._retry_s = 0.0
        self._complained = False

    @property
    def group(self) -> Group:
        return self._group

    def move(self, group: Group) -> None:
        """Go to another group, or the same one with other options, at the next look."""
        if group != self._group:
            self._group, self._path, self.due_s = group, None, 0.0

    def listen(self, use_receiver: Callable[[socket.socket], object]) -> None:
        """Receive too, from the next look on."""
        self._use_receiver, self._path, self.due_s = use_receiver, None, 0.0

    def look(self) -> bool:
        """Open the sockets if they are not right; True if they were opened now."""
        path = multicast.path_of(self._group)
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
        self.joins += 1
        # A link that fails again at once is tried at a growing distance as well.
        self.due_s = time.monotonic() + _LOOK_EVERY_S
        return True

    def link_changed(self) -> None:
        """Look soon: a link or an address of this machine changed."""
        self._retry_s = 0.0
        self.due_s = min(self.due_s, time.monotonic() + 0.2)  # changes come in flocks

    def _open(self) -> None:
        group = self._group
        self.sender.open(group)
        if self._use_receiver is not None:
            receiver = multicast.open_receiver(group)
            self.granted_bytes = multicast.granted_buffer(receiver)
            self._use_receiver(receiver)
        log.log(
            logging.INFO if not self.joined or self._complained else logging.DEBUG,
            "%s channel: joined %s:%d on %s%s",
            self._channel,
            group.address,
            group.port,
            group.interface or "the default interface",
            self._buffer_note() if self._use_receiver else " to send",
        )
        self._complained = False
        if not self._suspected:
            self._retry_s = 0.0

    def _buffer_note(self) -> str:
        asked = self._group.receive_buffer
        note = f", receive buffer {self.granted_bytes} bytes"
        if self.granted_bytes < asked:
            note += f" of {asked} asked for; raise it with: sysctl -w net.core.rmem_max={asked}"
        return note

    def _failed(self, error: OSError) -> None:
        self.joined = False
        self._path = None
        self._back_off()
        if not self._complained:
            self._complained = True
            log.warning(
                "%s channel: cannot join %s:%d: %s; trying again",
                self._channel,
                self._group.address,
                self._group.port,
                multicast.explain(error, self._group),
            )

    def _back_off(self) -> None:
        self._retry_s = min(max(_FIRST_RETRY_S, 2 * self._retry_s), _LONGEST_RETRY_S)
        self.due_s = time.monotonic() + self._retry_s * random.uniform(0.75, 1.25)

    def _suspect(self) -> None:
        if not self._suspected:
            self._suspected = True
            self._back_off()
            self._wake()

    def close(self) -> None:
        """Close the sending socket; whoever has the receiving one closes that."""
        self.joined = False
        self.sender.close()
