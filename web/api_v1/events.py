"""What happened: outages, halts, restarts, changes, alerts, and notes of people."""

from flask import abort

from jph.bus.wire import TIMESTAMP_LIMIT
from jph.clock import time_now_ms
from web.api_v1 import models
from web.api_v1.components import record_of
from web.api_v1.endpoints import ENDPOINTS
from web.context import site
from web.history import events
from web.people import audit
from web.people.access import Role, who


@ENDPOINTS.add("GET", "/events", query=models.EventQuery, answer=models.EventPage)
def all_events(query: models.EventQuery) -> models.EventPage:
    """Return events of all times or of a span, the newest first."""
    end_ms = TIMESTAMP_LIMIT + 1 if query.end_ms is None else query.end_ms
    before = None
    if query.before is not None:
        time_ms, _, number = query.before.partition(".")
        before = int(time_ms), int(number)
    found = events.between(
        site().home,
        query.start_ms or 0,
        end_ms,
        query.codifier or None,
        most=query.limit + 1,
        before=before,
    )[::-1]
    page = found[: query.limit]
    last = page[-1] if len(found) > query.limit else None
    return {
        "items": [_shown(event) for event in page],
        "next": f"{last.time_ms}.{last.number}" if last else None,
    }


@ENDPOINTS.add(
    "POST", "/events", role=Role.OPERATOR, body=models.NewNote, answer=models.Event, code=201
)
def add_note(body: models.NewNote) -> models.Event:
    """Write a note at a time, for people who look at graphs and events."""
    if body.codifier is not None:
        record_of(body.codifier)
    note = events.Event(
        time_now_ms() if body.time is None else body.time,
        body.codifier or "",
        "note",
        body.text,
        who(),
    )
    (number,) = events.add(site().home, [note])
    audit.note("note", note.codifier, note.text)
    return _shown(note._replace(number=number))


@ENDPOINTS.add("DELETE", "/events/<int:number>", role=Role.OPERATOR, code=204)
def remove_note(number: int) -> None:
    """Delete a note; other events stay."""
    if number > 1 << 62 or not events.remove(site().home, number):
        abort(404, f"There is no note with the number {number}.")
    audit.note("remove-note", str(number))


def _shown(event: events.Event) -> models.Event:
    return {
        "number": event.number,
        "time": event.time_ms,
        "codifier": event.codifier,
        "kind": event.kind,
        "text": event.text,
        "who": event.who,
    }
