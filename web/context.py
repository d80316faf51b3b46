"""What views share: their site, its gates, Codifiers in an address, and the JSON that they take."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from flask import abort, current_app, request
from werkzeug.routing import BaseConverter

from web.limits import Gate
from web.site import Site

P = ParamSpec("P")
R = TypeVar("R")


class CodifierConverter(BaseConverter):
    """Any two characters: a slash may be one of them."""

    regex = "[!-~]{2}"
    part_isolating = False


def site() -> Site:
    """Return the site that the present request belongs to."""
    return cast(Site, current_app.extensions["jph"])


def behind(gate: Callable[[Site], Gate]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let requests to a view wait for their turn at a gate of the site."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def gated(*args: P.args, **kwargs: P.kwargs) -> R:
            with gate(site()).turn(request.remote_addr or ""):
                return view(*args, **kwargs)

        return gated

    return decorate


def given_object() -> dict[str, Any]:
    """Return the JSON object in the body of the present request; anything else is refused."""
    given = request.get_json(silent=True)
    if not isinstance(given, dict):
        abort(400, "This takes a JSON object.")
    return given
