"""The live stream: what changed since a version, encoded once for all readers that ask for it.

Time is cut into frames. All readers are brought to the end of the present frame, so most of them
ask for the same change, which is encoded and compressed once. A reader that was busy for some
frames asks for more at once.

Each event is compressed by itself: it refers to nothing before it, and ends at a full byte. So a
reader may begin with any event, and all of them get the same bytes.
"""

import json
import secrets
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass

from jph.clock import time_now_ms
from web.live.curve import pack_curve
from web.live.filters import EVERY_COMPONENT, Filter
from web.live.records import Overview, Point, Record, Records
from web.views import card_view, live_view

# Before the first event that is compressed: no name, no time, any system (RFC 1952, section 2.3).
GZIP_HEADER = bytes((0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255))
FLOAT_DIGITS = 7  # all that a float32 holds
DIGITS = 9


@dataclass(frozen=True, slots=True)
class Scope:
    """What a reader is told.

    Args:
        only: Codifier of the one component that it shows; None: it shows all.
        chosen: the components that it shows, if not all.
        cards: of each component only what its card on the dashboard shows, and only what changed.
    """

    only: str | None = None
    cards: bool = False
    chosen: Filter = EVERY_COMPONENT


EVERYTHING = Scope()


class Deltas:
    """The fields of something, each with the version that changed it last."""

    def __init__(self) -> None:
        self._fields: dict[str, tuple[int, object]] = {}

    def update(self, version: int, fields: Mapping[str, object]) -> None:
        """Take the present values, all of the same fields each time."""
        for name, value in fields.items():
            known = self._fields.get(name)
            if known is None or known[1] != value:
                self._fields[name] = version, value

    def since(self, version: int) -> dict[str, object]:
        """Return the fields that changed after a version."""
        return {name: value for name, (at, value) in self._fields.items() if at > version}


class LiveStream:
    """Server-sent events of what changes; used by one thread at a time."""

    def __init__(self, records: Records) -> None:
        self.boot = secrets.token_hex(4)  # of this life of the server
        self.more: Callable[[], Mapping[str, object]] = dict  # fields of each frame besides
        self.records = records
        self._end = 0  # the version that the present frame ends with
        self._events: dict[tuple[int, Scope, bool], bytes] = {}  # of the present frame
        self._overview = Deltas()
        self._encoded: dict[str, tuple[int, str]] = {}  # Codifier -> version, its view as JSON
        self._cards: dict[str, tuple[int, Deltas]] = {}  # Codifier -> version, its card

    def has_news(self) -> bool:
        """Tell whether something changed after the present frame."""
        return self.records.version > self._end

    def begin_frame(self) -> None:
        """Go on to what changed until now."""
        self.records.refresh()
        if self.has_news():
            overview = self.records.overview()
            self._end = overview.version
            self._overview.update(self._end, {**_frame_fields(overview), **self.more()})
            self._events.clear()

    def position(self, event_id: str) -> int:
        """Return the version in an event id of this server's life, else 0: everything is new."""
        boot, _, version = event_id.partition("-")
        if boot != self.boot or not version.isascii() or not version.isdigit():
            return 0
        number = int(version[:18])
        return number if number <= self.records.version else 0

    def event(
        self, version: int, scope: Scope = EVERYTHING, *, packed: bool = False
    ) -> tuple[int, bytes]:
        """Return a newer version, and what changed up to it since the given one as an event.

        The event is empty when nothing did; it is a snapshot of everything for version 0.

        Args:
            version: the version that the reader has.
            packed: whether the reader takes gzip.
        """
        if self._end <= version:
            return version, b""
        key = version, scope, packed
        if key not in self._events:
            if packed:
                self._events[key] = pack(self.event(version, scope)[1])
            else:
                self._events[key] = self._encode(version, scope).encode()
        return self._end, self._events[key]

    def _encode(self, version: int, scope: Scope) -> str:
        with self.records.lock:
            one = self.records.get(scope.only)
            shown = list(self.records.all()) if scope.only is None else [one] if one else []
            changed = [
                (record, [point for point in record.points if version < point[0] <= self._end])
                for record in shown
                if record.version > version and scope.chosen.fits(record.component)
            ]
        now_ms = time_now_ms()
        frame: dict[str, object] = {"now": now_ms}
        frame |= self._overview.since(version if scope.cards else 0)
        if not scope.cards:
            del frame["troubles"]  # long, and only for the dashboard
        if not changed and version and (not scope.cards or len(frame) == 1):
            return ""
        encode = self._card if scope.cards else self._full
        parts = ",".join(
            f"{json.dumps(record.component.codifier)}:{encode(record, points, version, now_ms)}"
            for record, points in changed
        )
        kind = "change" if version else "snapshot"
        return (
            f"id: {self.boot}-{self._end}\nevent: {kind}\n"
            f'data: {_json(frame)[:-1]},"components":{{{parts}}}}}\n\n'
        )

    def _full(self, record: Record, points: Iterable[Point], version: int, now_ms: int) -> str:
        """Return all of a component, as JSON."""
        codifier = record.component.codifier
        known = self._encoded.get(codifier)
        if known is None or known[0] != record.version:
            at = record.version  # before the view: what changes meanwhile is encoded again
            known = self._encoded[codifier] = at, _json(live_view(self.records, record))
        return f'{known[1][:-1]},"points":{_json([point[1:] for point in points])}}}'

    def _card(self, record: Record, points: Iterable[Point], version: int, now_ms: int) -> str:
        """Return what changed of a card, as JSON; times are ages at the time of the frame."""
        codifier = record.component.codifier
        at, deltas = self._cards.get(codifier) or (0, Deltas())
        if at != record.version:
            at = record.version
            deltas.update(at, card_view(self.records, record))
            self._cards[codifier] = at, deltas
        card = deltas.since(version)
        time_ms = card.pop("Time", None)
        if isinstance(time_ms, int):
            card["Age"] = max(0, now_ms - time_ms)
        digits = FLOAT_DIGITS if record.component.data_type == "float" else DIGITS
        numbers = [
            (time_ms, float(f"{value:.{digits}g}"))
            for _, time_ms, value in points
            if not isinstance(value, str)
        ]
        if not version and len(numbers) > 1:
            card["Curve"] = pack_curve(numbers, now_ms)
        elif numbers:
            card["points"] = [(now_ms - time_ms, value) for time_ms, value in numbers]
        return _json(card)


def pack(event: bytes) -> bytes:
    """Compress an event, so that it stands for itself within a gzip stream."""
    if not event:
        return b""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(event) + compressor.flush(zlib.Z_SYNC_FLUSH)


def _frame_fields(overview: Overview) -> dict[str, object]:
    return {
        "layout": overview.layout,
        "summary": overview.summary,
        "faults": overview.faults,
        "strangers": overview.strangers,
        "troubles": [asdict(trouble) for trouble in overview.troubles],
    }


def _json(value: object) -> str:
    return json.dumps(value, default=str, separators=(",", ":"))
