"""The protocol of Redis, version 2: commands out, many at once, and their replies in.

A page of our own, since redis-py takes 18 MB of memory and a tenth of a second to load, and packs
commands at a fraction of this speed (bench/state.py). One thread uses a connection; a reply that is
an error is a value, because in a pipeline the other replies still count.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

import contextlib
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BufferedReader
from typing import TypeVar, Union
from urllib.parse import unquote, urlsplit

from jph.errors import ConfigError, StoreError

TIMEOUT_S = 2.0  # for each step: to connect, to send, until more of a reply comes
LONGEST_LINE = 1 << 16  # bytes
LARGEST_BULK = 64 << 20  # bytes
PORT = 6379

T = TypeVar("T")

Reply = Union[bytes, int, "Refusal", list["Reply"], None]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reply that is an error.

    Args:
        code: its first word, such as WRONGTYPE or NOAUTH; ERR where there is none better.
        text: all of it.
    """

    code: str
    text: str


class Refused(StoreError):
    """The server answers, and refuses."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)
        self.code = refusal.code


class Unreachable(StoreError):
    """The server does not answer; mends itself when it is back."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a Redis is, and which of its databases."""

    host: str
    port: int = PORT
    database: int = 0
    user: str = ""
    tls: bool = False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"redis{'s' * self.tls}://{host}:{self.port}/{self.database}"


def server_of(url: str) -> Server:
    """Return the server that `redis://[user@]host[:port][/database]` names; rediss is with TLS.

    Raises:
        ConfigError: another form.
    """
    form = "redis://host:port/database"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ConfigError(f"the URL of the state store must be {form}: {error}") from None
    database = parts.path.strip("/") or "0"
    is_number = database.isascii() and database.isdigit()
    if not url[len(parts.scheme) :].startswith("://") or not is_number or parts.query:
        raise ConfigError(f"the URL of the state store must be {form}")
    user = unquote(parts.username or "")
    return Server(host or "127.0.0.1", port or PORT, int(database), user, parts.scheme == "rediss")


def command(*words: str | bytes) -> bytes:
    """Return one command as it is sent."""
    encoded = [word.encode() if isinstance(word, str) else word for word in words]
    bulks = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
    return b"*%d\r\n%b" % (len(encoded), bulks)


class Connection:
    """One connection, signed in and with its database chosen.

    Args:
        server: where.
        password: None for a server that wants none.

    Raises:
        Refused: the password or the database is refused.
        Unreachable: as of every method: the connection is of no use any more.
    """

    def __init__(self, server: Server, password: str | None) -> None:
        self._server = server
        self._socket, self._replies = self._reached(self._connect)
        try:
            if password is not None:
                user = [server.user] if server.user else []
                self.call("AUTH", *user, password)
            if server.database:
                self.call("SELECT", str(server.database))
        except BaseException:
            self.close()
            raise

    def _connect(self) -> tuple[socket.socket, BufferedReader]:
        server = self._server
        opened = socket.create_connection((server.host, server.port), TIMEOUT_S)
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if server.tls:
                import ssl

                context = ssl.create_default_context()
                opened = context.wrap_socket(opened, server_hostname=server.host)
            return opened, opened.makefile("rb")
        except BaseException:
            opened.close()
            raise

    def call(self, *words: str | bytes) -> Reply:
        """Send one command; return its reply."""
        (reply,) = self.exchange(command(*words), 1)
        if isinstance(reply, Refusal):
            raise Refused(reply)
        return reply

    def exchange(self, commands: bytes, count: int) -> Sequence[Reply]:
        """Send commands in one go; return as many replies, refusals among them."""

        def exchanged() -> list[Reply]:
            self._socket.sendall(commands)
            return [self._reply() for _ in range(count)]

        return self._reached(exchanged)

    def close(self) -> None:
        """Close it."""
        for end in (self._replies, self._socket):
            with contextlib.suppress(OSError):
                end.close()

    def _reached(self, step: Callable[[], T]) -> T:
        """Take a step over the network; say in plain words why it fails."""
        try:
            return step()
        except TimeoutError:
            reason = f"no answer within {TIMEOUT_S:g} s"
        except ConnectionRefusedError:
            reason = "nothing listens there; is redis-server running?"
        except socket.gaierror as error:
            reason = f"no such host: {error.strerror}"
        except (OSError, EOFError) as error:
            reason = str(error) or type(error).__name__
        raise Unreachable(reason) from None

    def _reply(self) -> Reply:
        line = self._replies.readline(LONGEST_LINE)
        if not line:
            raise EOFError("it closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            text = rest.decode("utf-8", "replace")
            code = text.partition(" ")[0]
            return Refusal(code if code.isupper() else "ERR", text)
        try:
            number = int(rest)
        except ValueError:
            number = None
        if number is None or not line.endswith(b"\r\n"):
            raise Unreachable("what listens there is no Redis")
        if kind == b":":
            return number
        if kind == b"$" and number <= LARGEST_BULK:
            return None if number < 0 else self._bulk(number)
        if kind == b"*":
            return None if number < 0 else [self._reply() for _ in range(number)]
        raise Unreachable("what listens there is no Redis")

    def _bulk(self, size: int) -> bytes:
        data = self._replies.read(size + 2)
        if len(data) < size + 2:
            raise EOFError("it closed the connection")
        return data[:-2]
