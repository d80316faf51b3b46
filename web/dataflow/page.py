"""The graphs of a gateway of IoTtalk, shown with their values and changed.

The page asks for everything that it shows, and what is changed goes to the gateway as a request of
its management API, which other programs see.
"""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

from flask import Blueprint, abort, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from jph.devices import Gateway, gateways
from jph.errors import GatewayError
from web.context import site
from web.people import audit
from web.people.access import Role, needs

blueprint = Blueprint("dataflow", __name__, url_prefix="/settings/gateways/<codifier:codifier>")

TYPE = "IotTalk"
CLIENT = "jph"  # of the graphs that are made here
ASK_S = 5.0
OPERATIONS = {"attach", "detach", "add_link", "rm_link"}
MOST_BODY = 256 * 1024  # bytes, with a function


class Refused(Exception):
    """The gateway does not do what was asked."""


@blueprint.url_value_preprocessor
def allow_functions(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Let a function be sent here."""
    request.max_content_length = MOST_BODY


@blueprint.get("/graphs")
def page(codifier: str) -> str:
    """Show the editor."""
    return render_template(
        "dataflow.html", gateway=_gateway(codifier).component, part_of="gateways"
    )


@blueprint.get("/graphs/now")
def now(codifier: str) -> ResponseReturnValue:
    """Return devices, graphs, and the last value of each stage."""
    gateway = _gateway(codifier)
    try:
        return jsonify(gateway.ask("graphs", deadline_s=ASK_S))
    except GatewayError as error:
        return jsonify(error=f"{error}."), 503


@blueprint.post("/graphs/change")
@needs(Role.ADMIN)
def change(codifier: str) -> ResponseReturnValue:
    """Change a graph: by a request, the text of a function, or switching a function on again."""
    gateway = _gateway(codifier)
    given = request.get_json(silent=True)
    try:
        match given:
            case {"client": str(client), "graph": str(graph), "request": {"op": str(op), **more}}:
                if op not in OPERATIONS:
                    abort(400, f"The request must be one of {', '.join(sorted(OPERATIONS))}.")
                _must(
                    gateway,
                    (client, graph),
                    {"op": op, **{str(key): it for key, it in more.items()}},
                )
                done = f"{op} {more.get('idf') or more.get('odf') or ''}".strip()
            case {"client": str(client), "graph": str(graph), "at": dict(at), "source": str(text)}:
                _set_function(gateway, (client, graph), at, text)
                done = f"function of {at.get('idf') or at.get('odf') or 'the join'}"
            case {"client": str(client), "graph": str(graph), "resume": str(digest)}:
                path = "graphs", client, graph, "functions", digest, "resume"
                gateway.ask(*path, content={}, deadline_s=ASK_S)
                done = f"function {digest[:12]} is on again"
            case _:
                abort(400, "A change names a client, a graph, and what is to be done.")
    except (GatewayError, Refused) as error:
        return jsonify(error=f"Not done: {error}."), 409
    audit.note("graph", codifier, f"{client}/{graph}: {done}")
    return jsonify({})


def _gateway(codifier: str) -> Gateway:
    for gateway in gateways(site().config, site().home):
        if gateway.component.codifier == codifier and gateway.component.type == TYPE:
            return gateway
    abort(404, f"There is no gateway of IoTtalk named {codifier}.")


def _must(gateway: Gateway, place: tuple[str, str], asked: Mapping[str, object]) -> None:
    answer = gateway.ask("graphs", *place, content={"request": asked}, deadline_s=ASK_S)
    if answer.get("state") != "ok":
        raise Refused(answer.get("reason", "the gateway does not say why"))


def _set_function(
    gateway: Gateway, place: tuple[str, str], at: Mapping[str, Any], text: str
) -> None:
    """Give a link, or the join, a function by its text; an empty one takes it away."""
    graph = _graph(gateway, place)
    kind = next((kind for kind in ("idf", "odf") if kind in at), "join")
    if kind == "join":
        before = graph["join"]
    else:
        key = at.get("da_id"), at[kind], kind
        links = {(it["device"], it["name"], it["kind"]): it for it in graph["links"]}
        if key not in links:
            raise Refused(f"the graph has no link to {at[kind]} any more")
        before = links[key]["use"]
    old, depends = before or (None, [])
    new = None
    if text.strip():
        text = text.replace("\r\n", "\n")
        new = sha256(text.encode()).hexdigest()
        if new not in graph["functions"]:
            _must(gateway, place, {"op": "add_funcs", "codes": [text], "digests": [new]})
    if new == old:
        return
    asked: dict[str, object] = {"op": "set_join", "prev": old, "new": new}
    if kind != "join":
        asked |= {"op": "set_df_func", "da_id": at.get("da_id"), kind: at[kind]}
    if new and depends:
        asked["depends"] = dict(depends)
    _must(gateway, place, asked)
    if old and place[0] == CLIENT:  # other clients count on functions that they have added
        with suppress(Refused):  # it is used elsewhere
            _must(gateway, place, {"op": "rm_funcs", "digests": [old]})


def _graph(gateway: Gateway, place: tuple[str, str]) -> Mapping[str, Any]:
    for graph in gateway.ask("graphs", deadline_s=ASK_S)["graphs"]:
        if (graph["client"], graph["name"]) == place:
            found: Mapping[str, Any] = graph
            return found
    raise Refused(f"there is no graph {'/'.join(place)} any more")
