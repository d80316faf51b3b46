"""Error pages that help: what there is under a similar name, who may, and what to do next."""

import logging
from difflib import get_close_matches
from http import HTTPStatus
from typing import NamedTuple

from flask import Blueprint, Flask, Response, jsonify, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user
from werkzeug.exceptions import HTTPException, ServiceUnavailable

from jph.errors import JphError, StoreError
from web.context import site
from web.navigation import PAGES, SETTINGS, shown
from web.people.access import Role, may, open_to_strangers, wants_json
from web.serving.limits import Busy

blueprint = Blueprint("errors", __name__)
log = logging.getLogger(__name__)

MOST_LOOKED_AT = 1000  # components, for a similar name
LONGEST_WORD = 64
WORDS = {  # in place of those of the library
    404: "There is nothing at this address.",
    405: "This address is not one to open.",
    413: "That is more than can be sent here.",
}
NEXT = {
    500: "Try again. If it fails again, the log of JPH tells why (Logs, or journalctl -u jph).",
    503: "Wait a moment, then load this page again.",
    405: "Go to the page that this belongs to, and press its button there.",
    413: "Send less at once.",
}


class Near(NamedTuple):
    """Something under a name like the one that was asked for."""

    words: str
    address: str


@blueprint.get("/robots.txt")
@open_to_strangers
def robots() -> Response:
    """Ask search engines to stay away."""
    return Response("User-agent: *\nDisallow: /\n", mimetype="text/plain")


def init_app(app: Flask) -> None:
    """Show errors as pages, or as JSON to programs."""
    app.register_error_handler(HTTPException, show_error)
    app.register_error_handler(Busy, show_busy)
    app.register_error_handler(Exception, show_bug)


def show_error(error: HTTPException) -> ResponseReturnValue:
    """Show an error as a page, or as JSON to a program."""
    code = error.code or 500
    if code < 400 and error.response is not None:  # a redirect that the router asks for
        return error.get_response()
    is_own = error.description != type(error).description
    return _error(
        code, (is_own and error.description) or WORDS.get(code) or error.description or ""
    )


def show_fault(fault: JphError) -> ResponseReturnValue:
    """Show that a file or a database that a page needs cannot be used, with the reason."""
    return show_error(ServiceUnavailable(str(fault)))


def show_busy(busy: Busy) -> ResponseReturnValue:
    """Ask for a moment's patience, in plain text, which costs least."""
    headers = {"Retry-After": str(busy.retry_after_s)}
    if wants_json():
        return jsonify({"error": str(busy)}), busy.code, headers
    return Response(f"{busy}\n", busy.code, headers, mimetype="text/plain")


def show_bug(error: Exception) -> ResponseReturnValue:
    """Log an unexpected error, and answer without its details."""
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return _error(500, "The server failed to answer; its log tells why.")


def near(path: str) -> list[Near]:
    """Return components and pages whose name is like the last words of a path, the best first."""
    word = path.rstrip("/").rpartition("/")[2].strip().casefold()
    if not word or len(word) > LONGEST_WORD:
        return []
    found: dict[str, Near] = {}
    for entry in (*shown(PAGES), *shown(SETTINGS)):
        found.setdefault(entry.word.casefold(), Near(entry.word, url_for(entry.endpoint)))
    if may(Role.VIEWER):
        for component in list(site().config.components.values())[:MOST_LOOKED_AT]:
            address = url_for("pages.component", codifier=component.codifier)
            one = Near(f"{component.name} ({component.codifier})", address)
            for name in (component.codifier, component.short_name, component.name):
                found.setdefault(name.casefold(), one)
    return list(dict.fromkeys(found[name] for name in get_close_matches(word, found, 5, 0.5)))


def who_may() -> list[str]:
    """Return the names of the admins, for somebody who is signed in."""
    if not current_user.is_authenticated:
        return []
    from web.people import sessions

    try:
        return sessions.admins()
    except StoreError:
        return []


def _error(code: int, message: str) -> tuple[Response | str, int]:
    if wants_json():
        return jsonify({"error": message}), code
    page = render_template(
        "error.html",
        code=code,
        title=HTTPStatus(code).phrase,
        message=message,
        near=near(request.path) if code == 404 else [],
        admins=who_may() if code == 403 else [],
        next_step=NEXT.get(code, ""),
    )
    return page, code
