"""Endpoints of a gateway: each declared once, by a function and the models of what goes in and out.

    PUBLIC = Endpoints()

    @PUBLIC.add("POST", "/networks", body=NewNetwork, answer=Network, code=201, guard=a_user)
    def create_network(service: Service, user: UUID, body: NewNetwork) -> object: …

    app = make_app(service, PUBLIC)

The declaration routes and checks a request, and gateways/openapi.py describes it. A request is
checked in this order: path, query and body (400); then the guard, who asks (401), for what (404),
and whether it is theirs (403). Every error is JSON, {"details": …}.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from gateways.http import CORS_HEADERS, MOST_BODY
from gateways.limits import TooMany
from jph.errors import StoreError

log = logging.getLogger(__name__)

View = Callable[..., Any]
# Called with the service and the values of the path; gives the view further arguments.
Guard = Callable[[Any, Mapping[str, Any]], AbstractContextManager[Mapping[str, Any]]]

PREFLIGHT = {  # beside CORS_HEADERS, which all answers have
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}
STORE_AWAY_S = 5
MOST_MISTAKES = 20


class Refuse(Exception):
    """Answer the present request with an error.

    Args:
        details: for a person; absent: the name of the status.
        more: further fields of the answer.
    """

    def __init__(self, code: int, details: str = "", **more: object) -> None:
        super().__init__(code)
        self.code = code
        self.details = details or HTTP_STATUS_CODES[code]
        self.more = more


class Strict(BaseModel):
    """A body: no other keys, no other types."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Query(BaseModel):
    """What follows the question mark: no other keys, and text is read as what is meant."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoQuery(Query):
    """No parameters."""


class NoBody(Strict):
    """Nothing, or an empty object."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint.

    Args:
        path: with {name} for what varies.
        view: called with the service, what the guard gives, what the path says, and `query` and
            `body` where they are declared.
        types: of what varies in the path.
        query: model of the parameters.
        body: type of the JSON that is sent.
        answer: type of the JSON that is answered.
        code: status of a good answer.
        errors: statuses of errors besides 400.
        guard: who may ask; None: everybody.
        example: of a body.
    """

    method: str
    path: str
    view: View
    types: Mapping[str, Any]
    query: type[Query] = NoQuery
    body: Any = None
    answer: Any = None
    code: int = 200
    errors: tuple[int, ...] = ()
    guard: Guard | None = None
    example: object = None


class Endpoints:
    """Some endpoints of a gateway.

    Args:
        types: of what varies in paths, by its name.
        prefix: of all paths.
        for_browsers: whether pages of other servers may ask; otherwise it is our own programs,
            which are told what is wrong with a request.
    """

    def __init__(
        self, types: Mapping[str, Any], *, prefix: str = "", for_browsers: bool = True
    ) -> None:
        self.all: list[Endpoint] = []
        self.prefix = prefix
        self.for_browsers = for_browsers
        self._types = types

    def add(self, method: str, path: str, **declared: Any) -> Callable[[View], View]:
        """Declare a function as an endpoint."""
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        types = {name: self._types[name] for name in names}

        def mark(view: View) -> View:
            self.all.append(Endpoint(method, self.prefix + path, view, types, **declared))
            return view

        return mark


def make_app(service: object, *some: Endpoints) -> Flask:
    """Return an application that answers the requests to endpoints with a service."""
    app = Flask("gateways", static_folder=None)
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = MOST_BODY
    closed = tuple(f"{each.prefix}/" for each in some if not each.for_browsers)
    for each in some:
        for endpoint in each.all:
            app.add_url_rule(
                endpoint.path.replace("{", "<").replace("}", ">"),
                endpoint=f"{endpoint.method} {endpoint.path}",
                view_func=_answering(endpoint, service, explains=not each.for_browsers),
                methods=[endpoint.method],
                provide_automatic_options=False,
            )

    @app.before_request
    def answer_preflight() -> ResponseReturnValue | None:
        if request.method != "OPTIONS" or request.path.startswith(closed):
            return None
        return Response(status=204, headers=PREFLIGHT)

    @app.after_request
    def let_browsers_read(response: Response) -> Response:
        if not request.path.startswith(closed):
            response.headers.extend(CORS_HEADERS)
        return response

    app.register_error_handler(Exception, _show_error)
    return app


def bearer() -> str | None:
    """Return the token that the present request carries."""
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token and " " not in token else None


def answered(value: object, code: int = 200) -> Response:
    """Return an answer of JSON."""
    return Response(to_json(value), code, mimetype="application/json")


def _answering(endpoint: Endpoint, service: object, *, explains: bool) -> Callable[..., Response]:
    """Return the view of Flask for an endpoint."""
    types = {name: TypeAdapter(kind) for name, kind in endpoint.types.items()}
    body = TypeAdapter(NoBody if endpoint.body is None else endpoint.body)

    def answer(**path: str) -> Response:
        try:
            given: dict[str, Any] = {
                name: types[name].validate_python(value) for name, value in path.items()
            }
            # Of a parameter that is there more than once, the last counts, as in Tenta.
            query = {name: values[-1] for name, values in request.args.lists()}
            asked = endpoint.query.model_validate(query)
            sent = body.validate_python(_body())
        except ValidationError as error:
            raise Refuse(400, _mistakes(error) if explains else "") from error
        except ValueError as error:  # no JSON
            raise Refuse(400, f"no JSON: {error}" if explains else "") from error
        if endpoint.query is not NoQuery:
            given["query"] = asked
        if endpoint.body is not None:
            given["body"] = sent
        guard = endpoint.guard(service, given) if endpoint.guard else nullcontext({})
        try:
            with guard as more:
                found = endpoint.view(service, **more, **given)
        except StoreError as error:
            if explains:
                raise Refuse(503, str(error)) from error
            raise
        return found if isinstance(found, Response) else answered(found, endpoint.code)

    return answer


def _body() -> Any:
    data = request.get_data()
    return from_json(data, allow_inf_nan=False) if data else {}


def _mistakes(error: ValidationError) -> str:
    return "; ".join(
        ".".join(map(str, each["loc"])) + f": {each['msg']}"
        for each in error.errors()[:MOST_MISTAKES]
    )


def _show_error(error: Exception) -> Response:
    headers: dict[str, str] = {}
    more: dict[str, object] = {}
    match error:
        case Refuse():
            code, details, more = error.code, error.details, error.more
            if code == 401:
                headers["WWW-Authenticate"] = "Bearer"
        case TooMany():
            code, details = 429, HTTP_STATUS_CODES[429]
            headers["Retry-After"] = str(error.retry_after_s)
        case HTTPException():
            code = error.code or 500
            details = HTTP_STATUS_CODES.get(code, error.name)
            headers |= {name: text for name, text in error.get_headers() if name == "Allow"}
        case StoreError():
            code, details = 503, HTTP_STATUS_CODES[503]
            headers["Retry-After"] = str(STORE_AWAY_S)
            log.debug("%s %s: %s", request.method, request.path, error)
        case _:
            code, details = 500, HTTP_STATUS_CODES[500]
            log.error("%s %s failed", request.method, request.path, exc_info=error)
    response = answered({"details": details, **more}, code)
    response.headers.extend(headers)
    return response
