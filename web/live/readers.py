"""The readers of the live stream: one thread owns their sockets and writes to all of them.

A server that has read the request of a reader hands its socket over and forgets it
(web/serving/front.py). A thread for each reader would cost memory and switches, and their number
would bound that of the readers.

There are no queues: a reader whose last event is not sent completely gets no further one, and
later one event with all that it missed. One that takes nothing for a while is dropped.
"""

import logging
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from jph.node.mailboxes import Waker
from web.live.stream import EVERYTHING, GZIP_HEADER, LiveStream, Scope, pack
from web.serving.limits import Places

log = logging.getLogger(__name__)

FRAME_S = 0.2  # a reader gets at most five events a second
LOOK_S = 1.0  # how often a quiet stream looks for components that fell silent
HEARTBEAT_S = 15.0
ASK_S = 30.0  # how soon the stream ends of who signed out elsewhere
SEND_BUFFER = 64 * 1024  # bytes: the kernel must not keep minutes of events for a slow reader
CLOSE_S = 1.0
GREETING = b"retry: 2000\n\n"
GREETINGS = GREETING, GZIP_HEADER + pack(GREETING)  # as it is, and packed
# The comment keeps proxies awake; a script sees only the event, and misses it when the network died
# without a word.
HEARTBEAT = b": heartbeat\nevent: heartbeat\ndata: {}\n\n"
HEARTBEATS = HEARTBEAT, pack(HEARTBEAT)


@dataclass(eq=False, slots=True)
class Reader:
    """One reader.

    Args:
        address: where it comes from.
        version: of the records, which it has or which is on its way.
        packed: whether it takes gzip.
        unsent: the rest of the last event.
        sent_s: when something was last given to its socket, monotonic.
        is_welcome: tells whether it may still read; asked again from time to time.
        asked_s: when that was asked last, monotonic.
    """

    address: str
    version: int = 0
    scope: Scope = EVERYTHING
    packed: bool = False
    unsent: bytes | memoryview = b""
    sent_s: float = 0.0
    is_welcome: Callable[[], bool] | None = None
    asked_s: float = field(default_factory=time.monotonic)


class Readers:
    """All readers of one site; every method may be called from any thread."""

    def __init__(self, stream: LiveStream, places: Places, stalled_s: float) -> None:
        self._stream = stream
        self._places = places
        self._stalled_s = stalled_s
        self._sockets: dict[Reader, socket.socket] = {}  # of the thread alone, as the selector is
        self._selector = selectors.DefaultSelector()
        self._joining: deque[tuple[Reader, socket.socket, bytes]] = deque()
        self._closing = False
        self._sleeps = False  # until a change wakes it
        self._has_newcomers = False  # who wait for their first event
        self._next_frame_s = 0.0
        self._waker = Waker()
        self._selector.register(self._waker.fileno(), selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="jph-live", daemon=True)
        self._thread.start()
        stream.records.on_change = self.on_change

    @property
    def count(self) -> int:
        """How many there are."""
        return self._places.count

    def expect(self, reader: Reader) -> None:
        """Take a place for a reader that is about to join.

        Raises:
            Busy: there is none, or its address has too many.
        """
        self._places.take(reader.address)

    def forget(self, reader: Reader) -> None:
        """Give the place back of a reader that does not join."""
        self._places.give_back(reader.address)

    def join(self, reader: Reader, connection: socket.socket, head: bytes) -> None:
        """Take over the socket of an expected reader; it is sent the head of an answer first."""
        self._joining.append((reader, connection, head))
        self._waker.wake()
        if not self._thread.is_alive():
            self._drop_joining()

    def on_change(self) -> None:
        """Wake the thread if it sleeps because there was nothing new."""
        if self._sleeps:
            self._sleeps = False
            self._waker.wake()

    def close(self) -> None:
        """Let every reader go."""
        self._closing = True
        self._waker.wake()
        self._thread.join(CLOSE_S)
        self._drop_joining()

    # The thread

    def _run(self) -> None:
        try:
            while not self._closing:
                for key, events in self._selector.select(self._pause_s()):
                    if key.data is None:
                        self._waker.drain()
                    elif events & selectors.EVENT_READ:
                        self._drop(key.data)  # it left: a reader has nothing more to say
                    else:
                        self._go_on(key.data)
                self._take_joining()
                now_s = time.monotonic()
                if self._sockets and now_s >= self._due_s():
                    self._send_frame(now_s)
        except Exception:
            log.exception("the live stream ended")
        finally:
            for reader in list(self._sockets):
                self._drop(reader)
            self._selector.close()
            self._waker.close()

    def _drop_joining(self) -> None:
        with suppress(IndexError):  # there is none left
            while True:
                reader, connection, _ = self._joining.popleft()
                connection.close()
                self._places.give_back(reader.address)

    def _pause_s(self) -> float | None:
        """Return how long to wait for the sockets, None for as long as nobody reads."""
        if not self._sockets:
            return None
        self._sleeps = True  # before the look, so that no change is missed
        due_s = self._due_s()
        self._sleeps = due_s > self._next_frame_s
        return max(0.0, due_s - time.monotonic())

    def _due_s(self) -> float:
        """Return when the next frame is sent, monotonic."""
        if self._has_newcomers or self._stream.has_news():
            return self._next_frame_s
        return self._next_frame_s - FRAME_S + LOOK_S

    def _take_joining(self) -> None:
        while self._joining:
            reader, connection, head = self._joining.popleft()
            connection.setblocking(False)
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            self._sockets[reader] = connection
            self._has_newcomers = True
            self._selector.register(connection, selectors.EVENT_READ, reader)
            self._send(reader, head + GREETINGS[reader.packed], time.monotonic())

    def _send_frame(self, now_s: float) -> None:
        """Send each reader that is not behind what it lacks, and drop those that take nothing."""
        self._next_frame_s = now_s + FRAME_S
        self._has_newcomers = False
        self._stream.begin_frame()
        for reader in list(self._sockets):
            if reader.is_welcome is not None and now_s - reader.asked_s >= ASK_S:
                reader.asked_s = now_s
                if not reader.is_welcome():
                    self._drop(reader)
                    continue
            if reader.unsent:
                if now_s - reader.sent_s > self._stalled_s:
                    self._drop(reader)
                continue
            reader.version, event = self._stream.event(
                reader.version, reader.scope, packed=reader.packed
            )
            if not event and now_s - reader.sent_s >= HEARTBEAT_S:
                event = HEARTBEATS[reader.packed]
            if event:
                self._send(reader, event, now_s)

    def _go_on(self, reader: Reader) -> None:
        """Send the rest of an event to a reader that takes it now."""
        if reader in self._sockets:
            self._send(reader, reader.unsent, time.monotonic())

    def _send(self, reader: Reader, data: bytes | memoryview, now_s: float) -> None:
        connection = self._sockets[reader]
        try:
            sent = connection.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(reader)
            return
        was_behind = bool(reader.unsent)
        reader.unsent = memoryview(data)[sent:] if sent < len(data) else b""
        if sent or not was_behind:
            reader.sent_s = now_s
        if bool(reader.unsent) != was_behind:
            write = selectors.EVENT_WRITE if reader.unsent else 0
            self._selector.modify(connection, selectors.EVENT_READ | write, reader)

    def _drop(self, reader: Reader) -> None:
        connection = self._sockets.pop(reader, None)
        if connection is not None:
            self._selector.unregister(connection)
            connection.close()
            self._places.give_back(reader.address)
