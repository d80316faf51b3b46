"""What views share: their site, its gates, what stands in addresses, and the JSON they take."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from flask import abort, current_app, request
from werkzeug.routing import BaseConverter, IntegerConverter, Map

from web.serving.limits import Gate
from web.site import Site

P = ParamSpec("P")
R = TypeVar("R")

MOST_NUMBER = (1 << 63) - 1  # that SQLite takes


class CodifierConverter(BaseConverter):
    """Any two characters: a slash may be one of them."""

    regex = "[!-~]{2}"
    part_isolating = False


class NumberConverter(IntegerConverter):
    """The number of a row of the database, which takes no larger ones."""

    def __init__(self, map: Map) -> None:
        super().__init__(map, max=MOST_NUMBER)


def row_number(text: str) -> int:
    """Return such a number, as a parameter of an address or a field of a form gives it.

    Raises:
        ValueError: there is no such number.
    """
    number = int(text)
    if abs(number) > MOST_NUMBER:
        raise ValueError(f"{number} is no number of a row")
    return number


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
