"""The state cache: keeps the last state of every Codifier in a store for pages and programs."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from jph.bus.wire import Address, Control, Reading
from jph.faults import MOST_TEXT
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.rate import Rate
from jph.settings import setting
from jph.stores import open_state

FAULT_EVERY_S = 3.0  # a fault is published again, since a page may have been started after it began


@dataclass
class StateCache:
    """Keep the last state of every Codifier in a state store.

    Its own data is the number of messages that it took per minute, of both channels; while the
    store cannot be written, {"value": that number, "fault": why}, at once and every 3 s.
    """

    ignores_halt: ClassVar[bool] = True

    channel: Channel
    home: Path
    url: str = setting("memory:", doc="where last states are kept: memory:, or the URL of a Redis")
    password_file: Path | None = setting(None, doc="path of the file with the store's password")

    def __post_init__(self) -> None:
        self._messages = Rate()
        self._per_minute = 0.0
        self._publishing = threading.Lock()
        self._fault: str | None = None
        self._published_s = 0.0  # when the fault was last published, monotonic
        states = self.channel.last_states()
        self._store = open_state(self.url, self.home, self.password_file, states)
        self._store.watch(self._on_fault)

    def on_batch(self, readings: list[Reading]) -> None:
        """Take readings, which the last states have already."""
        self._store.wake()
        self._messages.add(len(readings))

    def on_control(self, message: Control, address: Address) -> None:
        """Take a control message, which the last states have already."""
        self._store.wake()
        self._messages.add()

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish messages per minute."""
        with self._publishing:
            self._per_minute = self._messages.take()
            self._publish(timestamp_ms)
            return STATE.WITHERRORS if self._fault else STATE.GOOD

    def close(self) -> None:
        """Write the last changes and close the store."""
        self._store.close()

    def _on_fault(self, fault: str | None) -> None:
        """Publish that the store cannot be written, or that it can again; from any thread."""
        with self._publishing:
            fault = fault and fault[:MOST_TEXT]
            is_due = fault is not None and time.monotonic() >= self._published_s + FAULT_EVERY_S
            if fault != self._fault or is_due:
                self._fault = fault
                self._publish(None)

    def _publish(self, timestamp_ms: int | None) -> None:
        self._published_s = time.monotonic()
        number, fault = self._per_minute, self._fault
        self.channel.send_data({"value": number, "fault": fault} if fault else number, timestamp_ms)
