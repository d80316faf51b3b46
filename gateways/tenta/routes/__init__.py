"""The REST API of Tenta, and what our own pages and tools ask a gateway of Tenta.

    shapes      what goes in and out
    guards      who may ask
    users       status, users, authentication
    networks    networks and the list of their sensors
    permissions whose a network is
    sensors     configurations, measurements and logs of a sensor
    home        /jph/…, by the token of the home directory

Source: https://github.com/iterize/tenta, server/openapi.yml.
"""

from functools import cache
from typing import Any

from flask import Flask

from gateways.endpoints import make_app
from gateways.openapi import document
from gateways.tenta.routes import (  # noqa: F401 they declare
    home,
    networks,
    permissions,
    sensors,
    users,
)
from gateways.tenta.routes.public import PUBLIC
from gateways.tenta.service import Service

ABOUT = (
    "The API of Tenta, served by a gateway of JPH. Send the token that POST /authentication gives "
    "as `Authorization: Bearer`. Times are seconds since 1970 (UTC). Requests that are not as "
    "described are answered with 400 before anything else is checked."
)


def app_of(service: Service) -> Flask:
    """Return the application of a gateway."""
    return make_app(service, PUBLIC, home.HOME)


@cache
def _document(version: str) -> dict[str, Any]:
    return document(PUBLIC, "Tenta", version, ABOUT)


@PUBLIC.add("GET", "/openapi.json", answer=dict[str, Any])
def read_document(service: Service) -> dict[str, Any]:
    """Return the description of this API, by OpenAPI 3.1."""
    return _document(service.version)
