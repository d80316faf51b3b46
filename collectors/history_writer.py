"""The history writer: stores every reading that is heard, in batches.

Strategy: callbacks only put rows into memory; a thread of its own writes them, so that a slow disk
delays nobody. What the store refuses stays in memory and is offered again, which is safe, since a
row that was stored after all is not stored twice.
"""

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collectors.rate import PerMinute
from jph.channel import STATE, Channel
from jph.config import Config
from jph.errors import ConfigError, StoreError
from jph.settings import arguments, setting
from jph.stores import Row, open_history, row_of
from jph.wire import Reading

log = logging.getLogger(__name__)

MOST_WAITING = 200_000  # rows kept while the store refuses: half an hour at 100 readings/s, 40 MB
MOST_AT_ONCE = 10_000  # rows in one transaction when many wait, so that each takes well under 1 s
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 15.0
STOP_S = 4.5  # longest wait for the last batch; a stop has 5 s in all
MOST_FAULT_TEXT = 300  # characters of a fault that travel on the bus


@dataclass
class HistoryWriter:
    """Store every reading, of whatever Codifier, in a history store.

    Its own data is {"value": readings stored per minute, "waiting": readings in memory, "dropped":
    readings lost because too many waited, "fault": why the store refuses; absent if it does not},
    sent every SensorInterval and when a fault begins or ends.

    Args:
        channel: its place on the bus.
        home: folder that file names in the URL are relative to.
        url: the store, `sqlite:///file-in-home` or `sqlite:////absolute`.
        batch_rows: write when so many rows wait.
        batch_s: or when the oldest has waited so long, in seconds.
    """

    channel: Channel
    home: Path
    url: str = setting("sqlite:///history.sqlite", doc="where history is kept")
    batch_rows: int = setting(1000, gt=0, doc="write when so many readings wait")
    batch_s: float = setting(10.0, key="BatchTime", gt=0, doc="longest wait of a reading, s")

    def __post_init__(self) -> None:
        self._store = open_history(self.url, self.home)
        self._store_url = self.url
        self._changed = threading.Condition()
        self._waiting: deque[Row] = deque()
        self._writing = 0  # rows that are being written
        self._since_s = 0.0  # when the oldest waiting row came, monotonic
        self._stopping = False
        self._per_minute = 0.0
        self._stored = PerMinute()
        self._dropped = 0
        self._fault: str | None = None
        self._fault_began_s = 0.0
        self._fault_tries = 0
        self._fault_dropped = 0
        self._refused: dict[str, int] = {}
        self._thread = threading.Thread(
            target=self._run, name=f"history-{self.channel.codifier}", daemon=True
        )
        self._thread.start()

    # Callbacks

    def on_batch(self, readings: list[Reading]) -> None:
        """Take readings; returns at once."""
        self._check()
        rows = []
        for reading in readings:
            row = row_of(reading)
            if row is None:
                self._refuse(reading[0])
            else:
                rows.append(row)
        if not rows:
            return
        with self._changed:
            before = len(self._waiting)
            if not before:
                self._since_s = time.monotonic()
            self._waiting += rows
            self._shorten()
            if not before or before < self.batch_rows <= len(self._waiting):
                self._changed.notify_all()

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish how it is doing."""
        self._check()
        self._per_minute = self._stored.take()
        self._publish(timestamp_ms)
        return STATE.WITHERRORS if self._fault else STATE.GOOD

    def on_config(self, config: Config) -> None:
        """Take changed settings; what waits in memory goes to the store that is named now."""
        component = config.components.get(self.channel.codifier)
        if component is None:
            return
        place = f"Sensors[{component.index}].Sensor"
        given: Mapping[str, object] = arguments(type(self), component.settings, place)
        with self._changed:
            for name in ("url", "batch_rows", "batch_s"):
                setattr(self, name, given.get(name, getattr(type(self), name)))
            self._changed.notify_all()

    def close(self) -> None:
        """Write what waits and stop."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(STOP_S)
        left = len(self._waiting) + self._writing
        if left:
            log.error("%s: %d readings could not be stored before the stop", self.url, left)

    def status(self) -> dict[str, object]:
        """Return what it publishes: stored per minute, waiting, dropped, the fault if any."""
        with self._changed:
            waiting = len(self._waiting) + self._writing
        result: dict[str, object] = {
            "value": self._per_minute,
            "waiting": waiting,
            "dropped": self._dropped,
        }
        if self._refused:
            result["refused"] = sum(self._refused.values())
        if self._fault is not None:
            result["fault"] = self._fault
        return result

    # The writing thread

    def _run(self) -> None:
        retry_s = 0.0
        try:
            while True:
                rows, stopping = self._take(retry_s)
                try:
                    if rows:
                        self._write(rows)
                        retry_s = 0.0
                    elif stopping:
                        break
                except (StoreError, ConfigError) as error:
                    self._put_back(rows, str(error))
                    if stopping:
                        break
                    retry_s = min(max(FIRST_RETRY_S, 2 * retry_s), LAST_RETRY_S)
        except Exception:
            log.exception("%s: the writer fails by a mistake of its own", self.url)
            raise
        finally:
            self._store.close()

    def _take(self, retry_s: float) -> tuple[list[Row], bool]:
        """Wait until a batch is due, or for the back-off; return it, and whether this is the end.

        A batch is whatever waits by then, so that a fast bus has larger ones.
        """
        with self._changed:
            if retry_s:
                pause_s = retry_s * random.uniform(0.75, 1.0)
                self._changed.wait_for(lambda: self._stopping, pause_s)
            else:
                while not self._stopping and len(self._waiting) < self.batch_rows:
                    left_s = None
                    if self._waiting:
                        left_s = self._since_s + self.batch_s - time.monotonic()
                        if left_s <= 0:
                            break
                    self._changed.wait(left_s)
            n = min(len(self._waiting), MOST_AT_ONCE)
            rows = [self._waiting.popleft() for _ in range(n)]
            self._writing = n
            return rows, self._stopping

    def _write(self, rows: list[Row]) -> None:
        url = self.url
        if url != self._store_url:  # on_config named another one
            store = open_history(url, self.home)
            self._store.close()
            self._store, self._store_url = store, url
        self._stored.count(self._store.append(rows))
        with self._changed:
            self._writing = 0
        if self._fault is not None:
            self._end_fault()

    def _put_back(self, rows: list[Row], fault: str) -> None:
        with self._changed:
            self._waiting.extendleft(reversed(rows))
            self._writing = 0
            self._shorten()
            began = self._fault is None
            self._fault = fault[:MOST_FAULT_TEXT]
            self._fault_tries += 1
        if began:
            self._fault_began_s = time.monotonic()
            log.error("%s; readings wait in memory, and it is tried again", fault)
            self._publish()

    def _end_fault(self) -> None:
        with self._changed:
            tries, dropped = self._fault_tries, self._fault_dropped
            self._fault, self._fault_tries, self._fault_dropped = None, 0, 0
        log.warning(
            "%s: storing again after %.0f s and %d failed tries; %d readings were dropped",
            self._store_url,
            time.monotonic() - self._fault_began_s,
            tries,
            dropped,
        )
        self._publish()

    # Both

    def _shorten(self) -> None:
        """Let the oldest rows go where too many wait, and say so once in a fault."""
        excess = len(self._waiting) - MOST_WAITING
        if excess <= 0:
            return
        for _ in range(excess):
            self._waiting.popleft()
        if not self._fault_dropped:
            log.error("%s: %d readings wait, the oldest are dropped now", self.url, MOST_WAITING)
        self._dropped += excess
        self._fault_dropped += excess

    def _refuse(self, codifier: str) -> None:
        if codifier not in self._refused:
            log.warning("%s sends numbers that are not finite: they are not stored", codifier)
        self._refused[codifier] = self._refused.get(codifier, 0) + 1

    def _publish(self, timestamp_ms: int | None = None) -> None:
        self.channel.send_data(self.status(), timestamp_ms)

    def _check(self) -> None:
        if not self._thread.is_alive() and not self._stopping:
            raise RuntimeError("the writing thread has ended, see the log")
