"""What graphs send to the bus, paced: of quick values the last one counts.

So a graph that sends what it hears goes round no faster than this.
"""

import math
import threading
import time
from collections.abc import Callable

from jph.threads import component_thread

SHORTEST_S = 0.1  # between two values of a Codifier
SAME_S = 1.0  # before the same value is sent again

Value = bool | int | float | str


class Paced:
    """Sends values for Codifiers; the first one at once.

    Args:
        send: called with Codifier and value, in a thread of its own.
    """

    def __init__(self, name: str, send: Callable[[str, Value], object]) -> None:
        self._send = send
        self._woken = threading.Condition()
        self._pending: dict[str, Value] = {}
        self._last: dict[str, tuple[float, Value]] = {}  # by Codifier: when, and what
        self._is_closing = False
        self._thread = component_thread(name, self._run)
        self._thread.start()

    def offer(self, codifier: str, value: Value) -> None:
        """Send a value, in place of one that waits; any thread may call."""
        with self._woken:
            self._pending[codifier] = value
            self._woken.notify()

    def close(self) -> None:
        """Send no more."""
        with self._woken:
            self._is_closing = True
            self._woken.notify()
        self._thread.join(2)

    def _run(self) -> None:
        while True:
            with self._woken:
                now_s = time.monotonic()
                due = {it: now_s - self._due_s(it) for it in self._pending}
                late = {it: self._pending.pop(it) for it, left_s in due.items() if left_s >= 0}
                self._last |= {it: (now_s, value) for it, value in late.items()}
                if not late and not self._is_closing:
                    self._woken.wait(-max(due.values()) if due else None)
                if self._is_closing:
                    return
            for codifier, value in late.items():
                self._send(codifier, value)

    def _due_s(self, codifier: str) -> float:
        then_s, value = self._last.get(codifier, (-math.inf, math.nan))
        return then_s + (SAME_S if value == self._pending[codifier] else SHORTEST_S)
