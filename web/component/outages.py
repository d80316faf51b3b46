"""Outages of a component over a span: from the events, and from gaps in the history. Pure.

While the pages run they note each change of a status (web/history/event_recorder.py). For the
times when they did not run, gaps in the history tell of outages.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jph.stores.buckets import Span, merged, without
from web.history.events import STATUSES, Event

NEVER_ENDS_MS = 1 << 62
FROM_GAP = "No readings are stored; the pages were not running."


class Outage(NamedTuple):
    """A time without readings.

    Args:
        end_ms: None while it goes on.
        kind: silent or failing, or halted, which counts as no outage.
        reason: in words.
    """

    begin_ms: int
    end_ms: int | None
    kind: str
    reason: str


class Availability(NamedTuple):
    """How much of a span a component was there.

    Args:
        share: from 0 to 1; None where nothing is known.
        observed_ms: of the span, without times before the first sign and those while it was halted.
        outages: also those while it was halted, oldest first.
    """

    share: float | None
    observed_ms: int
    outages: list[Outage]


def outages_of(events: Iterable[Event]) -> list[Outage]:
    """Return the outages that events of one component tell of, oldest first."""
    found: list[Outage] = []
    for event in events:
        if event.kind not in STATUSES:
            continue
        if found and found[-1].end_ms is None:
            last = found[-1]
            if last.kind == event.kind:
                continue
            found[-1] = last._replace(end_ms=max(event.time_ms, last.begin_ms))
        if event.kind != "active":
            reason = event.text or (f"By {event.who}." if event.who else "")
            found.append(Outage(event.time_ms, None, event.kind, reason))
    return [it for it in found if it.end_ms is None or it.end_ms > it.begin_ms]


def ended_by(outages: Iterable[Outage], returned_ms: Iterable[int]) -> list[Outage]:
    """Return outages that end with readings which the pages did not hear, but the history has."""
    found = []
    for outage in outages:
        end_ms = outage.end_ms
        inside = [
            it for it in returned_ms if outage.begin_ms < it and (end_ms is None or it < end_ms)
        ]
        found.append(outage._replace(end_ms=min(inside)) if inside else outage)
    return found


def with_gaps(outages: Sequence[Outage], gaps: Iterable[Span], slack_ms: int) -> list[Outage]:
    """Return outages together with gaps of the history, oldest first.

    Args:
        gaps: each from the last reading before to the first after.
        slack_ms: an outage and a gap that are no further apart are one.
    """
    known = [_times(it) for it in outages]
    found = list(outages)
    for gap in gaps:
        found += [Outage(*part, "silent", FROM_GAP) for part in without(gap, merged(known))]
    joined: list[Outage] = []
    for outage in sorted(found, key=_times):
        before = joined[-1] if joined else None
        if before and _are_one(before, outage, slack_ms):
            told = before if before.reason != FROM_GAP else outage
            end_ms = None if outage.end_ms is None else max(_end(before), outage.end_ms)
            joined[-1] = told._replace(begin_ms=before.begin_ms, end_ms=end_ms)
        else:
            joined.append(outage)
    return [it for it in joined if it.reason != FROM_GAP or _end(it) - it.begin_ms > slack_ms]


def availability(
    outages: Iterable[Outage], start_ms: int, end_ms: int, first_ms: int | None
) -> Availability:
    """Return how much of a span a component was there.

    Args:
        end_ms: of the span, not after now.
        first_ms: its first sign ever; None: there is none.
    """
    shown = [it for it in outages if it.begin_ms < end_ms and _end(it) > start_ms]
    if first_ms is None or first_ms >= end_ms:
        return Availability(None, 0, shown)
    span = (max(start_ms, first_ms), end_ms)
    halts = merged(_times(it) for it in shown if it.kind == "halted")
    watched = without(span, halts)
    lost = merged(_times(it) for it in shown if it.kind != "halted")
    there_ms = sum(e - b for part in watched for b, e in without(part, lost))
    observed_ms = sum(e - b for b, e in watched)
    return Availability(there_ms / observed_ms if observed_ms else None, observed_ms, shown)


def _are_one(before: Outage, after: Outage, slack_ms: int) -> bool:
    is_gap = FROM_GAP in (before.reason, after.reason)
    is_halt = "halted" in (before.kind, after.kind)
    return is_gap and not is_halt and after.begin_ms - _end(before) <= slack_ms


def _end(outage: Outage) -> int:
    return NEVER_ENDS_MS if outage.end_ms is None else outage.end_ms


def _times(outage: Outage) -> Span:
    return outage.begin_ms, _end(outage)
