"""Diagrams: live values on a picture, such as a floor plan or a cooling loop."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from flask import Blueprint, Response, abort, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from jph.config.model import Component
from jph.config.status import SERVICES
from jph.errors import StoreError
from jph.paths import static_dir
from web.context import behind, site
from web.people import audit
from web.people.access import Role, needs
from web.views import page_view

if TYPE_CHECKING:
    from web.diagrams.pictures import Picture
    from web.diagrams.store import Diagram

P = ParamSpec("P")
T = TypeVar("T")

blueprint = Blueprint("diagrams", __name__, url_prefix="/diagram")

EXAMPLE = "diagrams/house.svg"
EXAMPLE_NAME = "Example: a small house"
# Where values lie well on the picture of the example.
EXAMPLE_PLACES = ((0.2, 0.3), (0.52, 0.27), (0.82, 0.3), (0.2, 0.72), (0.53, 0.75), (0.83, 0.72))
# Whatever is in a picture, the browser that gets it does nothing but draw it.
PICTURE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@blueprint.get("")
@behind(lambda site: site.page_gate)
def page() -> ResponseReturnValue:
    """Show the first diagram, or how to make one."""
    from web.diagrams import store  # loads what reads XML

    known = _stored(store.all_diagrams)
    if known:
        wall = request.args.get("wall")
        return redirect(url_for("diagrams.diagram", number=known[0][0], wall=wall))
    return render_template("diagrams.html", known=[], diagram=None, **_common())


@blueprint.get("/<int:number>")
@behind(lambda site: site.page_gate)
def diagram(number: int) -> str:
    """Show one diagram."""
    from web.diagrams import store

    found = _found(number)
    records = site().records
    views = {
        place.codifier: page_view(records, record)
        for place in found.places
        if (record := records.get(place.codifier))
    }
    return render_template(
        "diagrams.html",
        known=_stored(store.all_diagrams),
        diagram=found,
        views=views,
        **_common(),
    )


def _common() -> dict[str, object]:
    from web.diagrams.store import SIZES

    records = site().records
    return {
        "overview": records.overview(),
        "components": [record.component for record in records.all()],
        "sizes": SIZES,
    }


@blueprint.get("/<int:number>/picture")
def picture(number: int) -> Response:
    """Return the picture of a diagram, which may be kept as long as its address is the same."""
    from web.diagrams import store

    found = _stored(store.picture_of, number)
    if found is None:
        abort(404, "There is no such diagram.")
    mimetype, data = found
    response = Response(data, mimetype=mimetype)
    response.headers["Content-Security-Policy"] = PICTURE_POLICY
    response.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return response


@blueprint.post("")
@needs(Role.OPERATOR)
def add() -> Response:
    """Make a diagram of a picture, the body; ?name= names it."""
    from web.diagrams import store

    name = _valid(store.checked_name, request.args.get("name"))
    number = _valid(store.add, name, _picture())
    audit.note("add-diagram", name)
    return jsonify(number=number, address=url_for("diagrams.diagram", number=number))


@blueprint.post("/example")
@needs(Role.OPERATOR)
def add_example() -> ResponseReturnValue:
    """Make the diagram of the example, with values of the first sensors."""
    from web.diagrams import pictures, store

    shown = _shown_best()[: len(EXAMPLE_PLACES)]
    places = tuple(
        store.Place(component.codifier, *where)
        for component, where in zip(shown, EXAMPLE_PLACES, strict=False)
    )
    example = pictures.checked((static_dir() / EXAMPLE).read_bytes())
    number = _valid(store.add, EXAMPLE_NAME, example, places)
    audit.note("add-diagram", EXAMPLE_NAME)
    return redirect(url_for("diagrams.diagram", number=number), 303)


@blueprint.post("/<int:number>")
@needs(Role.OPERATOR)
def change(number: int) -> Response:
    """Change a diagram: {"name", "places", "version"}, the version that it was made of."""
    from web.diagrams import store

    request.max_content_length = 256 * 1024
    given: Any = request.get_json(silent=True)
    if not isinstance(given, Mapping) or not isinstance(given.get("version"), int):
        abort(400, "A diagram is an object with name, places and version.")
    _found(number)
    name = _valid(store.checked_name, given.get("name"))
    places = _valid(store.checked_places, given.get("places"))
    if not _stored(store.change, number, name, places, given["version"]):
        abort(409, "Somebody else changed this diagram meanwhile: load it again.")
    audit.note("change-diagram", name)
    return jsonify(number=number)


@blueprint.post("/<int:number>/picture")
@needs(Role.OPERATOR)
def change_picture(number: int) -> Response:
    """Give a diagram another picture, the body; its values stay where they are."""
    from web.diagrams import store

    found = _found(number)
    _stored(store.change_picture, number, _picture())
    audit.note("change-diagram", found.name, "another picture")
    return jsonify(number=number)


@blueprint.post("/<int:number>/remove")
@needs(Role.OPERATOR)
def remove(number: int) -> ResponseReturnValue:
    """Remove a diagram."""
    from web.diagrams import store

    found = _found(number)
    _stored(store.remove, number)
    audit.note("remove-diagram", found.name)
    return jsonify(number=number) if request.is_json else redirect(url_for("diagrams.page"), 303)


def _shown_best() -> list[Component]:
    """Return sensors, those first whose values are known."""
    records = site().records
    sensors = [one for one in records.all() if one.component.type not in SERVICES]
    return [one.component for one in sorted(sensors, key=lambda one: one.status == "unseen")]


def _picture() -> "Picture":
    """Return the checked picture that was sent."""
    from web.diagrams import pictures

    request.max_content_length = pictures.MOST_BYTES + 1024
    return _valid(pictures.checked, request.get_data())


def _found(number: int) -> "Diagram":
    from web.diagrams import store

    found = _stored(store.find, number)
    return found or abort(404, "There is no such diagram.")


def _valid(check: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Return what a check makes of something, or say what is wrong with it."""
    try:
        return _stored(check, *given, **named)
    except ValueError as error:
        text = str(error)
        abort(400, f"{text[:1].upper()}{text[1:]}.")


def _stored(ask: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Return what the database answers, or say that it does not."""
    try:
        return ask(*given, **named)
    except StoreError as error:
        abort(503, str(error))
