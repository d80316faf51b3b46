"""Values on their way to the bus: in the declared `DataType`, and by the rules of `Report`."""

import logging
import time
from dataclasses import dataclass

from jph.bus.wire import Value
from jph.config.data_type import loses_digits, typed
from jph.config.model import Config
from jph.config.report import ReportFilter
from jph.node.channel import Channel

# A history of an older version has a column of numbers for each Codifier that declares no other
# DataType, and no room for the object by which a double travels.
_OLDER_WRITER = "jphPostgreSQL"
_LARGEST = (1 << 32) - 1  # of the whole numbers that travel as they are


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


class Outputs:
    """Sends the values of a component and of the proxies that it serves, as their entries say."""

    def __init__(self, channel: Channel, log: logging.Logger) -> None:
        self._channel = channel
        self._log = log
        self._outputs: dict[str, _Output] = {}  # by Codifier
        self._asked_config: Config | None = None  # that was looked through for an older writer
        self._older_writer = False

    def send(
        self,
        codifier: str,
        value: object,
        timestamp_ms: float | None = None,
        *,
        at_once: bool = False,
    ) -> None:
        """Send a value, unless the rules hold it back.

        Args:
            timestamp_ms: when it was read; now if None.
            at_once: send it though it has not changed, since somebody asked.

        Raises:
            ValueError, TypeError: it is of another kind than declared, or no message carries it.
            SensorError: it is outside of its range.
        """
        output = self._outputs.get(codifier)
        if output is None:
            output = self._outputs[codifier] = self._output(codifier)
        rules = output.rules
        is_sent = False
        try:
            kept: Value | None = typed(value, output.data_type)
            if rules is not None and kept is not None:
                kept = rules.take(kept, time.monotonic(), at_once=at_once)
            if type(kept) is float and loses_digits(kept):
                kept = self._with_digits(kept, codifier, output)
            is_sent = kept is None or self._channel.send_data(kept, timestamp_ms, codifier)
        finally:
            if rules is not None and not is_sent:
                rules.forget()

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
