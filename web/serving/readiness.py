"""Whether this server can serve, for who sends it requests, such as a balancer."""

from flask import Blueprint, current_app, jsonify
from flask.typing import ResponseReturnValue

from jph.errors import StoreError
from web.context import site
from web.migrations import connection
from web.people.access import open_to_strangers

blueprint = Blueprint("readiness", __name__)


@blueprint.get("/readyz")
@open_to_strangers
def readyz() -> ResponseReturnValue:
    """Tell whether the bus is joined and people can sign in; 503 if not, with the reasons.

    A history that is away is none of them: everything else works, and the pages say so.
    """
    reasons: dict[str, str] = {}
    if not site().channel.process.bus.status().joined:
        reasons["bus"] = "not joined"
    try:
        with connection(current_app.config["DATABASE"]):
            pass
    except StoreError:
        reasons["accounts"] = "cannot be read; the log of the server tells why"
    return jsonify(status="not ready" if reasons else "ready", reasons=reasons), (
        503 if reasons else 200
    )
