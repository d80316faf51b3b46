"""Where datagrams leave: one socket for each channel, shared by all components of a process."""

import errno
import logging
import os
import socket
import threading
from collections.abc import Callable

from jph import multicast
from jph.config import Group

log = logging.getLogger(__name__)

# The datagram was refused for its size or content: a fault of ours, not of the network.
_OURS = {errno.EMSGSIZE, errno.EINVAL}


class Outlet:
    """Sends to one group; what the network does not take is counted.

    Args:
        channel: "control" or "data", for the log.
        failed: called after a send failed, so that the socket is opened again.
    """

    def __init__(self, channel: str, failed: Callable[[], None]) -> None:
        self.lock = threading.Lock()  # held by the caller: sequence and send belong together
        self.unsent = 0
        self._channel = channel
        self._failed = failed
        self._socket: socket.socket | None = None
        self._send: Callable[[bytes | bytearray], object] = _not_open

    def open(self, group: Group) -> None:
        """Open the socket anew.

        Raises:
            OSError: no interface or no route (yet); the old socket stays.
        """
        opened = multicast.open_sender(group)
        with self.lock:
            if self._socket is not None:
                self._socket.close()
            self._socket, self._send = opened, opened.send

    def send(self, datagram: bytes | bytearray) -> None:
        """Send one datagram; the caller holds the lock."""
        try:
            self._send(datagram)
        except OSError as error:
            self.unsent += 1
            if error.errno in _OURS:
                log.error("%s channel: %d bytes refused: %s", self._channel, len(datagram), error)
            self._failed()

    def close(self) -> None:
        """Close the socket; what is sent from now on is counted as not sent."""
        with self.lock:
            if self._socket is not None:
                self._socket.close()
                self._socket, self._send = None, _not_open


def _not_open(datagram: bytes | bytearray) -> None:
    raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
