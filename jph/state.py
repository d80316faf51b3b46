"""The last state of every Codifier, for state caches, pages and calculations. Pure, no I/O.

A process has one (`Channel.last_states`), fed by its node with every batch: the state caches bring
it to their stores, pages show it, and calculations ask it.

Programs of existing networks read these field names:

    Codifier                   whose state this is
    Value, DTimestamp          last reading as sent, and its timestamp
    DPacketsLost, DResetTime   loss on the data channel, and since when it is counted
    CPacketsLost, CResetTime   the same on the control channel
    PTimestamp, PRequest       the last ping that it sent, and the number of that P
    TTimestamp, TRequest       its last answer T, and the number in it
    TDuration                  ms from that P to the answer, both by our clock
    HTimestamp, STimestamp     when it last told somebody to halt, to start
    CTimestamp                 when it last told somebody to reload
    ITimestamp, IsActive       last sign of life (N, I or T), last activity byte

Four more are for our pages, since those of the commands are about who sent them:

    PingedTime                 last ping that was sent to it
    HaltedTime, StartedTime    when it was last told to halt, to start
    LoadedTime                 when it loaded its configuration, as its N and I say

Existing programs expect a number in Value. So for them an object with the key "value" becomes that
and, beside it, the field Object (`for_programs`).

All times are ms since 1970 by the clock of the sender; a field that is not known is None. That
clock may be wrong, so the age of a value counts from when it was heard here (`age_s`).

Which reading is the last one is decided by sequence, not by clock, since a clock may step back. A
reading replaces the stored one unless it is late: its sequence number is the stored one or up to
WINDOW before it, its timestamp is not later, and the source has not restarted in between. So a
clock that steps back does not freeze a value, and a datagram that was overtaken does not undo one.
Control messages replace their fields in order of arrival.
"""

import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from jph.bus.sequence import WINDOW, SequenceTracker
from jph.bus.wire import BROADCAST, SEQUENCE_MASK, Control, Reading
from jph.clock import time_now_ms

FIELDS = (
    "Codifier",
    "Value",
    "DTimestamp",
    "DPacketsLost",
    "DResetTime",
    "CPacketsLost",
    "CResetTime",
    "PTimestamp",
    "PRequest",
    "TTimestamp",
    "TRequest",
    "TDuration",
    "HTimestamp",
    "STimestamp",
    "ITimestamp",
    "IsActive",
    "CTimestamp",
    "PingedTime",
    "HaltedTime",
    "StartedTime",
    "LoadedTime",
)
OBJECT = "Object"
PINGS_KEPT = 16  # last pings remembered per destination; several programs may ping at once

Fields = dict[str, object]


class _State:
    __slots__ = ("fields", "heard_s", "restarts", "sequence", "version")

    def __init__(self, codifier: str) -> None:
        self.fields: Fields = dict.fromkeys(FIELDS)
        self.fields["Codifier"] = codifier
        self.heard_s = -math.inf  # when its value was heard, monotonic
        self.sequence = -1
        self.restarts = 0
        self.version = 0


class LastStates:
    """Keep the last state of every Codifier; one thread writes while others read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._version = 0
        self._earlier: Mapping[str, Fields] = {}
        self._earlier_heard_s: Mapping[str, float] = {}
        self._states: OrderedDict[str, _State] = OrderedDict()  # least recently changed first
        self._pings: dict[str, dict[float, int]] = {}  # destination: number: when it arrived, ms

    def on_readings(
        self,
        readings: Iterable[Reading],
        sources: Mapping[str, SequenceTracker],
        heard_s: float | None = None,
    ) -> None:
        """Take a batch of readings, in order of arrival; only the last of each Codifier counts.

        Args:
            heard_s: when they arrived, by the monotonic clock; now if None.
        """
        heard_s = time.monotonic() if heard_s is None else heard_s
        newest: dict[str, Reading] = {}
        for reading in readings:
            codifier = reading[0]
            known = newest.get(codifier)
            if (
                known is None
                or (known[2] - reading[2]) & SEQUENCE_MASK > WINDOW
                or reading[1] > known[1]
            ):
                newest[codifier] = reading
        with self._lock:
            for codifier, reading in newest.items():
                self._on_reading(codifier, reading, sources.get(codifier), heard_s)

    def _on_reading(
        self, codifier: str, reading: Reading, source: SequenceTracker | None, heard_s: float
    ) -> None:
        state = self._state(codifier)
        fields = state.fields
        restarted = False
        changed = False
        if source is not None:
            restarted = source.restarts != state.restarts
            state.restarts = source.restarts
            changed = (
                source.lost != fields["DPacketsLost"] or source.reset_ms != fields["DResetTime"]
            )
            fields["DPacketsLost"] = source.lost
            fields["DResetTime"] = source.reset_ms
        _, timestamp_ms, sequence, value, *_ = reading
        stored_ms = fields["DTimestamp"]
        if (
            not isinstance(stored_ms, int)
            or restarted
            or (state.sequence - sequence) & SEQUENCE_MASK > WINDOW
            or timestamp_ms > stored_ms
        ):
            state.sequence = sequence
            state.heard_s = heard_s
            fields["Value"] = value
            fields["DTimestamp"] = timestamp_ms
            changed = True
        if changed:
            self._touch(state)

    def on_control(
        self, message: Control, now_ms: int, sources: Mapping[str, SequenceTracker]
    ) -> None:
        """Take one control message that arrived at now_ms by our clock."""
        with self._lock:
            self._on_source(message, now_ms, sources.get(message.source))
            if message.flag == "P":
                pings = self._pings.setdefault(message.destination, {})
                pings[message.number] = now_ms
                if len(pings) > PINGS_KEPT:
                    del pings[next(iter(pings))]
                for state in self._addressed(message.destination):
                    self._set(state, PingedTime=message.timestamp_ms)
            elif message.flag in "HS":
                name = "HaltedTime" if message.flag == "H" else "StartedTime"
                for state in self._addressed(message.destination):
                    self._set(state, **{name: message.timestamp_ms})

    def _on_source(self, message: Control, now_ms: int, source: SequenceTracker | None) -> None:
        state = self._state(message.source)
        changes: Fields = {"IsActive": message.is_active}
        if source is not None:
            changes |= {"CPacketsLost": source.lost, "CResetTime": source.reset_ms}
        if message.flag in "NIT":
            changes["ITimestamp"] = message.timestamp_ms
        if message.flag in "NI":
            changes["LoadedTime"] = _plain(message)
        if message.flag in "PHSC":
            changes[f"{message.flag}Timestamp"] = message.timestamp_ms
        if message.flag == "P":
            changes["PRequest"] = _plain(message)
        if message.flag == "T":
            pinged_ms = self._pinged_ms(message)
            changes |= {
                "TTimestamp": message.timestamp_ms,
                "TRequest": _plain(message),
                "TDuration": None if pinged_ms is None else now_ms - pinged_ms,
            }
        self._set(state, **changes)

    def _pinged_ms(self, answer: Control) -> int | None:
        """Return when the P arrived that a T answers, None if we did not hear it."""
        for destination in (answer.source, BROADCAST):
            pinged_ms = self._pings.get(destination, {}).get(answer.number)
            if pinged_ms is not None:
                return pinged_ms
        return None

    def recall(self, states: Mapping[str, Fields]) -> None:
        """Take the states from before the start of this process; newer messages replace them.

        Only the time of its sender tells how old an earlier value is. One from the future is as
        old as this call.
        """
        now_s, now_ms = time.monotonic(), time_now_ms()
        self._earlier_heard_s = {
            codifier: now_s - max(0, now_ms - read_ms) / 1000
            for codifier, fields in states.items()
            if isinstance(read_ms := fields.get("DTimestamp"), int)
        }
        self._earlier = states

    def age_s(self, codifier: str, now_s: float | None = None) -> float:
        """Return how long ago the last value of a Codifier was heard; infinity without one."""
        with self._lock:
            state = self._states.get(codifier)
            heard_s = -math.inf if state is None else state.heard_s
        if heard_s == -math.inf:
            heard_s = self._earlier_heard_s.get(codifier, -math.inf)
        return max(0.0, (time.monotonic() if now_s is None else now_s) - heard_s)

    def get(self, codifier: str) -> Fields | None:
        """Return a copy of the state of one Codifier, None if nothing is known of it."""
        earlier = self._earlier.get(codifier)
        with self._lock:
            state = self._states.get(codifier)
            fields = None if state is None else dict(state.fields)
        if earlier is None or fields is None:
            return dict(earlier) if fields is None and earlier is not None else fields
        # Field by field: the first control message may come long before the next reading.
        return earlier | {name: value for name, value in fields.items() if value is not None}

    def changed_since(self, version: int) -> tuple[int, dict[str, Fields]]:
        """Return the present version, and a copy of each state that changed after the given one.

        Only what this process heard is there, all of it for version 0.
        """
        with self._lock:
            changed: dict[str, Fields] = {}
            for codifier, state in reversed(self._states.items()):
                if state.version <= version:
                    break
                changed[codifier] = dict(state.fields)
            return self._version, changed

    def _state(self, codifier: str) -> _State:
        state = self._states.get(codifier)
        if state is None:
            state = self._states[codifier] = _State(codifier)
            self._touch(state)
        return state

    def _addressed(self, destination: str) -> Sequence[_State]:
        if destination == BROADCAST:
            return list(self._states.values())
        return [self._state(destination)]

    def _set(self, state: _State, **changes: object) -> None:
        fields = state.fields
        if any(fields[name] != value for name, value in changes.items()):
            fields.update(changes)
            self._touch(state)

    def _touch(self, state: _State) -> None:
        self._version += 1
        state.version = self._version
        self._states.move_to_end(str(state.fields["Codifier"]))


def for_programs(fields: Fields) -> Fields:
    """Return a state with a number or text in Value, and with the object that it came in."""
    value = fields["Value"]
    if not isinstance(value, dict):
        return {**fields, OBJECT: None}
    inner = value.get("value")
    if isinstance(inner, bool):
        inner = str(inner)
    elif isinstance(inner, str):  # half a surrogate pair is no text; its escape in JSON is
        inner = inner.encode("utf-8", "backslashreplace").decode()
    elif not isinstance(inner, int | float | None):
        inner = json.dumps(inner, ensure_ascii=False)
    return {**fields, "Value": inner, OBJECT: value}


def _plain(message: Control) -> float | int | None:
    """Return the number of a message, as an integer where it is one: times and counts are."""
    number = message.number
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number
