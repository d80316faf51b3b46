"""Where datagrams leave: one socket for each channel, shared by all components of a process."""

import errno
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable

from jph.bus import sockets
from jph.bus.group import Group
from jph.bus.wire import FLAG_AT, TIMESTAMP, TIMESTAMP_AT, TIMESTAMP_LIMIT, Address

log = logging.getLogger(__name__)

# The datagram was refused for its size or content: a fault of ours, not of the network.
_OURS = {errno.EMSGSIZE, errno.EINVAL}

MOST_HELD = 10_000  # datagrams that wait for the clock to be set; some 2 MB


class Sender:
    """Sends to one group, and counts the datagrams that the network took and did not take.

    Args:
        channel: "control" or "data", for the log.
        failed: called after a send failed, so that the socket is opened again.
    """

    def __init__(self, channel: str, failed: Callable[[], None]) -> None:
        self.lock = threading.Lock()  # held by the caller: sequence and send belong together
        self.sent = 0
        self.unsent = 0
        self.addresses: tuple[Address, ...] = ()  # of the present socket, and of the one before
        self._channel = channel
        self._failed = failed
        self._socket: socket.socket | None = None
        self._through: Callable[[bytes | bytearray], object] = _not_open
        self._send: Callable[[bytes | bytearray], object] = _not_open
        self._held: deque[tuple[bytearray, int]] | None = None  # and by which setting
        self._setting_ms: Callable[[], int] = int
        self._kept = 0

    def open(self, group: Group) -> None:
        """Open a new socket in place of the present one.

        Raises:
            OSError: no interface or no route (yet); the old socket stays.
        """
        opened = sockets.open_sender(group)
        with self.lock:
            if self._socket is not None:
                self._socket.close()
            self._socket, self._through = opened, opened.send
            # What the one before has sent may still be on its way back to us.
            self.addresses = (opened.getsockname(), *self.addresses[:1])
            if self._held is None:
                self._send = self._through

    def hold(self, setting_ms: Callable[[], int]) -> None:
        """Hold datagrams back from now on, the latest ones, until `release` has sent them all.

        Args:
            setting_ms: returns the wall clock's time, as it is set now, at the monotonic zero.
        """
        with self.lock:
            self._held, self._kept = deque(maxlen=MOST_HELD), 0
            self._setting_ms = setting_ms
            self._send = self._keep

    def waiting(self) -> tuple[int, int]:
        """Return how many datagrams are held, and how many are lost since they were too many."""
        with self.lock:
            held = len(self._held or ())
            return held, self._kept - held

    def release(self, most: int) -> bool:
        """Send the oldest held datagrams, each timestamp moved by as much as the clock was since.

        Args:
            most: how many at once, so that no receiver's buffer runs over.

        Returns:
            Whether none is left; later datagrams go out at once then.
        """
        with self.lock:
            held = self._held or deque()
            setting_ms = self._setting_ms()
            self._send = self._through
            for _ in range(min(most, len(held))):
                datagram, kept_at_ms = held.popleft()
                moved_ms = setting_ms - kept_at_ms
                (timestamp_ms,) = TIMESTAMP.unpack_from(datagram, TIMESTAMP_AT)
                timestamp_ms = min(max(0, timestamp_ms + moved_ms), TIMESTAMP_LIMIT - 1)
                TIMESTAMP.pack_into(datagram, TIMESTAMP_AT, timestamp_ms)
                self.send(datagram)
            if held:
                self._send = self._keep
            else:
                self._held = None
            return not held

    def _keep(self, datagram: bytes | bytearray) -> None:
        assert self._held is not None
        self._held.append((bytearray(datagram), self._setting_ms()))
        self._kept += 1
        self.sent -= 1  # counted when it goes

    def send(self, datagram: bytes | bytearray) -> bool:
        """Send one datagram, and tell whether the network took it; the caller holds the lock."""
        try:
            self._send(datagram)
            self.sent += 1
            return True
        except OSError as error:
            self.unsent += 1
            if error.errno in _OURS:
                log.error("%s channel: %d bytes refused: %s", self._channel, len(datagram), error)
            self._failed()
            return False

    def close(self) -> None:
        """Close the socket; later datagrams are counted as not sent."""
        with self.lock:
            if self._socket is not None:
                self._socket.close()
                self._socket, self._send = None, _not_open
                self._through = _not_open
            held, self._held = self._held, None
        if held:
            lost = sum(datagram[FLAG_AT] != ord("n") for datagram, _ in held)
            log.warning("%d readings that waited for the clock are lost", lost)


def _not_open(datagram: bytes | bytearray) -> None:
    raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
