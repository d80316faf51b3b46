"""Statistics of 10 minutes and of hours, and how long history is kept."""

import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from collectors.retention import Keep, Retention
from jph.backoff import Backoff
from jph.clock import time_now_ms
from jph.config.model import Config
from jph.errors import ConfigError, StoreError
from jph.faults import Fault
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.rate import Rate
from jph.settings import setting
from jph.stores import StatisticsStore, open_history
from jph.stores.address import Sql, address_of, history_address, longest_store_s
from jph.stores.buckets import HOUR_MS
from jph.threads import component_thread

log = logging.getLogger(__name__)

# A bucket is computed so long after its writer has stored the last readings of its time.
SETTLE_MS = 10_000
LOOK_S = 10.0  # between two looks whether something is due
RETENTION_S = 600.0
PROGRESS_S = 10.0
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 15.0
STOP_S = 4.0


@dataclass
class Statistics:
    """Compute the statistics of a history store, and drop readings that are too old or too many.

    Its own data is the number of 10-minute buckets that it computed per minute; while the store
    cannot be used, {"value": that number, "fault": why}.
    """

    follows: ClassVar[tuple[str, ...]] = ("HistoryWriter",)

    channel: Channel
    config: Config
    home: Path
    history: str | None = setting(None, doc="URL of the history")
    sql: Sql | None = setting(None, doc="a database of PostgreSQL, in place of a URL")
    password_file: Path | None = setting(None, doc="path of the file with the store's password")
    keep: Keep | None = setting(None, doc="how long history is kept")

    def __post_init__(self) -> None:
        place = history_address(self.config, address_of(self.history, self.sql, self.password_file))
        if place is None:
            raise ConfigError("Statistics: no HistoryWriter is configured, so there is no history")
        self._store = open_history(place.url, self.home, place.password_file)
        self._settle_ms = SETTLE_MS + round(longest_store_s(self.config) * 1000)
        # A file is spared: each computing writes a page for every Codifier. Readings do meanwhile.
        self._step_ms = HOUR_MS if place.url.startswith("sqlite:") else 1
        self._stopping = threading.Event()
        self._retention = Retention(self.keep or Keep(), lambda: not self._stopping.is_set())
        self._shortened_s = -RETENTION_S
        self._computed = Rate()
        self._per_minute = 0.0
        self._fault = Fault(log, logging.ERROR, on_change=self._publish)
        self._thread = component_thread(f"statistics-{self.channel.codifier}", self._run)
        self._thread.start()

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish buckets per minute."""
        if not self._thread.is_alive() and not self._stopping.is_set():
            raise RuntimeError("the computing thread has ended, see the log")
        self._per_minute = self._computed.take()
        self._publish(timestamp_ms)
        return STATE.WITHERRORS if self._fault else STATE.GOOD

    def close(self) -> None:
        """Stop after the piece of work that is being done."""
        self._stopping.set()
        self._thread.join(STOP_S)

    # The computing thread

    def _run(self) -> None:
        backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        wait_s = 0.0
        try:
            while not self._stopping.wait(wait_s):
                if not self.channel.is_active:
                    wait_s = LOOK_S
                elif self._work():
                    wait_s = LOOK_S
                    backoff.reset()
                else:
                    wait_s = backoff.next_s()
        except Exception:
            log.exception("the computing of statistics ends by a bug: please report it")
            raise
        finally:
            self._store.close()

    def _work(self) -> bool:
        """Do the work that is due; return whether the store allowed it."""
        try:
            store = self._store.statistics
            until_ms = time_now_ms() - self._settle_ms
            self._compute(store, until_ms - until_ms % self._step_ms)
            if self.keep is not None and time.monotonic() > self._shortened_s + RETENTION_S:
                self._retention.apply(store, time_now_ms())
                self._shortened_s = time.monotonic()
        except (StoreError, ConfigError) as error:
            self._fault.note(str(error), f"{error}; statistics wait until a new try succeeds")
            return False
        self._fault.end("computing again")
        return True

    def _compute(self, store: StatisticsStore, until_ms: int) -> None:
        """Compute all due buckets, and log the progress if that takes long."""
        began_s = logged_s = time.monotonic()
        done = 0
        while not self._stopping.is_set() and (marks := store.compute(until_ms)):
            done += marks
            self._computed.add(marks)
            now_s = time.monotonic()
            if now_s >= logged_s + PROGRESS_S:
                logged_s = now_s
                total = done + store.due(until_ms)
                log.info("computed %d of %d buckets, %d %%", done, total, 100 * done // total)
        if logged_s > began_s and not self._stopping.is_set():
            log.info("computed all %d due buckets in %.0f s", done, logged_s - began_s)

    def _publish(self, timestamp_ms: int | None = None) -> None:
        number, fault = self._per_minute, self._fault.text
        self.channel.send_data({"value": number, "fault": fault} if fault else number, timestamp_ms)
