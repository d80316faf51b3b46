"""How many messages came in the last minute."""

import math
import time
from collections import deque

WINDOW_S = 60


class Rate:
    """Counts by the second, and keeps a minute of them; the caller guards it."""

    def __init__(self) -> None:
        self._counts: deque[list[int]] = deque(maxlen=WINDOW_S + 1)  # [second, messages]
        self._started_s = time.monotonic()

    def add(self, messages: int, now_s: float) -> None:
        """Count messages that arrived now, by the monotonic clock."""
        second = math.floor(now_s)
        if not self._counts or self._counts[-1][0] != second:
            self._counts.append([second, 0])
        self._counts[-1][1] += messages

    def per_minute(self, now_s: float) -> float:
        """Return the rate over the last minute, or since the start if that is later."""
        span_s = min(float(WINDOW_S), max(1.0, now_s - self._started_s))
        total = sum(count for second, count in self._counts if second > now_s - WINDOW_S)
        return round(total * 60 / span_s, 1)
