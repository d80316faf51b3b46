"""Addresses of older pages that have none of their own any more: they lead to those that do it now.

Those that name a component or a filter answer themselves, see web/pages.py and web/logs/views.py.
"""

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

blueprint = Blueprint("old_pages", __name__)


@blueprint.get("/dashboard")
@blueprint.get("/component")
@blueprint.get("/sensorboard")
@blueprint.get("/sensorinfo")
def to_dashboard() -> ResponseReturnValue:
    """Lead to the overview."""
    return redirect(url_for("pages.dashboard"), 301)


@blueprint.get("/sensorlog")
def to_log() -> ResponseReturnValue:
    """Lead to the log."""
    return redirect(url_for("logs.page"), 301)
