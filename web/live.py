"""The live stream, as server-sent events.

Each event is numbered "<boot>-<version>"; a reader that comes back with the last number it saw, in
Last-Event-ID or as ?last=, gets what changed since, and everything if the server was restarted.
"""

import time
from collections.abc import Callable, Iterator

from flask import Blueprint, Response, abort, request

from web.context import site
from web.stream import LiveStream

blueprint = Blueprint("live", __name__)

HEARTBEAT_S = 15.0
LOOK_S = 1.0  # how often a quiet stream looks for components that fell silent
RETRY_AFTER_S = 10


@blueprint.get("/live")
def live() -> Response:
    """Stream what changes; ?codifier=A4 narrows it to one component."""
    stream, readers = site().stream, site().readers
    only = request.args.get("codifier")
    if only is not None and site().records.get(only) is None:
        abort(404, f"There is no component {only}.")
    if stream.is_closed or not readers.enter():
        busy = Response("Too many pages are open.\n", 503, mimetype="text/plain")
        busy.headers["Retry-After"] = str(RETRY_AFTER_S)
        return busy
    last = request.headers.get("Last-Event-ID") or request.args.get("last", "")
    is_gone = request.environ.get("waitress.client_disconnected", lambda: False)
    response = Response(
        events(stream, stream.position(last), only, is_gone), mimetype="text/event-stream"
    )
    # Not in the generator: one that was never begun does not run its finally.
    response.call_on_close(readers.leave)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    return response


def events(
    stream: LiveStream, version: int, only: str | None, is_gone: Callable[[], bool]
) -> Iterator[str]:
    """Yield events from a version on, until the server stops or the reader is gone."""
    yield "retry: 2000\n\n"
    sent_s = time.monotonic()
    while not stream.is_closed and not is_gone():
        version, event = stream.event(version, only)
        if event:
            yield event
            sent_s = time.monotonic()
        elif time.monotonic() - sent_s >= HEARTBEAT_S:
            # The comment keeps proxies awake; a script sees only the event, and misses it when the
            # network died without a word.
            yield ": heartbeat\nevent: heartbeat\ndata: {}\n\n"
            sent_s = time.monotonic()
        stream.wait(version, LOOK_S)
