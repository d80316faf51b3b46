"""Conditions: whether what a rule says holds for one sensor, by its readings so far.

A condition sees readings in their order, and is asked at any time. It answers None while nobody can
tell. What it keeps is bounded: a window of time is cut into 60 slices.
"""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple, Protocol

from jph.alerts.rules import Rule

SLICES = 60

Zone = Callable[[int], datetime]  # ms since 1970 to the time of the owner


class Moment(NamedTuple):
    """A moment: by a clock that never jumps, in s, and by the wall clock, in ms since 1970."""

    s: float
    ms: int


class Condition(Protocol):
    """Whether what a rule says holds for one sensor."""

    def see(self, now: Moment, value: float) -> None:
        """Take a reading."""

    def holds(self, now: Moment, is_on: bool) -> bool | None:
        """Tell whether it holds; None: nobody can tell.

        Args:
            is_on: it held before, so that it ends only when the value is better by the hysteresis.
        """

    @property
    def number(self) -> float | None:
        """The number that it is judged by."""


class Threshold:
    """The last value is above or below a limit, or outside of two."""

    def __init__(self, rule: Rule) -> None:
        self._low = rule.low if rule.kind == "outside" else None
        self._high = rule.high if rule.kind == "outside" else None
        if rule.kind == "above":
            self._high = rule.limit
        elif rule.kind == "below":
            self._low = rule.limit
        self._hysteresis = rule.hysteresis
        self.number: float | None = None

    def see(self, now: Moment, value: float) -> None:
        self.number = value

    def holds(self, now: Moment, is_on: bool) -> bool | None:
        value = self.number
        if value is None:
            return None
        margin = self._hysteresis if is_on else 0.0
        too_low = self._low is not None and value < self._low + margin
        too_high = self._high is not None and value > self._high - margin
        return too_low or too_high


class Change:
    """The values of some time differ by more than a limit."""

    def __init__(self, rule: Rule) -> None:
        self._limit = rule.limit or 0.0
        self._hysteresis = rule.hysteresis
        self._within_s = rule.within_s or 1.0
        self._slices: deque[list[float]] = deque()  # begin, lowest, highest

    def see(self, now: Moment, value: float) -> None:
        last = self._slices[-1] if self._slices else None
        if last is not None and now.s < last[0] + self._within_s / SLICES:
            last[1], last[2] = min(last[1], value), max(last[2], value)
        else:
            self._slices.append([now.s, value, value])
        _drop(self._slices, now.s - self._within_s)

    @property
    def number(self) -> float | None:
        if not self._slices:
            return None
        return max(it[2] for it in self._slices) - min(it[1] for it in self._slices)

    def holds(self, now: Moment, is_on: bool) -> bool | None:
        _drop(self._slices, now.s - self._within_s)
        spread = self.number
        if spread is None:
            return None
        return spread > self._limit - (self._hysteresis if is_on else 0.0)


class Growth:
    """A counter grew by more than a limit in some time."""

    def __init__(self, rule: Rule) -> None:
        self._limit = rule.limit or 0.0
        self._within_s = rule.within_s or 1.0
        self._slices: deque[list[float]] = deque()  # begin, growth
        self._last: float | None = None

    def see(self, now: Moment, value: float) -> None:
        grown = 0.0 if self._last is None else _growth(self._last, value)
        self._last = value
        if self._slices and now.s < self._slices[-1][0] + self._within_s / SLICES:
            self._slices[-1][1] += grown
        else:
            self._slices.append([now.s, grown])
        _drop(self._slices, now.s - self._within_s)

    @property
    def number(self) -> float | None:
        return None if self._last is None else sum(it[1] for it in self._slices)

    def holds(self, now: Moment, is_on: bool) -> bool | None:
        _drop(self._slices, now.s - self._within_s)
        number = self.number
        return None if number is None else number > self._limit


class DayTotal:
    """A counter grew by more than a limit since midnight."""

    def __init__(self, rule: Rule, zone: Zone) -> None:
        self._limit = rule.limit or 0.0
        self._zone = zone
        self._day = ""
        self._total = 0.0
        self._last: float | None = None

    def see(self, now: Moment, value: float) -> None:
        self._begin_day(now)
        if self._last is not None:
            self._total += _growth(self._last, value)
        self._last = value

    @property
    def number(self) -> float | None:
        return None if self._last is None else self._total

    def holds(self, now: Moment, is_on: bool) -> bool | None:
        self._begin_day(now)
        return None if self._last is None else self._total > self._limit

    def memory(self) -> list[object]:
        """Return what the next process has to know to go on with this day."""
        return [self._day, self._total, self._last]

    def recall(self, memory: object) -> None:
        """Go on with what another process kept; anything else is forgotten."""
        if isinstance(memory, list) and len(memory) == 3:
            day, total, last = memory
            if isinstance(day, str) and isinstance(total, int | float):
                self._day, self._total = day, float(total)
                self._last = float(last) if isinstance(last, int | float) else None

    def _begin_day(self, now: Moment) -> None:
        day = self._zone(now.ms).date().isoformat()
        if day != self._day:
            self._day, self._total = day, 0.0


def condition_of(rule: Rule, zone: Zone) -> Condition | None:
    """Return a new condition of a rule; None: it is about signs of life, not about numbers."""
    if rule.kind in ("above", "below", "outside"):
        return Threshold(rule)
    if rule.kind == "changes":
        return Change(rule)
    if rule.kind == "losses":
        return Growth(rule)
    return DayTotal(rule, zone) if rule.kind == "total" else None


def _growth(before: float, now: float) -> float:
    """Return by how much a counter grew: less than half is a new beginning, else a correction."""
    return max(0.0, now) if now < before / 2 else now - before


def _drop(slices: deque[list[float]], before_s: float) -> None:
    while slices and slices[0][0] < before_s:
        slices.popleft()
