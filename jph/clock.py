"""The wall clock of the bus."""

import time


def time_now_ms() -> int:
    """Return milliseconds since 1970-01-01 UTC, the unit of every timestamp on the wire."""
    return time.time_ns() // 1_000_000
