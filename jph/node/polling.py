"""A sensor's timer: it reads at each tick, sends the values that changed, and handles failures.

It logs failures in a row once, when there are as many as `Report.Failures`, or at once while the
sensor has not given a reading yet (but not when there is merely nothing to read, such as an input
of a calculation that was not heard). It then tries the sensor less often: after 2, 3, 5 and at last
8 intervals, but at least every 300 s, or at every interval if that is longer. It logs the recovery.
"""

import logging
from collections.abc import Mapping
from typing import Protocol

from jph.bus.wire import Value
from jph.config.report import Report
from jph.errors import NoReading, SensorError
from jph.faults import Fault
from jph.node.channel import Channel
from jph.node.outputs import Outputs
from jph.node.process import STATE

_MOST_SKIPPED = 7  # ticks, while a sensor fails
_LONGEST_PAUSE_S = 300.0

_DEFAULT = Report()


class Reader(Protocol):
    """The interface of a sensor.

    It may also have `command(flag, number)`: "A" with the value to set, or "E" with the step. A
    reading follows it and is sent at once.
    """

    def read(self) -> Mapping[str, Value]:
        """Return Codifier -> value, of its own and of its proxies; SensorError if there is none."""


class SensorPoller:
    """Reads a sensor at each tick and sends its values."""

    def __init__(self, reader: Reader, channel: Channel) -> None:
        component = channel.component
        self._reader = reader
        self._channel = channel
        self._log = logging.getLogger(component.type_name)
        self._limit = (component.report or _DEFAULT).failures
        self._outputs = Outputs(channel, self._log)
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
            try:
                self._outputs.send(codifier, value, at_once=at_once)
            except (ValueError, TypeError, SensorError) as error:
                refused.append(f"{codifier}: {error}")
        return refused

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
