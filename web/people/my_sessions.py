"""One's own sessions and password."""

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from jph.errors import StoreError
from web.context import row_number, site
from web.people import accounts, audit
from web.people.access import Role, for_people, needs
from web.serving.limits import Busy

blueprint = Blueprint("sessions", __name__)

BROWSERS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS", "Firefox")),
    *(("Chrome/", "Chrome"), ("CriOS", "Chrome"), ("Safari/", "Safari")),
)
SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows")),
    *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


@blueprint.get("/settings/sessions")
@needs(Role.VIEWER)
@for_people
def page() -> str:
    """Show where one is signed in."""
    return _page()


@blueprint.post("/settings/sessions/end")
@needs(Role.VIEWER)
@for_people
def end() -> ResponseReturnValue:
    """End one of one's sessions."""
    from web.people import sessions

    number = request.form.get("number", type=row_number)
    if number is None or not sessions.end_number(current_user.account, number):
        abort(404, "There is no such session; it may have ended.")
    audit.note("end session")
    flash("That session is ended.")
    return redirect(url_for("sessions.page"), 303)


@blueprint.post("/settings/sessions/end-all")
@needs(Role.VIEWER)
@for_people
def end_all() -> ResponseReturnValue:
    """Sign out everywhere, here too."""
    from web.people import sessions

    count = sessions.end_all(current_user.account)
    audit.note("end sessions", "all of their own", str(count))
    return redirect(url_for("accounts.sign_in"), 303)


@blueprint.post("/settings/sessions/password")
@needs(Role.VIEWER)
@for_people
def change_password() -> ResponseReturnValue:
    """Change one's own password, which ends all sessions but this one."""
    from web.people import users

    name = current_user.account
    if name is None:
        abort(409, "The owner has no password: make an account for yourself.")
    address = request.remote_addr or ""
    throttle = site().throttle
    try:
        throttle.check(address, name)
        with site().password_gate.turn(address):
            if accounts.stamp_of(name, request.form.get("old", "")) is None:
                throttle.failed(address, name)
                return _page("Not done: that is not your present password."), 403
            users.set_password(name, request.form.get("new", ""))
    except Busy as busy:
        return _page(str(busy)), busy.code, {"Retry-After": str(busy.retry_after_s)}
    except ValueError as error:
        return _page(f"Not done: {error}."), 400
    accounts.begin_session(accounts.person_in(name, users.stamp(name)))
    audit.note("set password", "their own", name=name)
    flash("Your password is changed. All other sessions of yours are ended.")
    return redirect(url_for("sessions.page"), 303)


def browser_of(agent: str) -> str:
    """Return in words what a browser calls itself."""
    browser = next((name for sign, name in BROWSERS if sign in agent), "")
    system = next((name for sign, name in SYSTEMS if sign in agent), "")
    return " on ".join(filter(None, (browser, system))) or agent[:40] or "unknown"


def _page(error: str = "") -> str:
    from web.people import sessions

    try:
        entries = sessions.entries(current_user.account, current_user.token)
    except StoreError as fault:
        abort(503, f"The sessions cannot be read now: {fault}")
    return render_template(
        "sessions.html",
        rows=entries,
        browser_of=browser_of,
        error=error,
        has_password=current_user.account is not None,
    )
