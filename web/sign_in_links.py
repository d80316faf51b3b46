"""Who may try to come in: one-time sign-in links, and the pace of guessing passwords.

Apart from the rest of the sign-in because it needs no Flask: `jph up` makes a link before the
server has loaded it.
"""

import hashlib
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

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
    """Counts failed sign-ins and returns how long the next try has to wait.

    One name from one address gets a few tries, one address for all names and one name from all
    addresses get more, so that a stranger's guesses do not lock a person out at once.
    """

    WINDOW_S = 900.0
    LIMITS = (5, 30, 30)  # failures within the window: (address, name), address, name
    MOST_KEYS = 10_000

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()

    def wait_s(self, address: str, name: str) -> float:
        """Return the seconds until another try is allowed; 0 for now."""
        now_s = self._clock()
        with self._lock:
            waits = [
                failures[-limit] + self.WINDOW_S - now_s
                for key, limit in zip(self._keys(address, name), self.LIMITS, strict=True)
                if len(failures := self._failures.get(key, deque())) >= limit
            ]
        return max([0.0, *waits])

    def failed(self, address: str, name: str) -> None:
        """Count a failed sign-in."""
        with self._lock:
            for key in self._keys(address, name):
                failures = self._failures.setdefault(key, deque(maxlen=max(self.LIMITS)))
                failures.append(self._clock())
                self._failures.move_to_end(key)
            while len(self._failures) > self.MOST_KEYS:
                self._failures.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """Take back the failure that was counted before the check, and those of this pair."""
        with self._lock:
            pair, *others = self._keys(address, name)
            self._failures.pop(pair, None)
            for key in others:
                if self._failures.get(key):
                    self._failures[key].pop()

    @staticmethod
    def _keys(address: str, name: str) -> tuple[tuple[str, str], ...]:
        name = name[:200].casefold()
        return (address, name), (address, ""), ("", name)
