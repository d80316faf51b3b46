"""Signing in and out: by name and password, or once by the link that `jph up` prints.

The link opens a page that holds the token in a form. Only its POST takes the token, so that the
preview of a chat or a mail program, and a browser that fetches ahead, do not use it up. The page
posts the form by itself as soon as it is really shown: one click for a person, who without scripts
presses its button.
"""

import logging
from collections.abc import Callable

from flask import (
    Blueprint,
    Flask,
    Request,
    abort,
    current_app,
    redirect,
    render_template,
    request,
    session,
)
from flask import url_for as url
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user
from werkzeug.exceptions import HTTPException

from jph.errors import JphError, StoreError
from web.context import site
from web.navigation import is_page
from web.people import audit
from web.people.access import Role, open_to_strangers
from web.people.audit import REFUSED
from web.serving.limits import Busy
from web.serving.security import given_token

blueprint = Blueprint("accounts", __name__)
log = logging.getLogger(__name__)

OWNER = "owner"  # who came by a one-time link: has seen the console of this machine


class Person:
    """A person who is signed in, as Flask-Login expects one.

    Args:
        token: of the session.
        account: its name; None for the owner.
        role: what they may do.
    """

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, token: str, account: str | None, role: Role) -> None:
        self.token = token
        self.account = account
        self.name = account or OWNER
        self.role = role

    def get_id(self) -> str:
        """Return the token, which the cookie keeps."""
        return self.token


class Program:
    """A program that gives a token, as Flask-Login expects it.

    Args:
        name: of its token.
        role: what it may do.
    """

    is_authenticated = True
    is_active = True
    is_anonymous = False
    token = ""  # of a session, which it has not

    def __init__(self, name: str, role: Role) -> None:
        self.name = f"token {name}"
        self.role = role

    def get_id(self) -> str:
        """Return nothing: there is no session."""
        return ""


def load_program(request: Request) -> Program | None:
    """Return the program that a request comes from, None if it gives no valid token."""
    token = given_token()
    if token is None:
        return None
    from web.people import tokens

    try:
        found = tokens.find(token)
    except StoreError as error:
        site().session_fault.note(str(error))
        abort(503, "Tokens cannot be checked now; the log of the server tells why.")
    site().session_fault.end("the database of the pages can be read again")
    return Program(found.name, Role(found.role)) if found else None


def load_person(token: str) -> Person | None:
    """Return who a session belongs to, None if it ended."""
    from web.people import sessions  # loads sqlite3

    try:
        found = sessions.find(token)
    except StoreError as error:
        site().session_fault.note(str(error))
        return None
    site().session_fault.end("the database of the pages can be read again")
    return Person(token, found.name, Role(found.role)) if found else None


def lasting_check() -> Callable[[], bool] | None:
    """Return what tells later, outside of a request, whether who asks now is still let in.

    None for a stranger who may read; a database that cannot be read ends nothing.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    session_token, token = getattr(current_user, "token", ""), given_token()
    if not session_token and token is None:
        return None
    from web.people import sessions, tokens

    def is_welcome() -> bool:
        with app.app_context():
            try:
                if token is not None:
                    return tokens.find(token) is not None
                return sessions.find(session_token) is not None
            except StoreError:
                return True

    return is_welcome


def init_app(app: Flask) -> None:
    """Let sessions be loaded for each request of this application."""
    manager = LoginManager(app)
    manager.user_loader(load_person)
    manager.request_loader(load_program)


@blueprint.get("/sign-in")
@open_to_strangers
def sign_in() -> ResponseReturnValue:
    """Show the sign-in page."""
    if current_user.is_authenticated:
        return redirect(_page_before(), 303)
    return render_template("sign_in.html")


@blueprint.get("/login")
@open_to_strangers
def old_sign_in() -> ResponseReturnValue:
    """Lead who comes by the address of older pages."""
    return redirect(url("accounts.sign_in", next=request.args.get("next")), 303)


@blueprint.post("/login")
@blueprint.post("/sign-in")
@open_to_strangers
def sign_in_with_password() -> ResponseReturnValue:
    """Sign in with name and password."""
    name = request.form.get("name", "").strip()
    password = request.form.get("password", "")
    address = request.remote_addr or ""
    throttle = site().throttle
    try:
        throttle.check(address, name)
        with site().password_gate.turn(address):
            throttle.check(address, name)  # again, since others of this pair had their turn
            stamp = stamp_of(name, password)
            if stamp is None:
                throttle.failed(address, name)
    except Busy as busy:
        page = render_template("sign_in.html", error=str(busy), name=name)
        return page, busy.code, {"Retry-After": str(busy.retry_after_s)}
    if stamp is None:
        log.warning("sign-in of %r from %s refused", name[:64], address)
        audit.note(REFUSED, name[:64], name="")
        message = "That name and password do not go together."
        return render_template("sign_in.html", error=message, name=name), 403
    throttle.succeeded(address, name)
    begin_session(person_in(name, stamp))
    audit.note("sign in", name=name)
    return redirect(_page_before(), 303)


def stamp_of(name: str, password: str) -> str | None:
    """Return the stamp of an account if the password is right, else None."""
    from web.people import history_users, users  # loads SQLAlchemy, see web/people/database.py

    def elsewhere(name: str) -> str | None:
        return history_users.password_hash(site().history_place(), name)

    try:
        return users.verify(name, password, elsewhere) if name else None
    except JphError as error:
        log.error("%s", error)
        abort(503, "The accounts cannot be read now.")


def _page_before() -> str:
    """Return the address of the page that somebody came from, that of the dashboard if none.

    It is made anew from what the path means here, so that it cannot lead to another site.
    """
    path, _, query = request.values.get("next", "").partition("?")
    try:
        endpoint, values = current_app.url_map.bind("").match(path)
    except HTTPException:
        return url("pages.dashboard")
    if not is_page(endpoint):
        return url("pages.dashboard")
    return url(endpoint, **values) + (f"?{query}" if query else "")


@blueprint.get("/enter/<token>")
@open_to_strangers
def enter(token: str) -> ResponseReturnValue:
    """Show the page behind a one-time link; it takes nothing."""
    if not site().links.is_valid(token):
        return render_template("enter.html", token=None), 410
    return render_template("enter.html", token=token)


@blueprint.post("/enter/<token>")
@open_to_strangers
def enter_now(token: str) -> ResponseReturnValue:
    """Sign in by a one-time link, and use it up."""
    links = site().links
    if not links.is_valid(token):
        return render_template("enter.html", token=None), 410
    person = person_in(None)  # before the link is used up, since it may fail
    if not links.take(token):
        return render_template("enter.html", token=None), 410
    begin_session(person)
    audit.note("sign in", "by link", name=OWNER)
    return redirect(url("pages.dashboard" if _is_anybody_there() else "first_run.page"), 303)


@blueprint.get("/logout")
@open_to_strangers
def old_sign_out() -> str:
    """Ask who comes by the address of older pages: a link must not sign anybody out."""
    return render_template("sign_out.html")


@blueprint.post("/logout")
@blueprint.post("/sign-out")
@open_to_strangers
def sign_out() -> ResponseReturnValue:
    """End the session, also for those who copied its cookie."""
    if current_user.is_authenticated:
        from web.people import sessions

        try:
            sessions.end(current_user.token)
        except StoreError as error:
            log.error("%s", error)
            abort(503, "The session could not be ended: try again.")
        audit.note("sign out")
    logout_user()
    session.clear()
    return redirect(url("pages.dashboard"), 303)


def _is_anybody_there() -> bool:
    from web.people import sessions

    try:
        return sessions.has_accounts()
    except StoreError:
        return True


def person_in(name: str | None, stamp: str | None = None) -> Person:
    """Return a person with a new session."""
    from web.people import sessions

    address, agent = request.remote_addr or "", request.headers.get("User-Agent", "")
    try:
        person = load_person(sessions.begin(name, stamp, address=address, agent=agent))
    except StoreError as error:
        log.error("%s", error)
        person = None
    return person or abort(503, "Nobody can sign in now; the log of the server tells why.")


def begin_session(person: Person) -> None:
    """Sign a person in, who gets the cookie."""
    session.clear()  # a new CSRF token too: the one before may be known to somebody else
    session.permanent = True
    login_user(person)
