"""Commands sent from a page, until it is known what became of them."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from jph.bus.wire import Control, Reading
from jph.config.model import Component
from jph.node.channel import Channel
from jph.node.outcome import Expectation, Outcome, send_command, source_of
from jph.node.throttle import RELOAD_EVERY_S

TIMEOUT_S = {"P": 1.0, "H": 1.0, "S": 1.0, "C": RELOAD_EVERY_S + 1.5, "A": 2.0, "E": 2.0}


@dataclass(slots=True)
class _Waiting:
    expected: Expectation
    ended: threading.Event = field(default_factory=threading.Event)


class Outcomes:
    """Gives each message to the commands that it may be an answer to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[_Waiting]] = {}  # by the Codifiers that may answer

    def tell(
        self, channel: Channel, component: Component, flag: str, number: float | None = None
    ) -> tuple[Outcome, float | None]:
        """Send a command; return what became of it, and after how many ms its ping was answered.

        Raises:
            ChannelError, ValueError: it cannot be sent.
        """
        waiting = _Waiting(Expectation(component, flag, number))
        codifier, expected = component.codifier, waiting.expected
        sources = {codifier, expected.answers}
        with self._lock:
            for source in sources:
                self._waiting.setdefault(source, []).append(waiting)
        try:
            send_command(channel, flag, codifier, number, [expected])
            # Nobody answers a ping of its own.
            own = expected.answers == channel.codifier and expected.answer(channel.is_active)
            if not own:
                waiting.ended.wait(TIMEOUT_S[flag])
        finally:
            with self._lock:
                for source in sources:
                    self._waiting[source].remove(waiting)
                    if not self._waiting[source]:
                        del self._waiting[source]
        return expected.at_last(), expected.round_trip_ms

    def hear(self, messages: Iterable[Control | Reading]) -> None:
        """Take messages of both channels; only those that someone waits for matter."""
        if not self._waiting:
            return
        for message in messages:
            source = source_of(message)
            if source in self._waiting:
                with self._lock:
                    waiting = list(self._waiting.get(source, ()))
                for each in waiting:
                    if each.expected.hear(message) is not None:
                        each.ended.set()
