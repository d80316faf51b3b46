"""One HTTP request, answered in full until a deadline, or one clear error; no connection is kept.

urllib3 grants each step on a socket the whole time-out, so an answer that comes byte by byte would
never end: here each step gets the time that is left. Its retries, pools and proxies are not used.
A process that imports it grows by 3 MB more than by http.client, so import this module only inside
what asks a server.
"""

import contextlib
import io
import logging
import math
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException, IncompleteRead, InvalidURL
from urllib.parse import quote, urljoin, urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError as Urllib3Error
from urllib3.response import BaseHTTPResponse

from jph.errors import HttpError
from jph.http_auth import SignIn
from jph.tcp import connect, left_s, plain, shown, trust

_FAILURES = (OSError, HTTPException, Urllib3Error, ValueError)  # of a server; odd ones the last
_MISTAKES = (ValueError, InvalidURL)  # of the caller, until a server was asked
_HEADERS = {"User-Agent": "JPH", "Connection": "close"}
_MOST_OF_A_REFUSAL = 4096  # bytes; enough for the error object of an API
_URL_SIGNS = "/%!$&'()*+,;=:@~?"  # stay as they are in a path or a query
_CHARSET = re.compile(r""";[ \t]*charset[ \t]*=[ \t]*["']?([\w.:+-]+)""", re.ASCII | re.IGNORECASE)

logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # it logs addresses with their keys


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a server.

    Args:
        address: of the server that answered, without a query.
        status, reason: of the status line.
        content_type: as the server names it; empty if it does not.
        body: all of it if the status is 200, else at most its beginning.
    """

    address: str
    status: int
    reason: str
    content_type: str
    body: bytes

    @property
    def charset(self) -> str | None:
        """Encoding of the body, if the server names one."""
        found = _CHARSET.search(self.content_type)
        return found.group(1).lower() if found else None


def request(
    method: str,
    url: str,
    *,
    deadline_s: float,
    most_bytes: int,
    step_s: float = math.inf,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    redirects: int = 0,
    sign_in: SignIn | None = None,
    ca_file: str = "",
) -> Answer:
    """Return the answer to one request, whatever its status.

    Args:
        url: http or https; user and password in it are not sent.
        deadline_s: longest time from the connection to the last byte, in seconds.
        most_bytes: a longer answer is refused.
        step_s: longest wait for a connection, or for the next bytes, in seconds.
        redirects: how many are followed at most; with GET, and without the headers and the body,
            which are for the first server alone.
        sign_in: for the first server, if it asks for it.
        ca_file: of the only certificates to be accepted; empty: those that the system knows.

    Raises:
        HttpError: no answer, part of one, one that is too long, or none in time.
        ValueError: the address or a header cannot be sent; its text may hold a secret.
    """
    until_s = time.monotonic() + deadline_s
    sent = {**_HEADERS, **(headers or {})}
    asked = signed = False
    try:
        while True:
            if sign_in is not None and (header := sign_in.header(method, _target(url))):
                sent["Authorization"] = header
            with _connection(url, until_s, step_s, ca_file) as connection:
                connection.request(method, _target(url), body, sent, preload_content=False)
                asked = True
                with connection.getresponse() as response:
                    answer = _answer(url, response, most_bytes)
                    location = response.get_redirect_location()
                    challenges = response.headers.getlist("WWW-Authenticate")
            if answer.status == 401 and sign_in is not None and not signed:
                signed = sign_in.take(challenges)
                if signed:
                    continue
            if not redirects or not location:
                return answer
            url, redirects = urljoin(url, location), redirects - 1
            if urlsplit(url).scheme not in ("http", "https"):
                return answer
            method, body, sent, sign_in = "GET", None, _HEADERS, None
    except _FAILURES as error:
        if not asked and isinstance(error, _MISTAKES) and not isinstance(error, OSError):
            raise ValueError(str(error)) from error
        limit_s = deadline_s if time.monotonic() >= until_s else min(deadline_s, step_s)
        raise HttpError(_reason(error, limit_s)) from error


@contextlib.contextmanager
def _connection(url: str, until_s: float, step_s: float, ca_file: str) -> Iterator[HTTPConnection]:
    """Open a connection, with TLS for https, and close it at the end."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    connection = (HTTPSConnection if secure else HTTPConnection)(host, parts.port)
    with contextlib.ExitStack() as stack:
        soon_s = min(until_s, time.monotonic() + step_s)
        line = stack.enter_context(connect(host, connection.port, soon_s))
        if secure:
            try:
                trusted = trust(ca_file)
            except OSError as error:
                reason = error.strerror or error
                raise HttpError(f"the CA file {ca_file} cannot be read: {reason}") from error
            line = stack.enter_context(trusted.wrap_socket(line, server_hostname=host))
        connection.sock = _Line(line, until_s, step_s)
        yield connection


class _Line(io.RawIOBase):
    """A socket, as http.client uses it, whose steps all end with the deadline."""

    def __init__(self, connected: socket.socket, until_s: float, step_s: float) -> None:
        self._socket = connected
        self._until_s = until_s
        self._step_s = step_s

    def settimeout(self, _: object) -> None:
        """Leave the time-out to each step."""

    def close(self) -> None:
        """Leave the socket open: http.client closes it before it has read the answer."""

    def sendall(self, data: bytes) -> None:
        self._limit()
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._limit()
        return self._socket.recv_into(buffer)

    def _limit(self) -> None:
        self._socket.settimeout(min(self._step_s, left_s(self._until_s)))


def _target(url: str) -> str:
    parts = urlsplit(url)
    path = parts.path or "/"
    return quote(f"{path}?{parts.query}" if parts.query else path, safe=_URL_SIGNS)


def _answer(url: str, response: BaseHTTPResponse, most_bytes: int) -> Answer:
    content = b""
    if response.status != 200:
        with contextlib.suppress(*_FAILURES):  # the status says enough
            content = response.read(_MOST_OF_A_REFUSAL, decode_content=False)
    else:
        coding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise HttpError(f"answers compressed, as {plain(coding, 20)}, unasked")
        content = response.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise HttpError(f"answer of more than {most_bytes} bytes")
    content_type = response.headers.get("Content-Type", "")
    return Answer(shown(url), response.status, plain(response.reason), content_type, content)


def _reason(error: Exception, limit_s: float) -> str:
    """Return why there is no answer."""
    cause = error.__cause__
    if isinstance(error, Urllib3Error) and isinstance(cause, Exception):
        error = cause
    if isinstance(error, TimeoutError):
        return f"no answer within {limit_s:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {plain(error.verify_message)}"
    if isinstance(error, IncompleteRead):
        how_far = f"{plain(error.expected, 20)} bytes " if error.expected else ""
        return f"breaks off {how_far}before its end"
    if isinstance(error, HTTPException | ValueError) and not isinstance(error, OSError):
        return f"answers with invalid HTTP: {plain(error)}"
    return plain(getattr(error, "strerror", None) or str(error) or type(error).__name__)
