"""What became of a command, by what its component says next.

A ping follows every command. A component answers it after it has obeyed the command, so the answer
tells whether it is active or halted now. A reload ends with N, or with I where nothing changed. A
value that was set comes with the next reading.
"""

import itertools
import math
import time
from collections.abc import Collection
from dataclasses import dataclass

from jph import registry
from jph.bus.wire import BROADCAST, Control, Reading, Value, number_of
from jph.config.model import Component
from jph.node.channel import Channel
from jph.settings import unquoted

_JUST_MS = 10_000  # a configuration that was loaded by so much before the message is a new one
_RELATIVE = 1e-6  # a float32 has 7 digits
_numbers = itertools.count(time.time_ns() // 1_000_000)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command, in words that follow the Codifier."""

    is_done: bool
    text: str


class Expectation:
    """What a component is to do, and what it has said since it was told.

    Args:
        flag: P, S, H, C, A or E.
        number: what it is to be set to, or the step.
    """

    def __init__(self, component: Component, flag: str, number: float | None = None) -> None:
        self.component = component
        self._flag = flag
        self._number = number
        self._ping = math.nan
        self._sent_s = 0.0
        self._answered_s: float | None = None
        self._is_active = True
        self._is_reloaded = False
        self._value: Value | None = None
        self._is_later = False  # the value came after the answer

    def begin(self, ping: float) -> None:
        """Wait for the answer to the ping of this number, which is sent now."""
        self._ping, self._sent_s = ping, time.monotonic()

    def hear(self, message: Control | Reading) -> Outcome | None:
        """Take a message of the component; return the outcome as soon as it is sure."""
        if not isinstance(message, Control):
            if message[0] != self.component.codifier:
                return None  # a value of the component that serves this one
            self._value = message[3]
            self._is_later = self.is_answered
        elif message.flag == "T" and message.number == self._ping and not self.is_answered:
            return self.answer(message.is_active)
        elif message.flag in "NI":
            age_ms = message.timestamp_ms - message.number  # both by the clock of the sender
            self._is_reloaded = self._is_reloaded or abs(age_ms) < _JUST_MS
        return self._outcome()

    def answer(self, is_active: bool) -> Outcome | None:
        """Take the answer to the ping; return the outcome as soon as it is sure."""
        self._answered_s = time.monotonic()
        self._is_active = is_active
        return self._outcome()

    @property
    def answers(self) -> str:
        """The Codifier that answers: nobody does for a proxy but the component that serves it."""
        return self.component.server or self.component.codifier

    @property
    def is_answered(self) -> bool:
        """Whether the component answered the ping."""
        return self._answered_s is not None

    @property
    def round_trip_ms(self) -> float | None:
        """How long the answer to the ping took; None without an answer."""
        return None if self._answered_s is None else (self._answered_s - self._sent_s) * 1000

    def at_last(self) -> Outcome:
        """Return the outcome when no more time is left."""
        if (outcome := self._outcome()) is not None:
            return outcome
        if not self.is_answered:
            return Outcome(False, "did not answer")
        if self._flag == "C":
            return Outcome(False, "runs, but has not reloaded; its log tells why")
        if self._value is None:
            return Outcome(False, "answered, but has not sent its value")
        if self._takes_any():
            return Outcome(True, f"is {self._shown(self._value)} now")
        shown = f"is {self._shown(self._value)}, not {self._shown(self._number)}"
        return Outcome(False, f"{shown}; {self._limits()}")

    def _outcome(self) -> Outcome | None:
        if self._flag == "C":
            return Outcome(True, "has reloaded") if self._is_reloaded else None
        if not self.is_answered:
            return None
        if self._flag == "P":
            return Outcome(True, "answered" if self._is_active else "answered, and is halted")
        if self._flag == "H":
            return self._halted()
        if self._flag == "S":
            return Outcome(self._is_active, "is active" if self._is_active else "is still halted")
        if not self._is_active:
            return Outcome(False, "is halted; start it first")
        if self._is_later if self._takes_any() else self._is_set():
            return Outcome(True, f"is {self._shown(self._value)} now")
        return None

    def _halted(self) -> Outcome:
        if not self._is_active:
            return Outcome(True, "is halted")
        kind = self.component.type
        why = f": a {kind} cannot be halted" if kind in registry.IGNORE_HALT else ""
        return Outcome(False, f"is still active{why}")

    def _takes_any(self) -> bool:
        """Tell whether any value may be right: after a step, or under rules that change it."""
        return self._flag == "E" or self.component.report is not None

    def _is_set(self) -> bool:
        now = number_of(self._value)
        return (
            now is not None
            and self._number is not None
            and math.isclose(now, self._number, rel_tol=_RELATIVE, abs_tol=1e-9)
        )

    def _shown(self, value: object) -> str:
        number = number_of(value)
        text = str(value) if number is None else f"{number:.7g}"
        return f"{text} {self.component.symbol}".rstrip()

    def _limits(self) -> str:
        low, high = limits(self.component)
        if low is None and high is None:
            return "its log tells why"
        if low is None or high is None:
            return f"it takes {high} or less" if low is None else f"it takes {low} or more"
        return f"it takes {low} to {high}"


def limits(component: Component) -> tuple[float | None, float | None]:
    """Return the lowest and the highest value that a component takes, as far as its entry tells."""
    if component.type == "Fan":
        return 0, 100
    low, high = (unquoted(component.settings.get(key)) for key in ("Min", "Max"))
    return (
        low if isinstance(low, int | float) else None,
        high if isinstance(high, int | float) else None,
    )


def ping_number() -> float:
    """Return the number of a ping; no two of this process are the same."""
    return float(next(_numbers))


def send_command(
    channel: Channel,
    flag: str,
    to: str,
    number: float | None = None,
    expected: Collection[Expectation] = (),
) -> None:
    """Send a command and the ping behind it, whose answers are expected."""
    ping = ping_number()
    for each in expected:
        each.begin(ping)
    if flag != "P":
        channel.send_control(flag, to, number)
    answers = {each.answers for each in expected}
    channel.send_control("P", answers.pop() if len(answers) == 1 and to != BROADCAST else to, ping)


def source_of(message: Control | Reading) -> str:
    """Return the Codifier that a message comes from."""
    return message.source if isinstance(message, Control) else message[0]
