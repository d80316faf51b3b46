"""What the bus says now, as the pages show it; feeds every open page at its own pace.

Each batch from the bus raises one global version, and each record remembers which version changed
it. A reader of the live stream asks for what changed since the version it has: there is no queue
per reader, so a slow one costs nothing and simply gets more at a time.
"""

import json
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from jph.bus.sequence import SequenceTracker
from jph.bus.wire import Control, Reading, number_of
from jph.clock import time_now_ms
from jph.config import Component, Config
from jph.silence import timeout_s
from jph.state import FIELDS, Fields, LastStates
from web.formatting import display
from web.rate import Rate
from web.status import FAULTS, Heard, Status, status

RING = 120  # readings of each component that a new reader gets for its curve
LONGEST_POINT = 240  # letters of a text kept in the ring
REFRESH_S = 1.0  # how often silence is looked for
STRANGER_S = 600.0  # how long an unconfigured Codifier is mentioned after its last message
STRANGERS_SHOWN = 24

Point = tuple[int, int, float | str]  # version, timestamp_ms, number or text


@dataclass(slots=True)
class Record:
    """What the pages know of one component."""

    component: Component
    server: str | None  # Codifier that serves this one, for a proxy
    version: int = 0
    status: Status = "unseen"
    heard: Heard = field(default_factory=Heard)
    heard_ms: int | None = None  # when something last arrived, by our clock
    points: deque[Point] = field(default_factory=lambda: deque(maxlen=RING))
    encoded: tuple[int, str] = (-1, "")  # version, and the record as JSON at that version


class Hub:
    """Holds the last states for the pages; every method may be called from any thread.

    Args:
        config: whose components are shown.
        data_sources: loss counters of the data channel, by Codifier.
        control_sources: the same for the control channel.
    """

    def __init__(
        self,
        config: Config,
        data_sources: Mapping[str, SequenceTracker],
        control_sources: Mapping[str, SequenceTracker],
    ) -> None:
        self.boot = secrets.token_hex(4)
        self.readings = 0  # received since the start
        self._data_sources = data_sources
        self._control_sources = control_sources
        self._states = LastStates()
        self._earlier: Mapping[str, Fields] = {}  # what a state cache knew at the start
        self._changed = threading.Condition()  # guards everything below
        self._version = 1
        self._closed = threading.Event()
        self._records: dict[str, Record] = {}
        self._strangers: dict[str, float] = {}  # Codifier -> when it was heard, monotonic
        self._faults: dict[str, tuple[str, str]] = {}  # what it means, and what was reported
        self._rate = Rate()
        self._started_s = time.monotonic()
        self._refreshed_s = 0.0
        self.reconfigure(config)

    # From the bus

    def recall(self, states: Mapping[str, Fields]) -> None:
        """Begin with last states that were known before; what is heard replaces them."""
        now_s, now_ms = time.monotonic(), time_now_ms()

        def arrival_s(fields: Fields, name: str) -> float | None:
            time_ms = fields.get(name)
            return now_s - max(0, now_ms - time_ms) / 1000 if isinstance(time_ms, int) else None

        with self._changed:
            self._version += 1
            self._earlier = dict(states)
            for codifier, fields in self._earlier.items():
                record = self._records.get(codifier)
                if record is None or record.heard_ms is not None:
                    continue
                record.heard = Heard(
                    data_s=arrival_s(fields, "DTimestamp"),
                    control_s=arrival_s(fields, "ITimestamp"),
                    is_active=fields.get("IsActive") is not False,
                )
                record.version = self._version
            self._refresh(now_s)

    def reconfigure(self, config: Config) -> None:
        """Show these components from now on; what is known of those that stay is kept."""
        servers = {
            proxy: server.codifier
            for server in config.components.values()
            for proxy in server.proxies()
        }
        with self._changed:
            old, self._records = self._records, {}
            self._version += 1
            for codifier, component in config.components.items():
                record = old.get(codifier) or Record(component, None)
                record.component, record.server = component, servers.get(codifier)
                record.version = self._version
                self._records[codifier] = record
            for codifier in self._records:
                self._strangers.pop(codifier, None)
            self._faults = {
                codifier: fault
                for codifier, fault in self._faults.items()
                if codifier in self._records
            }
            document = json.dumps(config.document, sort_keys=True, default=str)
            self.layout = f"{crc32(document.encode()):08x}"
            self._refresh(time.monotonic())
            self._changed.notify_all()

    def on_batch(self, readings: Sequence[Reading]) -> None:
        """Take readings, oldest first."""
        now_s, now_ms = time.monotonic(), time_now_ms()
        with self._changed:
            records = self._records
            known = [reading for reading in readings if reading[0] in records]
            if len(known) < len(readings):
                self._note_strangers({reading[0] for reading in readings}, now_s)
            self._states.on_readings(known, self._data_sources)
            self._version = version = self._version + 1
            for codifier, timestamp_ms, _, value, *_ in known:
                record = records[codifier]
                number: float | str | None = number_of(value)
                if number is None and isinstance(value, str):
                    number = value[:LONGEST_POINT]
                if number is not None:
                    record.points.append((version, timestamp_ms, number))
                if record.version != version:
                    record.version = version
                    record.heard_ms = now_ms
                    heard = record.heard
                    heard.data_s = now_s
                    if heard.since_s is None:
                        heard.since_s = now_s
                if record.component.type in FAULTS:
                    self._note_fault(record.component, value)
            for codifier in {reading[0] for reading in known}:
                self._judge(records[codifier], now_s)
            self.readings += len(readings)
            self._rate.add(len(readings), now_s)
            self._changed.notify_all()

    def on_control(self, message: Control) -> None:
        """Take one control message."""
        now_s, now_ms = time.monotonic(), time_now_ms()
        with self._changed:
            self._rate.add(1, now_s)
            self._states.on_control(message, now_ms, self._control_sources)
            self._version += 1
            record = self._records.get(message.source)
            if record is None:
                self._note_strangers({message.source}, now_s)
            else:
                heard = record.heard
                if heard.since_s is None or (message.is_active and not heard.is_active):
                    heard.since_s = now_s
                heard.control_s = now_s
                heard.is_active = message.is_active
                record.heard_ms = now_ms
                record.version = self._version
                self._judge(record, now_s)
                for proxy in record.component.proxies():
                    if proxy in self._records:  # it shows whether its server is halted
                        self._records[proxy].version = self._version
                        self._judge(self._records[proxy], now_s)
            target = self._records.get(message.destination)
            if target is not None and message.flag in "PHS":
                target.version = self._version
            self._changed.notify_all()

    def _note_strangers(self, codifiers: set[str], now_s: float) -> None:
        for codifier in codifiers:
            if codifier not in self._records:
                self._strangers[codifier] = now_s

    def _note_fault(self, component: Component, value: object) -> None:
        fault = value.get("fault") if isinstance(value, dict) else None
        if fault:
            self._faults[component.codifier] = FAULTS[component.type], str(fault)
        else:
            self._faults.pop(component.codifier, None)

    def _refresh(self, now_s: float) -> None:
        """Look whose state changed by the passing of time alone."""
        self._refreshed_s = now_s
        changed = [record for record in self._records.values() if self._judge(record, now_s)]
        if changed:
            self._version += 1
            for record in changed:
                record.version = self._version

    def _judge(self, record: Record, now_s: float) -> bool:
        """Say anew what a component is doing; True if that changed."""
        server = self._records.get(record.server) if record.server else None
        before, record.status = (
            record.status,
            status(
                record.component,
                record.heard,
                now_s,
                server.component if server else None,
                server.heard if server else None,
            ),
        )
        return record.status != before

    # For the pages

    def close(self) -> None:
        """Let every reader of the live stream go."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether the server is stopping."""
        return self._closed.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the close."""
        self._closed.wait(seconds)

    def wait(self, version: int, timeout_s: float) -> None:
        """Wait until something is newer than a version, at most so long."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._version > version or self._closed.is_set(), timeout_s
            )

    def position(self, event_id: str) -> int:
        """Return the version in an event id of this server's life, else 0: everything is new."""
        boot, _, version = event_id.partition("-")
        if boot != self.boot or not version.isascii() or not version.isdigit():
            return 0
        number = int(version[:18])
        return number if number <= self._version else 0

    def event(self, version: int, only: str | None = None) -> tuple[int, str]:
        """Return the present version, and what changed since the given one as a server-sent event.

        The event is empty when nothing did; it is a snapshot of everything for version 0.
        """
        with self._changed:
            now_s = time.monotonic()
            if now_s - self._refreshed_s >= REFRESH_S:
                self._refresh(now_s)
            records = (
                list(self._records.values())
                if only is None
                else [self._records[only]]
                if only in self._records
                else []
            )
            changed = [record for record in records if record.version > version]
            if not changed and version:
                return self._version, ""
            parts = [
                f'"{_quoted(record.component.codifier)}":{{{self._encoded(record)},"points":'
                f"{json.dumps([point[1:] for point in record.points if point[0] > version])}}}"
                for record in changed
            ]
            frame = {
                "now": time_now_ms(),
                "layout": self.layout,
                "summary": self._summary(),
                "faults": self._faults,
                "strangers": self._recent_strangers(now_s),
            }
            data = f'{json.dumps(frame)[:-1]},"components":{{{",".join(parts)}}}}}'
            kind = "change" if version else "snapshot"
            identity = f"{self.boot}-{self._version}"
            return self._version, f"id: {identity}\nevent: {kind}\ndata: {data}\n\n"

    def _encoded(self, record: Record) -> str:
        """Return a record as the inside of a JSON object; made once for all readers."""
        if record.encoded[0] != record.version:
            text = json.dumps(self._view(record), default=str)[1:-1]
            record.encoded = (record.version, text)
        return record.encoded[1]

    def _view(self, record: Record) -> dict[str, Any]:
        component = record.component
        server = self._records.get(record.server) if record.server else None
        fields = self._fields(component.codifier)
        text, unit = display(fields["Value"], component.symbol, component.data_type)
        return {
            **fields,
            "State": record.status,
            "Text": text,
            "Unit": unit,
            "Heard": record.heard_ms,
            "Halted": not (server or record).heard.is_active,
        }

    def _fields(self, codifier: str) -> Fields:
        fields = {**dict.fromkeys(FIELDS), "Codifier": codifier}
        # Field by field: the first control message may come long before the next reading.
        for known in (self._earlier.get(codifier), self._states.get(codifier)):
            fields |= {name: value for name, value in (known or {}).items() if value is not None}
        value = fields["Value"]
        if isinstance(value, float) and not math.isfinite(value):
            fields["Value"] = None  # JSON has no word for it
        return fields

    def _timeout_ms(self, record: Record) -> int:
        server = self._records.get(record.server) if record.server else None
        return round(timeout_s(record.component, server.component if server else None) * 1000)

    def _summary(self) -> dict[str, int]:
        summary = {"active": 0, "halted": 0, "silent": 0, "unseen": 0}
        for record in self._records.values():
            summary[record.status] += 1
        return summary

    def _recent_strangers(self, now_s: float) -> list[str]:
        return sorted(
            codifier
            for codifier, heard_s in self._strangers.items()
            if now_s - heard_s <= STRANGER_S
        )[:STRANGERS_SHOWN]

    def states(self, codifier: str | None = None) -> list[Fields] | None:
        """Return the last states of all components, or of one; None if it is not configured."""
        with self._changed:
            if codifier is None:
                return [self._fields(name) for name in self._records]
            return [self._fields(codifier)] if codifier in self._records else None

    def views(self) -> list[dict[str, Any]]:
        """Return what the page shows of every component, in the order of the configuration."""
        with self._changed:
            self._refresh(time.monotonic())
            return [
                {
                    "component": record.component,
                    "server": record.server,
                    "Timeout": self._timeout_ms(record),
                    **self._view(record),
                }
                for record in self._records.values()
            ]

    def view(self, codifier: str) -> dict[str, Any] | None:
        """Return what the page shows of one component, None if it is not configured."""
        return next((v for v in self.views() if v["Codifier"] == codifier), None)

    def overview(self) -> dict[str, Any]:
        """Return what the page says of the network as a whole."""
        with self._changed:
            now_s = time.monotonic()
            self._refresh(now_s)  # nobody else does while no page is open
            return {
                "event_id": f"{self.boot}-{self._version}",
                "layout": self.layout,
                "summary": self._summary(),
                "faults": dict(self._faults),
                "strangers": self._recent_strangers(now_s),
            }

    def messages_per_minute(self) -> float:
        """Return the rate of all messages, data and control."""
        with self._changed:
            return self._rate.per_minute(time.monotonic())

    def uptime_s(self) -> float:
        """Return for how long this server has been listening."""
        return round(time.monotonic() - self._started_s, 1)


def _quoted(codifier: str) -> str:
    return json.dumps(codifier)[1:-1]
