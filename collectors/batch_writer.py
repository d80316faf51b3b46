"""Rows on their way to a history store: in batches, and over the spool while the store is absent.

Strategy: callbacks only put rows into memory, and into the journal, where the next process finds
them if this one is killed. The writer thread offers them to the store and, when no batch is due,
offers rows of the spool. The keeper thread puts rows into the spool that have waited too long, or
were offered and got no answer; so a store that refuses, or hangs, holds up nothing but itself. A
row may be offered twice, which is safe: no store keeps it twice.

A store that is a file writes some pages for each batch, however small. So a batch may take longer
to fill than a power cut may cost: then the keeper appends its rows to another journal meanwhile,
which is on the disk.

If the spool cannot be written either, rows wait in memory, up to MOST_BYTES.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path

from collectors.journals import Journals
from collectors.live_history import LiveHistory
from jph.backoff import Backoff
from jph.errors import ConfigError, StoreError
from jph.faults import Fault
from jph.rate import Rate
from jph.stores import Row
from jph.stores.spool import Spool
from jph.threads import component_thread

log = logging.getLogger(__name__)

MOST_BYTES = (
    32 << 20
)  # of rows that wait in memory: 160,000 numbers, or 20,000 of the longest texts
TO_SPOOL_BYTES = 24 << 20  # when so many wait, the store does not keep up, and the spool takes some
MOST_AT_ONCE = 10_000  # rows in one transaction when many wait, so that each takes well under 1 s
MOST_BYTES_AT_ONCE = 4 << 20
ROW_BYTES = 200  # of memory for a row, without its text
FROM_SPOOL = 5_000  # rows in one transaction from the spool; new ones wait for it
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 5.0
SLOW_S = 0.5  # without an answer for so long, the offered rows go to the spool too
SILENT_S = 3.0  # and for so long, that is a fault
STOP_S = 3.5  # longest wait for the last batch; a stop has 5 s in all, and the spool comes after
KEEPER_S = 0.8

_SPOOL_WORKS = "readings need not wait in memory any more"


@dataclass(slots=True)
class Offer:
    """Rows that were given to the store, which has not answered yet.

    Args:
        rows: in order of arrival.
        since_s: when the oldest came.
        first: its position in the journal, or one before it.
        given_s: when the store got them.
        kept: whether they are in the spool too.
    """

    rows: list[Row]
    since_s: float
    first: int
    given_s: float
    kept: bool = False


class BatchWriter:
    """Write rows to a store; times are of the monotonic clock.

    Args:
        store: opened by the caller, closed here.
        spool: where rows wait for the store.
        journals: the rows that are in memory only; what killed processes left is written at once.
        batch_rows: write when so many rows wait.
        batch_s: rows are on the disk after so long: in the store, in the spool or in a journal.
        store_s: write when the oldest has waited so long; not shorter than batch_s.
        on_change: called, on any thread, when a fault begins or ends.
    """

    def __init__(
        self,
        name: str,
        store: LiveHistory,
        spool: Spool,
        journals: Journals,
        *,
        batch_rows: int,
        batch_s: float,
        store_s: float,
        on_change: Callable[[], object],
    ) -> None:
        self.batch_rows = batch_rows
        self.batch_s = batch_s
        self.store_s = store_s
        self.rate = Rate()  # of rows that were taken
        self.dropped = 0  # rows lost because too many waited in memory
        self.fault = Fault(log, logging.ERROR, on_change=on_change)
        self.spool_fault = Fault(log, logging.ERROR)
        self.journal_faults = (journals.in_memory.fault, journals.on_disk.fault)
        self._lost = 0  # rows dropped in the present fault
        self._store = store
        self._spool = spool
        self._journals = journals
        self._changed = threading.Condition()
        self._waiting: deque[Row] = deque(journals.left())
        self._waiting_bytes = bytes_of(self._waiting)
        self._since_s = time.monotonic() - store_s  # when the oldest waiting row came
        self._first = 0  # its position in the journal, or one before it
        self._keeping: int | None = None  # position of the rows on their way into the spool
        self._moving = 0  # how many these are
        self._offer: Offer | None = None
        self._spool_rests_s = 0.0  # until when the spool rests after a fault
        self._from_spool = 0
        self._stopping = False
        self._ended = False
        self._writer = component_thread(f"history-{name}", self._write_on)
        self._keeper = component_thread(f"spool-{name}", self._keep_on)

    # For the callbacks

    def start(self) -> None:
        """Start the threads."""
        self._writer.start()
        self._keeper.start()

    def put(self, rows: list[Row]) -> bool:
        """Take rows; returns at once.

        Returns:
            False while it stops: the rows are in the journal, and the next writer has to take them.
        """
        with self._changed:
            first = self._journals.end
            is_synced = self._journals.is_synced()
            if rows:
                self._journals.in_memory.append(rows)
            if self._stopping or not rows:
                return not self._stopping
            before, bytes_before = len(self._waiting), self._waiting_bytes
            self.rate.add(len(rows))
            now_s = time.monotonic()
            if not before:
                self._since_s, self._first = now_s, first
            if not before or is_synced:
                self._journals.unsynced_s = now_s
            self._waiting += rows
            self._waiting_bytes += bytes_of(rows)
            self._shorten()
            if (
                not before
                or is_synced
                or before < self.batch_rows <= len(self._waiting)
                or bytes_before < TO_SPOOL_BYTES <= self._waiting_bytes
            ):
                self._changed.notify_all()
        return True

    def move_journal(self, folder: Path) -> None:
        """Have the journal go on in another folder; raises OSError."""
        with self._changed:
            self._journals.in_memory.move(folder)

    def waiting(self) -> int:
        """Return how many rows are in memory only."""
        with self._changed:
            offered = self._offer.rows if self._offer and not self._offer.kept else ()
            return len(self._waiting) + len(offered) + self._moving

    def check(self) -> None:
        """Raise RuntimeError if a thread ended by a bug."""
        if not self._stopping and not (self._writer.is_alive() and self._keeper.is_alive()):
            raise RuntimeError("the writing thread has ended, see the log")

    def close(self) -> None:
        """Write the waiting rows, or put them into the spool, and stop."""
        with self._changed:
            self._stopping = True
            ours = self._journals.end  # later rows are for the next writer
            self._changed.notify_all()
        self._writer.join(STOP_S)
        self._ended = True
        self._wake()
        self._keeper.join(KEEPER_S)
        with self._changed:
            left = list(self._waiting)
            if self._offer is not None and not self._offer.kept:
                left = self._offer.rows + left
        try:
            if left:
                self._spool.add(left)
                log.warning("%d readings wait in the spool for the next start", len(left))
        except StoreError as error:
            where = self._journals.in_memory.folder or "no place: they are lost"
            log.error("%d readings waited at the stop; left in %s: %s", len(left), where, error)
            ours = 0
        with self._changed:
            self._journals.close(ours)

    # The writer

    def _write_on(self) -> None:
        backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        pause_s = 0.0
        try:
            while self._await_work(pause_s):
                try:
                    self._write()
                    pause_s = 0.0
                    backoff.reset()
                except (StoreError, ConfigError) as error:
                    self._failed(str(error))
                    self._wake()  # the keeper has less patience now
                    if self._stopping:
                        break
                    pause_s = backoff.next_s()
        except Exception:
            log.exception("the writer ends by a bug: please report it")
            raise
        finally:
            self._store.close()

    def _await_work(self, pause_s: float) -> bool:
        """Wait for the pause, then until rows are due; False: stop."""
        with self._changed:
            if pause_s:
                self._changed.wait_for(lambda: self._stopping, pause_s)
            while not self._stopping:
                now_s = time.monotonic()
                left_s = self._due_in_s(now_s)
                spool_s = self._spool_rests_s - now_s if self._spool.readings else None
                least_s = min((s for s in (left_s, spool_s) if s is not None), default=None)
                if least_s is not None and least_s <= 0:
                    return True
                self._changed.wait(least_s)
            return bool(self._waiting)

    def _due_in_s(self, now_s: float) -> float | None:
        """Return how long it is until a batch is due; None if no row waits."""
        if not self._waiting:
            return None
        if len(self._waiting) >= self.batch_rows:
            return 0.0
        store_s = self.batch_s if self._journals.on_disk.fault else self.store_s
        return self._since_s + store_s - now_s

    def _write(self) -> None:
        """Offer the batch that is due, else a part of the spool."""
        with self._changed:
            now_s = time.monotonic()
            left_s = self._due_in_s(now_s)
            if left_s is not None and (left_s <= 0 or self._stopping):
                first = self._first
                self._offer = Offer(self._take(), self._since_s, first, now_s)
                self._changed.notify_all()  # the keeper watches how long it takes
        if self._offer is None:
            self._write_from_spool()
        else:
            self._write_offer(self._offer)

    def _write_offer(self, offer: Offer) -> None:
        try:
            self._store.append(offer.rows)
        except (StoreError, ConfigError):
            with self._changed:
                self._offer = None
                if not offer.kept:
                    self._put_back(offer.rows, offer.since_s, offer.first)
            raise
        with self._changed:
            self._offer = None
            self._release()
        if not self._spool.readings:
            self.spool_fault.end(_SPOOL_WORKS)
        if self.fault.end(f"storing again; {self._lost} readings were dropped"):
            self._lost = 0

    def _write_from_spool(self) -> None:
        try:
            rows, last_id = self._spool.oldest(FROM_SPOOL)
        except StoreError as error:
            self._spool_failed(error)
            return
        if last_id:
            with self._changed:
                now_s = time.monotonic()
                self._offer = offer = Offer(rows, now_s, 0, now_s, kept=True)
                self._changed.notify_all()
            self._write_offer(offer)
            self._from_spool += len(rows)
            try:
                self._spool.remove(last_id)
            except StoreError as error:
                self._spool_failed(error)
        if not self._spool.readings and self._from_spool:
            log.info("stored all %d readings of the spool", self._from_spool)
            self._from_spool = 0

    # The keeper

    def _keep_on(self) -> None:
        try:
            while (act := self._await_job()) is not None:
                act()
        except Exception:
            log.exception("the keeper of the spool ends by a bug: please report it")
            raise
        finally:
            self._spool.close()

    def _await_job(self) -> Callable[[], None] | None:
        """Wait until a job is due; None: stop."""
        with self._changed:
            while not self._ended:
                left_s, act = min(
                    self._to_keep(time.monotonic()), key=itemgetter(0), default=(None, None)
                )
                if left_s is not None and left_s <= 0:
                    return act
                self._changed.wait(left_s)
        return None

    def _to_keep(self, now_s: float) -> list[tuple[float, Callable[[], None]]]:
        """Return the jobs of the keeper, and in how many seconds each is due."""
        found: list[tuple[float, Callable[[], None]]] = []
        rest_s = self._spool_rests_s - now_s
        if self._waiting:
            longest_s = self.batch_s if self.fault else self.store_s + SLOW_S
            overdue_s = self._since_s + longest_s - now_s
            if self._waiting_bytes >= TO_SPOOL_BYTES:
                overdue_s = 0.0
            found.append((max(overdue_s, rest_s), self._keep_waiting))
            if self._journals.waits_for_sync():
                found.append((self._journals.unsynced_s + self.batch_s - now_s, self._sync))
        if self._journals.waits_to_forget():
            found.append((0.0, self._journals.forget))
        if self._offer is not None:
            answer_s = self._offer.given_s - now_s
            if not self._offer.kept:
                found.append((max(answer_s + SLOW_S, rest_s), self._keep_offer))
            if not self.fault:
                silent = partial(self._failed, f"the store has not answered for {SILENT_S:g} s")
                found.append((answer_s + SILENT_S, silent))
        return found

    def _sync(self) -> None:
        """Bring the rows that came since the last time to the disk."""
        with self._changed:
            end, rows = self._journals.end, self._journals.unsynced(self._waiting)
        self._journals.sync(rows, end)
        if self._journals.on_disk.fault:
            self._wake()  # the writer has less patience now

    def _keep_waiting(self) -> None:
        with self._changed:
            first = self._keeping = self._first
            rows, since_s = self._take(), self._since_s
            self._moving = len(rows)
        is_kept = self._add_to_spool(rows) if rows else True
        with self._changed:
            self._keeping, self._moving = None, 0
            if is_kept:
                self._release()
                self._changed.notify_all()  # the writer may have looked too early into the spool
            else:
                self._put_back(rows, since_s, first)

    def _keep_offer(self) -> None:
        offer = self._offer
        if offer is not None and self._add_to_spool(offer.rows):
            with self._changed:
                offer.kept = True
                self._release()

    def _add_to_spool(self, rows: list[Row]) -> bool:
        try:
            self._spool.add(rows)
        except StoreError as error:
            self._spool_failed(error)
            return False
        self.spool_fault.end(_SPOOL_WORKS)
        return True

    # Both

    def _take(self) -> list[Row]:
        rows: list[Row] = []
        left = MOST_BYTES_AT_ONCE
        while self._waiting and left > 0 and len(rows) < MOST_AT_ONCE:
            row = self._waiting.popleft()
            rows.append(row)
            left -= bytes_of((row,))
        self._waiting_bytes -= MOST_BYTES_AT_ONCE - left
        self._first += len(rows)
        return rows

    def _put_back(self, rows: list[Row], since_s: float, first: int) -> None:
        self._first = min(first, self._first) if self._waiting else first
        self._waiting.extendleft(reversed(rows))
        self._waiting_bytes += bytes_of(rows)
        self._since_s = since_s
        self._journals.unsynced_s = min(self._journals.unsynced_s, since_s)
        self._shorten()
        self._changed.notify_all()

    def _release(self) -> None:
        """Have the journals forget the rows before the oldest that is in memory only."""
        oldest = [self._journals.end]
        if self._waiting:
            oldest.append(self._first)
        if self._keeping is not None:
            oldest.append(self._keeping)
        if self._offer is not None and not self._offer.kept:
            oldest.append(self._offer.first)
        self._journals.release(min(oldest))

    def _failed(self, reason: str) -> None:
        self.fault.note(reason, f"{reason}; readings wait until a new try succeeds")

    def _spool_failed(self, error: StoreError) -> None:
        self._spool_rests_s = time.monotonic() + FIRST_RETRY_S
        self.spool_fault.note(str(error), f"{error}; readings wait in memory until it can be used")

    def _shorten(self) -> None:
        """Drop the oldest rows if too many wait, and log that once in a fault."""
        excess = 0
        while self._waiting_bytes > MOST_BYTES:
            row = self._waiting.popleft()
            self._waiting_bytes -= bytes_of((row,))
            excess += 1
        if not excess:
            return
        if not self._lost:
            log.error(
                "%d MB of readings wait: the oldest are dropped from now on", MOST_BYTES >> 20
            )
        self._first += excess
        self._lost += excess
        self.dropped += excess
        self._release()

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


def bytes_of(rows: Collection[Row]) -> int:
    """Return about how much memory rows take."""
    return ROW_BYTES * len(rows) + sum([len(row[4]) for row in rows if row[4] is not None])
