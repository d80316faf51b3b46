"""Waitress, as the pages use it: one loop for all connections, some threads for the requests.

Three things are added to it: a live stream takes the socket away, one address may have only so many
connections, and a connection that brings no request in time is closed, however slowly it speaks.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import create_server
from waitress.task import WSGITask

from web.serving.front import TAKE_SOCKET
from web.serving.limits import MOST_BODY, Busy, Places, refuse

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

HIGH_WATERMARK = 64 * 1024  # bytes of earlier answers; who asks for more without reading them goes
IDLE_S = 30.0  # longest wait for a request, from its first byte or the one before to its last byte
LOOP_S = 1.0
DRAIN_S = 0.3  # for answers that are under way at the stop
JOIN_S = 1.0


class Task(WSGITask):  # type: ignore[misc]
    """One request."""

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        environ[TAKE_SOCKET] = self.take_socket
        return environ

    def take_socket(self) -> socket.socket:
        """Return the connection's socket, which stays open when we close it."""
        with self.channel.outbuf_lock:  # the loop takes it before it closes a broken connection
            if not self.channel.connected:
                raise BrokenPipeError
            shared: socket.socket = self.channel.share_socket()
            return shared


class Request(HTTPRequestParser):  # type: ignore[misc]
    """One request as it arrives."""

    path = ""  # asked for when a browser left, even if its request had none


class Connection(HTTPChannel):  # type: ignore[misc]
    """One connection."""

    parser_class = Request
    task_class = Task

    def __init__(self, places: Places, *args: Any, **kwargs: Any) -> None:
        self._places: Places | None = places
        self.asked_s = time.monotonic()  # of its last whole request, or its beginning
        super().__init__(*args, **kwargs)

    def received(self, data: bytes) -> bool:
        """Take what arrived."""
        taken: bool = super().received(data)
        if self.requests:
            self.asked_s = time.monotonic()
        return taken

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Drop who asks on and reads no answer; waitress would keep a thread waiting for it."""
        with self.outbuf_lock:
            if self.total_outbufs_len > self.adj.outbuf_high_watermark:
                self._flush_exception(self._flush_some, do_close=False)
            if self.total_outbufs_len > self.adj.outbuf_high_watermark:
                self.connected = False
                self.will_close = True
                self.server.pull_trigger()

    def is_waiting(self) -> bool:
        """Tell whether it has neither a request nor an answer under way."""
        return not self.requests and not self.total_outbufs_len

    def share_socket(self) -> socket.socket:
        """Return a copy of the socket, which stays open when ours is closed."""
        copy: socket.socket = self.socket.dup()
        return copy

    def handle_close(self) -> None:
        """Close it, once."""
        super().handle_close()
        places, self._places = self._places, None
        if places is not None:
            places.give_back(self.addr[0])


class WaitressServer:
    """Serves an application on a listening socket.

    Args:
        threads: how many requests are answered at once.
        places: of the connections; the one that waited longest gives way when there are too many.
        secure: makes a connection with TLS of an accepted one.
        connection_class: which fits that.
    """

    def __init__(
        self,
        app: "WSGIApplication",
        listener: socket.socket,
        threads: int,
        places: Places,
        secure: Callable[[socket.socket], socket.socket] | None = None,
        connection_class: type[Connection] = Connection,
    ) -> None:
        for name in ("waitress", "waitress.queue"):  # a page that was closed is no news
            if (logger := logging.getLogger(name)).level == logging.NOTSET:
                logger.setLevel(logging.ERROR)
        self._places = places
        self._secure = secure
        self._connection_class = connection_class
        self._map: dict[int, Any] = {}
        self._server = create_server(
            app,
            map=self._map,
            sockets=[listener],
            threads=threads,
            connection_limit=places.most + 100,  # ours is lower
            outbuf_high_watermark=HIGH_WATERMARK,
            channel_timeout=24 * 3600,  # ours is shorter
            # Reads on while a request is served, and so learns that a browser has left.
            channel_request_lookahead=1,
            max_request_header_size=32 * 1024,
            max_request_body_size=MOST_BODY,
            clear_untrusted_proxy_headers=False,  # web/serving/front.py does that
            url_scheme="https" if secure else "http",
            ident=None,
            log_socket_errors=False,
        )
        self._server.channel_class = self._accept

    def run(self, stopping: threading.Event) -> None:
        """Serve until the event is set."""
        server, connections = self._server, self._server.active_channels
        looked_s = 0.0
        while not stopping.is_set():
            wasyncore.loop(LOOP_S, use_poll=True, map=self._map, count=1)
            now_s = time.monotonic()
            if now_s - looked_s >= LOOP_S:
                looked_s = now_s
                for connection in list(connections.values()):
                    if connection.is_waiting() and now_s - connection.asked_s > IDLE_S:
                        connection.handle_close()
        wasyncore.dispatcher.close(server)  # the listener alone; its trigger still wakes the loop
        end_s = time.monotonic() + DRAIN_S
        while any(c.requests for c in connections.values()) and time.monotonic() < end_s:
            wasyncore.loop(0.05, use_poll=True, map=self._map, count=1)
        for connection in list(connections.values()):
            connection.handle_close()  # also lets go a thread that waits for a stalled reader
        server.task_dispatcher.shutdown(timeout=JOIN_S)
        server.trigger.close()

    def wake(self) -> None:
        """Let the loop see that it has to stop."""
        self._server.pull_trigger()

    def _accept(
        self, server: Any, accepted: socket.socket, address: Any, *args: Any, **kwargs: Any
    ) -> None:
        """Begin a connection, or refuse it."""
        try:
            self._places.take(address[0])
        except Busy as busy:
            if busy.code == 503 and self._drop_longest_waiting():
                self._places.take(address[0])
            else:
                refuse(accepted, busy)
                return
        if self._secure is not None:
            try:
                accepted = self._secure(accepted)
            except OSError:  # it left already
                accepted.close()
                self._places.give_back(address[0])
                return
        self._connection_class(self._places, server, accepted, address, *args, **kwargs)

    def _drop_longest_waiting(self) -> bool:
        """Close the connection that has waited longest for a request; False if none waits."""
        waiting = [c for c in self._server.active_channels.values() if c.is_waiting()]
        if waiting:
            min(waiting, key=lambda connection: connection.asked_s).handle_close()
        return bool(waiting)
