"""A component that waits while another instance of it is at work, and when it takes its place.

Pure: times are arguments.
"""

from dataclasses import dataclass, field

from jph.bus.wire import Address
from jph.config.silence import MISSED
from jph.node.runner import ComponentRunner

_NEW_S = 10.0  # for a machine that is to run it no more to read the configuration and end it
_NEW_EVERY_S = 1.0


@dataclass(slots=True)
class Standby:
    """A component on standby.

    Args:
        runner: it is closed, and built again when it takes its place.
        address: where the other instance was heard last.
        since_s: when it was found at work, monotonic.
        is_new: a reload has brought the component here, and may be about to end the other one.
    """

    runner: ComponentRunner
    address: Address
    since_s: float
    is_new: bool = False
    _heard_s: float = field(init=False)
    _asked_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._heard_s = self._asked_s = self.since_s

    def hear(self, address: Address, now_s: float) -> None:
        """Take a sign of life of the other instance."""
        self.address, self._heard_s = address, now_s

    def is_silent(self, now_s: float) -> bool:
        """Tell whether the other instance has fallen silent."""
        return now_s - self._heard_s >= MISSED * self._interval_s(now_s)

    def asks(self, now_s: float) -> bool:
        """Tell whether to ping the other instance, which may give signs of life less often."""
        interval_s = self._interval_s(now_s)
        if now_s - max(self._heard_s, self._asked_s) < interval_s:
            return False
        self._asked_s = now_s
        return True

    def is_settled(self, now_s: float) -> bool:
        """Tell whether the other instance has been at work for long enough to leave it to it."""
        component = self.runner.channel.component
        return now_s - self.since_s >= MISSED * component.keep_alive_interval_s

    def _interval_s(self, now_s: float) -> float:
        if self.is_new and now_s - self.since_s < _NEW_S:
            return _NEW_EVERY_S
        return self.runner.channel.component.keep_alive_interval_s
