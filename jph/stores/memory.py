"""Last states in the memory of this process, where `LastStates` has them: the default."""

from collections.abc import Callable
from pathlib import Path

from jph.errors import ConfigError
from jph.state import Fields, LastStates
from jph.stores import StateStore


class MemoryState:
    """The last states themselves: there is nothing to write, and nothing from before."""

    def wake(self) -> None:
        """Do nothing: the changed states are there already."""

    def recall(self) -> dict[str, Fields]:
        """Return nothing: memory holds no states of processes before this one."""
        return {}

    def watch(self, on_fault: Callable[[str | None], object]) -> None:
        """Do nothing: memory can always be written."""

    def close(self) -> None:
        """Do nothing: the process keeps its last states."""


def open_memory(url: str, home: Path, password_file: Path | None, states: LastStates) -> StateStore:
    """Return the store, which is the same whatever its name."""
    if not all(letter.isalnum() or letter in "_-" for letter in url.partition(":")[2]):
        raise ConfigError("a memory store is named memory: or memory:name, in letters and digits")
    return MemoryState()
