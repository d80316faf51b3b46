"""Who may see the pages of the boards.

On the loopback interface everybody of this machine may, unless a password is set; elsewhere people
sign in with the one password of the pages, or programs give it by basic authentication. Pages of
other sites may do nothing, and a name that a stranger gave to 127.0.0.1 is none of ours.

Forms send back a token of the session, since not every browser tells which site a form came from,
and behind some proxies we have another name than the browser knows. An LED is switched without,
as by programs of the original: whoever does so knows the session of the board.
"""

import hashlib
import hmac
import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, abort, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSessionInterface
from flask.typing import ResponseReturnValue

from gateways.limits import Attempts, TooMany
from jph.tcp import is_loopback

SAFE = ("GET", "HEAD", "OPTIONS")
OPEN = ("sign_in", "file")  # endpoints that need no password
OF_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
FAILED = 10  # of one address in a minute
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:;"
    " connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class Cookies(SecureCookieSessionInterface):
    """Sessions in cookies that a browser sends by https alone, if it came so to a proxy."""

    def get_cookie_secure(self, app: Flask) -> bool:
        """Tell whether the present request came by https."""
        return request.headers.get("X-Forwarded-Proto") == "https"


def protect(app: Flask, token: str, host: str, password: str | None) -> None:
    """Add the checks before every request, and the headers after it."""
    secret = f"{token} {password}".encode()  # another password ends all sessions
    app.secret_key = hashlib.sha256(secret).digest()
    app.session_interface = Cookies()
    app.config.update(
        SESSION_COOKIE_NAME="jph-boards",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
    )
    attempts = Attempts(FAILED)

    def is_right(given: str) -> bool:
        assert password is not None
        address = request.remote_addr or ""
        attempts.check(address)
        is_password = hmac.compare_digest(given.encode(), password.encode())
        if not is_password:
            attempts.failed(address)
        return is_password

    @app.before_request
    def check() -> ResponseReturnValue | None:
        if password is None and not _is_own_name(request.host, host):
            abort(421, "This server does not go by that name.")
        if password is None and any(name in request.headers for name in OF_PROXIES):
            abort(403, "Behind a proxy people have to sign in: set PagePasswordFile.")
        if request.endpoint in OPEN and request.method in SAFE:
            return None
        if not _has_token():
            if _is_foreign():
                abort(403, "Pages of other sites get nothing here.")
            if request.method not in SAFE and request.endpoint != "switch":
                abort(403, "The page is too old or not ours: load it again.")
        if password is None or request.endpoint in OPEN or session.get("in"):
            return None
        given = request.authorization
        if given is not None and given.type == "basic" and is_right(given.password or ""):
            return None
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            return redirect(url_for("sign_in"))
        abort(Response("Sign in first.\n", 401, {"WWW-Authenticate": 'Basic realm="boards"'}))

    @app.route("/sign-in", methods=["GET", "POST"])
    def sign_in() -> ResponseReturnValue:
        if password is None:
            return redirect("/")
        if request.method == "GET":
            return render_template("boards/sign_in.html")
        try:
            if is_right(request.form.get("password", "")):
                session.clear()  # somebody else may know the token of before
                session["in"] = session.permanent = True
                return redirect("/", 303)
        except TooMany:
            said = "Too many wrong passwords: wait a minute."
            return render_template("boards/sign_in.html", said=said), 429
        return render_template("boards/sign_in.html", said="That is not the password."), 401

    @app.route("/sign-out", methods=["POST"])
    def sign_out() -> ResponseReturnValue:
        session.clear()
        return redirect(url_for("sign_in"), 303)

    @app.after_request
    def add_headers(response: Response) -> Response:
        headers = response.headers
        headers["Content-Security-Policy"] = CONTENT_POLICY
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers.setdefault("Cache-Control", "no-store")
        return response

    @app.errorhandler(TooMany)
    def wait(error: TooMany) -> ResponseReturnValue:
        return "Too many wrong passwords.\n", 429, {"Retry-After": str(error.retry_after_s)}

    app.context_processor(lambda: {"has_password": password is not None, "csrf_token": _csrf_token})


def _csrf_token() -> str:
    if "csrf" not in session:
        session["csrf"] = secrets.token_urlsafe(24)
    return str(session["csrf"])


def _has_token() -> bool:
    given = request.headers.get("X-CSRF-Token") or request.form.get("csrf", "")
    expected = session.get("csrf")
    return bool(expected) and hmac.compare_digest(given.encode(), str(expected).encode())


def _is_foreign() -> bool:
    """Tell whether a page of another site sent the present request.

    A link that a person follows is none, except where it would do something.
    """
    site = request.headers.get("Sec-Fetch-Site")
    is_link = request.headers.get("Sec-Fetch-Mode") == "navigate"
    does_something = request.method not in SAFE or request.endpoint == "switch"
    if site is not None:
        return site not in ("same-origin", "none") and (does_something or not is_link)
    # What older browsers tell: Origin of what is posted, and Referer of links, too.
    told = [request.headers.get("Origin"), request.headers.get("Referer") if does_something else ""]
    return any(urlsplit(each).netloc != request.host for each in told if each)


def _is_own_name(given: str, host: str) -> bool:
    name = urlsplit(f"//{given}").hostname or ""
    return name in ("localhost", host) or is_loopback(name)
