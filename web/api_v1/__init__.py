"""The API for programs, /api/v1: one view for all of it, which loads the rest when first asked.

The endpoints, and pydantic, which checks what comes in, take some 20 MB that a server without
programs does not need.
"""

import logging

from flask import Blueprint, Response, request
from flask.blueprints import BlueprintSetupState
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from web.people.access import open_to_strangers
from web.serving.limits import Busy
from web.serving.problems import problem
from web.serving.security import for_programs

blueprint = Blueprint("api_v1", __name__)
log = logging.getLogger(__name__)


@for_programs
@open_to_strangers  # each endpoint names its role
def endpoint(path: str = "") -> ResponseReturnValue:
    """Answer a request to an endpoint."""
    from web.api_v1.routes import ENDPOINTS

    return ENDPOINTS.answer(f"/{path}")


@blueprint.record
def route(state: BlueprintSetupState) -> None:
    """Route all below /api/v1 here, whatever the method, of which Flask wants a list."""
    app, name = state.app, "api_v1.endpoint"
    for path in ("/api/v1/", "/api/v1/<path:path>"):
        app.url_map.add(Rule(path, endpoint=name))
    app.view_functions[name] = endpoint


@blueprint.errorhandler(HTTPException)
def show_error(error: HTTPException) -> Response:
    """Show an error that the router or a view raised."""
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return problem(error.code or 500, error.description or "", headers=headers)


@blueprint.errorhandler(Busy)
def show_busy(busy: Busy) -> Response:
    """Ask for a moment's patience."""
    return problem(busy.code, str(busy), headers={"Retry-After": str(busy.retry_after_s)})


@blueprint.errorhandler(Exception)
def show_bug(error: Exception) -> Response:
    """Log an unexpected error, and answer without its details."""
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return problem(500, "The server failed to answer; its log tells why.")
