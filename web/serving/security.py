"""What keeps the pages closed: headers, the Host check, CSRF tokens, the key of the sessions."""

import hmac
import logging
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from flask import Flask, Request, Response, abort, current_app, request, session
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin

from jph.files import write_file
from jph.tcp import is_loopback
from web.serving import origins

log = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
TOKEN = "jph_"  # begins each token, so that people and scanners of secrets know what they found
FOR_PROGRAMS = "for_programs"  # attribute of a view
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def secret_key(path: Path) -> bytes:
    """Return the key that signs sessions, made on first use, readable by its owner alone.

    Deleting the file signs everybody out. If it can be neither read nor written, sessions end with
    this process.
    """
    try:
        with suppress(FileNotFoundError):
            if len(key := path.read_bytes()) >= 32:
                return key
        write_file(path, secrets.token_bytes(32), mode=0o600)
        return path.read_bytes()  # of the last writer, if two processes make one at once
    except OSError as error:
        log.error("%s: %s; whoever signs in is signed out by a restart", path, error.strerror)
        return secrets.token_bytes(32)


def restore_key(path: Path, key: bytes) -> None:
    """Write the key of this process to a file that was deleted."""
    write_file(path, key, mode=0o600)
    log.warning("%s was deleted: it is written again", path)


def host_names(host: str, allowed: Iterable[str]) -> frozenset[str] | None:
    """Return the names a request may use for this server, or None if any will do.

    A page of a stranger can point its own name at 127.0.0.1 and so read what the browser's owner
    can read (DNS rebinding); the name in the Host header gives it away.
    """
    names = {name.lower() for name in allowed}
    if not is_loopback(host):
        return frozenset(names | LOOPBACK_NAMES) if names else None
    return frozenset(names | LOOPBACK_NAMES | {f"[{host}]" if ":" in host else host.lower()})


def csrf_token() -> str:
    """Return the token that every form and script of this session sends back."""
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    token: str = session["csrf"]
    return token


def given_token() -> str | None:
    """Return the token of the present request, None if it has none.

    It is a Bearer, or the password of basic authentication, which other programs know; a password
    that does not look like one of our tokens is for a proxy before us.
    """
    given = request.authorization
    if given is None:
        return None
    token = given.token if given.type == "bearer" else given.password
    return token if token and token.startswith(TOKEN) else None


def for_programs(view: View) -> View:
    """Let who has no session use a view without a CSRF token: there is nothing to forge."""
    setattr(view, FOR_PROGRAMS, True)
    return view


class Cookies(SecureCookieSessionInterface):
    """Sessions in signed cookies, which a browser that came by https sends by https alone.

    A program that gives a token has none.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Return the session of a request."""
        return self.session_class() if given_token() else super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Send the cookie if it changed."""
        if not given_token():
            super().save_session(app, session, response)

    def get_cookie_secure(self, app: Flask) -> bool:
        """Tell whether the present request came by https, as a reverse proxy says."""
        return request.is_secure


def protect(app: Flask, names: frozenset[str] | None) -> None:
    """Add the checks before every request and the headers after it."""

    def check() -> None:
        if names is not None and _host_name(request.host) not in names:
            abort(421, "This server does not go by that name.")
        fetched = request.headers
        if (
            fetched.get("Sec-Fetch-Site") == "cross-site"
            and fetched.get("Sec-Fetch-Mode") != "navigate"
            and not origins.is_allowed()
        ):  # a stranger's page could not read the answer, but take all places of the live stream
            abort(403, "Pages of other sites get nothing here.")
        if request.method in SAFE_METHODS:
            return
        if given_token():  # no page of another site can give it
            is_foreign = fetched.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
            if is_foreign and not origins.is_allowed():
                abort(403, "Pages of other sites get nothing here.")
        elif session or not getattr(_view(), FOR_PROGRAMS, False):
            given = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
            expected = session.get("csrf")  # a session without one has none that fits
            if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
                abort(403, "The page is too old or not ours: load it again.")

    def add_headers(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers.setdefault("Cache-Control", "no-store")
        return response

    app.session_interface = Cookies()
    app.before_request(check)
    app.after_request(add_headers)


def _view() -> object:
    return current_app.view_functions.get(request.endpoint or "")


def _host_name(host: str) -> str:
    """Return the name of a Host header, without its port, in lower case."""
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).lower()
