"""Long answers, made while they are sent, each by a thread of its own. No Flask here.

Neither server could send them: waitress drops who takes less than it is given, and gevent wants an
answer whole. So, as with the live stream, an export gets a copy of the connection's socket.
"""

import logging
import select
import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress

from web.serving.limits import Places

log = logging.getLogger(__name__)

PIECE = 32 * 1024  # bytes that are sent at once
CLOSE_S = 1.0


class Export:
    """A long answer, made while it is sent.

    Args:
        address: where it goes.
        content: pieces of it, such as lines; text goes as UTF-8.
        packed: whether its reader takes gzip.
        chunked: whether its reader speaks HTTP/1.1, and so can tell an end from a failure.
    """

    def __init__(
        self,
        address: str,
        content: Iterator[str] | Iterator[bytes],
        *,
        packed: bool,
        chunked: bool,
    ) -> None:
        self.address = address
        self.packed = packed
        self.chunked = chunked
        self._content = content

    def body(self) -> Iterator[bytes]:
        """Yield what is sent behind the head."""
        packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS + 16) if self.packed else None
        for piece in self._pieces():
            data = packer.compress(piece) if packer else piece
            if data:
                yield self._framed(data)
        if packer:
            yield self._framed(packer.flush())
        if self.chunked:
            yield b"0\r\n\r\n"

    def _pieces(self) -> Iterator[bytes]:
        made: list[bytes] = []
        size = 0
        for part in self._content:
            piece = part.encode("utf-8", "backslashreplace") if isinstance(part, str) else part
            made.append(piece)
            size += len(piece)
            if size >= PIECE:
                yield b"".join(made)
                made, size = [], 0
        if made:
            yield b"".join(made)

    def _framed(self, data: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(data), data) if self.chunked else data


class Exports:
    """All exports of one site that are under way; every method may be called from any thread."""

    def __init__(self, places: Places, stalled_s: float) -> None:
        self.places = places
        self._stalled_s = stalled_s
        self._lock = threading.Lock()
        self._sending: dict[threading.Thread, socket.socket] = {}
        self._closing = False

    def expect(self, export: Export) -> None:
        """Take a place for an export that is about to be sent.

        Raises:
            Busy: there is none, or its address has too many.
        """
        self.places.take(export.address)

    def forget(self, export: Export) -> None:
        """Give the place back of an export that is not sent."""
        self.places.give_back(export.address)

    def send(self, export: Export, connection: socket.socket, head: bytes) -> None:
        """Take over the socket of an expected export."""
        thread = threading.Thread(
            target=self._send, args=(export, connection, head), name="jph-export", daemon=True
        )
        with self._lock:
            self._sending[thread] = connection
        thread.start()

    def close(self) -> None:
        """Break off those that are under way."""
        self._closing = True
        with self._lock:
            sending = dict(self._sending)
        for connection in sending.values():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in sending:
            thread.join(CLOSE_S)

    def _send(self, export: Export, connection: socket.socket, head: bytes) -> None:
        try:
            with connection:
                connection.setblocking(False)
                self._send_all(connection, head)
                for data in export.body():
                    self._send_all(connection, data)
        except OSError:
            pass  # it left, or took nothing for too long
        except Exception as error:  # of the store: what is sent lacks its end, which readers notice
            log.error("an export to %s broke off: %s", export.address, error)
        finally:
            self.forget(export)
            with self._lock:
                del self._sending[threading.current_thread()]

    def _send_all(self, connection: socket.socket, data: bytes) -> None:
        """Send as the reader takes it.

        No call of the socket waits: with TLS it holds a lock that the loop of the server needs.
        """
        left = memoryview(data)
        writable = select.poll()
        writable.register(connection, select.POLLOUT)
        while left:
            if self._closing:
                raise BrokenPipeError
            try:
                left = left[connection.send(left) :]
            except BlockingIOError:
                if not writable.poll(self._stalled_s * 1000):
                    raise TimeoutError from None
