"""How much a collector does, as it publishes it: per minute since it last said so."""

import threading
import time


class PerMinute:
    """Count events from any thread; durations are of the monotonic clock, in seconds."""

    def __init__(self, now_s: float | None = None) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._since_s = time.monotonic() if now_s is None else now_s

    def count(self, n: int = 1) -> None:
        """Add n events."""
        with self._lock:
            self._count += n

    def take(self, now_s: float | None = None) -> float:
        """Return events per minute since the last call, to one decimal, and begin anew."""
        if now_s is None:
            now_s = time.monotonic()
        with self._lock:
            elapsed_s = max(now_s - self._since_s, 1e-3)
            count, self._count, self._since_s = self._count, 0, now_s
        return round(count * 60 / elapsed_s, 1)
