"""gevent, as the pages use it: a greenlet for each connection, some threads for the requests.

The application knows nothing of greenlets, and nothing is patched: it runs in threads, as behind
waitress. What gevent does better is to wait for thousands of connections.
"""

import errno
import os
import socket
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from gevent.pywsgi import WSGIHandler, WSGIServer
from gevent.threadpool import ThreadPool

from web.serving.front import TAKE_SOCKET, Headers, call
from web.serving.limits import MOST_BODY, Busy, Places, refuse

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

IDLE_S = 30.0  # longest wait for the head of a request, and for its body
CHUNK = 64 * 1024
IN_MEMORY = 512 * 1024  # of a body; what is longer goes through a file
DRAIN_S = 0.3  # for answers that are under way at the stop


class Connection(WSGIHandler):  # type: ignore[misc]
    """One connection."""

    def get_environ(self) -> dict[str, Any]:
        """Return the WSGI environment."""
        environ: dict[str, Any] = super().get_environ()
        environ[TAKE_SOCKET] = self.take_socket
        return environ

    def take_socket(self) -> socket.socket:
        """Return a copy of the connection's socket, which stays open when ours is closed."""
        return socket.socket(fileno=os.dup(self.socket.fileno()))

    def handle_one_request(self) -> Any:
        """Read a request and answer it, if it arrives in time."""
        self._deadline = gevent.Timeout.start_new(IDLE_S, gevent.GreenletExit)
        self.server.waiting[self] = gevent.getcurrent()
        try:
            return super().handle_one_request()
        except gevent.GreenletExit:
            return None  # closes the connection
        finally:
            self._stop_waiting()

    def read_request(self, line: str) -> Any:
        """Read the rest of the head."""
        try:
            return super().read_request(line)
        except OSError as error:  # it left; gevent would print a traceback
            raise gevent.GreenletExit from error

    def handle_one_response(self) -> None:
        """Answer a request whose head has arrived."""
        self._stop_waiting()
        super().handle_one_response()

    def _stop_waiting(self) -> None:
        self._deadline.close()
        self.server.waiting.pop(self, None)

    def log_request(self) -> None:
        """Log nothing: the pages log what matters."""


class Server(WSGIServer):  # type: ignore[misc]
    """A server whose connections need places; one that waits longest for a request gives way."""

    def __init__(self, places: Places, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = places
        self.waiting: dict[Connection, Any] = {}  # their greenlets, the longest waiting first

    def handle(self, connection: Any, address: Any) -> None:
        """Serve a connection, or refuse it."""
        try:
            self._places.take(address[0])
        except Busy as busy:
            if busy.code == 429 or not self.waiting:
                refuse(connection, busy)
                return
            next(iter(self.waiting.values())).kill()
            self._places.take(address[0])
        try:
            super().handle(connection, address)
        finally:
            self._places.give_back(address[0])


class GeventServer:
    """Serves an application on a listening socket, in the thread that makes it.

    Args:
        threads: how many requests are answered at once.
        places: of the connections.
    """

    def __init__(
        self, app: "WSGIApplication", listener: socket.socket, threads: int, places: Places
    ) -> None:
        self._app = app
        self._threads = ThreadPool(threads)
        self._stop = gevent.get_hub().loop.async_()
        self._server = Server(
            places,
            listener,
            self._answer,
            handler_class=Connection,
            environ={"SERVER_NAME": "localhost"},  # else it asks the name service for one
            log=None,
            error_log=None,  # has a traceback for each invalid request
        )

    def run(self, stopping: threading.Event) -> None:
        """Serve until the event is set."""
        stopped = Event()
        self._stop.start(stopped.set)
        self._server.start()
        if not stopping.is_set():
            stopped.wait()
        self._server.stop(timeout=DRAIN_S)
        self._threads.kill()
        self._stop.close()
        gevent.get_hub().destroy(destroy_loop=True)

    def wake(self) -> None:
        """Let the loop see that it has to stop."""
        with suppress(ValueError):  # it has ended already
            self._stop.send()

    def _answer(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        with tempfile.SpooledTemporaryFile(IN_MEMORY) as taken:
            with gevent.Timeout(IDLE_S, BrokenPipeError):
                left = MOST_BODY
                while left and (data := environ["wsgi.input"].read(min(left, CHUNK))):
                    taken.write(data)
                    left -= len(data)
            taken.seek(0)
            environ["wsgi.input"] = taken
            answer = self._threads.apply(whole_answer, (self._app, environ))
        if answer is None:
            raise BrokenPipeError(errno.EPIPE, "handed over")
        status, headers, body = answer
        start_response(status, headers)
        return [body]


def whole_answer(
    app: "WSGIApplication", environ: "WSGIEnvironment"
) -> tuple[str, Headers, bytes] | None:
    """Return the answer of an application; None if it has handed the connection over."""
    try:
        status, headers, body = call(app, environ)
    except BrokenPipeError:
        return None
    try:
        return status, headers, b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
