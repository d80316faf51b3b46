"""Waitress, in a thread of its own that also loads it and Flask."""

import logging
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from web.site import Site

if TYPE_CHECKING:
    from flask import Flask

log = logging.getLogger(__name__)

THREADS = 8  # for everything but the live stream, whose readers bring one thread each
MOST_CONNECTIONS = 256
HIGH_WATERMARK = 64 * 1024  # bytes that wait for a slow reader before its thread waits with them
IDLE_S = 60  # a connection that asks for nothing any more
LOOP_S = 1.0
DRAIN_S = 0.3  # for answers that are under way at the stop
JOIN_S = 1.0
TRIES = 5  # to make the application


class PageServer:
    """Serves one site on a listening socket until it is closed."""

    def __init__(
        self, site: Site, listener: socket.socket, host: str, allowed_hosts: tuple[str, ...]
    ) -> None:
        self._site = site
        self._listener = listener
        self._host = host
        self._allowed_hosts = allowed_hosts
        self._stopping = threading.Event()
        self._waitress: Any = None  # has no annotations
        self._thread = threading.Thread(target=self._run, name="jph-web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop within two seconds, whatever the readers do."""
        self._stopping.set()
        self._site.stream.close()
        if self._waitress is not None:
            with suppress(OSError):  # the loop woke up by itself and is gone already
                self._waitress.pull_trigger()
        self._thread.join(DRAIN_S + JOIN_S + LOOP_S)

    def _run(self) -> None:
        try:
            with self._listener:
                self._serve()
        except Exception:
            log.exception("the pages are not served any more")

    def _serve(self) -> None:
        from waitress import wasyncore
        from waitress.server import create_server

        for name in ("waitress", "waitress.queue"):  # a page that was closed is no news
            if (logger := logging.getLogger(name)).level == logging.NOTSET:
                logger.setLevel(logging.ERROR)
        app = self._application()
        connections: dict[int, Any] = {}
        server = self._waitress = create_server(
            app,
            map=connections,
            sockets=[self._listener],
            threads=THREADS,
            connection_limit=MOST_CONNECTIONS,
            outbuf_high_watermark=HIGH_WATERMARK,
            channel_timeout=IDLE_S,
            cleanup_interval=IDLE_S // 4,
            # Reads on while a request is served, and so learns that a reader has left.
            channel_request_lookahead=1,
            max_request_header_size=32 * 1024,
            max_request_body_size=64 * 1024,
            clear_untrusted_proxy_headers=True,
            ident=None,
            log_socket_errors=False,
        )
        dispatcher = server.task_dispatcher
        readers = self._site.readers
        readers.watch(lambda count: dispatcher.set_thread_count(THREADS + count))
        while not self._stopping.is_set():
            wasyncore.loop(LOOP_S, use_poll=True, map=connections, count=1)
        wasyncore.dispatcher.close(server)  # the listener alone; its trigger still wakes the loop
        end_s = time.monotonic() + DRAIN_S
        while any(c.requests for c in server.active_channels.values()) and time.monotonic() < end_s:
            wasyncore.loop(0.05, use_poll=True, map=connections, count=1)
        for connection in list(server.active_channels.values()):
            connection.handle_close()  # also lets go a thread that waits for a stalled reader
        readers.watch(lambda count: None)
        dispatcher.shutdown(timeout=JOIN_S)
        server.trigger.close()

    def _application(self) -> "Flask":
        """Make the application.

        Its routes are compiled from syntax trees. Python 3.11 may raise SystemError if another
        thread, such as that of a formula, builds a tree in the same moment (CPython issue 106905).
        """
        from web.app import create_app

        make = partial(
            create_app,
            self._site,
            port=self._listener.getsockname()[1],
            host=self._host,
            allowed_hosts=self._allowed_hosts,
        )
        for _ in range(TRIES - 1):
            with suppress(SystemError):
                return make()
        return make()
