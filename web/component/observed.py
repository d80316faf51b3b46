"""The availability of a component, by what the pages noted and what the history tells beside it."""

from jph.clock import time_now_ms
from jph.config.model import Component
from jph.stores import HistoryStore
from jph.stores.address import longest_store_s
from jph.stores.buckets import Span, merged, without
from web.component.outages import (
    Availability,
    availability,
    ended_by,
    outages_of,
    with_gaps,
)
from web.history import events
from web.history.recent import SETTLE_MS
from web.site import Site
from web.views import timeout_ms

MOST_UNWATCHED = 40  # stretches that the history is asked about
REPORTED_MS = 60_000  # a sender that saves messages sends one at least so often


def observe(here: Site, component: Component, start_ms: int, end_ms: int) -> Availability:
    """Return the availability of a component over a span.

    Raises:
        StoreError: the database of the pages, or the history, cannot be used.
    """
    codifier, now_ms = component.codifier, time_now_ms()
    end_ms = min(end_ms, now_ms)
    here.recorder.flush()
    found = events.statuses(here.home, codifier, start_ms, end_ms)
    outages = outages_of(found)
    first_ms = found[0].time_ms if found else None
    record = here.records.get(codifier)
    if here.history_place() is not None and record is not None:
        slack_ms = timeout_ms(here.records, record)
        store = here.history()
        unwatched = _unwatched(here, start_ms, end_ms, slack_ms)
        gaps: list[Span] = []
        returned: list[int] = []
        for begin_ms, until_ms in unwatched:
            inner = store.gaps(codifier, begin_ms, until_ms, slack_ms)
            returned += [inner.first_ms] if inner else []
            gaps += _gaps(here, store, codifier, (begin_ms, until_ms), slack_ms)
        outages = with_gaps(ended_by(outages, returned), gaps, slack_ms)
        first_ms = _first_ms(store, codifier, first_ms, start_ms, end_ms)
    return availability(outages, start_ms, end_ms, first_ms)


def _unwatched(here: Site, start_ms: int, end_ms: int, slack_ms: int) -> list[Span]:
    """Return when the pages did not run, long enough for an outage; the newest stretches."""
    watched = [*events.watches(here.home), (here.recorder.began_ms, time_now_ms())]
    stretches = without((start_ms, end_ms), merged(watched))
    return [it for it in stretches if it[1] - it[0] > slack_ms][-MOST_UNWATCHED:]


def _gaps(
    here: Site, store: HistoryStore, codifier: str, unwatched: Span, slack_ms: int
) -> list[Span]:
    """Return the gaps in the history that reach into a time at which the pages did not run."""
    margin_ms = slack_ms + REPORTED_MS
    begin_ms, until_ms = unwatched
    found = store.gaps(codifier, begin_ms - margin_ms, until_ms + margin_ms, slack_ms)
    if found is None:
        return []
    gaps = list(found.spans)
    # Where the history ends, readings that it does not have yet may go on.
    heard = here.records.recent(codifier, found.last_ms, until_ms + margin_ms)
    texts = here.records.recent_texts(codifier, found.last_ms, until_ms + margin_ms)
    times = sorted([*(it[0] for it in heard), *(it[1] for it in texts)])
    if times and times[0] - found.last_ms > slack_ms and _is_complete(here):
        gaps.append((found.last_ms, times[0]))
    return [it for it in gaps if it[0] < until_ms and it[1] > begin_ms]


def _is_complete(here: Site) -> bool:
    """Tell whether the history has all readings from before the pages were started.

    A writer in this process had stored them when it ended; another one may still gather some.
    """
    own = here.channel.process.components()
    writers = [it.codifier for it in here.config.components.values() if it.type == "HistoryWriter"]
    waited_ms = time_now_ms() - here.recorder.began_ms
    longest_ms = longest_store_s(here.config) * 1000 + SETTLE_MS
    return all(codifier in own for codifier in writers) or waited_ms > longest_ms


def _first_ms(
    store: HistoryStore, codifier: str, noted_ms: int | None, start_ms: int, end_ms: int
) -> int | None:
    """Return when a component was first known; what lies before the span counts as its start."""
    if noted_ms is not None and noted_ms <= start_ms:
        return noted_ms
    if store.read([codifier], "value", 0, start_ms, 1)[codifier].times_ms:
        return start_ms
    found = store.gaps(codifier, start_ms, end_ms, end_ms - start_ms)
    known = [it for it in (noted_ms, found.first_ms if found else None) if it is not None]
    return min(known, default=None)
