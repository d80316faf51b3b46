"""Halt, start, ping, reload and set, for people who are signed in."""

import math
from collections.abc import Mapping

from flask import Blueprint, abort, flash, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from jph.config.model import Component
from jph.errors import JphError
from jph.node.outcome import Outcome
from jph.registry import IGNORE_HALT
from web.context import site
from web.people import audit
from web.people.access import Role, needs, who

blueprint = Blueprint("commands", __name__)

FLAGS = {"H": "halt", "S": "start", "P": "ping", "C": "reload", "A": "set", "E": "step"}


@blueprint.post("/command")
@blueprint.post("/sensormsg", endpoint="sensormsg")  # as older programs call it
@needs(Role.OPERATOR)
def command() -> ResponseReturnValue:
    """Send a command to one component; {"codifier", "flag"} as JSON or as a form.

    The flags are H, S, P, C, and A and E, which come with the "number" to set or the step. The
    answer comes when it is known what became of it, after some seconds at most: whether it is
    "done", and the "outcome" in words; "round_trip_ms" is null without an answer of the component.
    """
    given = request.get_json(silent=True) if request.is_json else request.form
    if not isinstance(given, Mapping):
        abort(400, "A command is an object with codifier and flag.")
    codifier, flag = str(given.get("codifier")), given.get("flag")
    if flag not in list(FLAGS):
        abort(400, f"The flag must be one of {', '.join(FLAGS)}.")
    component = site().config.components.get(codifier)
    if component is None:
        abort(404, "There is no such component.")
    outcome, trip_ms = tell(component, flag, _number(given.get("number")) if flag in "AE" else None)
    if request.is_json:
        return jsonify(
            codifier=codifier,
            flag=flag,
            sent=FLAGS[flag],
            done=outcome.is_done,
            outcome=outcome.text,
            round_trip_ms=trip_ms,
        )
    flash(f"{codifier} {outcome.text}.")
    return redirect(url_for("pages.component", codifier=codifier), 303)


def tell(
    component: Component, flag: str, number: float | None = None
) -> tuple[Outcome, float | None]:
    """Send a command of who asks; return what became of it, and the ms until its ping came back."""
    codifier = component.codifier
    if flag in "HSC" and component.server is not None:
        abort(409, f"{codifier} is served by {component.server}: send it there.")
    if flag == "H" and component.type in IGNORE_HALT:
        abort(409, f"{codifier} stays active: a {component.type} cannot be halted.")
    if flag in "AE" and not component.control_enabled:
        abort(409, f'{codifier} takes no values: its entry has no "Control": "enabled".')
    if flag in "HS":
        site().recorder.note_command(codifier, who())
    try:
        with site().command_gate.turn(request.remote_addr or ""):
            outcome, trip_ms = site().outcomes.tell(site().channel, component, flag, number)
    except (JphError, OSError) as error:
        abort(503, f"The command could not be sent: {error}")
    audit.note(FLAGS[flag], codifier, _detail(number, outcome.text))
    return outcome, None if trip_ms is None else round(trip_ms, 3)


def _detail(number: float | None, outcome: str) -> str:
    return outcome if number is None else f"{number:g}: {outcome}"


def _number(given: object) -> float:
    """Return the value to set; the component checks its own limits."""
    try:
        number = float(given) if isinstance(given, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        abort(400, "The value must be a number.")
    return number
