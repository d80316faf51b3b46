"""Limits for requests that somebody could send to guess passwords, or to keep the machine busy."""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from time import monotonic

from jph.rate import WINDOW_S, Rate

MOST_KEYS = 10_000


class TooMany(Exception):
    """The request has to come again later."""

    retry_after_s = WINDOW_S


class Attempts:
    """Counts failed attempts of the last minute by key, such as an address; any thread may call.

    Args:
        most: attempts that a key may fail in a minute.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._rates: OrderedDict[Hashable, Rate] = OrderedDict()

    def check(self, key: Hashable, now_s: float | None = None) -> None:
        """Return if the key may try.

        Raises:
            TooMany: it failed too often.
        """
        with self._lock:
            rate = self._rates.get(key)
        if rate is not None and rate.per_minute(now_s) >= self._most:
            raise TooMany

    def failed(self, key: Hashable, now_s: float | None = None) -> None:
        """Count a failed attempt."""
        now_s = monotonic() if now_s is None else now_s
        with self._lock:
            # As if it had begun a minute ago: the rate is then what came in the last minute.
            rate = self._rates.setdefault(key, Rate(now_s - WINDOW_S))
            self._rates.move_to_end(key)
            if len(self._rates) > MOST_KEYS:
                self._rates.popitem(last=False)
        rate.add(1, now_s)


class Gate:
    """Lets some threads work at once and some wait; more are sent away.

    Args:
        at_once: how many work at the same time.
        most: how many may work or wait.
    """

    def __init__(self, at_once: int, most: int) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._turns = threading.BoundedSemaphore(at_once)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and have it inside.

        Raises:
            TooMany: too many wait already.
        """
        if not self._places.acquire(blocking=False):
            raise TooMany
        try:
            with self._turns:
                yield
        finally:
            self._places.release()
