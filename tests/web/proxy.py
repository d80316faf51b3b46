"""A reverse proxy at a path, as far as tests need one: one request for each connection."""

import contextlib
import re
import socket
import threading


class PathProxy:
    """Passes what is asked for below a path on to a server, and says so in its headers."""

    def __init__(self, path: str, target: int) -> None:
        self._path = path
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> "PathProxy":
        return self

    def __exit__(self, *exception: object) -> None:
        for each in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                browser, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [browser, server]
                for pump in (self._ask, self._answer):
                    self._threads.append(threading.Thread(target=pump, args=(browser, server)))
                    self._threads[-1].start()

    def _ask(self, browser: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                if not (part := browser.recv(65536)):
                    # A browser opens connections ahead and closes some without asking.
                    server.shutdown(socket.SHUT_WR)
                    return
                data += part
            head, _, body = data.partition(b"\r\n\r\n")
            line, *headers = head.decode("latin-1").split("\r\n")
            method, address, version = line.split(" ")
            if not address.startswith(f"{self._path}/"):
                browser.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                browser.shutdown(socket.SHUT_WR)
                return
            headers = [h for h in headers if not re.match("connection:", h, re.IGNORECASE)]
            headers += [f"X-Forwarded-Prefix: {self._path}", "Connection: close"]
            line = f"{method} {address[len(self._path) :]} {version}"
            server.sendall("\r\n".join([line, *headers, "", ""]).encode("latin-1") + body)
            while data := browser.recv(65536):
                server.sendall(data)

    def _answer(self, browser: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                browser.sendall(data)
            browser.shutdown(socket.SHUT_WR)
