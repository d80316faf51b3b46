"""The record of one component: what was heard of it, from where, and what that means."""

from collections import deque
from dataclasses import dataclass, field

from jph.config.model import Component
from jph.config.status import Heard, Status

RING = 120  # readings of each component that a new reader gets for its curve

Point = tuple[int, int, float | str]  # version, timestamp_ms, number or text


@dataclass(slots=True)
class Record:
    """The record of one component; times in ms are by our wall clock.

    Args:
        version: of the records, when it changed last.
        heard_ms: when something was heard since the start of this server.
        data_ms: when its last reading was heard, perhaps before the start.
        control_ms: when its last control message was heard, perhaps before the start.
        ip: where it was heard from last.
        port: of its control messages, one for each process; 0 for a proxy.
        reason: why it fails, where that is known.
    """

    component: Component
    version: int = 0
    status: Status = "unseen"
    heard: Heard = field(default_factory=Heard)
    heard_ms: int | None = None
    data_ms: int | None = None
    control_ms: int | None = None
    ip: str = ""
    port: int = 0
    reason: str = ""
    points: deque[Point] = field(default_factory=lambda: deque(maxlen=RING))

    @property
    def last_ms(self) -> int | None:
        """When anything was heard of it last; None: never."""
        return max((it for it in (self.data_ms, self.control_ms) if it is not None), default=None)
