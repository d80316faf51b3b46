"""Who may do what: roles, what each view needs, and the check before every request.

A view that shows something needs a viewer, and one that changes something an admin, unless it says
otherwise with `@needs(…)` or `@open_to_strangers`.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar

from flask import Flask, abort, current_app, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from web.context import site
from web.serving.problems import problem
from web.serving.proxies import LOOPBACK, UNNAMED_PROXY, Networks
from web.serving.security import SAFE_METHODS, given_token

View = TypeVar("View", bound=Callable[..., Any])

NEEDED = "needed_role"  # attribute of a view
PERSON = "needs_person"  # another one
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="JPH"'}  # browsers ask nobody for a password then


class Role(IntEnum):
    """What a person may do; each role may do what those before it may."""

    VIEWER = 1  # see
    OPERATOR = 2  # command: halt, start, set, acknowledge
    ADMIN = 3  # change: configuration, people, tokens

    @property
    def word(self) -> str:
        """Return its name for people."""
        return self.name.lower()


def needs(role: Role | None) -> Callable[[View], View]:
    """Let only those use a view who have a role; None: everybody."""

    def mark(view: View) -> View:
        setattr(view, NEEDED, role)
        return view

    return mark


open_to_strangers = needs(None)


def for_people(view: View) -> View:
    """Let only people who signed in use a view, no program and no stranger."""
    setattr(view, PERSON, True)
    return view


def role() -> Role | None:
    """Return the role of who asks; None for a stranger who may see nothing."""
    if current_user.is_authenticated:
        found: Role = current_user.role
        return found
    return Role.VIEWER if _comes_from(site().readers_unsigned) else None


def is_here() -> bool:
    """Tell whether who asks is at this machine."""
    return _comes_from(LOOPBACK)


def _comes_from(networks: Networks) -> bool:
    return request.remote_addr in networks and not request.environ.get(UNNAMED_PROXY)


def who() -> str:
    """Return the name of who asks, empty for a stranger."""
    return current_user.name if current_user.is_authenticated else ""


def may(needed: Role) -> bool:
    """Tell whether who asks has a role."""
    return (role() or 0) >= needed


def check() -> ResponseReturnValue | None:
    """Refuse the present request if who asks may not have it."""
    if given_token() and not current_user.is_authenticated:
        return _refuse_token()
    view = current_app.view_functions.get(request.endpoint or "")
    needed = needed_role(view, request.method)
    if (
        view is None
        or needed is None
        or request.endpoint == "static"
        or allows(view, request.method)
    ):
        return None
    if not current_user.is_authenticated:
        return _sign_in_first()
    if may(needed):
        abort(403, "This is for people who sign in, not for programs.")
    abort(403, f"This needs the role {needed.word}; you are {(role() or needed).word}.")


def allows(view: object, method: str = "GET") -> bool:
    """Tell whether who asks may use a view."""
    if getattr(view, PERSON, False) and not getattr(current_user, "token", ""):
        return False
    needed = needed_role(view, method)
    return needed is None or may(needed)


def needed_role(view: object, method: str) -> Role | None:
    """Return the role that a view needs, None if it is open to strangers."""
    usual = Role.VIEWER if method in SAFE_METHODS else Role.ADMIN
    found: Role | None = getattr(view, NEEDED, usual)
    return found


def _sign_in_first() -> ResponseReturnValue:
    """Answer a stranger who asked for what only those may have who signed in."""
    if wants_json() and not request.form:
        return jsonify({"error": "Sign in first."}), 401, CHALLENGE
    before = request.full_path.rstrip("?") if request.method == "GET" else None
    return redirect(url_for("accounts.sign_in", next=before), 303)


def _refuse_token() -> ResponseReturnValue:
    words = "This token is unknown, or has ended."
    if request.blueprint == "api_v1":
        return problem(401, words, headers=CHALLENGE)
    return jsonify({"error": words}), 401, CHALLENGE


def wants_json() -> bool:
    """Tell whether a program asks."""
    return (
        request.is_json
        or request.accept_mimetypes.best == "application/json"
        or request.path.startswith(JSON_PATHS)
        or given_token() is not None
    )


JSON_PATHS = (
    *("/sensor/", "/sensorts/", "/history/", "/command", "/live", "/healthz", "/ntp"),
    *("/api/", "/grafana", "/metrics", "/readyz", "/static/config.json"),
    *("/logs/", "/graphs/", "/graphdb"),
)


def init_app(app: Flask) -> None:
    """Check each request, and let templates know what a person may do."""
    app.before_request(check)
    app.context_processor(lambda: {"role": role() or 0, "Role": Role})
