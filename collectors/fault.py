"""What is wrong with a store, said when it begins and when it ends, with its count."""

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)


class Fault:
    """The present fault of a store, if there is one; any thread may call.

    Args:
        on_change: called when a fault begins and when it ends.
    """

    def __init__(self, on_change: Callable[[], object]) -> None:
        self._on_change = on_change
        self._lock = threading.Lock()
        self._began_s = 0.0
        self.text: str | None = None
        self.tries = 0
        self.lost = 0  # readings dropped since the last one ended

    def __bool__(self) -> bool:
        return self.text is not None

    def begin(self, text: str, tries: int = 1) -> None:
        """Note a fault, or that it is still there after another try."""
        with self._lock:
            began = self.text is None
            self.text = text
            self.tries += tries
            if began:
                self._began_s = time.monotonic()
        if began:
            log.error("%s; readings wait, and it is tried again", text)
            self._on_change()

    def end(self) -> None:
        """Note that the store works."""
        if self.text is None:
            return
        with self._lock:
            tries, lost = self.tries, self.lost
            self.text, self.tries, self.lost = None, 0, 0
        log.warning(
            "storing again after %.0f s and %d failed tries; %d readings were dropped",
            time.monotonic() - self._began_s,
            tries,
            lost,
        )
        self._on_change()

    def lose(self, readings: int, why: str) -> None:
        """Count readings that had to go; say the first time why."""
        with self._lock:
            first = not self.lost
            self.lost += readings
        if first:
            log.error("%s, the oldest are dropped now", why)
