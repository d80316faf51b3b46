"""Tokens of programs, for admins: made, shown once, removed."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from jph.errors import StoreError
from web.context import row_number
from web.people import audit
from web.people.access import Role, needs, who

blueprint = Blueprint("tokens", __name__)

DAYS = (("30", "30 days"), ("365", "a year"), ("", "until it is removed"))


@blueprint.get("/settings/tokens")
@needs(Role.ADMIN)
def page() -> str:
    """Show all tokens, without their secrets."""
    return _page()


@blueprint.post("/settings/tokens")
@needs(Role.ADMIN)
def add() -> ResponseReturnValue:
    """Make a token and show it, once."""
    from web.people import tokens

    name = request.form.get("name", "").strip()
    try:
        role = Role[request.form.get("role", "").upper()]
        days = float(request.form.get("days") or 0) or None
    except (KeyError, ValueError):
        abort(400, "A token has a role and a number of days.")
    try:
        made = tokens.make(name, role, who(), days)
    except ValueError as error:
        return _page(error=f"Not done: {error}.", name=name), 400
    audit.note("add token", name, role.word)
    return _page(made=made, name=name)


@blueprint.post("/settings/tokens/remove")
@needs(Role.ADMIN)
def remove() -> ResponseReturnValue:
    """Remove a token, which ends its use at once."""
    from web.people import tokens

    number = request.form.get("number", type=row_number)
    found = None if number is None else tokens.remove(number)
    if found is None:
        abort(404, "There is no such token; somebody else may have removed it.")
    audit.note("remove token", found.name)
    flash(f"The token {found.name} is removed.")
    return redirect(url_for("tokens.page"), 303)


def _page(made: str = "", name: str = "", error: str = "") -> str:
    from web.people import tokens

    try:
        found = tokens.all_tokens()
    except StoreError as fault:
        abort(503, f"The tokens cannot be read now: {fault}")
    return render_template(
        "tokens.html",
        tokens=found,
        roles=list(Role),
        role_of=lambda token: Role(token.role).word,
        days=DAYS,
        made=made,
        name=name,
        error=error,
    )
