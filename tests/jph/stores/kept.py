"""Last states that are brought to a state store, as a process does it."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from jph.bus.sequence import SequenceTracker
from jph.bus.wire import Control, Reading
from jph.state import LastStates
from jph.stores import open_state


class KeptStates:
    """A store, and the states that it brings there.

    Args:
        url: names the store.
    """

    def __init__(self, url: str, home: Path | None = None, password_file: Path | None = None):
        self.states = LastStates()
        self.store = open_state(url, home, password_file, self.states)
        self.get = self.states.get
        self.changed_since = self.states.changed_since
        self.recall = self.store.recall
        self.watch = self.store.watch
        self.close = self.store.close

    def on_readings(
        self, readings: Iterable[Reading], sources: Mapping[str, SequenceTracker]
    ) -> None:
        """Take readings."""
        self.states.on_readings(readings, sources)
        self.store.wake()

    def on_control(
        self, message: Control, now_ms: int, sources: Mapping[str, SequenceTracker]
    ) -> None:
        """Take a control message."""
        self.states.on_control(message, now_ms, sources)
        self.store.wake()
