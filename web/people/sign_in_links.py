"""Who may try to come in: one-time sign-in links, and the pace of guessing passwords.

Apart from the rest of the sign-in because it needs no Flask: `jph up` makes a link before the
server has loaded it.
"""

import hashlib
import math
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from web.serving.limits import Busy

LINK_LIFETIME_S = 3600.0
MOST_LINKS = 16  # outstanding one-time links; the oldest gives way


class Links:
    """One-time sign-in links: only their hashes are kept, in memory, for an hour."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._expiry_s: OrderedDict[bytes, float] = OrderedDict()

    def create(self) -> str:
        """Return a new token."""
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._expiry_s[_hash(token)] = self._clock() + LINK_LIFETIME_S
            while len(self._expiry_s) > MOST_LINKS:
                self._expiry_s.popitem(last=False)
        return token

    def is_valid(self, token: str) -> bool:
        """Tell whether a token would still be taken, without taking it."""
        with self._lock:
            return self._expiry_s.get(_hash(token), 0.0) > self._clock()

    def take(self, token: str) -> bool:
        """Use a token up; False if it is unknown, used or too old."""
        with self._lock:
            return self._expiry_s.pop(_hash(token), 0.0) > self._clock()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


class Throttle:
    """Counts wrong passwords for a name from an address, and locks that pair for a while.

    Neither the name is locked for other addresses, nor the address for other names: a stranger's
    guesses must not lock anybody else out.
    """

    WINDOW_S = 900.0
    MOST_FAILURES = 5  # within the window
    MOST_PAIRS = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def check(self, address: str, name: str) -> None:
        """Raise Busy while a pair is locked."""
        with self._lock:
            failures = self._failures.get(_pair(address, name))
            if failures is None or len(failures) < self.MOST_FAILURES:
                return
            wait_s = failures[0] + self.WINDOW_S - self._clock()
        if wait_s > 0:
            raise Busy(
                f"Too many wrong passwords for this name from your address: "
                f"try again in {math.ceil(wait_s / 60)} min.",
                429,
                math.ceil(wait_s),
            )

    def failed(self, address: str, name: str) -> None:
        """Count a wrong password."""
        with self._lock:
            failures = self._failures.setdefault(
                _pair(address, name), deque(maxlen=self.MOST_FAILURES)
            )
            failures.append(self._clock())
            self._failures.move_to_end(_pair(address, name))
            while len(self._failures) > self.MOST_PAIRS:
                self._failures.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """Forget the failures of a pair."""
        with self._lock:
            self._failures.pop(_pair(address, name), None)


def _pair(address: str, name: str) -> tuple[str, str]:
    return address, name[:200].casefold()
