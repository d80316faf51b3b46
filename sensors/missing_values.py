"""Readings of several values of which some may be missing."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from jph.bus.wire import Value
from jph.errors import SensorError
from jph.faults import Fault

log = logging.getLogger(__name__)


@dataclass
class MissingValues:
    """Logs once that one value of several is missing, and once that it is back."""

    codifier: str
    _faults: dict[str, Fault] = field(default_factory=dict, init=False)

    def settle(self, values: dict[str, Value], missing: Mapping[str, str]) -> dict[str, Value]:
        """Return the values that are there.

        Raises:
            SensorError: there are none at all.
        """
        if missing and not values:
            reasons = list(dict.fromkeys(missing.values()))
            more = f"; and {len(reasons) - 2} more" if len(reasons) > 2 else ""
            raise SensorError("; ".join(reasons[:2]) + more)
        for codifier, reason in missing.items():
            fault = self._faults.setdefault(codifier, Fault(log))
            fault.note(f"{self.codifier}: no value for {codifier}: {reason}")
        for codifier in self._faults.keys() & values.keys():
            self._faults[codifier].end(f"{self.codifier}: there is a value for {codifier} again")
        return values
