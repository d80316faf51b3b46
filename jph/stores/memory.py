"""Last states in the memory of this process: what the shipped network uses."""

import threading
from collections.abc import Callable
from pathlib import Path

from jph.clock import time_now_ms
from jph.errors import ConfigError
from jph.state import Fields, LastStates
from jph.stores import StateStore

VERSIONS_PER_MS = 1000  # more changes than a process makes, so that its successor starts beyond


class MemoryState(LastStates):
    """Last states that all components of one process share and that outlive a reload."""

    def recall(self) -> dict[str, Fields]:
        """Return all states."""
        return self.changed_since(0)[1]

    def watch(self, on_fault: Callable[[str | None], object]) -> None:
        """Do nothing: memory can always be written."""

    def close(self) -> None:
        """Do nothing: the others still use it."""


_shared: dict[tuple[Path, str], MemoryState] = {}
_lock = threading.Lock()


def open_memory(url: str, home: Path, password_file: Path | None = None) -> StateStore:
    """Return the states of this name; the same object for everyone in this process and home."""
    name = url.partition(":")[2]
    if not all(letter.isalnum() or letter in "_-" for letter in name):
        raise ConfigError("a memory store is named memory: or memory:name, in letters and digits")
    with _lock:
        key = (home.absolute(), name)
        if key not in _shared:
            _shared[key] = MemoryState(time_now_ms() * VERSIONS_PER_MS)
        return _shared[key]
