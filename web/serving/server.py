"""The server of the pages, in a thread of its own that also loads it and Flask."""

import logging
import resource
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Literal

from web.site import Site

if TYPE_CHECKING:
    from flask import Flask

    from web.serving.gevent_server import GeventServer
    from web.serving.tls import Certificate
    from web.serving.waitress_server import WaitressServer

log = logging.getLogger(__name__)

ServerName = Literal["waitress", "gevent"]
THREADS = 8  # besides those that wait behind a gate
# A request takes the interpreter's lock some ten times, and each time may wait for so long for each
# thread that computes; with the usual 5 ms a few busy threads make all pages slow.
SWITCH_S = 0.001
MOST_FILES = 4096  # connections, readers and all else that this process may open
CLOSE_S = 2.3
TRIES = 5  # to make the application


class PageServer:
    """Serves one site on a listening socket until it is closed."""

    def __init__(
        self,
        site: Site,
        listener: socket.socket,
        host: str,
        allowed_hosts: tuple[str, ...],
        server: ServerName = "waitress",
        certificate: "Certificate | None" = None,
    ) -> None:
        self._site = site
        self._listener = listener
        self._host = host
        self._allowed_hosts = allowed_hosts
        self._stopping = threading.Event()
        self._server_name = server
        self._certificate = certificate
        self._server: WaitressServer | GeventServer | None = None
        sys.setswitchinterval(SWITCH_S)
        allow_files()
        self._thread = threading.Thread(target=self._run, name="jph-web", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop within two seconds, whatever the readers do."""
        self._stopping.set()
        self._site.readers.close()
        if self._server is not None:
            with suppress(OSError):  # the loop woke up by itself and is gone already
                self._server.wake()
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            with self._listener:
                self._serve()
        except Exception:
            log.exception("the pages are not served any more")

    def _serve(self) -> None:
        from web.serving.front import Front

        serve: Callable[..., WaitressServer | GeventServer]
        if self._server_name == "gevent":
            from web.serving.gevent_server import GeventServer as serve
        else:
            from web.serving.waitress_server import WaitressServer as serve
        if self._certificate is not None:
            from web.serving.tls import TlsConnection

            secure = self._certificate.secure
            serve = partial(serve, secure=secure, connection_class=TlsConnection)
        site = self._site
        front = Front(self._application(), site.readers, site.exports, site.proxies)
        gates = site.page_gate, site.history_gate, site.password_gate, site.command_gate
        threads = THREADS + sum(gate.most for gate in gates)
        self._server = serve(front, self._listener, threads, site.connections)
        site.keeper.attach(site)
        self._server.run(self._stopping)

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


def allow_files() -> None:
    """Let this process have as many files open as connections need, if its hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
