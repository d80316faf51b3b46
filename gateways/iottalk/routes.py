"""HTTP of IoTtalk: devices register, are read and leave; and what our own pages and tools ask.

    PUT, GET, DELETE /<uuid>
    /jph/…           by the token of the home directory

Source: IoTtalk's description, "Device Application Registration", and the specification it names.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, request
from pydantic import JsonValue

from gateways import home
from gateways.endpoints import Endpoints, Refuse, Strict, answered, make_app
from gateways.iottalk import requests
from gateways.iottalk.channels import Channels
from gateways.iottalk.dataflow.engine import Engine
from gateways.iottalk.dataflow.model import Feature
from gateways.iottalk.devices import (
    Device,
    NoProtocol,
    NotRecognized,
    Reached,
    identified,
    registered,
)
from gateways.iottalk.register import MOST_DEVICES, RESPONSES, Attached, Register, key_of
from gateways.iottalk.values import json_of
from jph.errors import StoreError

STORE_AWAY_S = 5


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes know of the gateway that serves them.

    Args:
        state: gives what the pages show of the gateway.
    """

    register: Register
    channels: Channels
    engine: Engine
    token: str
    broker: Reached
    state: Callable[[], Mapping[str, Any]]


def app_of(service: Service) -> Flask:
    """Return the application of a gateway."""
    app = make_app(service, HOME)

    @app.route("/<identifier>", methods=["PUT", "GET", "DELETE"])
    def device(identifier: str) -> Response:
        try:
            known = identified(identifier)
        except ValueError:
            return _error(404, identifier, "the path is no UUID of a device")
        try:
            return {"PUT": _put, "GET": _get, "DELETE": _delete}[request.method](service, known)
        except StoreError as error:
            response = _error(503, known, f"the store is away, try again: {error}")
            response.headers["Retry-After"] = str(STORE_AWAY_S)
            return response

    return app


def _error(code: int, identifier: str, reason: str) -> Response:
    return answered({"id": identifier, "state": "error", "reason": reason}, code)


def _sent() -> Any:
    """Return the JSON of the present request.

    Raises:
        ValueError: it is none.
    """
    if request.mimetype != "application/json":
        raise ValueError(f"Content-Type is {request.mimetype or 'missing'}, not application/json")
    return json_of(request.get_data())


def _put(service: Service, identifier: str) -> Response:
    try:
        body = _sent()
    except ValueError as error:
        return _error(400, identifier, str(error))
    with service.register.change() as draft:
        before = draft.devices.get(identifier)
        if before is not None and before.is_internal:
            return _error(403, identifier, "this identifier is taken by the bus")
        others = [it.name for it in draft.devices.values() if it.id != identifier]
        try:
            device = registered(identifier, body, others)
        except NotRecognized as error:
            return _error(403, identifier, str(error))
        except NoProtocol as error:
            return _error(510, identifier, str(error))
        if before is None and not draft.has_room():
            return _error(503, identifier, f"there are {MOST_DEVICES} devices, and all are in use")
        draft.put_device(device)
        if before is not None and before.online:
            now, then = device.public(), before.public()
            changed = {key: value for key, value in now.items() if then[key] != value}
            draft.announce("changed", {**changed, "id": identifier})
    host = urlsplit(f"//{request.host}").hostname or ""
    return answered(
        {
            "id": identifier,
            "state": "ok",
            "name": device.name,
            "rev": device.rev,
            "ctrl_chans": device.channels,
            **service.broker.answer(host),
        }
    )


def _get(service: Service, identifier: str) -> Response:
    device = service.register.known.devices.get(identifier)
    if device is None:
        return _error(404, identifier, "no such device")
    return answered(
        {
            **device.public(),
            "state": "ok",
            "accept_protos": device.accept_protos,
            "rev": device.rev,
            "profile": device.profile,
        }
    )


def _delete(service: Service, identifier: str) -> Response:
    try:
        body = _sent()
        rev = body.get("rev") if isinstance(body, dict) else None
    except ValueError as error:
        return _error(400, identifier, str(error))
    with service.register.change() as draft:
        device = draft.devices.get(identifier)
        if device is None:
            return _error(404, identifier, "no such device; it may have left already")
        if device.is_internal:
            return _error(403, identifier, "the bus does not leave")
        if rev != device.rev:
            return _error(400, identifier, "rev is not the one of the present registration")
        draft.remove_device(identifier)
        if device.online:
            draft.announce("offline", identifier)
    return answered({"id": identifier, "state": "ok"})


# What our own pages and tools ask

HOME = Endpoints({"client": str, "graph": str, "digest": str}, prefix="/jph", for_browsers=False)


class Asked(Strict):
    """A request of the management API."""

    request: dict[str, JsonValue]


@contextmanager
def of_this_home(service: Service, path: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Let programs ask that know the token of the home directory."""
    home.check_token(service.token)
    yield {}


def _route(method: str, path: str, **declared: Any) -> Callable[..., Any]:
    return HOME.add(method, path, guard=of_this_home, **declared)


@_route("GET", "/state")
def read_gateway(service: Service) -> object:
    """Read the state of the gateway."""
    register = service.register
    return home.state(register.store, register.gateway, service.state())


@_route("GET", "/refusals")
def read_refusals(service: Service) -> object:
    """Read the refused messages that are kept, newest first."""
    return home.refusals(service.register.store, service.register.gateway)


@_route("GET", "/devices")
def read_devices(service: Service) -> object:
    """Read all devices with their features, their last values, and the Codifiers of these."""
    channels = service.channels
    devices = [it for it in service.register.known.devices.values() if not it.is_internal]
    return [
        {
            "identifier": device.id,
            "name": device.name,
            "network": "",
            "online": device.online,
            "seen_ms": channels.seen_ms.get(device.id),
            "attributes": [
                _attribute(channels, feature, dimension) for feature, dimension in device.features
            ],
        }
        for device in sorted(devices, key=lambda it: it.name)
    ]


def _attribute(channels: Channels, feature: Feature, dimension: int) -> dict[str, object]:
    key = feature.device, feature.name
    at_ms, values = channels.last.get(key, (None, []))
    of_first = [codifier for codifier, index in channels.codifiers.get(key, ()) if not index]
    return {
        "attribute": feature.name,
        "kind": feature.kind,
        "dimension": dimension,
        "value": values[0] if values else None,
        "at_ms": at_ms,
        "codifier": of_first[0] if of_first else None,
    }


@_route("GET", "/graphs")
def read_graphs(service: Service) -> object:
    """Read all devices and all graphs: functions, links, values of each stage, and errors."""
    known = service.register.known
    return {
        "devices": [_shown_device(it) for it in known.devices.values()],
        "graphs": [
            {**_shown_graph(it), **(service.engine.status(key) or {})}
            for key, it in known.graphs.items()
        ],
    }


@_route("POST", "/graphs/{client}/{graph}", body=Asked)
def ask_graph(service: Service, client: str, graph: str, body: Asked) -> object:
    """Send a request of the management API on a graph; return its answer."""
    with service.register.change() as draft:
        answer = requests.asked(draft, f"{client}/graph/{graph}", body.request)
        if answer["state"] == "ok":  # the others who work on this graph expect it
            draft.say(f"{RESPONSES}/{client}/graph/{graph}", answer)
    return answer


@_route("POST", "/graphs/{client}/{graph}/functions/{digest}/resume")
def resume_function(service: Service, client: str, graph: str, digest: str) -> object:
    """Switch a function on again that failed too often."""
    if not service.engine.resume(key_of(client, graph), digest):
        raise Refuse(409, "this function is not off")
    return {"state": "ok"}


def _shown_device(device: Device) -> dict[str, object]:
    names = device.profile.get("names") if device.is_internal else None
    more = {"online": device.online, "is_bus": device.is_internal, "names": names or {}}
    return {**device.public(), **more}


def _shown_graph(attached: Attached) -> dict[str, object]:
    return {**json.loads(attached.document()), "key": attached.graph.key}
