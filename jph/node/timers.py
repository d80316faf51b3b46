"""Actions and their times, by the monotonic clock: a step of the wall clock moves nothing."""

import heapq
import itertools
import time
from collections.abc import Callable


class Timers:
    """Actions at their times; used by one thread."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[float], object]]] = []
        self._order = itertools.count()

    @property
    def due_s(self) -> float:
        """When the next action is due, by the monotonic clock; infinity if there is none."""
        return self._due[0][0] if self._due else float("inf")

    def run(self, now_s: float) -> None:
        """Do the actions that are due."""
        while self._due and self._due[0][0] <= now_s:
            due_s, _, action = heapq.heappop(self._due)
            action(due_s)

    def every(
        self,
        interval_s: float,
        action: Callable[[], object],
        *,
        wanted: Callable[[], bool] = lambda: True,
        delay_s: float = 0.0,
    ) -> None:
        """Repeat an action while it is wanted; a late one skips the ticks that it missed.

        Args:
            interval_s: the first tick comes after this and `delay_s`, in seconds.
            wanted: asked before each tick; False ends it.
            delay_s: moves all ticks, so that many components are not due at once.
        """

        def tick(due_s: float) -> None:
            if not wanted():
                return
            action()
            late_s = max(0.0, time.monotonic() - due_s)
            self._at(due_s + interval_s * (1 + late_s // interval_s), tick)

        self._at(time.monotonic() + interval_s + delay_s, tick)

    def after(self, delay_s: float, action: Callable[[], object]) -> None:
        """Do an action once."""
        self._at(time.monotonic() + delay_s, lambda due_s: action())

    def _at(self, due_s: float, action: Callable[[float], object]) -> None:
        heapq.heappush(self._due, (due_s, next(self._order), action))
