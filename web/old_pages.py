"""Addresses of older pages that have none of their own any more: they lead to those that do it now.

Those that name a component or a filter answer themselves, see web/pages.py and web/logs/views.py.
"""

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue

from web.access import open_to_strangers

blueprint = Blueprint("old_pages", __name__)


@blueprint.get("/dashboard")
@blueprint.get("/component")
@blueprint.get("/sensorboard")
@blueprint.get("/sensorinfo")
@open_to_strangers  # where they lead is not
def to_dashboard() -> ResponseReturnValue:
    """Lead to the overview."""
    return redirect(url_for("pages.dashboard"), 301)


@blueprint.get("/sensorlog")
@open_to_strangers
def to_log() -> ResponseReturnValue:
    """Lead to the log."""
    return redirect(url_for("logs.page"), 301)
