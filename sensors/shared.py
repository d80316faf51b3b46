"""Buses and connections that components of one process share."""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """A resource."""

    def close(self) -> None:
        """Give up what it holds."""


K = TypeVar("K", bound=Hashable)
T = TypeVar("T", bound=Closable)


class Shared(Generic[K, T]):
    """One resource for each key, made for its first user and closed by its last.

    Args:
        make: makes the resource of a key.
    """

    def __init__(self, make: Callable[[K], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self.in_use: dict[K, tuple[T, int]] = {}  # the resource, and how many use it

    def acquire(self, key: K) -> T:
        """Return the resource of a key; each user releases it once."""
        with self._lock:
            resource, users = self.in_use.get(key) or (self._make(key), 0)
            self.in_use[key] = resource, users + 1
            return resource

    def release(self, key: K) -> None:
        """Give a resource back."""
        with self._lock:
            resource, users = self.in_use.pop(key)
            if users > 1:
                self.in_use[key] = resource, users - 1
                return
        resource.close()
