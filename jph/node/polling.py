"""A sensor's timer: it reads at each tick, sends the values that changed, and handles failures.

It logs failures in a row once, when there are as many as `Report.Failures`, or at once while the
sensor has not given a reading yet (but not when there is merely nothing to read, such as an input
of a calculation that was not heard). It then tries the sensor less often: after 2, 3, 5 and at last
8 intervals, but at least every 300 s, or at every interval if that is longer. It logs the recovery.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from jph.bus.wire import Value
from jph.config.data_type import loses_digits, typed
from jph.config.model import Config
from jph.config.report import Report, ReportFilter
from jph.errors import NoReading, SensorError
from jph.faults import Fault
from jph.node.channel import Channel
from jph.node.process import STATE

_MOST_SKIPPED = 7  # ticks, while a sensor fails
_LONGEST_PAUSE_S = 300.0

# A history of an older version has a column of numbers for each Codifier that declares no other
# DataType, and no room for the object by which a double travels.
_OLDER_WRITER = "jphPostgreSQL"
_LARGEST = (1 << 32) - 1  # of the whole numbers that travel as they are

_DEFAULT = Report()


class Reader(Protocol):
    """The interface of a sensor.

    It may also have `command(flag, number)`: "A" with the value to set, or "E" with the step. A
    reading follows it and is sent at once.
    """

    def read(self) -> Mapping[str, Value]:
        """Return Codifier -> value, of its own and of its proxies; SensorError if there is none."""


@dataclass(slots=True)
class _Output:
    """How the values of one Codifier are sent.

    Args:
        data_type: as declared, or "float".
        is_float32: it is declared, so that floats go as such.
    """

    data_type: str
    is_float32: bool
    rules: ReportFilter | None
    was_told: bool = False  # that digits are lost


class SensorPoller:
    """Reads a sensor at each tick and sends its values."""

    def __init__(self, reader: Reader, channel: Channel) -> None:
        component = channel.component
        self._reader = reader
        self._channel = channel
        self._log = logging.getLogger(component.type_name)
        self._limit = (component.report or _DEFAULT).failures
        self._outputs: dict[str, _Output] = {}  # by Codifier
        self._asked_config: Config | None = None  # that was looked through for an older writer
        self._older_writer = False
        self._fault = Fault(self._log)
        self.reason = ""  # why the last reading was refused, where it did not raise
        self._skip = 0  # ticks to skip
        self._has_worked = False

    def __call__(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Read and send.

        Raises:
            SensorError: there was no reading; it is logged already.
        """
        if command:
            self._obey(command, number)
        elif self._skip:
            self._skip -= 1
            return STATE.FAILED
        try:
            values = self._reader.read()
        except NoReading as error:  # such as of inputs that may be heard soon
            self._miss(str(error), after=self._limit)
            raise
        except SensorError as error:
            self._miss(str(error))
            self._back_off()
            raise
        refused = self._send(values, at_once=bool(command))
        self.reason = "; ".join(refused)
        if refused:
            self._miss(self.reason)
            return STATE.WITHERRORS
        self._fault.end(f"{self._channel.codifier} reads again")
        self._has_worked, self._skip = True, 0
        return STATE.GOOD if values else STATE.NOREADING

    def _obey(self, flag: str, number: float) -> None:
        command = getattr(self._reader, "command", None)
        if command is None:
            return
        try:
            command(flag, number)
        except SensorError as error:
            self._log.warning("%s: %s %g: %s", self._channel.codifier, flag, number, error)

    def _send(self, values: Mapping[str, Value], *, at_once: bool) -> list[str]:
        """Send the values that the rules let pass; return the refused ones, a line each."""
        refused = []
        for codifier, value in values.items():
            output = self._outputs.get(codifier)
            if output is None:
                output = self._outputs[codifier] = self._output(codifier)
            rules = output.rules
            try:
                kept: Value | None = typed(value, output.data_type)
                if rules is not None and kept is not None:
                    kept = rules.take(kept, time.monotonic(), at_once=at_once)
                if type(kept) is float and loses_digits(kept):
                    kept = self._with_digits(kept, codifier, output)
                is_sent = kept is None or self._channel.send_data(kept, codifier=codifier)
            except (ValueError, TypeError, SensorError) as error:
                refused.append(f"{codifier}: {error}")
                is_sent = False
            if rules is not None and not is_sent:
                rules.forget()
        return refused

    def _with_digits(self, value: float, codifier: str, output: _Output) -> Value:
        """Return a form in which a number that float32 would change keeps its digits.

        Where it has to go as float32, it is logged once.
        """
        if output.data_type in ("double", "json"):
            return value  # which goes as a double anyway
        why = "its DataType is float"
        if not output.is_float32:
            if value.is_integer() and 0 <= value <= _LARGEST:
                return int(value)
            if not self._has_older_writer():
                return int(value) if value.is_integer() else {"value": value}
            why = f"a history by {_OLDER_WRITER} may be of an older version"
        if not output.was_told:
            output.was_told = True
            self._log.warning(
                '%s: %r loses digits as float32, since %s; set its DataType to "double"',
                codifier,
                value,
                why,
            )
        return value

    def _has_older_writer(self) -> bool:
        config = self._channel.config
        if self._asked_config is not config:
            self._asked_config = config
            kinds = (component.type_name for component in config.components.values())
            self._older_writer = _OLDER_WRITER in kinds
        return self._older_writer

    def _output(self, codifier: str) -> _Output:
        entry = self._channel.config.components.get(codifier)
        if entry is None:
            return _Output("float", False, None)
        rules = ReportFilter(entry.report, entry.timeout_warning_s) if entry.report else None
        is_float32 = entry.entry.get("DataType") == "float"
        return _Output(entry.data_type, is_float32, rules)

    def _miss(self, reason: str, after: int | None = None) -> None:
        component = self._channel.component
        self._fault.note(
            reason,
            f"{component.codifier} {component.name}: {reason};"
            " it stays on the bus and is tried again",
            after=after or (self._limit if self._has_worked else 1),
        )

    def _back_off(self) -> None:
        beyond = self._fault.count - self._limit
        if beyond >= 0:
            interval_s = self._channel.component.sensor_interval_s or _LONGEST_PAUSE_S
            most = min(_MOST_SKIPPED, max(0, int(_LONGEST_PAUSE_S / interval_s) - 1))
            self._skip = min(2 ** min(beyond, 10), most)
