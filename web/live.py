"""The live stream, as server-sent events.

Each event is numbered "<boot>-<version>"; a reader that comes back with the last number it saw, in
Last-Event-ID or as ?last=, gets what changed since, and everything if the server was restarted.
"""

from flask import Blueprint, Response, abort, request

from web.context import site
from web.front import READER
from web.readers import Reader
from web.stream import Scope

blueprint = Blueprint("live", __name__)


@blueprint.get("/live")
def live() -> Response:
    """Stream what changes; ?codifier=A4 narrows it to one component, ?cards=1 to the dashboard."""
    only = request.args.get("codifier")
    if only is not None and site().records.get(only) is None:
        abort(404, f"There is no component {only}.")
    response = Response(mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"
    response.headers["Vary"] = "Accept-Encoding"
    packed = request.accept_encodings["gzip"] > 0
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    if request.method == "GET":
        last = request.headers.get("Last-Event-ID") or request.args.get("last", "")
        scope = Scope(only, cards=only is None and request.args.get("cards") == "1")
        version = site().stream.position(last)
        reader = Reader(request.remote_addr or "", version, scope, packed)
        site().readers.expect(reader)
        request.environ[READER] = reader  # the rest is up to web/front.py
    return response
