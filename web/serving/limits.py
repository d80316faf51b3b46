"""Limits: how much of the server one address may use, and how much waits. No Flask here."""

import socket
import threading
from collections import Counter
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus

MOST_BODY = 8 << 20  # bytes of any request; the application takes less where less is meant


class Busy(Exception):
    """A request that has to come again later.

    Args:
        code: HTTP status, 429 where the asker is the reason, else 503.
        retry_after_s: when it is worth trying again.
    """

    def __init__(self, message: str, code: int, retry_after_s: int) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after_s = retry_after_s


class Places:
    """A number of places, of which one address may take some.

    Args:
        what: what the places are for, in the plural.
        retry_after_s: when there may be a free one again.
        exempt: addresses that may have all of them, since many people are behind each.
    """

    def __init__(
        self,
        what: str,
        most: int,
        most_of_address: int,
        *,
        retry_after_s: int = 10,
        exempt: Container[str] = (),
    ) -> None:
        self.most = most
        self.most_of_address = most_of_address
        self._what = what
        self._retry_after_s = retry_after_s
        self._exempt = exempt
        self._lock = threading.Lock()
        self._taken: Counter[str] = Counter()
        self.count = 0  # of the places that are taken

    def take(self, address: str) -> None:
        """Take a place.

        Raises:
            Busy: there is none, or the address has its share.
        """
        with self._lock:
            if self._taken[address] >= self.most_of_address and address not in self._exempt:
                raise Busy(
                    f"Too many {self._what} from {address}: wait for one to end, then try again. "
                    "If that is a reverse proxy, name it in Proxies of the Web component.",
                    429,
                    self._retry_after_s,
                )
            if self.count >= self.most:
                raise Busy(f"Too many {self._what} now: try again.", 503, self._retry_after_s)
            self._taken[address] += 1
            self.count += 1

    def give_back(self, address: str) -> None:
        """Give a place back."""
        with self._lock:
            self.count -= 1
            self._taken[address] -= 1
            if self._taken[address] <= 0:
                del self._taken[address]


@dataclass(eq=False, slots=True)
class _Ticket:
    address: str
    admitted: threading.Event = field(default_factory=threading.Event)


class Gate:
    """Lets some requests work at once and some wait for their turn; the others come again later.

    Addresses take turns, and one has at most half of what works at once: its requests wait for each
    other, and nobody else waits for all of them.

    Args:
        what: what is asked for, in the plural.
        at_once: how many work at the same time.
        most: how many may work or wait.
    """

    def __init__(
        self, what: str, *, at_once: int, most: int, most_of_address: int, wait_s: float = 10.0
    ) -> None:
        self.most = most
        self.places = Places(what, most, most_of_address, retry_after_s=2)
        self._what = what
        self._at_once = at_once
        self._share = max(1, at_once // 2)
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._waiting: list[_Ticket] = []
        self._working: Counter[str] = Counter()  # by address

    @property
    def count(self) -> int:
        """How many work or wait."""
        return self.places.count

    @contextmanager
    def turn(self, address: str) -> Iterator[None]:
        """Wait for a turn, and have it inside.

        Raises:
            Busy: too many wait already, or it took too long.
        """
        ticket = _Ticket(address)
        with self._lock:
            self.places.take(address)
            self._waiting.append(ticket)
            self._admit()
        try:
            if not ticket.admitted.wait(self._wait_s):
                raise Busy(f"Too many {self._what} now: try again.", 503, 5)
            yield
        finally:
            with self._lock:
                self.places.give_back(address)
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                else:
                    self._working -= Counter([address])  # forgets who has none left
                self._waiting.sort(key=lambda other: other.address == address)  # others come first
                self._admit()

    def _admit(self) -> None:
        """Let in the first of those whose address has less than its share."""
        for ticket in list(self._waiting):
            if self._working.total() >= self._at_once:
                return
            if self._working[ticket.address] < self._share:
                self._waiting.remove(ticket)
                self._working[ticket.address] += 1
                ticket.admitted.set()


def refuse(connection: socket.socket, busy: Busy) -> None:
    """Answer a connection whose request nobody reads, and close it."""
    text = f"{busy}\n".encode()
    head = (
        f"HTTP/1.1 {busy.code} {HTTPStatus(busy.code).phrase}\r\nRetry-After: {busy.retry_after_s}"
        f"\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    )
    with connection, suppress(OSError):
        connection.setblocking(False)
        with suppress(BlockingIOError):
            connection.recv(64 * 1024)  # what is left unread would reset the connection
        connection.send(head.encode() + text)
        connection.shutdown(socket.SHUT_WR)
