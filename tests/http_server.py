"""A real HTTP server whose answers a test writes."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

Answer = Callable[[BaseHTTPRequestHandler], object]


class Server(ThreadingHTTPServer):
    """Answers a path as `answers` says, "*" being any, and remembers what it was asked."""

    daemon_threads = False

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []  # method, path, headers, body
        self.stopped = threading.Event()  # what trickles ends with it
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """Do not print that a client went away in the middle."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.path, dict(self.headers), body))
        answers = self.server.answers
        (answers.get(self.path) or answers["*"])(self)

    do_POST = do_GET

    def log_message(self, *_) -> None:
        pass


def says(content: bytes, status: int = 200, *, content_type: str = "", length: int | None = None):
    """Return an answer with this body, and with a length of it that may be wrong."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if content_type:
            handler.send_header("Content-Type", content_type)
        if length is not None:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def trickles(beginning: bytes, byte: bytes = b" "):
    """Return an answer of raw bytes, then one more byte at a time for ever."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            handler.wfile.write(beginning)
            while not handler.server.stopped.wait(0.02):
                handler.wfile.write(byte)

    return answer


def endless(beginning: bytes):
    """Return an answer of raw bytes, then 100 MB more, as fast as they are taken."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        with contextlib.suppress(OSError):
            handler.wfile.write(beginning)
            for _ in range(1600):
                handler.wfile.write(b" " * 65536)

    return answer


@contextlib.contextmanager
def running(server: Server) -> Iterator[Server]:
    """Serve until the end."""
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    """Yield an HTTP server whose `answers` a test writes."""
    with running(Server()) as started:
        yield started
