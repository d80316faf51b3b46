"""Readings of several values of which some may be missing."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from jph.bus.wire import Value
from jph.errors import SensorError

log = logging.getLogger(__name__)


@dataclass
class MissingValues:
    """Says once that one value of several is missing, and once that it is back.

    Args:
        codifier: of the component, for the log.
    """

    codifier: str
    _missing: dict[str, str] = field(default_factory=dict, init=False)

    def settle(self, values: dict[str, Value], missing: Mapping[str, str]) -> dict[str, Value]:
        """Return the values that are there.

        Args:
            values: by Codifier.
            missing: Codifier to the reason why it has no value.

        Raises:
            SensorError: there are none at all.
        """
        if missing and not values:
            reasons = list(dict.fromkeys(missing.values()))
            more = f"; and {len(reasons) - 2} more" if len(reasons) > 2 else ""
            raise SensorError("; ".join(reasons[:2]) + more)
        for codifier, reason in missing.items():
            if codifier not in self._missing:
                log.warning("%s: no value for %s: %s", self.codifier, codifier, reason)
        for codifier in self._missing.keys() & values.keys():
            log.info("%s: there is a value for %s again", self.codifier, codifier)
        self._missing = dict(missing)
        return values
