"""Readings of several values of which some may be missing."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from jph.bus.wire import Value
from jph.errors import SensorError
from jph.faults import Fault

log = logging.getLogger(__name__)

Wanted = TypeVar("Wanted")


class MissingValues:
    """Logs once that one value of several is missing, and once that it is back.

    Args:
        codifier: of the component, for the log.
    """

    def __init__(self, codifier: str) -> None:
        self._codifier = codifier
        self._faults: dict[str, Fault] = {}

    def collect(
        self, wanted: Iterable[tuple[str, Wanted]], find: Callable[[Wanted], Value | None]
    ) -> dict[str, Value]:
        """Return the values that can be found, by Codifier.

        Args:
            wanted: pairs of a Codifier and what finds its value.
            find: returns a value, or None if there is none to send; SensorError if it is missing.

        Raises:
            SensorError: all are missing.
        """
        values: dict[str, Value] = {}
        missing = {}
        for codifier, what in wanted:
            try:
                value = find(what)
            except SensorError as error:
                missing[codifier] = str(error)
            else:
                if value is not None:
                    values[codifier] = value
        return self.settle(values, missing)

    def settle(self, values: dict[str, Value], missing: Mapping[str, str]) -> dict[str, Value]:
        """Return the values, by Codifier, after noting why others are missing.

        Raises:
            SensorError: there is no value, but a reason for it.
        """
        if missing and not values:
            reasons = list(dict.fromkeys(missing.values()))
            more = f"; and {len(reasons) - 2} more" if len(reasons) > 2 else ""
            raise SensorError("; ".join(reasons[:2]) + more)
        for codifier, reason in missing.items():
            fault = self._faults.setdefault(codifier, Fault(log))
            fault.note(f"{self._codifier}: no value for {codifier}: {reason}")
        for codifier in self._faults.keys() & values.keys():
            self._faults[codifier].end(f"{self._codifier}: there is a value for {codifier} again")
        return values
