"""Where a view finds its site, and what may stand for a Codifier in an address."""

from typing import cast

from flask import current_app
from werkzeug.routing import BaseConverter

from web.site import Site


class CodifierConverter(BaseConverter):
    """Any two characters: a slash may be one of them."""

    regex = "[!-~]{2}"
    part_isolating = False


def site() -> Site:
    """Return the site that the present request belongs to."""
    return cast(Site, current_app.extensions["jph"])
