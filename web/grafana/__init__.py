"""A JSON data source for Grafana: what its plug-ins for JSON ask for, below /grafana.

The plug-in "JSON" (simpod-json-datasource) asks /metrics, /metric-payload-options, /query,
/variable, /tag-keys and /tag-values; the older SimpleJson asks /search and /annotations. All are
POST, but they only ask. pydantic is loaded with the first question.
"""

from typing import TYPE_CHECKING, Any, TypeVar

from flask import Blueprint, Response, abort, jsonify, request

from jph.errors import JphError
from jph.stores.span import FIELDS
from web.context import behind
from web.people.access import Role, needs
from web.serving.security import for_programs

if TYPE_CHECKING:
    from pydantic import BaseModel

    Model = TypeVar("Model", bound=BaseModel)

blueprint = Blueprint("grafana", __name__, url_prefix="/grafana")

RESOLUTIONS = {"": "as fine as the graph", "-10min": "10 minutes", "-hour": "hours"}


@blueprint.get("", strict_slashes=False)
def test() -> Response:
    """Answer the test of the connection."""
    return Response("This is JPH.\n", mimetype="text/plain")


@blueprint.post("/search")
@for_programs
@needs(Role.VIEWER)
def search() -> Response:
    """Return what can be drawn, by words in {"target"}."""
    from web.grafana import answers, questions

    asked = _asked(questions.Search)
    return jsonify(answers.names(asked.target if isinstance(asked.target, str) else ""))


@blueprint.post("/metrics")
@for_programs
@needs(Role.VIEWER)
def metrics() -> Response:
    """Return what can be drawn, and what can be chosen for each."""
    from web.grafana import answers

    options = [
        {"label": f"{name}, {words}" if words else name, "value": f"{name}{suffix}"}
        for suffix, words in RESOLUTIONS.items()
        for name in FIELDS
    ]
    payload = {"label": "Field", "name": "field", "type": "select", "options": options}
    return jsonify([{**one, "payloads": [payload]} for one in answers.metrics()])


@blueprint.post("/metric-payload-options")
@for_programs
@needs(Role.VIEWER)
def payload_options() -> Response:
    """Return the options of a payload; those of ours stand in /metrics."""
    return jsonify([])


@blueprint.post("/query")
@for_programs
@needs(Role.VIEWER)
@behind(lambda site: site.history_gate)
def query() -> Response:
    """Return the points of each target."""
    from web.grafana import answers, questions

    try:
        return jsonify(answers.series(_asked(questions.Query)))
    except ValueError as error:
        abort(400, str(error))
    except JphError as error:
        abort(503, str(error))


@blueprint.post("/annotations")
@for_programs
@needs(Role.VIEWER)
def annotations() -> Response:
    """Return the events of a span."""
    from web.grafana import answers, questions

    try:
        return jsonify(answers.annotations(_asked(questions.Annotations)))
    except JphError as error:
        abort(503, str(error))


@blueprint.post("/variable")
@for_programs
@needs(Role.VIEWER)
def variable() -> Response:
    """Return the values of a variable: codifier, area, label or type, or those of words."""
    from web.grafana import answers, questions

    return jsonify(answers.variable(_asked(questions.Variable).payload.target))


@blueprint.post("/tag-keys")
@for_programs
@needs(Role.VIEWER)
def tag_keys() -> Response:
    """Return by what targets can be filtered."""
    from web.grafana import answers

    return jsonify([{"type": "string", "text": key} for key in answers.KEYS])


@blueprint.post("/tag-values")
@for_programs
@needs(Role.VIEWER)
def tag_values() -> Response:
    """Return the values of such a key."""
    from web.grafana import answers, questions

    return jsonify([{"text": value} for value in answers.values(_asked(questions.Tag).key)])


def _asked(model: "type[Model]") -> "Model":
    """Return the checked question."""
    from pydantic import ValidationError

    try:
        return model.model_validate_json(request.get_data() or b"{}")
    except ValidationError as error:
        first: Any = error.errors(include_url=False)[0]
        abort(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
