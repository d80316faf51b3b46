"""Halt, start, ping, reload and set, for people who are signed in."""

import math
from collections.abc import Mapping

from flask import Blueprint, abort, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import current_user

from jph.errors import JphError
from web.accounts import sign_in_first
from web.context import site

blueprint = Blueprint("commands", __name__)

FLAGS = {"H": "halt", "S": "start", "P": "ping", "C": "reload", "A": "set"}
PING_TIMEOUT_S = 1.0


@blueprint.post("/command")
def command() -> ResponseReturnValue:
    """Send a command to one component; {"codifier", "flag"} as JSON or as a form.

    The flags are H, S, P, C and A, which comes with the "number" to set. A ping waits up to a
    second and answers with the round trip, null without an answer.
    """
    if not current_user.is_authenticated:
        return sign_in_first()
    given = request.get_json(silent=True) if request.is_json else request.form
    if not isinstance(given, Mapping):
        abort(400, "A command is an object with codifier and flag.")
    codifier, flag = str(given.get("codifier")), given.get("flag")
    if flag not in list(FLAGS):
        abort(400, f"The flag must be one of {', '.join(FLAGS)}.")
    if codifier not in site().config.components:
        abort(404, "There is no such component.")
    if flag in "HS":
        server = site().config.components[codifier].server
        if server is not None:
            abort(409, f"{codifier} is served by {server}: send it there.")
    number = _number(codifier, given.get("number")) if flag == "A" else None
    answer: dict[str, object] = {"codifier": codifier, "flag": flag, "sent": FLAGS[flag]}
    try:
        if flag == "P":
            with site().ping_gate.turn(request.remote_addr or ""):
                trip_ms = site().pings.ping(site().channel, codifier, PING_TIMEOUT_S)
            answer["round_trip_ms"] = None if trip_ms is None else round(trip_ms, 3)
        else:
            site().channel.send_control(flag, to=codifier, number=number)
    except (JphError, OSError) as error:
        abort(503, f"The command could not be sent: {error}")
    if request.is_json:
        return jsonify(answer)
    return redirect(url_for("pages.component", codifier=codifier), 303)


def _number(codifier: str, given: object) -> float:
    """Return the value to set; the component checks its own limits."""
    if not site().config.components[codifier].control_enabled:
        abort(409, f'{codifier} takes no values: its entry has no "Control": "enabled".')
    try:
        number = float(given) if isinstance(given, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        abort(400, "The value must be a number.")
    return number
