"""The client of paho, which reads from its socket what is there.

paho asks for the first byte of a packet, for each byte of its length, and for the rest. Each of
these calls gives the interpreter to another thread, and waits to get it back: a third of the time
that a message of one reading takes.
"""

import socket
import ssl
from typing import Any

from paho.mqtt import client as mqtt

RECEIVE_BYTES = 1 << 14  # a whole record of TLS, so that none waits in the TLS socket


class Client(mqtt.Client):
    """Takes from the socket what is there, and has it for the next calls.

    A paho that reads in another way is slower, no more.
    """

    _unread = memoryview(b"")

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self._unread:
            self._unread = memoryview(super()._sock_recv(max(bufsize, RECEIVE_BYTES)))
            # Else the kernel may wait 40 ms with it, and mosquitto with the next small packet.
            sock: Any = self.socket()
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        taken, self._unread = self._unread[:bufsize], self._unread[bufsize:]
        return bytes(taken)

    @property
    def has_unread(self) -> bool:
        """Whether bytes have come that the socket does not tell of any more."""
        return self.socket() is not None and len(self._unread) > 0


class TlsSocket(ssl.SSLSocket):
    """A socket that is closed when its handshake fails, which paho leaves open."""

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise
