"""How many events there are per minute: since the last question, and in the last minute."""

import threading
import time
from collections import deque

WINDOW_S = 60
_FIRST_S = 10.0  # what came in the first milliseconds tells little about a minute


class Rate:
    """Counts events by the second; any thread may call. Times are of the monotonic clock."""

    def __init__(self, now_s: float | None = None) -> None:
        self._lock = threading.Lock()
        self._counts: deque[list[int]] = deque([[0, 0]], maxlen=WINDOW_S + 1)  # [second, events]
        self._count = 0
        self._started_s = self._since_s = _or_now(now_s)
        self._least_s = _FIRST_S

    def add(self, events: int = 1, now_s: float | None = None) -> None:
        """Count events that came now."""
        second = int(_or_now(now_s))
        with self._lock:
            self._count += events
            if self._counts[-1][0] != second:
                self._counts.append([second, 0])
            self._counts[-1][1] += events

    def take(self, now_s: float | None = None) -> float:
        """Return events per minute since the last call, to one decimal, and begin again."""
        now_s = _or_now(now_s)
        with self._lock:
            elapsed_s = max(now_s - self._since_s, self._least_s)
            count, self._count = self._count, 0
            self._since_s, self._least_s = now_s, 1e-3
        return round(count * 60 / elapsed_s, 1)

    def per_minute(self, now_s: float | None = None) -> float:
        """Return events in the last minute, or per minute since the start if that is later."""
        now_s = _or_now(now_s)
        span_s = min(float(WINDOW_S), max(1.0, now_s - self._started_s))
        with self._lock:
            total = sum(events for second, events in self._counts if second > now_s - WINDOW_S)
        return round(total * 60 / span_s, 1)


def _or_now(now_s: float | None) -> float:
    return time.monotonic() if now_s is None else now_s
