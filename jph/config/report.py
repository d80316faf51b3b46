"""Which readings of a sensor are worth sending, and in what unit.

The order: unit conversion, valid range, median, dead band. A component's `Report` object holds
the rules of its own values, a proxy's object those of the proxy.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jph.bus.wire import Value, number_of
from jph.errors import SensorError
from jph.settings import setting

_SILENCE_S = 60.0  # between two equal values, unless the configuration says something else


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The rules of one Codifier."""

    scale: float = setting(1.0, doc="value = reading * Scale + Offset")
    offset: float = setting(0.0, doc="value = reading * Scale + Offset")
    minimum: float | None = setting(None, key="Min", doc="a lower value is refused")
    maximum: float | None = setting(None, key="Max", doc="a higher value is refused")
    median_of: int = setting(1, key="Median", ge=1, le=1001, doc="median of so many readings")
    dead_band: float | None = setting(
        None, ge=0, doc="send only a value that differs by more than this from the last one sent"
    )
    longest_silence_s: float | None = setting(
        None, gt=0, doc="and after this time in any case, s; at most half of TimeoutWarning"
    )
    failures: int = setting(3, ge=1, doc="failures in a row until they are logged and slow it down")

    def __post_init__(self) -> None:
        """Refuse a range that nothing lies in."""
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError("Min: must not be greater than Max")

    def silence_s(self, timeout_s: float | None) -> float | None:
        """Return how long a value may go unsent because it is the same; None: every one is sent.

        Never so long that the sensor would count as silent.
        """
        if self.dead_band is None and self.longest_silence_s is None:
            return None
        limit_s = timeout_s / 2 if timeout_s else None
        return min(self.longest_silence_s or limit_s or _SILENCE_S, limit_s or float("inf"))


class ReportFilter:
    """Applies the rules to the values of one Codifier."""

    def __init__(self, report: Report, timeout_s: float | None) -> None:
        self._report = report
        self._silence_s = report.silence_s(timeout_s)
        self._recent: deque[float] = deque(maxlen=report.median_of)
        self._sent: Value | None = None
        self._sent_s = 0.0

    def take(self, value: Value, now_s: float, *, at_once: bool = False) -> Value | None:
        """Return the value to send of a reading, None if there is none.

        Args:
            value: as it was read; text and lists have no unit, range, or median.
            now_s: when, by the monotonic clock.
            at_once: send it though it has not changed, since somebody asked.

        Raises:
            SensorError: the value is outside its range.
        """
        number = number_of(value)
        if number is not None:
            value = self._number(value, number)
        if not at_once and self._may_wait(value, now_s):
            return None
        self._sent, self._sent_s = value, now_s
        return value

    def forget(self) -> None:
        """Forget the value taken last, which was not sent after all."""
        self._sent = None

    def _number(self, value: Value, number: float) -> Value:
        rules = self._report
        if rules.scale != 1.0 or rules.offset:
            number = number * rules.scale + rules.offset
        low, high = rules.minimum, rules.maximum
        if (low is not None and number < low) or (high is not None and number > high):
            raise SensorError(f"{number:g} is outside of {_range(low, high)}")
        if rules.median_of > 1:
            self._recent.append(number)
            number = _median(self._recent)
        elif rules.scale == 1.0 and not rules.offset:
            return value  # as it is, whatever its type
        return {**value, "value": number} if isinstance(value, Mapping) else number

    def _may_wait(self, value: Value, now_s: float) -> bool:
        """Tell whether a value is as good as the one sent last, and that was not long ago."""
        sent = self._sent
        if self._silence_s is None or sent is None or now_s - self._sent_s >= self._silence_s:
            return False
        before, now = number_of(sent), number_of(value)
        if before is None or now is None:
            return sent == value
        return abs(now - before) <= (self._report.dead_band or 0.0)


def _median(numbers: Iterable[float]) -> float:
    """Return the middle one, or the mean of two; the module statistics would cost 1.5 MB."""
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def _range(low: float | None, high: float | None) -> str:
    if low is None:
        return f"the valid range, at most {high:g}"
    return f"{low:g} to {high:g}" if high is not None else f"the valid range, at least {low:g}"
