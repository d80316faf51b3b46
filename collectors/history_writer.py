"""The history writer: stores every reading on the bus, in batches."""

import logging
from dataclasses import dataclass
from pathlib import Path

from collectors.batch_writer import BatchWriter
from collectors.journals import Journals
from collectors.live_history import LiveHistory
from jph.bus.clock_guard import EARLIEST_MS
from jph.bus.wire import Reading
from jph.clock import time_now_ms
from jph.faults import MOST_TEXT
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.owned import is_tmpfs
from jph.settings import setting
from jph.stores import open_history, rows_of
from jph.stores.address import (
    DEFAULT_HISTORY,
    Sql,
    StoreAddress,
    address_of,
    waits_of,
)
from jph.stores.journal import ON_DISK, Journal, disk_folder, folder_of
from jph.stores.spool import DEFAULT_BYTES, spool_of

log = logging.getLogger(__name__)


@dataclass
class HistoryWriter:
    """Store every reading, of whatever Codifier, in a history store.

    Its own data is {"value": readings taken per minute, "waiting": readings in memory, "spooled":
    readings in the spool, if there are any, "quarantined": readings whose time cannot be right, if
    there are any, "dropped": readings lost because too many waited,
    "power_cut_s": a power cut loses the readings of so many seconds at most, "fault": why the store
    refuses; absent if it does not, "damaged": the name of a damaged file that was put aside and
    waits for `jph history repair`}, sent every SensorInterval and when a fault begins or ends.
    """

    channel: Channel
    home: Path
    url: str | None = setting(None, doc="where history is kept")
    sql: Sql | None = setting(None, doc="a database of PostgreSQL, in place of a URL")
    password_file: Path | None = setting(None, doc="path of the file with the store's password")
    batch_rows: int = setting(5000, gt=0, doc="write when so many readings wait")
    batch_s: float | None = setting(
        None, key="BatchTime", gt=0, doc="after how long a reading is on the disk, s"
    )
    store_s: float | None = setting(
        None, key="StoreTime", gt=0, doc="after how long a reading is in an SQLite history, s"
    )
    spool_bytes: int = setting(
        DEFAULT_BYTES, key="SpoolSize", ge=65536, doc="most bytes of the spool"
    )
    journal: Path | None = setting(None, doc="folder for the readings that are in memory only")

    def __post_init__(self) -> None:
        named = address_of(self.url, self.sql, self.password_file)
        place = named or StoreAddress(DEFAULT_HISTORY)
        folder = folder_of(self.home, self.journal)
        self.receive_in = folder if folder is not None and is_tmpfs(folder) else None
        self._store = open_history(place.url, self.home, place.password_file)
        self._spool = spool_of(self.channel.codifier, self.home, self.spool_bytes)
        waits = waits_of(place.url, self.batch_s, self.store_s)
        on_disk = Journal(
            disk_folder(self.home) if waits.batch_s < waits.store_s else None,
            self.channel.codifier,
            suffix=ON_DISK,
        )
        in_memory = Journal(folder, self.channel.codifier, first=on_disk.end)
        self._per_minute = 0.0
        self._refused: dict[str, int] = {}
        self._writing = BatchWriter(
            self.channel.codifier,
            LiveHistory(self._store, self._is_clock_right),
            self._spool,
            Journals(in_memory, on_disk),
            batch_rows=self.batch_rows,
            batch_s=waits.batch_s,
            store_s=waits.store_s if on_disk.folder else waits.batch_s,
            on_change=self._publish,
        )
        self._writing.start()
        self._keep_files()

    def on_batch(self, readings: list[Reading]) -> None:
        """Take readings that came while the writer began."""
        self.on_arrival(readings)

    def on_arrival(self, readings: list[Reading]) -> bool:
        """Take readings into memory and journal, without waiting for the store."""
        self._writing.check()
        rows = rows_of(readings)
        if None in rows:
            for reading, row in zip(readings, rows, strict=True):
                if row is None:
                    self._refuse(reading[0])
        stored = [row for row in rows if row is not None]
        return self._writing.put(stored)

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish the status."""
        self._writing.check()
        self._per_minute = self._writing.rate.take()
        self._publish(timestamp_ms)
        return STATE.WITHERRORS if self._writing.fault else STATE.GOOD

    def close(self) -> None:
        """Write the waiting rows and stop."""
        self.channel.process.kept_files.unfollow(self)
        for path in (self._spool.path, self._store.path):
            if path is not None:
                self.channel.process.kept_files.forget(path)
        self._writing.close()

    def status(self) -> dict[str, object]:
        """Return its own data: taken per minute, waiting, dropped, the fault if any."""
        result: dict[str, object] = {
            "value": self._per_minute,
            "waiting": self._writing.waiting(),
            "dropped": self._writing.dropped + self._spool.dropped + self._store.quarantine.dropped,
            "power_cut_s": self._writing.batch_s,
        }
        if self._spool.readings:
            result["spooled"] = self._spool.readings
        if quarantined := self._store.quarantine.readings:
            result["quarantined"] = quarantined
        if self._refused:
            result["refused"] = sum(self._refused.values())
        if fault := self._writing.fault.text:
            both = filter(None, (fault, self._writing.spool_fault.text))
            result["fault"] = "; ".join(both)[:MOST_TEXT]
        elif faults := [fault.text for fault in self._writing.journal_faults if fault]:
            result["fault"] = f"no journal: {faults[0]}"[:MOST_TEXT]
        if damaged := [*self._spool.damaged(), *self._store.damaged()]:
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            result["damaged"] = f"{damaged[-1]}{more}"[:MOST_TEXT]
        return result

    def _keep_files(self) -> None:
        kept = self.channel.process.kept_files
        kept.follow(self, self._follow_home)
        kept.keep(self._spool.path, self._spool.look)
        if self._store.path is not None:
            kept.keep(self._store.path, lambda: self._store.last("@@", 0))

    def _follow_home(self) -> None:
        """Bring the journal where the next process looks for that of a home made anew."""
        folder = folder_of(self.home, self.journal)
        if folder is not None:
            self._writing.move_journal(folder)

    def _is_clock_right(self) -> bool:
        return time_now_ms() >= EARLIEST_MS and not self.channel.process.bus.status().holds

    def _refuse(self, codifier: str) -> None:
        if codifier not in self._refused:
            log.warning("%s sends numbers that are not finite: not storing them", codifier)
        self._refused[codifier] = self._refused.get(codifier, 0) + 1

    def _publish(self, timestamp_ms: int | None = None) -> None:
        self.channel.send_data(self.status(), timestamp_ms)
