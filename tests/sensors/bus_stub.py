"""A channel without a network, for calculations: last values are put, what is sent is kept."""

import time
from pathlib import Path

from jph.bus.wire import Control
from jph.config.model import Config
from jph.node.process import Process
from jph.state import LastStates
from tests.network import config_of

MADE: list[Process] = []  # are closed after each test


class StubChannel:
    """What a component gets, with last states that a test fills.

    Args:
        sensors: entries of the configuration; the first is the component's own.
    """

    def __init__(self, home: Path, *sensors: dict) -> None:
        self.config: Config = config_of(*sensors)
        self.codifier = sensors[0]["Codifier"]
        self.component = self.config.components[self.codifier]
        self.home = home
        self.process = Process(self.config, home, None)
        self.states = self.process.last_states()
        MADE.append(self.process)
        self.data: list[tuple] = []
        self.control: list[tuple] = []
        self._sequence = 0

    def last_states(self) -> LastStates:
        return self.states

    def put(self, codifier: str, value: object, age_s: float = 0.0) -> None:
        """Let a value be heard, a while ago."""
        self._sequence += 1
        read_ms = int((time.time() - age_s) * 1000)
        sender = ("127.0.0.1", 1)
        self.states.on_readings(
            [(codifier, read_ms, self._sequence, value, "f", 4, sender)],
            {},
            time.monotonic() - age_s,
        )

    def put_sign(self, codifier: str) -> None:
        """Let a sign of life be heard, without a value."""
        now_ms = int(time.time() * 1000)
        sign = Control(1, now_ms, "I", codifier, "@@", 1.0, True)
        self.states.on_control(sign, now_ms, {})

    def send_data(self, value, timestamp_ms=None, codifier=None) -> bool:
        self.data.append((codifier or self.codifier, value, timestamp_ms))
        return True

    def send_control(self, flag, to="@@", number=None, timestamp_ms=None) -> None:
        if flag not in "NIPTSHCAE":
            raise ValueError(f"no such flag: {flag}")
        self.control.append((flag, to, number))
