"""A browser without scripts, as far as tests need one: cookies, forms, the live stream."""

import http.client
import json
import re
import socket
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit


@dataclass
class Answer:
    """What a server answered."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Asks one server on this machine, and keeps its cookies."""

    port: int
    cookies: dict[str, str] = field(default_factory=dict)
    source: str = "127.0.0.1"

    def ask(
        self,
        method: str,
        path: str,
        body: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send one request."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=10, source_address=(self.source, 0)
        )
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = ({"Cookie": cookies} if cookies else {}) | (headers or {})
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        finally:
            connection.close()
        for line in answer.headers.get_all("Set-Cookie", []):
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def get(self, path: str, **headers: str) -> Answer:
        """Ask for a page; header names with underscores for hyphens."""
        return self.ask("GET", path, None, {k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, **fields: str) -> Answer:
        """Send a form."""
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask("POST", path, urlencode(fields), form)

    def token(self, path: str = "/sign-in") -> str:
        """Return the CSRF token of a page."""
        text = self.get(path).text
        found = re.search(r'name="csrf(?:-token)?" (?:content|value)="([^"]+)"', text)
        assert found, text
        return found[1]

    def command(self, codifier: str, flag: str, token: str | None = None, **more: object) -> Answer:
        """Send a command as the page's script does."""
        headers = {"Content-Type": "application/json"}
        if token is None:
            token = self.token("/")
        headers["X-CSRF-Token"] = token
        body = json.dumps({"codifier": codifier, "flag": flag, **more})
        return self.ask("POST", "/command", body, headers)

    def follow_link(self, url: str) -> Answer:
        """Open a one-time link and press its button."""
        path = urlsplit(url).path
        return self.post(path, csrf=self.token(path))

    def sign_in(self, name: str, password: str) -> Answer:
        """Sign in with a password."""
        return self.post("/sign-in", csrf=self.token(), name=name, password=password)


class LiveReader:
    """Reads the live stream of a server.

    Args:
        last: number of the last event that it saw.
        packed: whether it takes gzip, as browsers do.
        source: address that it comes from.
        headers: further ones.
    """

    def __init__(
        self,
        port: int,
        query: str = "",
        last: str | None = None,
        *,
        packed: bool = False,
        source: str = "127.0.0.1",
        headers: dict[str, str] | None = None,
    ) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
        more = f"Last-Event-ID: {last}\r\n" if last else ""
        more += "Accept-Encoding: gzip\r\n" if packed else ""
        more += "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        request = f"GET /live{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{more}\r\n"
        self._socket.sendall(request.encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers = http.client.parse_headers(self._file)
        self.id = ""
        self.received = 0  # bytes of the body, as they came
        self._lines = self._received_lines()

    def __enter__(self) -> "LiveReader":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave."""
        self._file.close()
        self._socket.close()

    def _received_lines(self) -> Iterator[str]:
        """Yield the lines as they come; ends with the stream."""
        is_packed = self.headers["Content-Encoding"] == "gzip"
        unpacker = zlib.decompressobj(zlib.MAX_WBITS + 16)
        rest = b""
        while data := self._file.read1():
            self.received += len(data)
            *lines, rest = (rest + (unpacker.decompress(data) if is_packed else data)).split(b"\n")
            for line in lines:
                yield line.decode()

    def lines(self) -> list[str]:
        """Return the lines up to the next empty one; empty at the end of the stream."""
        block: list[str] = []
        for line in self._lines:
            if line:
                block.append(line)
            elif block:
                break
        return block

    def event(self) -> tuple[str, dict[str, Any]]:
        """Return kind and data of the next event."""
        while block := self.lines():
            fields = dict(line.split(": ", 1) for line in block if not line.startswith(":"))
            if "event" in fields:
                self.id = fields.get("id", self.id)
                return fields["event"], json.loads(fields["data"])
        raise EOFError
