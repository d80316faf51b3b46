"""The records of all components: when each was heard, its last points, its status.

Each batch from the bus raises one version, and each record remembers the version that changed it.
So a reader asks for the changes since the version that it has: there is no queue for each reader,
and a slow one costs nothing.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, get_args
from zlib import crc32

from jph.bus.wire import Address, Control, Reading, memory_of, number_of
from jph.clock import time_now_ms
from jph.config.model import Component, Config
from jph.config.status import Heard, Status, status
from jph.node.process import ComponentStatus
from jph.rate import Rate
from jph.state import Fields, LastStates
from web.live import nodes
from web.live.record import Point as Point
from web.live.record import Record as Record
from web.live.status import DAMAGED, FAULTS
from web.live.strangers import Strangers

RECENT = 20_000  # numbers of all components that a history may not have yet
RECENT_TEXT_BYTES = 4 << 20  # and texts and objects
LONGEST_POINT = 240  # letters of a text kept in the ring
REFRESH_S = 1.0  # how often silence is looked for
STRANGERS_SHOWN = 24
BUS = "bus"  # among the Codifiers of faults
OFF_THE_BUS = "This server is off the bus: nothing arrives, and no command leaves."
UNKNOWN_REASON = "It gives signs of life, but no readings; the log of its process tells why."


class NetworkFault(NamedTuple):
    """A fault that people are told at the top of each page; `goes_on`: live values still come."""

    meaning: str
    text: str
    since_ms: int
    goes_on: bool = True


@dataclass(frozen=True, slots=True)
class Overview:
    """The network as a whole, for the pages.

    Args:
        version: of the records that it was made of.
        layout: changes with the configuration; a page of another layout is out of date.
        summary: how many components are in each status.
        faults: Codifier -> its fault.
        strangers: Codifiers that were heard and are not in the configuration.
        troubles: what does not work, the worst first.
    """

    version: int
    layout: str
    summary: dict[str, int]
    faults: dict[str, NetworkFault]
    strangers: list[str]
    troubles: list[nodes.Trouble]


class Records:
    """The records of all components; every method may be called from any thread."""

    def __init__(
        self,
        config: Config,
        states: LastStates,
        components: Callable[[], Mapping[str, ComponentStatus]] = dict,
    ) -> None:
        self.readings = 0  # received since the start
        self.states = states
        self.on_change: Callable[[], object] = lambda: None  # called while the lock is held
        self.lock = threading.RLock()  # guards everything below
        self.version = 1
        self.layout = ""
        self._records: dict[str, Record] = {}
        self._recent: deque[tuple[str, int, float]] = deque(maxlen=RECENT)
        self._recent_texts: deque[Reading] = deque()
        self._recent_text_bytes = 0
        self.strangers = Strangers()
        self.bus_fault: Callable[[], str] = str  # why we are off the bus; empty while we are on it
        self.own_addresses: Callable[[], Iterable[Address]] = tuple  # on the network
        self._faults: dict[str, NetworkFault] = {}
        self._troubles: list[nodes.Trouble] = []
        self._is_judged_anew = True  # since the troubles were found
        self._components = components  # of this process
        self._own: Mapping[str, ComponentStatus] = {}
        self._rate = Rate()
        self._started_s = time.monotonic()
        self._refreshed_s = 0.0
        self.reconfigure(config)

    # From the bus

    def recall(self) -> None:
        """Take from the last states when each component was heard before the start."""
        now_s, now_ms = time.monotonic(), time_now_ms()

        def arrival_s(fields: Fields, name: str) -> float | None:
            time_ms = fields.get(name)
            return now_s - max(0, now_ms - time_ms) / 1000 if isinstance(time_ms, int) else None

        with self.lock:
            self.version += 1
            for codifier, record in self._records.items():
                fields = self.states.get(codifier)
                if fields is None or record.heard_ms is not None:
                    continue
                record.heard = Heard(
                    data_s=arrival_s(fields, "DTimestamp"),
                    control_s=arrival_s(fields, "ITimestamp"),
                    is_active=fields.get("IsActive") is not False,
                )
                record.data_ms = _until(fields.get("DTimestamp"), now_ms)
                record.control_ms = _until(fields.get("ITimestamp"), now_ms)
                record.version = self.version
            self._refresh(now_s)

    def reconfigure(self, config: Config) -> None:
        """Take the components of a new configuration; the others keep their records."""
        document = json.dumps(config.document, sort_keys=True, default=str)
        with self.lock:
            self.version += 1
            records: dict[str, Record] = {}
            for codifier, component in config.components.items():
                record = self._records.get(codifier) or Record(component)
                record.component = component
                record.version = self.version
                records[codifier] = record
                self.strangers.forget(codifier)
            self._records = records
            self._faults = {
                code: fault
                for code, fault in self._faults.items()
                if code in records or code == BUS
            }
            self.layout = f"{crc32(document.encode()):08x}"
            self._refresh(time.monotonic())
            self.on_change()

    def on_batch(self, readings: Sequence[Reading]) -> None:
        """Take readings, oldest first."""
        now_s, now_ms = time.monotonic(), time_now_ms()
        with self.lock:
            self.version = version = self.version + 1
            touched: dict[str, Record] = {}
            for reading in readings:
                codifier, timestamp_ms, _, value, *_ = reading
                record = self._records.get(codifier)
                if record is None:
                    self.strangers.on_reading(reading)
                    continue
                touched[codifier] = record
                record.ip = reading[6][0]
                number: float | str | None = number_of(value)
                if isinstance(number, float):
                    self._recent.append((codifier, timestamp_ms, number))
                if isinstance(value, str | dict):
                    self._keep_text(reading)
                if number is None and isinstance(value, str):
                    number = value[:LONGEST_POINT]
                if number is not None:
                    record.points.append((version, timestamp_ms, number))
                if record.component.type in FAULTS:
                    self._note_fault(record.component, value)
            for record in touched.values():
                record.version, record.heard_ms, record.data_ms = version, now_ms, now_ms
                heard = record.heard
                heard.data_s = now_s
                if heard.since_s is None:
                    heard.since_s = now_s
                self._judge(record, now_s)
            self.readings += len(readings)
            self._rate.add(len(readings), now_s)
            self.on_change()

    def on_control(self, message: Control, address: Address = ("", 0)) -> None:
        """Take one control message, and where it came from."""
        now_s, now_ms = time.monotonic(), time_now_ms()
        with self.lock:
            self._rate.add(1, now_s)
            self.version += 1
            record = self._records.get(message.source)
            if record is None:
                self.strangers.on_control(message, address[0])
            else:
                heard = record.heard
                if heard.since_s is None or (message.is_active and not heard.is_active):
                    heard.since_s = now_s
                heard.control_s = now_s
                heard.is_active = message.is_active
                record.heard_ms = record.control_ms = now_ms
                record.ip, record.port = address
                self._touch(record, now_s)
                for proxy in record.component.serves:
                    if proxy in self._records:  # it shows whether its server is halted
                        self._touch(self._records[proxy], now_s)
            target = self._records.get(message.destination)
            if target is not None and message.flag in "PHS":
                target.version = self.version
            self.on_change()

    def _keep_text(self, reading: Reading) -> None:
        self._recent_texts.append(reading)
        self._recent_text_bytes += memory_of([reading])
        while self._recent_text_bytes > RECENT_TEXT_BYTES:
            self._recent_text_bytes -= memory_of([self._recent_texts.popleft()])

    def _touch(self, record: Record, now_s: float) -> None:
        record.version = self.version
        self._judge(record, now_s)

    def note(self, codifier: str, meaning: str, text: str) -> None:
        """Show a fault that is not told on the bus."""
        with self.lock:
            self._fault(codifier, meaning, text)
            self.version += 1
            self.on_change()

    def _fault(self, codifier: str, meaning: str, text: str) -> None:
        known = self._faults.get(codifier)
        since_ms = known.since_ms if known and known.meaning == meaning else time_now_ms()
        self._faults[codifier] = NetworkFault(meaning, text, since_ms)

    def _note_fault(self, component: Component, value: object) -> None:
        told = value if isinstance(value, dict) else {}
        if fault := told.get("fault"):
            self._fault(component.codifier, FAULTS[component.type], str(fault))
        elif names := told.get("damaged"):
            text = f"Run jph history repair to take over what can be read of {names}."
            self._fault(component.codifier, DAMAGED, text)
        else:
            self._faults.pop(component.codifier, None)

    # For the pages

    def all(self) -> Iterable[Record]:
        """Return the records in the order of the configuration."""
        self.refresh()
        return self._records.values()

    def get(self, codifier: str | None) -> Record | None:
        """Return one record, None if there is no such component in the configuration."""
        self.refresh()
        return self._records.get(codifier or "")

    def server_of(self, record: Record) -> Record | None:
        """Return the record of the component that sends for this one, None if it is no proxy."""
        return self._records.get(record.component.server or "")

    def recent(self, codifier: str, after_ms: int, end_ms: int) -> list[tuple[int, float]]:
        """Return the last numbers with after_ms < timestamp < end_ms that were heard, by time."""
        with self.lock:
            kept = list(self._recent)
        return sorted(it[1:] for it in kept if it[0] == codifier and after_ms < it[1] < end_ms)

    def recent_texts(self, codifier: str, after_ms: int, end_ms: int) -> list[Reading]:
        """Return the last texts and objects with after_ms < timestamp < end_ms, by time."""
        with self.lock:
            kept = list(self._recent_texts)
        found = [it for it in kept if it[0] == codifier and after_ms < it[1] < end_ms]
        return sorted(found, key=itemgetter(1, 2))

    def refresh(self) -> None:
        """Find whose status changed by the passing of time alone, unless that was done just now."""
        now_s = time.monotonic()
        if now_s - self._refreshed_s >= REFRESH_S:
            with self.lock:
                self._refresh(now_s)

    def overview(self) -> Overview:
        """Return the network as a whole."""
        self.refresh()
        with self.lock:
            summary = dict.fromkeys(get_args(Status), 0)
            for record in self._records.values():
                summary[record.status] += 1
            if self._is_judged_anew:
                self._find_troubles(time.monotonic())
            strangers = [stranger.codifier for stranger in self.strangers.lately()]
            return Overview(
                self.version,
                self.layout,
                summary,
                dict(self._faults),
                strangers[:STRANGERS_SHOWN],
                self._troubles,
            )

    def by_node(self) -> dict[str, list[Record]]:
        """Return the records of each node of the network."""
        with self.lock:
            return nodes.by_node(self._records.values(), self.server_of, self.own_addresses())

    def messages_per_minute(self) -> float:
        """Return the rate of all messages, data and control."""
        with self.lock:
            return self._rate.per_minute(time.monotonic())

    def uptime_s(self) -> float:
        """Return for how long this server has been listening."""
        return round(time.monotonic() - self._started_s, 1)

    def _refresh(self, now_s: float) -> None:
        self._refreshed_s = now_s
        self._own = self._components()
        changed = [record for record in self._records.values() if self._judge(record, now_s)]
        if any([self._find_troubles(now_s), self._look_at_bus(), changed]):
            self.version += 1
            for record in changed:
                record.version = self.version

    def _judge(self, record: Record, now_s: float) -> bool:
        """Update the status of a component and its reason; True if they changed."""
        before = record.status, record.reason
        server = self.server_of(record)
        own = self._own.get(record.component.codifier)
        record.status = status(
            record.component,
            record.heard,
            now_s,
            server.component if server else None,
            server.heard if server else None,
            is_failing=own is not None and own.is_failing,
        )
        record.reason = ""
        if record.status == "failing":
            own = own or self._own.get(record.component.server or "")
            record.reason = (own.error if own else None) or UNKNOWN_REASON
        is_other = (record.status, record.reason) != before
        self._is_judged_anew = self._is_judged_anew or is_other
        return is_other

    def _look_at_bus(self) -> bool:
        """Note whether we are on the bus; True if that changed."""
        before, why = self._faults.pop(BUS, None), self.bus_fault()
        if why:
            since_ms = before.since_ms if before else time_now_ms()
            self._faults[BUS] = NetworkFault(OFF_THE_BUS, why, since_ms, goes_on=False)
        return before != self._faults.get(BUS)

    def _find_troubles(self, now_s: float) -> bool:
        """Find what does not work; True if that is something else than before."""
        self._is_judged_anew = False
        before = self._troubles
        self._troubles = nodes.troubles(self.by_node(), self.server_of, now_s, self._started_s)
        return before != self._troubles


def _until(time_ms: object, now_ms: int) -> int | None:
    return min(time_ms, now_ms) if isinstance(time_ms, int) else None
