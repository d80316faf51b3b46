"""Codifiers that are heard but not configured: what they send, from where, and since when."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from jph.bus.wire import Control, Reading, Value
from jph.clock import time_now_ms

MENTIONED_S = 600.0  # how long after its last message
# The data type of a reading, by its flag on the wire.
DATA_TYPES = {"f": "float", "i": "integer", "s": "string", "j": "json"}
MOST = 500  # a forger has 8,835 Codifiers to send from


@dataclass(slots=True)
class Stranger:
    """One of them; times are by our clock.

    Args:
        since_ms: when it was heard first.
        heard_ms: when it was heard last.
        heard_s: the same by the monotonic clock.
        ip: where from.
        readings: how many came.
        flag: of its last reading, as on the wire; empty if it only gave signs of life.
        value: of its last reading.
    """

    codifier: str
    since_ms: int
    heard_ms: int
    heard_s: float
    ip: str = ""
    readings: int = 0
    flag: str = ""
    value: Value | None = None


class Strangers:
    """Those that were heard; its owner holds a lock.

    Args:
        clock_s: the monotonic clock.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._heard: dict[str, Stranger] = {}  # the one that was heard last at the end

    def on_reading(self, reading: Reading) -> None:
        """Take a reading of one of them."""
        stranger = self._hear(reading[0], reading[6][0])
        stranger.readings += 1
        stranger.value, stranger.flag = reading[3], reading[4]

    def on_control(self, message: Control, ip: str) -> None:
        """Take a control message of one of them."""
        # Who only asks, such as a jph control without an entry, announces itself with 0.
        if message.flag in "IT" or (message.flag == "N" and message.number):
            self._hear(message.source, ip)

    def forget(self, codifier: str) -> None:
        """Forget one that is configured now."""
        self._heard.pop(codifier, None)

    def lately(self) -> list[Stranger]:
        """Return those that were heard lately, by Codifier."""
        since_s = self._clock_s() - MENTIONED_S
        found = [stranger for stranger in self._heard.values() if stranger.heard_s >= since_s]
        return sorted(found, key=lambda stranger: stranger.codifier)

    def _hear(self, codifier: str, ip: str) -> Stranger:
        now_s, now_ms = self._clock_s(), time_now_ms()
        stranger = self._heard.pop(codifier, None)
        if stranger is None or now_s - stranger.heard_s > MENTIONED_S:
            stranger = Stranger(codifier, now_ms, now_ms, now_s)
            if len(self._heard) >= MOST:
                del self._heard[next(iter(self._heard))]
        self._heard[codifier] = stranger
        stranger.heard_s, stranger.heard_ms, stranger.ip = now_s, now_ms, ip
        return stranger
