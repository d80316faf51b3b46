"""Signing in and out: by name and password, or once by the link that `jph up` prints.

The link opens a page that holds the token in a form. Only its POST takes the token, so that the
preview of a chat or a mail program, and a browser that fetches ahead, do not use it up. The page
posts the form by itself as soon as it is really shown: one click for a person, who without scripts
presses its button.
"""

import logging
import math

from flask import Blueprint, Flask, abort, jsonify, redirect, render_template, request, session
from flask import url_for as url
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user, login_user, logout_user

from jph.errors import StoreError
from web.context import site

blueprint = Blueprint("accounts", __name__)
log = logging.getLogger(__name__)

OWNER = "owner"  # who came by a one-time link: has seen the console of this machine


class Person:
    """A person who is signed in, as Flask-Login expects one.

    Args:
        identity: "link", or "name:<stamp>:<name>"; the stamp ends with the password.
        name: shown on the page.
    """

    is_authenticated = True
    is_active = True
    is_anonymous = False

    def __init__(self, identity: str, name: str) -> None:
        self.identity = identity
        self.name = name

    def get_id(self) -> str:
        """Return the identity, which the session keeps."""
        return self.identity


def load_person(identity: str) -> Person | None:
    """Return who a session belongs to, None if the account or its password is gone."""
    if identity == "link":
        return Person(identity, OWNER)
    kind, _, rest = identity.partition(":")
    stamp, _, name = rest.partition(":")
    if kind != "name":
        return None
    from web import users  # loads SQLAlchemy, see web/database.py

    try:
        known = users.stamp(name)
    except StoreError as error:
        log.error("%s", error)
        return None
    return Person(identity, name) if known is not None and known == stamp else None


def init_app(app: Flask) -> None:
    """Let sessions be loaded for each request of this application."""
    manager = LoginManager(app)
    manager.user_loader(load_person)


def sign_in_first() -> ResponseReturnValue:
    """Answer a stranger who asked for what only those may have who signed in."""
    if request.is_json:
        return jsonify({"error": "Sign in first."}), 401
    return redirect(url("accounts.sign_in"), 303)


@blueprint.get("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Show the sign-in page."""
    if current_user.is_authenticated:
        return redirect(url("pages.dashboard"), 303)
    return render_template("sign_in.html")


@blueprint.post("/sign-in")
def sign_in_with_password() -> ResponseReturnValue:
    """Sign in with name and password."""
    name = request.form.get("name", "").strip()
    password = request.form.get("password", "")
    address = request.remote_addr or ""
    throttle = site().throttle
    wait_s = throttle.wait_s(address, name)
    if wait_s > 0:
        minutes = math.ceil(wait_s / 60)
        message = f"Too many tries. Wait {minutes} min, then try again."
        page = render_template("sign_in.html", error=message, name=name)
        return page, 429, {"Retry-After": str(math.ceil(wait_s))}
    throttle.failed(address, name)  # before the slow check, so that tries side by side count too
    from web import users  # loads SQLAlchemy, see web/database.py

    try:
        stamp = users.verify(name, password) if name else None
    except StoreError as error:
        log.error("%s", error)
        abort(503, "The accounts cannot be read now.")
    if stamp is None:
        log.warning("sign-in of %r from %s refused", name[:64], address)
        message = "That name and password do not go together."
        return render_template("sign_in.html", error=message, name=name), 403
    throttle.succeeded(address, name)
    _begin_session(Person(f"name:{stamp}:{name}", name))
    log.info("%s signed in from %s", name, address)
    return redirect(url("pages.dashboard"), 303)


@blueprint.get("/enter/<token>")
def enter(token: str) -> ResponseReturnValue:
    """Show the page behind a one-time link; it takes nothing."""
    if not site().links.is_valid(token):
        return render_template("enter.html", token=None), 410
    return render_template("enter.html", token=token)


@blueprint.post("/enter/<token>")
def enter_now(token: str) -> ResponseReturnValue:
    """Sign in by a one-time link, and use it up."""
    if not site().links.take(token):
        return render_template("enter.html", token=None), 410
    _begin_session(Person("link", OWNER))
    log.info("signed in by link from %s", request.remote_addr)
    return redirect(url("pages.dashboard"), 303)


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session."""
    logout_user()
    session.clear()
    return redirect(url("pages.dashboard"), 303)


def _begin_session(person: Person) -> None:
    session.clear()  # a new token too: the one before may be known to somebody else
    session.permanent = True
    login_user(person)
