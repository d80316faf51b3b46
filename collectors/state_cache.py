"""The state cache: keeps the last state of every Codifier where pages and programs find it."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from collectors.rate import PerMinute
from jph.channel import STATE, Channel
from jph.clock import time_now_ms
from jph.settings import setting
from jph.stores import open_state
from jph.wire import Control, Reading, Sender


@dataclass
class StateCache:
    """Keep the last state of every Codifier in a state store.

    Its own data is the number of messages that it took per minute, of both channels.

    Args:
        channel: its place on the bus.
        home: folder that file names in the URL are relative to.
        url: the store, `memory:`.
    """

    ignores_halt: ClassVar[bool] = True

    channel: Channel
    home: Path
    url: str = setting("memory:", doc="where last states are kept: memory:")

    def __post_init__(self) -> None:
        self._store = open_state(self.url, self.home)
        self._messages = PerMinute()

    def on_batch(self, readings: list[Reading]) -> None:
        """Take readings."""
        self._store.on_readings(readings, self.channel.data_sources)
        self._messages.count(len(readings))

    def on_control(self, message: Control, sender: Sender) -> None:
        """Take a control message."""
        self._store.on_control(message, time_now_ms(), self.channel.control_sources)
        self._messages.count()

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish messages per minute."""
        self.channel.send_data(self._messages.take(), timestamp_ms)
        return STATE.GOOD

    def close(self) -> None:
        """Let go of the store."""
        self._store.close()
