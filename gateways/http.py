"""The HTTP server of a gateway: an application on a port of its own, in the process of the node.

    server = JsonServer(listen("127.0.0.1", 8421), app)
    …
    server.close()

Every answer is JSON, those to requests that cannot be read, too. The token in the home directory
is for our own pages and tools, which ask gateways below `/jph`.
"""

import errno
import json
import logging
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask

from gateways.kept_secret import kept_secret
from jph.errors import ChannelError
from jph.tcp import listening

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

log = logging.getLogger(__name__)

MOST_BODY = 1 << 20  # bytes of a request
THREADS = 8
MOST_CONNECTIONS = 512
BACKLOG = 128
IDLE_S = 60.0  # longest wait for a whole request
LOOP_S = 1.0
DRAIN_S = 0.5  # for answers that are under way at the stop
JOIN_S = 1.0

CORS_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "Allow, Retry-After",
}


class _ErrorAsJson(ErrorTask):  # type: ignore[misc]
    """The answer to a request that the server cannot read, or that is too large."""

    def execute(self) -> None:
        """Write it."""
        error = self.request.error
        body = json.dumps({"details": error.reason}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers += [("Content-Type", "application/json"), *CORS_HEADERS.items()]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Connection(HTTPChannel):  # type: ignore[misc]
    error_task_class = _ErrorAsJson

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.asked_s = time.monotonic()  # of its last whole request, or its beginning
        super().__init__(*args, **kwargs)

    def received(self, data: bytes) -> bool:
        taken: bool = super().received(data)
        if self.requests:
            self.asked_s = time.monotonic()
        return taken

    def is_late(self, now_s: float) -> bool:
        """Tell whether it waits for nothing of ours, and has brought no request for long."""
        return not self.requests and now_s - self.asked_s > IDLE_S


class JsonServer:
    """Serves an application on a listening socket until it is closed."""

    def __init__(
        self, listener: socket.socket, app: "WSGIApplication", threads: int = THREADS
    ) -> None:
        for name in ("waitress", "waitress.queue"):  # a client that left is no news
            if (logger := logging.getLogger(name)).level == logging.NOTSET:
                logger.setLevel(logging.ERROR)
        self.port: int = listener.getsockname()[1]
        self._map: dict[int, Any] = {}
        self._server = create_server(
            app,
            map=self._map,
            sockets=[listener],
            threads=threads,
            connection_limit=MOST_CONNECTIONS,
            channel_timeout=24 * 3600,  # ours is shorter, and a slow request does not lengthen it
            max_request_header_size=32 * 1024,
            max_request_body_size=MOST_BODY,
            clear_untrusted_proxy_headers=False,  # they tell pages that a proxy stands before them
            ident=None,
            log_socket_errors=False,
        )
        self._server.channel_class = _Connection
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"http-{self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop within two seconds, whatever the clients do."""
        self._stopping.set()
        with suppress(OSError):  # the loop woke up by itself and is gone already
            self._server.pull_trigger()
        self._thread.join(LOOP_S + DRAIN_S + JOIN_S)

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            log.exception("port %d is not served any more", self.port)

    def _serve(self) -> None:
        server, connections = self._server, self._server.active_channels
        looked_s = 0.0
        while not self._stopping.is_set():
            wasyncore.loop(LOOP_S, use_poll=True, map=self._map, count=1)
            now_s = time.monotonic()
            if now_s - looked_s >= LOOP_S:
                looked_s = now_s
                for connection in list(connections.values()):
                    if connection.is_late(now_s):
                        connection.handle_close()
        wasyncore.dispatcher.close(server)  # the listener alone; its trigger still wakes the loop
        end_s = time.monotonic() + DRAIN_S
        while any(each.requests for each in connections.values()) and time.monotonic() < end_s:
            wasyncore.loop(0.05, use_poll=True, map=self._map, count=1)
        for connection in list(connections.values()):
            connection.handle_close()
        server.task_dispatcher.shutdown(timeout=JOIN_S)
        server.trigger.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 is any free one.

    Raises:
        ChannelError: the port is taken, or the address is not one of this machine.
    """
    try:
        return listening(host or "0.0.0.0", port, BACKLOG)
    except socket.gaierror as error:
        said = f"Host {host}: {error.strerror}: name an address of this machine"
        raise ChannelError(said) from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            reason = "another program listens there: stop it, or set another Port"
        elif error.errno == errno.EADDRNOTAVAIL:
            reason = "this is no address of this machine: set another Host"
        elif error.errno == errno.EACCES:
            reason = "ports below 1024 need a right that JPH lacks: set a higher Port"
        else:
            reason = error.strerror or str(error)
        raise ChannelError(f"{host} port {port}: {reason}") from error


def home_token(home: Path) -> str:
    """Return the token by which programs of this home ask its gateways; whoever is first makes it.

    Raises:
        OSError: it cannot be read or written.
    """
    return kept_secret(home / "gateways" / "token")
