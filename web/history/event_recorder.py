"""Note what happens to components, for as long as the pages run: silent, failing, halted, back.

Messages that were lost are noted, too, by the minute (web/history/losses.py).

The database is on an SD card, perhaps: a change is written at once after a quiet time, else at most
once a minute; and while nothing happens, every half hour that the pages still run. So where they
were killed, the time that nobody watched seems longer by up to half an hour, and the history tells
what happened in it.
"""

import logging
import threading
import time
from pathlib import Path
from typing import NamedTuple

from jph.bus.wire import Control
from jph.clock import time_now_ms
from jph.config.status import PROGRAMS
from jph.errors import StoreError
from jph.faults import Fault
from web.history.loss_counter import LossCounter
from web.live.record import Record
from web.live.records import Records
from web.views import timeout_ms

log = logging.getLogger(__name__)

LOOK_S = 1.0
LOSSES_S = 5.0  # between two looks at what was lost
WRITE_S = 60.0
ALIVE_S = 1800.0
MOST_PENDING = 10_000  # events that the database does not take now
CLOSE_S = 2.0
OBEYED_S = 15.0  # a halt or start that is seen within this time is that of who told so


class Change(NamedTuple):
    """An event that is not written yet; what writes it loads Flask, and is left to the thread."""

    time_ms: int
    codifier: str
    kind: str
    text: str = ""
    who: str = ""


class EventRecorder:
    """Follows the statuses of the records, and writes what changes into the events of a home."""

    def __init__(self, records: Records, home: Path) -> None:
        self.began_ms = time_now_ms()
        self._records = records
        self._home = home
        self._began_s = time.monotonic()
        self._lock = threading.Lock()  # guards what is pending, and the loaded times
        self._writing = threading.Lock()
        self._pending: list[Change] = []
        self._last: dict[str, Change] | None = None  # statuses; None: not read yet
        self._seen_ms = self.began_ms  # when the pages ran last, before this start
        self._loaded_ms: dict[str, float] = {}
        self._told: dict[str, tuple[str, float]] = {}  # Codifier -> who halted or started it, when
        self._losses = LossCounter(self.began_ms)  # only while `_writing` is held
        self._losses_s = self._written_s = self._began_s
        self._wrote_any = False
        self._fault = Fault(log, logging.ERROR)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jph-events", daemon=True)

    def start(self) -> None:
        """Begin to look, in a thread of its own."""
        self._thread.start()

    def recalled(self) -> None:
        """Take from the last states, which are those from before, what was loaded when."""
        with self._lock:
            for record in self._records.all():
                codifier = record.component.codifier
                loaded_ms = (self._records.states.get(codifier) or {}).get("LoadedTime")
                if isinstance(loaded_ms, int | float):
                    self._loaded_ms.setdefault(codifier, loaded_ms)

    def note_command(self, codifier: str, who: str) -> None:
        """Note who halts or starts a component."""
        with self._lock:
            self._told[codifier] = who, time.monotonic()

    def on_control(self, message: Control) -> None:
        """Take a control message: N and I with a later configuration time are a restart."""
        if message.flag not in "NI" or not message.number > 0:
            return
        source, loaded_ms = message.source, message.number
        with self._lock:
            before_ms = self._loaded_ms.get(source)
            if before_ms is not None and loaded_ms <= before_ms:
                return
            self._loaded_ms[source] = loaded_ms
        if before_ms is not None and self._records.get(source) is not None:
            text = "It started again." if message.flag == "N" else "It took a new configuration."
            with self._lock:
                self._pending.append(Change(time_now_ms(), source, "restart", text))

    def add(self, change: Change) -> None:
        """Take an event that somebody else found."""
        with self._lock:
            self._pending.append(change)

    def look(self, now_s: float | None = None, now_ms: int | None = None) -> None:
        """Note whose status changed."""
        now_s = time.monotonic() if now_s is None else now_s
        now_ms = time_now_ms() if now_ms is None else now_ms
        last = self._last
        if last is None:
            return
        found = []
        for record in list(self._records.all()):
            codifier = record.component.codifier
            known = last.get(codifier)
            status: str = record.status
            is_settled = (now_s - self._began_s) * 1000 > timeout_ms(self._records, record)
            is_awaited = known and known.kind != "halted" and record.component.type not in PROGRAMS
            if status == "unseen" and is_awaited and is_settled:
                status = "silent"  # it did not come back
            # Just after the start it may only not have been heard yet.
            is_late = status in ("silent", "failing") and not is_settled
            if status == "unseen" or is_late or (known and known.kind == status):
                continue
            at_ms = self._begin_ms(record, status)
            at_ms = min(max(at_ms, known.time_ms if known else 0), now_ms)
            reason, who = self._reason(record, status), self._teller(record, status)
            last[codifier] = Change(at_ms, codifier, status, reason, who)
            found.append(last[codifier])
        with self._lock:
            self._pending += found

    def flush(self) -> None:
        """Write what is pending.

        Raises:
            StoreError: the database cannot be used.
        """
        from web.history import events, losses

        with self._writing:
            self._count_losses()
            if rows := self._losses.rows():
                losses.add(self._home, rows)
                self._losses.kept(rows)
            with self._lock:
                batch = list(self._pending)
            events.add(self._home, [events.Event(*change) for change in batch])
            with self._lock:
                del self._pending[: len(batch)]

    def close(self) -> None:
        """Write what is pending, and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(CLOSE_S)

    def _run(self) -> None:
        try:
            while not self._stopping.wait(LOOK_S):
                self._step()
            self._write()
        except Exception:
            log.exception("what happens to components is not noted any more")

    def _step(self) -> None:
        now_s = time.monotonic()
        if self._last is None:
            self._read()
        self.look()
        if now_s - self._losses_s >= LOSSES_S:
            self._losses_s = now_s
            with self._writing:
                self._count_losses()
        wait_s = WRITE_S if self._pending or self._losses else ALIVE_S
        if now_s - self._written_s >= wait_s or (self._pending and not self._wrote_any):
            self._write()

    def _count_losses(self) -> None:
        codifiers = [record.component.codifier for record in list(self._records.all())]
        self._losses.look(self._records.states, codifiers, time_now_ms())

    def _read(self) -> None:
        """Read what is known from before the start."""
        from web.history import events

        if not events.database_of(self._home).exists():
            self._last = {}
            return
        try:
            watched = [end_ms for begin_ms, end_ms in events.watches(self._home)]
            known = events.last_statuses(self._home)
        except StoreError as error:
            self._fault.note(str(error), f"{error}; what happens to components is not noted")
            return
        self._last = {codifier: Change(*event[:4]) for codifier, event in known.items()}
        self._seen_ms = max(watched, default=self.began_ms)
        self._fault.end("what happens to components is noted again")

    def _write(self) -> None:
        from web.history import events

        self._written_s = time.monotonic()
        self._wrote_any = True
        try:
            self.flush()
            events.watch(self._home, self.began_ms, time_now_ms())
        except StoreError as error:
            with self._lock:
                del self._pending[:-MOST_PENDING]
            self._fault.note(str(error), f"{error}; what happens to components is not kept")
        else:
            self._fault.end("what happens to components is kept again")

    def _begin_ms(self, record: Record, status: str) -> int:
        """Return since when a component has a status."""
        if status in ("active", "halted"):
            return record.last_ms or time_now_ms()
        heard_ms = record.data_ms or record.control_ms
        return self._seen_ms if heard_ms is None else heard_ms

    def _teller(self, record: Record, status: str) -> str:
        """Return who halted or started a component, or the one that serves it."""
        if status not in ("active", "halted"):
            return ""
        component = record.component
        with self._lock:
            told = self._told.get(component.server or component.codifier)
        return told[0] if told and time.monotonic() - told[1] < OBEYED_S else ""

    def _reason(self, record: Record, status: str) -> str:
        if status == "failing":
            return record.reason
        if status != "silent":
            return ""
        codifier = record.component.codifier
        for trouble in self._records.overview().troubles:
            if trouble.kind == "node" and codifier in trouble.codifiers:
                return f"Nothing on {trouble.name} was heard."
        server = self._records.server_of(record)
        if server is not None and server.status == "silent":
            return f"{server.component.codifier}, which serves it, was silent, too."
        return "No reading and no sign of life came."
