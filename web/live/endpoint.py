"""The live stream, as server-sent events.

Each event is numbered "<boot>-<version>"; a reader that comes back with the last number it saw, in
Last-Event-ID or as ?last=, gets what changed since, and everything if the server was restarted.
"""

from flask import Blueprint, Response, abort, request

from web.context import site
from web.live.filters import EVERY_COMPONENT, NAMES, Filter
from web.live.readers import Reader
from web.live.stream import Scope
from web.people import accounts
from web.serving.front import READER

blueprint = Blueprint("live", __name__)

MOST_CHOSEN = 200


@blueprint.get("/live")
def live() -> Response:
    """Stream what changes.

    ?codifier=A4 narrows it to one component, and ?cards=1 to what cards of the overview show.
    Several ?codifier=, ?area=, ?label= and ?type= choose components, as in the API.
    """
    chosen = [request.args.getlist(name) for name in NAMES]
    if sum(map(len, chosen)) > MOST_CHOSEN:
        abort(400, f"At most {MOST_CHOSEN} Codifiers, areas, labels and types can be chosen.")
    only = None
    if len(chosen[0]) == 1 and not any(chosen[1:]):
        (only,) = chosen[0]
        if site().records.get(only) is None:
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
        cards = only is None and request.args.get("cards") == "1"
        narrowed = Filter.of(*chosen) if only is None and any(chosen) else EVERY_COMPONENT
        scope = Scope(only, cards=cards, chosen=narrowed)
        version = site().stream.position(last)
        welcome = accounts.lasting_check()
        reader = Reader(request.remote_addr or "", version, scope, packed, is_welcome=welcome)
        site().readers.expect(reader)
        request.environ[READER] = reader  # the rest is up to web/serving/front.py
    return response
