"""How long components take to answer, and what their clocks say: measured by pings from here.

A node tells neither on the bus. An answer carries the time of its sender's clock; it was sent
between our question and the answer's arrival, so its clock is off by its time less the middle of
the two, and that is wrong by half of the round trip at most.
"""

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from jph.bus.wire import Control
from jph.clock import time_now_ms
from jph.node.channel import Channel
from jph.node.outcome import ping_number

KEPT = 8  # last answers of each component
WAIT_S = 2.0  # for an answer; what comes later is none
LEAST_ERROR_MS = 1.0  # timestamps are whole milliseconds


@dataclass(frozen=True, slots=True)
class PingAnswer:
    """One answer to a ping.

    Args:
        offset_ms: of the clock there, positive if it is ahead of ours.
        error_ms: how far the offset may be wrong.
    """

    arrived_ms: int
    round_trip_ms: float
    offset_ms: float
    error_ms: float


@dataclass(slots=True)
class _Asked:
    number: float
    sent_s: float
    sent_ms: float
    answers: deque[PingAnswer] = field(default_factory=lambda: deque(maxlen=KEPT))
    is_answered: bool = False


class Pings:
    """Pings of this server, apart from those that a person sends; any thread may call."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = threading.Condition()
        self._asked: dict[str, _Asked] = {}

    def ask(self, codifiers: Iterable[str], *, older_s: float = 0.0) -> list[str]:
        """Ping those that were not pinged within so many seconds; return which these are."""
        asked = []
        for codifier in codifiers:
            number, now_s = ping_number(), time.monotonic()
            with self._lock:
                known = self._asked.get(codifier)
                if known is not None and now_s - known.sent_s < older_s:
                    continue
                made = _Asked(number, now_s, time.time() * 1000)
                if known is not None:
                    made.answers = known.answers
                self._asked[codifier] = made
            self._channel.send_control("P", codifier, number)
            asked.append(codifier)
        return asked

    def hear(self, message: Control) -> None:
        """Take a control message, perhaps an answer."""
        if message.flag != "T":
            return
        now_s, now_ms = time.monotonic(), time.time() * 1000
        with self._lock:
            asked = self._asked.get(message.source)
            if asked is None or asked.number != message.number or asked.is_answered:
                return
            trip_ms = (now_s - asked.sent_s) * 1000
            if trip_ms > WAIT_S * 1000:
                return
            asked.is_answered = True
            error_ms = trip_ms / 2 + LEAST_ERROR_MS
            offset_ms = message.timestamp_ms - (asked.sent_ms + now_ms) / 2
            asked.answers.append(PingAnswer(time_now_ms(), trip_ms, offset_ms, error_ms))
            self._lock.notify_all()

    def wait(self, codifiers: Iterable[str]) -> None:
        """Wait until all of them have answered, as long as an answer may take at most."""
        wanted = list(codifiers)
        with self._lock:
            self._lock.wait_for(lambda: all(self._is_answered(code) for code in wanted), WAIT_S)

    def answers(self, codifiers: Iterable[str]) -> list[PingAnswer]:
        """Return the last answers of some components."""
        with self._lock:
            return [
                answer
                for code in codifiers
                if (asked := self._asked.get(code)) is not None
                for answer in asked.answers
            ]

    def unanswered(self, codifiers: Iterable[str]) -> list[str]:
        """Return which have not answered their last ping."""
        with self._lock:
            return [code for code in codifiers if not self._is_answered(code)]

    def _is_answered(self, codifier: str) -> bool:
        asked = self._asked.get(codifier)
        return asked is not None and asked.is_answered


def round_trip_ms(answers: Iterable[PingAnswer]) -> float | None:
    """Return the median of the round trips, None without an answer."""
    trips = sorted(answer.round_trip_ms for answer in answers)
    return trips[len(trips) // 2] if trips else None


def best(answers: Iterable[PingAnswer]) -> PingAnswer | None:
    """Return the answer that tells most about the clock."""
    return min(answers, key=lambda answer: answer.error_ms, default=None)
