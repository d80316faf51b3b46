"""People: their accounts and roles, for admins."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from jph.errors import StoreError
from web.people import audit
from web.people.access import Role, needs, who

blueprint = Blueprint("people", __name__)

# `web.users` loads SQLAlchemy, see web/people/database.py; so do the views that need it.


@blueprint.get("/settings/people")
@needs(Role.ADMIN)
def page() -> str:
    """Show all accounts."""
    return _page()


@blueprint.post("/settings/people")
@needs(Role.ADMIN)
def add() -> ResponseReturnValue:
    """Make an account."""
    from web.people import users

    name = request.form.get("name", "").strip()
    role = _role()
    try:
        if name in users.names():
            raise ValueError(f"{name} has an account already")
        users.set_password(name, request.form.get("password", ""), role)
    except ValueError as error:
        return _page(f"Not done: {error}.", name, role), 400
    audit.note("add person", name, role.word)
    return _done(f"{name} can sign in.")


@blueprint.post("/settings/people/role")
@needs(Role.ADMIN)
def set_role() -> ResponseReturnValue:
    """Give an account another role."""
    from web.people import users

    name, role = _name(), _role()
    if role != Role.ADMIN and _is_last_admin(name):
        return _page(f"Not done: {name} is the last admin. Make another one first."), 409
    if not users.set_role(name, role):
        abort(404, f"There is no account {name}.")
    audit.note("set role", name, role.word)
    return _done(f"{name} is {role.word} now.")


@blueprint.post("/settings/people/password")
@needs(Role.ADMIN)
def set_password() -> ResponseReturnValue:
    """Give an account another password, which ends its sessions."""
    from web.people import users

    name = _name()
    if name not in users.names():
        abort(404, f"There is no account {name}.")
    try:
        users.set_password(name, request.form.get("password", ""))
    except ValueError as error:
        return _page(f"Not done: {error}."), 400
    audit.note("set password", name)
    return _done(f"{name} has another password, and has to sign in again.")


@blueprint.post("/settings/people/sign-out")
@needs(Role.ADMIN)
def sign_out() -> ResponseReturnValue:
    """End all sessions of an account."""
    from web.people import sessions

    name = _name()
    count = sessions.end_all(name)
    audit.note("end sessions", name, str(count))
    return _done(f"{name} is signed out everywhere.")


@blueprint.post("/settings/people/remove")
@needs(Role.ADMIN)
def remove() -> ResponseReturnValue:
    """Delete an account."""
    from web.people import users

    name = _name()
    if _is_last_admin(name):
        return _page(f"Not done: {name} is the last admin. Make another one first."), 409
    if not users.remove(name):
        abort(404, f"There is no account {name}.")
    audit.note("remove person", name)
    return _done(f"{name} is removed.")


def _page(error: str = "", name: str = "", role: Role = Role.VIEWER) -> str:
    from web.people import sessions, users

    try:
        people, seen = users.people(), sessions.last_seen()
    except StoreError as fault:
        abort(503, f"The accounts cannot be read now: {fault}")
    return render_template(
        "people.html",
        people=people,
        seen=seen,
        roles=list(Role),
        error=error,
        name=name,
        chosen=role,
        me=who(),
        shortest=users.SHORTEST_PASSWORD,
    )


def _is_last_admin(name: str) -> bool:
    from web.people import sessions

    return sessions.admins() == [name]


def _name() -> str:
    return request.form.get("person", "")


def _role() -> Role:
    try:
        return Role[request.form.get("role", "").upper()]
    except KeyError:
        abort(400, "The role must be viewer, operator or admin.")


def _done(message: str) -> ResponseReturnValue:
    flash(message)
    return redirect(url_for("people.page"), 303)
