"""Endpoints: each declared once, by its function and the models of what comes in and goes out.

The declaration routes and checks a request, and web/api_v1/openapi.py describes it.
"""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flask import Response, abort, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, TypeAdapter, ValidationError
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

from jph.errors import JphError
from web.context import CodifierConverter
from web.people.access import Role, may, role
from web.serving.problems import problem

View = Callable[..., Any]
MOST_MISTAKES = 20
TRIES = 4  # to compile the routes


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint.

    Args:
        path: below /api/v1, with <codifier:codifier> and the like.
        view: called with what the path says, and with `query` and `body` where there are models.
        role: what who asks needs.
        query: model of the parameters behind the question mark.
        body: type of the JSON that is sent.
        answer: type of the JSON that is answered; None: the answer is empty.
        code: status of a good answer.
        streams: media types of the answer, besides JSON.
        errors: statuses of errors that only this endpoint has.
        most_body: bytes that may be sent, if more than elsewhere.
    """

    method: str
    path: str
    view: View
    role: Role = Role.VIEWER
    query: type[BaseModel] | None = None
    body: Any = None
    answer: Any = None
    code: int = 200
    streams: tuple[str, ...] = ()
    errors: tuple[int, ...] = ()
    most_body: int | None = None


class Endpoints:
    """All endpoints of the API."""

    def __init__(self) -> None:
        self.all: list[Endpoint] = []
        self._lock = threading.Lock()
        self._map: Map | None = None

    def add(self, method: str, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a function as an endpoint."""

        def mark(view: View) -> View:
            self.all.append(Endpoint(method, path, view, **declared))
            return view

        return mark

    def answer(self, path: str) -> ResponseReturnValue:
        """Answer the present request to a path below /api/v1."""
        adapter = self._routes().bind("", path_info=path)
        if request.method == "OPTIONS":
            allowed = sorted({*adapter.allowed_methods(), "OPTIONS"})
            return Response(status=204, headers={"Allow": ", ".join(allowed)})
        try:
            endpoint, values = adapter.match(method=request.method)
        except NotFound:
            abort(404, "There is no such endpoint; /api/v1/openapi.json describes all.")
        except MethodNotAllowed as error:
            error.valid_methods = sorted(error.valid_methods or ())
            error.description = f"Allowed here: {', '.join(error.valid_methods)}."
            raise
        if not may(endpoint.role):
            return refusal(endpoint.role)
        if endpoint.most_body is not None:
            request.max_content_length = endpoint.most_body
        try:
            given = _given(endpoint)
        except ValidationError as error:
            return _mistakes(error)
        try:
            found = endpoint.view(**values, **given)
        except JphError as error:
            abort(503, str(error))
        if isinstance(found, Response):
            return found
        if endpoint.answer is None:
            return Response(status=endpoint.code)
        return Response(encoded(found), endpoint.code, mimetype="application/json")

    def _routes(self) -> Map:
        with self._lock:
            for _ in range(TRIES):
                if self._map is None:
                    with suppress(SystemError):  # a tree is built, see web/serving/server.py
                        self._map = self._made()
            return self._map or self._made()

    def _made(self) -> Map:
        rules = [Rule(it.path, methods=[it.method], endpoint=it) for it in self.all]
        return Map(rules, converters={"codifier": CodifierConverter}, merge_slashes=False)


def refusal(needed: Role) -> Response:
    """Return the answer to somebody who lacks a role."""
    present = role()
    if present is None:
        headers = {"WWW-Authenticate": 'Bearer realm="JPH"'}
        return problem(
            401, "Send the token of a program as Authorization: Bearer.", headers=headers
        )
    return problem(403, f"This needs the role {needed.word}; you are {present.word}.")


def encoded(value: object) -> str:
    """Return JSON."""
    return json.dumps(value, separators=(",", ":"))


def _given(endpoint: Endpoint) -> dict[str, object]:
    """Return the checked query and body of the present request.

    Raises:
        ValidationError: they are not as declared.
    """
    given: dict[str, object] = {}
    if endpoint.query is not None:
        given["query"] = endpoint.query.model_validate(_parameters(endpoint.query))
    if endpoint.body is not None:
        if not request.is_json:
            abort(415, "Send JSON, with Content-Type: application/json.")
        given["body"] = TypeAdapter(endpoint.body).validate_json(request.get_data(), strict=True)
    return given


def _parameters(model: type[BaseModel]) -> Mapping[str, object]:
    """Return the parameters of the present request, as lists where several are meant."""
    several = {
        field.alias or name
        for name, field in model.model_fields.items()
        if getattr(field.annotation, "__origin__", None) is list
    }
    args = request.args
    for name in args:
        if name not in several and len(args.getlist(name)) > 1:
            abort(422, f"{name[:40]} is there more than once.")
    return {name: args.getlist(name) if name in several else args[name] for name in args}


def _mistakes(error: ValidationError) -> Response:
    found = [
        {"where": ".".join(str(part) for part in each["loc"]), "what": each["msg"]}
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ][:MOST_MISTAKES]
    first = found[0]
    where = f"{first['where']}: " if first["where"] else ""
    return problem(422, f"{where}{first['what']}", mistakes=found)


ENDPOINTS = Endpoints()
