"""Pings sent from a page, until their answer comes."""

import threading
import time
from dataclasses import dataclass, field

from jph.bus.wire import Control
from jph.node.channel import Channel


@dataclass(slots=True)
class _Waiting:
    answered: threading.Event = field(default_factory=threading.Event)
    answered_s: float = 0.0


class Pings:
    """Matches each T with the P that asked for it, by Codifier and number."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[tuple[str, float], _Waiting] = {}
        self._last = 0.0

    def ping(self, channel: Channel, codifier: str, timeout_s: float = 1.0) -> float | None:
        """Ping a component; return the round trip in ms, or None without an answer in time."""
        waiting = _Waiting()
        with self._lock:
            # Our clock in ms, and no number twice.
            number = self._last = max(time.time_ns() / 1e6, self._last + 0.01)
            self._waiting[codifier, number] = waiting
        try:
            sent_s = time.perf_counter()
            channel.send_control("P", to=codifier, number=number)
            if not waiting.answered.wait(timeout_s):
                return None
            return (waiting.answered_s - sent_s) * 1000
        finally:
            with self._lock:
                del self._waiting[codifier, number]

    def on_control(self, message: Control) -> None:
        """Take one control message; only a T that someone waits for matters."""
        if message.flag != "T":
            return
        with self._lock:
            waiting = self._waiting.get((message.source, message.number))
        if waiting is not None and not waiting.answered.is_set():
            waiting.answered_s = time.perf_counter()
            waiting.answered.set()
