"""What stands before Flask: it believes proxies, refuses invalid names, hands long answers over."""

import errno
import re
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import format_date_time

from web.live.readers import Reader, Readers
from web.serving.exports import Export, Exports
from web.serving.proxies import Proxies

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# In the environment of a request:
TAKE_SOCKET = "jph.take_socket"  # what returns a copy of the connection's socket, from the server
READER = "jph.reader"  # who joins the live stream, from the view
EXPORT = "jph.export"  # a long answer that is made while it is sent, from the view

Headers = list[tuple[str, str]]
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST = re.compile(rf"(?:{LABEL}(?:\.{LABEL})*\.?|\[[0-9a-f:.]+\])(?::\d{{1,5}})?", re.IGNORECASE)


def call(
    app: "WSGIApplication", environ: "WSGIEnvironment"
) -> tuple[str, Headers, Iterable[bytes]]:
    """Return the status, the headers and the body of an application's answer."""
    started: list[tuple[str, Headers]] = []

    def start(status: str, headers: Headers, error: object = None) -> Any:
        started[:] = [(status, headers)]

    body = app(environ, start)
    return (*started[0], body)


class Front:
    """The WSGI application that a server calls.

    A live stream or an export does not go through the server: it gets a copy of the socket, and the
    server is told that the connection broke, so that it closes its own without another word.
    """

    def __init__(
        self, app: "WSGIApplication", readers: Readers, exports: Exports, proxies: Proxies
    ) -> None:
        self._app = app
        self._readers = readers
        self._exports = exports
        self._proxies = proxies

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        if not HOST.fullmatch(environ.get("HTTP_HOST", "localhost")):
            text = b"The Host header has no valid name of a server.\n"
            size = str(len(text))
            start_response(
                "400 Bad Request", [("Content-Type", "text/plain"), ("Content-Length", size)]
            )
            return [text]
        self._proxies.apply(environ)
        status, headers, body = call(self._app, environ)
        reader: Reader | None = environ.get(READER)
        export: Export | None = environ.get(EXPORT)
        if reader is None and export is None:
            start_response(status, headers)
            return body
        with suppress(AttributeError):
            body.close()  # type: ignore[attr-defined]  # PEP 3333: if it has one
        if export is not None and export.chunked:
            headers.append(("Transfer-Encoding", "chunked"))
        try:
            connection: socket.socket = environ[TAKE_SOCKET]()
        except OSError:  # who asked left already
            if reader is not None:
                self._readers.forget(reader)
            if export is not None:
                self._exports.forget(export)
        else:
            if reader is not None:
                self._readers.join(reader, connection, head_of(status, headers))
            if export is not None:
                self._exports.send(export, connection, head_of(status, headers))
        raise BrokenPipeError(errno.EPIPE, "handed over")


def head_of(status: str, headers: Headers) -> bytes:
    """Return the head of an answer whose end is that of its connection."""
    lines = [f"{name}: {value}" for name, value in headers if name != "Content-Length"]
    lines.append(f"Date: {format_date_time(time.time())}")
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "Connection: close", "", ""]).encode(
        "latin-1"
    )
