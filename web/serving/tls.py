"""TLS by certificate files, as waitress and the live stream use it.

Their loops know sockets that would block and connections that broke, so the errors of TLS are
translated into those. OpenSSL allows one thread at a time on a connection, and waitress reads in
its loop while another thread writes; a lock keeps them apart, which no call holds for long, since
none waits for the network.
"""

import errno
import logging
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from jph.errors import ConfigError
from jph.files import Identity, changed_ns, identity_of
from jph.tls import load
from web.serving.waitress_server import Connection

log = logging.getLogger(__name__)

LOOK_S = 60.0  # how often the files are looked at for a renewed certificate
WOULD_BLOCK = ssl.SSLWantReadError, ssl.SSLWantWriteError
PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"This server speaks TLS: begin the address with https.\n"
)


class TlsSocket(ssl.SSLSocket):
    """A connection with TLS, which is closed when its last holder closes it.

    Args:
        turn: of the one thread that reads or writes.
        counting: of who changes the number of the holders, and waits for nobody.
    """

    turn: threading.Lock
    counting: threading.Lock
    holders: int

    def hold(self) -> "TlsSocket":
        """Return it to one more holder."""
        with self.counting:
            self.holders += 1
        return self

    def shake_hands(self) -> bool:
        """Go on with the handshake; False while it waits for the other side.

        Raises:
            OSError: it failed.
        """
        with self.turn:
            try:
                self.do_handshake()
            except WOULD_BLOCK:
                return False
        return True

    def answer_plainly(self) -> None:
        """Tell who asks without TLS what is wrong."""
        with suppress(OSError):
            socket.socket.recv(self, 64 * 1024)  # what is left unread would reset the connection
            socket.socket.send(self, PLAIN)
            socket.socket.shutdown(self, socket.SHUT_WR)

    def recv(self, size: int = 1024, flags: int = 0) -> bytes:
        """Return what arrived; empty at the end."""
        with self.turn:
            try:
                return super().recv(size, flags)
            except OSError as error:
                raise _plain(error) from error

    def send(self, data: Any, flags: int = 0) -> int:
        """Send some bytes; return how many."""
        with self.turn:
            try:
                return super().send(data, flags)
            except OSError as error:
                raise _plain(error) from error

    def pending(self) -> int:
        """Return how many bytes were received and not read, which poll() does not know."""
        with self.turn:
            return super().pending()

    def close(self) -> None:
        """Close it for one holder."""
        with self.counting:
            self.holders -= 1
            is_last = self.holders == 0
        if is_last:
            with self.turn:
                with suppress(OSError, ValueError):
                    self.settimeout(0)
                    self.unwrap()  # says goodbye, and does not wait for an answer
                super().close()


def _plain(error: OSError) -> OSError:
    """Return the error that a connection without TLS would have."""
    if isinstance(error, WOULD_BLOCK):
        return BlockingIOError(errno.EAGAIN, "would block")
    if isinstance(error, ssl.SSLError):
        return ConnectionResetError(errno.ECONNRESET, str(error))
    return error


class Certificate:
    """The certificate of the server, with its chain, and its key; renewed files are taken over.

    Raises:
        ConfigError: they cannot be read, or do not fit.
    """

    def __init__(self, chain: Path, key: Path) -> None:
        self._files = chain, key
        self._seen = self._identities()
        self._looked_s = time.monotonic()
        self._context = self._load()

    def secure(self, accepted: socket.socket) -> TlsSocket:
        """Return an accepted connection as one with TLS, whose handshake is to come.

        Raises:
            OSError: it broke.
        """
        self._look()
        accepted.setblocking(False)
        secured = self._context.wrap_socket(
            accepted, server_side=True, do_handshake_on_connect=False
        )
        assert isinstance(secured, TlsSocket)
        secured.turn, secured.counting, secured.holders = threading.Lock(), threading.Lock(), 1
        return secured

    def _look(self) -> None:
        """Load the files again if they changed; those that do not fit wait for the next look."""
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_S:
            return
        self._looked_s = now_s
        if (found := self._identities()) == self._seen:
            return
        try:
            self._context = self._load()
        except ConfigError as error:
            log.error("%s; the certificate from before stays in use", error)
            return
        self._seen = found
        log.info("the renewed certificate %s is in use", self._files[0])

    def _identities(self) -> list[tuple[Identity, int]]:
        return [(identity_of(file), changed_ns(file)) for file in self._files]

    def _load(self) -> ssl.SSLContext:
        chain, key = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        context.set_alpn_protocols(["http/1.1"])
        context.sslsocket_class = TlsSocket
        load(context, chain, key)
        return context


class TlsConnection(Connection):
    """One connection with TLS."""

    socket: TlsSocket
    is_open = False  # since the handshake is done
    is_shared = False  # since somebody else writes, and perhaps waits in it

    def readable(self) -> bool:
        """Tell whether to wait for bytes."""
        return not self.is_open or (not self.is_shared and super().readable())

    def handle_read(self) -> None:
        """Take what arrived."""
        if self.is_shared or (not self.is_open and not self._open()):
            return
        while True:
            try:
                data = self.recv(self.adj.recv_bytes)
            except BlockingIOError:
                return
            except OSError:
                self.handle_close()
                return
            if not data:
                self.connected = False
                return
            self.last_activity = time.time()
            self.received(data)
            if not self.connected or not self.socket.pending():
                return

    def share_socket(self) -> TlsSocket:
        """Return the socket to one more holder."""
        self.is_shared = True
        return self.socket.hold()

    def _open(self) -> bool:
        """Go on with the handshake; tell whether it is done."""
        try:
            self.is_open = self.socket.shake_hands()
        except OSError as error:
            if getattr(error, "reason", None) == "HTTP_REQUEST":
                self.socket.answer_plainly()
            self.handle_close()
        return self.is_open
