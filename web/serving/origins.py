"""Pages of other origins, named in `Origins`: their scripts may use the API and the live stream.

They give a token: cookies of people count for our own pages alone.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from flask import Flask, Response, request

from web.context import site

PATHS = ("/api/", "/live")
METHODS = "GET, POST, PUT, DELETE"
HEADERS = "Authorization, Content-Type, Last-Event-ID"
REMEMBER_S = 600


def is_allowed() -> bool:
    """Tell whether the present request comes from the script of an origin that may ask for it."""
    origin = request.headers.get("Origin")
    return origin in site().origins and request.path.startswith(PATHS)


def init_app(app: Flask) -> None:
    """Let pages of other origins ask; before other checks, since a preflight has no token."""

    def preflight() -> Response | None:
        asked = "Access-Control-Request-Method" in request.headers
        if request.method != "OPTIONS" or not asked or not is_allowed():
            return None
        response = Response(status=204)
        response.headers["Access-Control-Allow-Methods"] = METHODS
        response.headers["Access-Control-Allow-Headers"] = HEADERS
        response.headers["Access-Control-Max-Age"] = str(REMEMBER_S)
        return response

    def add_headers(response: Response) -> Response:
        if site().origins and request.path.startswith(PATHS):
            response.vary.add("Origin")
            if is_allowed():
                response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        return response

    app.before_request(preflight)
    app.after_request(add_headers)
