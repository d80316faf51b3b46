"""The page of the network; while it is open, each process is pinged now and then."""

from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, abort, current_app, jsonify, render_template, url_for

from jph.errors import JphError
from web.context import behind, site
from web.network.report import everybody, report, speakers
from web.people import audit
from web.people.access import Role, may, needs

blueprint = Blueprint("network", __name__)

PING_EVERY_S = 10.0  # however many people look


@blueprint.get("/network")
@behind(lambda site: site.page_gate)
def page() -> str:
    """Show whether all is well, and the nodes."""
    here = site()
    return render_template("network.html", shown=report(here), overview=here.records.overview())


@blueprint.get("/network/state")
@behind(lambda site: site.page_gate)
def state() -> Response:
    """Return what the page shows, and ping each process if that was not done just now."""
    here = site()
    with suppress(JphError, OSError):  # off the bus, which the report says
        here.pings.ask(speakers(here), older_s=PING_EVERY_S)
    return jsonify(_with_links(report(here)))


@blueprint.post("/network/ping")
@needs(Role.OPERATOR)
@behind(lambda site: site.command_gate)
def ping() -> Response:
    """Ping every component, and tell who answered."""
    here = site()
    try:
        asked = here.pings.ask(everybody(here))
    except (JphError, OSError) as error:
        abort(503, f"Pings could not be sent: {error}")
    here.pings.wait(asked)
    silent = here.pings.unanswered(asked)
    outcome = f"{len(asked) - len(silent)} of {len(asked)} answered"
    audit.note("ping", "all", outcome)
    return jsonify(outcome=outcome, silent=silent)


def _with_links(shown: dict[str, Any]) -> dict[str, Any]:
    """Add where a Codifier that is heard can be configured, for who may do that."""
    if "settings.accept" in current_app.view_functions and may(Role.ADMIN):
        for stranger in shown["strangers"]:
            stranger["accept"] = url_for("settings.accept", codifier=stranger["codifier"])
    return shown
