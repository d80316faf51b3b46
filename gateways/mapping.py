"""Values of devices, on to the bus under the Codifiers of proxies.

What a gateway maps is sent as a sensor sends: in the declared `DataType`, by the rules of the
proxy's `Report`, and with the time of the measurement. Batches that come late, hours of them at
once, are sent oldest first and paced, so that no receiver has to drop any. On the bus the value
that is sent last is the present one, so behind older ones the newest is sent once more.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from jph.bus.wire import Value
from jph.errors import SensorError
from jph.faults import Fault
from jph.node.channel import Channel
from jph.node.outputs import Outputs
from jph.threads import component_thread

log = logging.getLogger(__name__)

MOST_PER_S = 20_000
PORTION = 200  # sent at once, before the pace is kept
MOST_WAITING = 200_000  # 10 s of it; what is beyond is in the store of the gateway


@dataclass(frozen=True, slots=True)
class MappedReading:
    """A value for a Codifier; `time_ms` is when it was measured."""

    codifier: str
    time_ms: int
    value: Value | bool


class Mapping:
    """Sends what a gateway maps; `send` never waits for the network.

    Attributes:
        sent: readings that went to the bus.
        dropped: those that did not, because too many waited.
        refused: those whose value does not fit the entry of their proxy.
    """

    def __init__(self, channel: Channel) -> None:
        self.sent = self.dropped = self.refused = 0
        self._channel = channel
        self._outputs = Outputs(channel, log)
        self._waiting: deque[MappedReading] = deque()
        self._newest: dict[str, MappedReading] = {}  # by Codifier, of those that were sent
        self._overtaken: set[str] = set()  # Codifiers whose newest value was not sent last
        self._faults: dict[str, Fault] = {}  # by Codifier
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._closing = False
        self._thread = component_thread("mapping", self._run)
        self._thread.start()

    def send(self, readings: Sequence[MappedReading]) -> None:
        """Take readings; the oldest of all that wait are dropped if they are too many.

        While the component is halted, nothing is sent, now or later.
        """
        if not self._channel.is_active:
            return
        ordered = sorted(readings, key=lambda reading: reading.time_ms)
        with self._lock:
            self._waiting.extend(ordered)
            beyond = len(self._waiting) - MOST_WAITING
            for _ in range(beyond):
                self._waiting.popleft()
            self.dropped += max(0, beyond)
        self._woken.set()

    def reconfigure(self) -> None:
        """Take the entries of a new configuration."""
        with self._lock:
            self._outputs = Outputs(self._channel, log)

    @property
    def waiting(self) -> int:
        """How many readings wait."""
        return len(self._waiting)

    def close(self, timeout_s: float = 2.0) -> None:
        """Send what waits, if there is time, and stop."""
        until_s = time.monotonic() + timeout_s
        while self._waiting and time.monotonic() < until_s:
            time.sleep(0.01)
        self._closing = True
        self._woken.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing:
            self._woken.wait()
            self._woken.clear()
            while self._waiting and not self._closing:
                began_s = time.monotonic()
                count = self._send_some()
                left_s = count / MOST_PER_S - (time.monotonic() - began_s)
                if left_s > 0:
                    time.sleep(left_s)
            while self._overtaken and not self._waiting:
                self._send(self._outputs, self._newest[self._overtaken.pop()], again=True)

    def _send_some(self) -> int:
        with self._lock:
            count = min(PORTION, len(self._waiting))
            portion = [self._waiting.popleft() for _ in range(count)]
            outputs = self._outputs
        for reading in portion:
            self._send(outputs, reading)
        return count

    def _send(self, outputs: Outputs, reading: MappedReading, again: bool = False) -> None:
        if not self._channel.is_active:
            return
        codifier = reading.codifier
        try:
            outputs.send(codifier, reading.value, reading.time_ms, at_once=again)
        except (ValueError, TypeError, SensorError) as error:
            self.refused += 1
            fault = self._faults.setdefault(codifier, Fault(log, every_s=60.0))
            fault.note(str(error), f"{codifier}: {error}; the gateway keeps it, the bus lacks it")
            return
        self.sent += 1
        newest = self._newest.setdefault(codifier, reading)
        if reading.time_ms < newest.time_ms:
            self._overtaken.add(codifier)
        else:
            self._newest[codifier] = reading
            self._overtaken.discard(codifier)
        if codifier in self._faults:
            self._faults.pop(codifier).end(f"{codifier}: its values are sent again")
