"""Saving graphs, for the page and in the form of older pages."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, abort, jsonify
from flask.typing import ResponseReturnValue

from jph.errors import StoreError
from web.context import given_object
from web.graphs import saved as saved_graphs
from web.graphs.views import show_fault
from web.people.access import Role, needs, who

blueprint = Blueprint("saved_graphs", __name__)
blueprint.register_error_handler(StoreError, show_fault)


@blueprint.get("/graphs/saved")
def saved() -> ResponseReturnValue:
    """Return the graphs that the person saved."""
    return jsonify([graph._asdict() for graph in saved_graphs.of(who())] if who() else [])


@blueprint.post("/graphs/saved")
@needs(Role.VIEWER)
def save() -> ResponseReturnValue:
    """Save a graph: {"name", "settings"}."""
    owner, given = _owner(), given_object()
    try:
        graph = saved_graphs.save(owner, _text(given, "name").strip(), _text(given, "settings"))
    except ValueError as error:
        abort(409, _sentence(error))
    return jsonify(graph._asdict())


@blueprint.post("/graphs/saved/<int:number>")
@needs(Role.VIEWER)
def change(number: int) -> ResponseReturnValue:
    """Change one's own graph: {"name", "settings", "is_start"}, those that are given."""
    given, graph = given_object(), _own(number)
    try:
        changed = saved_graphs.update(
            graph,
            name=_text(given, "name").strip() if "name" in given else None,
            settings=_text(given, "settings") if "settings" in given else None,
            is_start=bool(given["is_start"]) if "is_start" in given else None,
        )
    except ValueError as error:
        abort(409, _sentence(error))
    return jsonify(changed._asdict())


@blueprint.post("/graphs/saved/<int:number>/delete")
@needs(Role.VIEWER)
def delete(number: int) -> ResponseReturnValue:
    """Delete one's own graph."""
    saved_graphs.delete(_own(number).number)
    return jsonify({})


@blueprint.get("/graphdb")
@blueprint.get("/graphdb/")
def graphdb() -> Response:
    """Return the graphs of the person in the form of older pages: name, email and settings."""
    found = saved_graphs.of(who()) if who() else []
    return jsonify([{"name": it.name, "email": it.owner, "settings": it.settings} for it in found])


@blueprint.post("/graphdb")
@blueprint.post("/graphdb/")
@needs(Role.VIEWER)
def change_graphdb() -> ResponseReturnValue:
    """Save, update or delete a graph by its name: {"action", "name", "settings"}."""
    owner, given = _owner(), given_object()
    action, name = given.get("action"), _text(given, "name").strip()
    graph = next((graph for graph in saved_graphs.of(owner) if graph.name == name), None)
    try:
        if action == "save":
            saved_graphs.save(owner, name, _text(given, "settings"))
        elif action not in ("update", "delete"):
            abort(400, "The action must be save, update or delete.")
        elif graph is None:
            abort(404, f"You have no graph {name!r}.")
        elif action == "update":
            saved_graphs.update(graph, settings=_text(given, "settings"))
        else:
            saved_graphs.delete(graph.number)
    except ValueError as error:
        abort(409, _sentence(error))
    return graphdb()


def _text(given: Mapping[str, Any], name: str) -> str:
    text = given.get(name)
    if not isinstance(text, str):
        abort(400, f"{name} must be text.")
    return text


def _owner() -> str:
    return who() or abort(401, "Sign in first.")


def _own(number: int) -> saved_graphs.Graph:
    owner, graph = _owner(), saved_graphs.get(number)
    if graph is None:
        abort(404, "There is no such graph any more.")
    if graph.owner != owner:
        abort(403, f"This graph belongs to {graph.owner}: save it under a name of your own.")
    return graph


def _sentence(error: ValueError) -> str:
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."
