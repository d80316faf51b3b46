"""The live stream: its readers get changes, each at its own pace.

Time is cut into frames. All readers are brought to the end of the present frame, so most of them
ask for the same change, which is encoded once. A reader that was busy for some frames asks for more
at once.
"""

import json
import secrets
import threading
import time

from jph.clock import time_now_ms
from web.records import Record, Records
from web.views import live_view

FRAME_S = 0.2  # a reader gets at most five events a second


class LiveStream:
    """Server-sent events of what changes; every method may be called from any thread."""

    def __init__(self, records: Records) -> None:
        self.boot = secrets.token_hex(4)  # of this life of the server
        self._records = records
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._frame_version = 0  # at the end of the present frame
        self._frame_s = 0.0  # when it began, monotonic
        self._events: dict[tuple[int, str | None], str] = {}  # of the present frame
        self._encoded: dict[str, tuple[int, str]] = {}  # Codifier -> version, its view as JSON

    def close(self) -> None:
        """Let every reader go."""
        self._closed.set()
        with self._records.changed:
            self._records.changed.notify_all()

    @property
    def is_closed(self) -> bool:
        """Whether the server is stopping."""
        return self._closed.is_set()

    def wait(self, version: int, timeout_s: float) -> None:
        """Wait for the next frame, and then until something is newer than a version."""
        self._closed.wait(FRAME_S)
        with self._records.changed:
            self._records.changed.wait_for(
                lambda: self._records.version > version or self._closed.is_set(), timeout_s
            )

    def position(self, event_id: str) -> int:
        """Return the version in an event id of this server's life, else 0: everything is new."""
        boot, _, version = event_id.partition("-")
        if boot != self.boot or not version.isascii() or not version.isdigit():
            return 0
        number = int(version[:18])
        return number if number <= self._records.version else 0

    def event_id(self, version: int) -> str:
        """Return what names a version, also after a restart of the server."""
        return f"{self.boot}-{version}"

    def event(self, version: int, only: str | None = None) -> tuple[int, str]:
        """Return a newer version, and what changed up to it since the given one as an event.

        The event is empty when nothing did; it is a snapshot of everything for version 0.

        Args:
            version: the version that the reader has.
            only: Codifier of the one component that it shows; None: it shows all.
        """
        self._records.refresh()
        with self._lock:
            self._begin_frame()
            end = self._frame_version
            if end <= version:
                return version, ""
            key = version, only
            if key not in self._events:
                self._events[key] = self._encode(version, end, only)
            return end, self._events[key]

    def _begin_frame(self) -> None:
        now_s = time.monotonic()
        if now_s - self._frame_s >= FRAME_S and self._frame_version < self._records.version:
            self._frame_s, self._frame_version = now_s, self._records.version
            self._events.clear()

    def _encode(self, version: int, end: int, only: str | None) -> str:
        with self._records.changed:
            one = self._records.get(only)
            shown = list(self._records.all()) if only is None else [one] if one else []
            changed = [
                (record, [p[1:] for p in record.points if version < p[0] <= end])
                for record in shown
                if record.version > version
            ]
        if not changed and version:
            return ""
        overview = self._records.overview()
        frame = {
            "now": time_now_ms(),
            "layout": overview.layout,
            "summary": overview.summary,
            "faults": overview.faults,
            "strangers": overview.strangers,
        }
        parts = ",".join(
            f"{json.dumps(record.component.codifier)}:"
            f'{{{self._view(record)},"points":{json.dumps(points)}}}'
            for record, points in changed
        )
        kind = "change" if version else "snapshot"
        return (
            f"id: {self.event_id(end)}\nevent: {kind}\n"
            f'data: {json.dumps(frame)[:-1]},"components":{{{parts}}}}}\n\n'
        )

    def _view(self, record: Record) -> str:
        """Return the view of a record as the inside of a JSON object."""
        codifier = record.component.codifier
        known = self._encoded.get(codifier)
        if known is None or known[0] != record.version:
            version = record.version  # before the view: what changes meanwhile is encoded again
            text = json.dumps(live_view(self._records, record), default=str)[1:-1]
            known = self._encoded[codifier] = version, text
        return known[1]
