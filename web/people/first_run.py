"""The first start: names the network, makes the first account, and opens the pages to the home.

Whoever comes by the one-time link is led here while nobody has an account.
"""

import logging
import socket
from typing import Any

from flask import Blueprint, abort, flash, jsonify, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from jph.errors import JphError, StoreError
from jph.tcp import is_loopback
from web.configuration import revisions
from web.configuration.entries import entry_of
from web.context import site
from web.people import accounts, audit
from web.people.access import Role, for_people, needs, who

blueprint = Blueprint("first_run", __name__)
log = logging.getLogger(__name__)

LONGEST_NAME = 40  # of a network
FAR = "192.0.2.1"  # of no machine (RFC 5737): the way there leads out of this one


def is_wanted() -> bool:
    """Tell whether nobody has an account yet."""
    from web.people import sessions

    try:
        return not sessions.has_accounts()
    except StoreError as error:
        abort(503, f"The accounts cannot be read now: {error}")


@blueprint.get("/welcome")
@needs(Role.ADMIN)
@for_people
def page() -> ResponseReturnValue:
    """Ask for what a new network needs."""
    if not is_wanted():
        return redirect(url_for("pages.dashboard"), 303)
    return _page()


@blueprint.post("/welcome")
@needs(Role.ADMIN)
@for_people
def begin() -> ResponseReturnValue:
    """Make the first account and sign it in, then show how a phone gets here."""
    from web.people import users

    if not is_wanted():
        abort(409, "Somebody has an account already: add people in the settings.")
    given = request.form
    network, name = given.get("network", "").strip(), given.get("name", "").strip()
    opens = given.get("open") == "1"
    try:
        if len(network) > LONGEST_NAME or not network.isprintable():
            raise ValueError(f"the network's name has at most {LONGEST_NAME} visible characters")
        if given.get("password") != given.get("again"):
            raise ValueError("the two passwords differ")
        users.set_password(name, given.get("password", ""), Role.ADMIN)
    except ValueError as error:
        return _page(error=f"Not done: {error}.", network=network, name=name, opens=opens), 400
    accounts.begin_session(accounts.person_in(name, users.stamp(name)))
    audit.note("add person", name, Role.ADMIN.word, name=name)
    changes = (bool(network) and network != _present_name()) or opens != _is_open()
    return render_template(
        "welcome_done.html",
        name=name,
        network=network,
        opens=opens,
        changes=changes,
        why_not=site().keeper.file.why_not() if changes else "",
        source=site().config.source,
        codifier=site().channel.codifier,
        address=(address := own_address()) if opens else "",
        qr=qr_code(address) if opens else "",
    )


@blueprint.post("/welcome/apply")
@needs(Role.ADMIN)
def apply() -> ResponseReturnValue:
    """Write name and openness into the configuration; the pages may begin again because of it."""
    given = request.get_json(silent=True) if request.is_json else request.form
    if not isinstance(given, dict):
        abort(400, "Name and openness are an object.")
    network, opens = str(given.get("network", ""))[:LONGEST_NAME], given.get("open") == "1"

    def edit(document: dict[str, Any]) -> None:
        if network:
            document["Name"] = network
        if opens == _is_open():
            return
        if entry := entry_of(document, site().channel.codifier):
            settings = entry.setdefault("Sensor", {})
            if opens:
                settings["Host"] = "0.0.0.0"
            else:
                settings.pop("Host", None)

    try:
        revisions.change(edit, who(), "first start")
    except JphError as error:
        log.warning("the first start changed nothing: %s", error)
        abort(409, f"The configuration is as it was: {error}")
    audit.note("configuration", network, "open to the network" if opens else "this machine only")
    if request.is_json:
        return jsonify(done=True)
    flash("The configuration is written; the pages begin again in a moment.")
    return redirect(url_for("pages.dashboard"), 303)


def own_address() -> str:
    """Return the address at which other machines of the network find these pages."""
    host, scheme = request.host.partition(":")[0], request.scheme
    port = request.environ.get("SERVER_PORT", "")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((FAR, 9))  # sends nothing: the kernel chooses the address
            host = probe.getsockname()[0]
    except OSError:  # without a network there is only the name that was asked for
        pass
    return f"{scheme}://{host}:{port}{request.script_root}/"


def qr_code(text: str) -> str:
    """Return a text as a QR code in SVG, empty without the package that draws it."""
    try:
        import segno
    except ImportError:
        return ""
    code: str = segno.make(text, error="m").svg_inline(
        scale=4, border=3, light="#fff", dark="#000", omitsize=True, svgclass="qr", lineclass=None
    )
    return code


def _page(error: str = "", network: str = "", name: str = "", opens: bool | None = None) -> str:
    return render_template(
        "welcome.html",
        error=error,
        network=network or _present_name(),
        name=name,
        opens=_is_open() if opens is None else opens,
    )


def _present_name() -> str:
    name = site().config.document.get("Name", "")
    return name if isinstance(name, str) else ""


def _is_open() -> bool:
    """Tell whether the pages listen beyond this machine."""
    own = site().config.components.get(site().channel.codifier)
    host = own.settings.get("Host") if own is not None else None
    return not is_loopback(str(host or "127.0.0.1"))
