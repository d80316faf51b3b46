"""A value that people set, for others to follow."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any

from jph.bus.wire import number_of
from jph.errors import SensorError
from jph.faults import Fault
from jph.files import write_file
from jph.node.channel import Channel
from jph.settings import setting
from sensors.inputs import Inputs

log = logging.getLogger(__name__)

_FOLDER = "set-points"  # in the home directory
_MOST_BYTES = 100


@dataclass
class SetPoint:
    """Keep a value across restarts, and give it at each interval and when it changed.

    A sets it; a value outside of the range is refused. E changes it by a step, which ends at the
    limit of the range.
    """

    codifier: str
    home: Path
    default: float = setting(0.0, doc="the value until somebody sets one")
    minimum: float | None = setting(None, key="Min", doc="lowest value")
    maximum: float | None = setting(None, key="Max", doc="highest value")
    recall: bool = setting(False, doc="begin with the last value that the state store knows")
    channel: Channel | None = field(default=None, repr=False)
    _value: float = field(default=0.0, init=False)
    _in_file: float | None = field(default=None, init=False)
    _fault: Fault = field(default_factory=lambda: Fault(log), init=False, repr=False)

    def __post_init__(self) -> None:
        """Take the value that was kept, or the default."""
        self._low, self._high = _limits(self.minimum, self.maximum)
        _check_default(self.default, self._low, self._high)
        # Codifiers may have characters that file names have not.
        self._file = self.home / _FOLDER / self.codifier.encode().hex()
        self._value = self._within(self._found())
        self._inputs = Inputs(self.channel) if self.recall and self.channel else None

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        low, high = _limits(given.get("minimum"), given.get("maximum"))
        _check_default(given.get("default", cls.default), low, high)

    def read(self) -> Mapping[str, float]:
        """Return the value; keep it, if that did not work before or its file was deleted."""
        self._take_earlier()
        if self._fault or (self._in_file is not None and not self._file.exists()):
            self._keep()
        return {self.codifier: self._value}

    def command(self, flag: str, number: float) -> None:
        """Set the value (A) or change it by a step (E).

        Raises:
            SensorError: it would be outside of its range, or no number.
        """
        self._take_earlier()
        target = self._value + number if flag == "E" else number
        if not isfinite(target):
            raise SensorError(f"is no number, or leads to none; the value stays {self._value:g}")
        if flag == "E":
            value = self._within(target)
        elif self._low <= number <= self._high:
            value = number
        else:
            raise SensorError(
                f"must be {_range(self._low, self._high)}; the value stays {self._value:g}"
            )
        self._value = value
        if value != self._in_file:  # which a Default and a range of later do not change
            self._keep()

    def _take_earlier(self) -> None:
        """Take the value of before the start, the first time that somebody asks for one."""
        inputs, self._inputs = self._inputs, None
        if inputs is None:
            return
        inputs.prepare()
        earlier = number_of(inputs.look(self.codifier).value)
        if earlier is not None:
            self._value = self._within(earlier)

    def _within(self, value: float) -> float:
        return max(self._low, min(self._high, value))

    def _found(self) -> float:
        try:
            with self._file.open("rb") as file:
                text = file.read(_MOST_BYTES)
            value = float(text)
            if len(text) == _MOST_BYTES or not isfinite(value):
                raise ValueError(f"{self._file} is damaged")
        except FileNotFoundError:
            return self.default
        except (OSError, ValueError) as error:
            log.warning("%s: begins at its Default, %g: %s", self.codifier, self.default, error)
            return self.default
        self._in_file = value
        return value

    def _keep(self) -> None:
        """Write the value so that a power cut leaves the old one or the new one."""
        try:
            write_file(self._file, f"{self._value!r}\n".encode())
        except OSError as error:
            said = f"{self.codifier}: {error}; the value is in force, but a restart forgets it"
            self._fault.note(str(error), said)
            return
        self._in_file = self._value
        self._fault.end(f"{self.codifier}: the value is kept again")


def _limits(minimum: float | None, maximum: float | None) -> tuple[float, float]:
    return -inf if minimum is None else minimum, inf if maximum is None else maximum


def _check_default(default: float, low: float, high: float) -> None:
    if low > high:
        raise ValueError("Min: must not be greater than Max")
    if not low <= default <= high:
        raise ValueError(f"Default: {default:g} must be {_range(low, high)}")


def _range(low: float, high: float) -> str:
    if high == inf:
        return f"{low:g} or more"
    return f"{low:g} to {high:g}" if low > -inf else f"{high:g} or less"
