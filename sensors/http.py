"""HTTP for sensors: one request, answered in full until a deadline, or one clear error.

http.client rather than urllib.request, which costs a node 5 MB and follows redirects to wherever
they lead. Each step on the socket gets what is left of the time, so that an answer that comes byte
by byte ends with it too; only the look-up of a host name takes as long as the system's resolver.
Errors name the address without its query, where keys and tokens stand.
"""

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from urllib.parse import quote, urlsplit

from jph.errors import SensorError
from sensors import json_text

MOST_BYTES = 1 << 20
_AGENT = "JPH"
_MOST_OF_A_REFUSAL = 4096  # bytes; enough for the error object of an API
_URL_SIGNS = "/%!$&'()*+,;=:@~?"  # stay as they are in a path or a query
_CHARSET = re.compile(r""";[ \t]*charset[ \t]*=[ \t]*["']?([\w.:+-]+)""", re.ASCII | re.IGNORECASE)
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said.

    Args:
        address: whose answer it is, without a query.
        status, reason: of the status line.
        charset: encoding of the body, if the server names one.
        body: of a status other than 200 its beginning at most.
    """

    address: str
    status: int
    reason: str
    charset: str | None
    body: bytes

    def document(self, *, mend: bool = False) -> object:
        """Return the JSON document in the body, see `json_text.parse`; SensorError if none."""
        try:
            return json_text.parse(self.body, self.charset, mend=mend)
        except ValueError as error:
            raise SensorError(f"{self.address}: {plain(error)}") from error

    def members(self) -> Mapping[str, object]:
        """Return the JSON object in the body; SensorError if there is none."""
        found = self.document()
        if not isinstance(found, dict):
            raise SensorError(f"{self.address}: the answer is no object")
        return found

    def refusal(self) -> SensorError:
        """Return the error that a status other than 200 is."""
        hint = ""
        if self.status == 401:
            hint = "; user and password are not sent"
        elif 300 <= self.status < 400:
            hint = "; redirects are not followed"
        return SensorError(f"{self.address}: answered {self.status} {self.reason}".rstrip() + hint)


def check(url: str, key: str, *, secure: bool = False) -> None:
    """Refuse what is no address of a server.

    Args:
        key: of the setting, for the message.
        secure: https only, unless the server is this machine.

    Raises:
        ValueError: names the key.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"{key}: is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not host:
        # Without the address, which may be of another kind and hold a password.
        raise ValueError(f"{key}: must begin with http:// or https://, and a host")
    if secure and parts.scheme == "http" and host not in _LOOPBACK:
        raise ValueError(f"{key}: must begin with https://, since it is sent secrets")


def shown(url: str) -> str:
    """Return an address as it may be said: without user, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def plain(text: object, most: int = 80) -> str:
    """Return the beginning of a foreign text, on one line."""
    return "".join(c if c.isprintable() else " " for c in str(text)[:most]).strip()


def get(url: str, *, timeout_s: float, most_bytes: int = MOST_BYTES) -> Answer:
    """Return the answer to GET.

    Raises:
        SensorError: none in time, or one with a status other than 200.
    """
    answer = request("GET", url, timeout_s=timeout_s, most_bytes=most_bytes)
    if answer.status != 200:
        raise answer.refusal()
    return answer


def request(
    method: str,
    url: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    most_bytes: int = MOST_BYTES,
) -> Answer:
    """Return the answer to one request, whatever its status.

    Args:
        timeout_s: longest time from the connection to the last byte, in seconds.
        most_bytes: a longer answer is refused.

    Raises:
        SensorError: no answer, half of one, one that is too long, or none in time.
    """
    until_s = time.monotonic() + timeout_s
    address = shown(url)
    all_headers = {"User-Agent": _AGENT, "Connection": "close", **(headers or {})}
    try:
        with _connect(url, until_s) as connected:
            asking = _connection(url, _Line(connected, until_s))
            asking.request(method, _target(url), body, all_headers)
            with asking.getresponse() as response:
                if response.status == 200:
                    content = _content(response, most_bytes, address)
                else:
                    content = _beginning(response)
                reason, charset = plain(response.reason), _charset(response.msg)
                return Answer(address, response.status, reason, charset, content)
    except TimeoutError as error:
        raise SensorError(f"{address}: no answer within {timeout_s:g} s") from error
    except ssl.SSLCertVerificationError as error:
        reason = plain(error.verify_message)
        raise SensorError(f"{address}: its certificate is not accepted: {reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise SensorError(f"{address}: {_words(error)}") from error
    except ValueError as error:  # its text may hold a header, and that a token
        raise SensorError(f"{address}: the address or a header cannot be sent") from error


def connect(host: str, port: int, until_s: float) -> socket.socket:
    """Return a socket that is connected; its time-out is what is left of the time.

    Each address of a host gets an equal share of what is left, so that one which never answers,
    such as IPv6 on a line without it, does not hide the others. (socket.create_connection gives
    each the whole time.)

    Raises:
        OSError: nobody answers there. TimeoutError: not in time.
    """
    failure: OSError | None = None
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, place) in enumerate(places):
        tried = socket.socket(family, kind, protocol)
        try:
            tried.settimeout(left_s(until_s) / (len(places) - number))
            tried.connect(place)
            tried.settimeout(left_s(until_s))
        except OSError as error:
            tried.close()
            failure = error
        else:
            return tried
    raise failure or OSError("the host has no address")


def left_s(until_s: float) -> float:
    """Return how many seconds are left.

    Raises:
        TimeoutError: none.
    """
    left = until_s - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@lru_cache(maxsize=1)
def trust() -> ssl.SSLContext:
    """Return the certificates of this system; to read them takes longer than most requests."""
    return ssl.create_default_context()


class _Line:
    """What http.client needs of a socket, with a deadline."""

    def __init__(self, connected: socket.socket, until_s: float) -> None:
        self._socket = connected
        self._until_s = until_s

    def sendall(self, data: bytes) -> None:
        self._socket.settimeout(left_s(self._until_s))
        self._socket.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Inflow(self._socket, self._until_s))

    def close(self) -> None:
        """Do nothing: http.client closes its socket before it has read the answer."""


class _Inflow(io.RawIOBase):
    """What comes from a socket until a deadline."""

    def __init__(self, connected: socket.socket, until_s: float) -> None:
        self._socket = connected
        self._until_s = until_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        self._socket.settimeout(left_s(self._until_s))
        return self._socket.recv_into(buffer)


def _connect(url: str, until_s: float) -> socket.socket:
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    connected = connect(host, parts.port or (443 if secure else 80), until_s)
    if not secure:
        return connected
    try:
        connected.settimeout(left_s(until_s))
        return trust().wrap_socket(connected, server_hostname=host)
    except BaseException:
        connected.close()
        raise


def _connection(url: str, line: _Line) -> http.client.HTTPConnection:
    """Return the protocol on a line that is there already, whether with TLS or without."""
    parts = urlsplit(url)
    standard = 443 if parts.scheme == "https" else 80
    asking = http.client.HTTPConnection(parts.hostname or "", parts.port or standard)
    asking.default_port = standard  # which the header Host leaves out
    asking.sock = line
    return asking


def _target(url: str) -> str:
    parts = urlsplit(url)
    path = parts.path or "/"
    return quote(f"{path}?{parts.query}" if parts.query else path, safe=_URL_SIGNS)


def _content(response: http.client.HTTPResponse, most_bytes: int, address: str) -> bytes:
    coding = response.getheader("Content-Encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise SensorError(f"{address}: answers compressed, as {plain(coding, 20)}, unasked")
    content = bytearray()
    while part := response.read1(65536):
        content += part
        if len(content) > most_bytes:
            raise SensorError(f"{address}: answer of more than {most_bytes} bytes")
    if response.length:
        raise SensorError(f"{address}: breaks off {response.length} bytes before its end")
    return bytes(content)


def _beginning(response: http.client.HTTPResponse) -> bytes:
    """Return some of what comes with a refusal; the status says enough without it."""
    try:
        return response.read(_MOST_OF_A_REFUSAL)
    except (OSError, http.client.HTTPException):
        return b""


def _words(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "breaks off before its end"
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, OSError):
        return "answers with something else than HTTP"
    if isinstance(error, http.client.UnknownProtocol):
        return f"answers with {plain(error, 20)}, which is not understood"
    return plain(getattr(error, "strerror", None) or str(error) or type(error).__name__)


def _charset(headers: Message) -> str | None:
    """Return the charset; not by get_content_charset, which raises TypeError for odd parameters."""
    found = _CHARSET.search(headers.get("Content-Type", ""))
    return found.group(1).lower() if found else None
