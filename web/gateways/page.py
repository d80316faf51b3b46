"""Settings, Gateways: their devices, what is on the bus of them, and their configurations."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import NotFound

from jph.config import document
from jph.config.adopt import adopt as adopted
from jph.config.model import Component
from jph.devices import PORTS, Gateway, gateways, is_named, name_of
from jph.errors import ConfigError, GatewayError, JphError
from jph.tcp import is_loopback, netloc
from web.context import site
from web.formatting import digits
from web.people import audit
from web.people.access import Role, needs, who

blueprint = Blueprint("gateways", __name__, url_prefix="/settings/gateways")

ASK_S = 5.0  # longest wait for a gateway
MOST_REFUSALS = 20
MOST_SHOWN = 60  # characters of a value
MOST_NEW_REVISIONS = 5  # on the pages of a device's values
MOST_NEW_LINES = 10
MOST_BODY = 256 * 1024  # bytes of a configuration, with what a form makes of it
TIMEOUT_S = 600  # silence after which a new value counts as silent
OWN_PAGES = {"Esp32": "capteurs"}  # by type: where the pages of a gateway begin
OWNERS = {"device": "identifier", "network": "network_identifier"}  # of a JSON Schema
PROGRESS = {
    "none": "has none",
    "waiting": "waits for the broker",
    "replaced": "replaced before it was sent",
    "sent": "sent, not answered yet",
    "taken": "taken",
    "refused": "refused",
}


@blueprint.url_value_preprocessor
def allow_configurations(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Let a configuration of a device be sent here."""
    request.max_content_length = request.max_form_memory_size = MOST_BODY


@blueprint.get("")
def page() -> str:
    """Show the gateways with their devices."""
    shown = [_shown(gateway) for gateway in gateways(site().config, site().home)]
    return render_template("gateways.html", gateways=shown, name_of=name_of, digits=_shown_value)


@blueprint.post("/<codifier:codifier>/adopt")
@needs(Role.ADMIN)
def adopt(codifier: str) -> ResponseReturnValue:
    """Put a value of a device on the bus: both entries, as a revision."""
    gateway = _gateway(codifier)
    device, attribute = request.form.get("device", ""), request.form.get("attribute", "")
    entry: dict[str, object] = {"Name": request.form.get("name", "").strip() or attribute}
    if symbol := request.form.get("symbol", "").strip():
        entry["Symbol"] = symbol
    entry |= {"DataType": "double", "TimeoutWarning": TIMEOUT_S}
    given = request.form.get("codifier", "").strip() or None
    taken = []

    def edit(content: dict[str, Any]) -> None:
        item = {"Device": device, "Attribute": attribute}
        made, new = adopted(content, gateway.component.codifier, item, entry, given)
        content.update(made)
        taken.append(new)

    why = f"{attribute} of {device} is on the bus"
    try:
        if not any(
            is_named(one, device) and attribute in _attributes(one)
            for one in gateway.devices(ASK_S)
        ):
            abort(404, f"{codifier} knows no {attribute} of {device}.")
        revision = site().keeper.change(edit, who(), why)
    except JphError as error:
        flash(f"Not done: {error}.")
        return redirect(url_for("gateways.page"), 303)
    audit.note("configuration", taken[0], f"revision {revision.number}: {why}")
    flash(f"{why}, as {taken[0]}.")
    return redirect(url_for("gateways.page"), 303)


@blueprint.get("/<codifier:codifier>/device")
def device(codifier: str) -> str:
    """Show one device: its configurations and its log."""
    return _device_page(_gateway(codifier), request.args.get("device", ""))


@blueprint.get("/<codifier:codifier>/device/news")
def news(codifier: str) -> str:
    """Return what is new of a device, or why nobody knows; a part of the pages of its values."""
    try:
        gateway = _gateway(codifier)
        facts = _facts(gateway, _found(gateway, request.args.get("device", "")))
    except GatewayError as error:
        return render_template("device_news.html", problem=f"{error}.")
    except NotFound as error:
        return render_template("device_news.html", problem=error.description)
    taken = [it["revision"] for it in facts["revisions"] if it["progress"] == "taken"]
    facts["revisions"] = facts["revisions"][:MOST_NEW_REVISIONS]
    facts["lines"] = facts["lines"][:MOST_NEW_LINES]
    return render_template("device_news.html", taken=max(taken, default=None), **facts)


@blueprint.post("/<codifier:codifier>/device")
@needs(Role.ADMIN)
def configure(codifier: str) -> ResponseReturnValue:
    """Give a device a configuration."""
    gateway, named = _gateway(codifier), request.form.get("device", "")
    text = request.form.get("configuration", "")
    try:
        content = document.parse(text.encode())
    except ConfigError as error:
        return _device_page(gateway, named, text, error.mistakes), 400
    try:
        one = _found(gateway, named)
        posted = gateway.ask(
            *("devices", one["identifier"], "configurations"),
            content={"configuration": content},
            deadline_s=ASK_S,
        )
    except GatewayError as error:
        return _device_page(gateway, named, text, error.mistakes or [str(error)]), 409
    audit.note("device", codifier, f"{named}: revision {posted['revision']}")
    flash(f"{named} gets revision {posted['revision']}.")
    return _back_to(codifier, named)


@blueprint.post("/<codifier:codifier>/device/back")
@needs(Role.ADMIN)
def roll_back(codifier: str) -> ResponseReturnValue:
    """Give a device an earlier configuration again."""
    content = {"revision": _revision()}
    return _post(codifier, "configurations", "back", content=content)


@blueprint.post("/<codifier:codifier>/device/spread")
@needs(Role.ADMIN)
def spread(codifier: str) -> ResponseReturnValue:
    """Give a configuration that a device has taken to the others of its network."""
    return _post(codifier, "revisions", _revision(), "spread", content={})


@blueprint.post("/<codifier:codifier>/device/schema")
@needs(Role.ADMIN)
def write_schema(codifier: str) -> ResponseReturnValue:
    """Set the JSON Schema of a device or of its network; an empty text removes it."""
    gateway, named = _gateway(codifier), request.form.get("device", "")
    of, text = request.form.get("of", ""), request.form.get("schema", "").strip()
    if of not in OWNERS:
        abort(400, "A JSON Schema is of the device or of the network.")
    try:
        rule = document.parse(text.encode()) if text else None
        one = _found(gateway, named)
        name = one["network"] if of == "network" else named
        gateway.ask(
            *("schemas", one[OWNERS[of]]),
            content={"document": rule},
            method="PUT",
            deadline_s=ASK_S,
        )
    except (ConfigError, GatewayError) as error:
        lines = error.mistakes or [str(error)]
        return _device_page(gateway, named, mistakes=lines, schemas={of: text}), 409
    audit.note("device", codifier, f"{name}: JSON Schema")
    flash(f"Configurations of {name} are checked by it from now on." if text else "It is removed.")
    return _back_to(codifier, named)


def _gateway(codifier: str) -> Gateway:
    for gateway in gateways(site().config, site().home):
        if gateway.component.codifier == codifier:
            return gateway
    abort(404, f"There is no gateway {codifier} in the configuration.")


def _found(gateway: Gateway, named: str) -> dict[str, Any]:
    for one in gateway.devices(ASK_S):
        if is_named(one, named):
            return one
    abort(404, f"{gateway.component.codifier} knows no device {named}.")


def _attributes(device: Mapping[str, Any]) -> set[str]:
    return {each["attribute"] for each in device["attributes"]}


def _shown(gateway: Gateway) -> dict[str, Any]:
    """Return what the page shows of a gateway; why it does not answer, if so."""
    shown: dict[str, Any] = {"component": gateway.component, "fault": "", "facts": []}
    shown["pages"] = _own_pages(gateway.component)
    shown |= {"devices": [], "refusals": [], "refused": {}}
    try:
        state = gateway.ask("state", deadline_s=ASK_S)
        shown["refused"] = state.pop("refused", {})
        shown["facts"] = [(key.replace("_", " "), _words(value)) for key, value in state.items()]
        shown["devices"] = gateway.devices(ASK_S)
        shown["refusals"] = gateway.ask("refusals", deadline_s=ASK_S)[:MOST_REFUSALS]
    except GatewayError as error:
        shown["fault"] = str(error)
    return shown


def _own_pages(component: Component) -> str | None:
    """Return the address of the pages that a gateway has of its own, as this browser reaches it.

    None: it has none, or listens on this machine alone while the browser is elsewhere.
    """
    if component.type not in OWN_PAGES:
        return None
    asked = urlsplit(request.host_url).hostname or ""
    host = str(component.settings.get("Host") or "127.0.0.1")
    if is_loopback(host) and not is_loopback(asked):
        return None
    port = int(str(component.settings.get("Port", PORTS[component.type])))
    return f"http://{netloc(asked, port)}/{OWN_PAGES[component.type]}"


def _shown_value(value: object) -> str:
    """Return the last value of a device, which may be any JSON, and none yet."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return digits(value, is_whole=float(value).is_integer())
    if value is None:
        return "none yet"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 1]}…"


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {_words(each)}" for key, each in value.items())
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def _device_page(
    gateway: Gateway,
    named: str,
    text: str | None = None,
    mistakes: list[str] | None = None,
    schemas: Mapping[str, str] | None = None,
) -> str:
    others: list[Any] = []
    rules: dict[str, str] = {}
    try:
        one = _found(gateway, named)
        facts = _facts(gateway, one)
        if facts["is_configured"]:
            others = gateway.ask(
                "networks", one["network_identifier"], "configurations", deadline_s=ASK_S
            )
            rules = {
                of: _schema_text(gateway.ask("schemas", one[owner], deadline_s=ASK_S)["document"])
                for of, owner in OWNERS.items()
            }
    except GatewayError as error:
        abort(503, f"{error}.")
    if text is None:
        revisions = facts["revisions"]
        present = revisions[0]["configuration"] if revisions else {}
        text = json.dumps(present, indent=2, ensure_ascii=False)
    return render_template(
        "device.html",
        gateway=gateway.component,
        others=others,
        text=text,
        mistakes=mistakes or [],
        schemas=rules | dict(schemas or {}),
        wrong=next(iter(schemas or ()), None),  # whose JSON Schema it is that has mistakes
        digits=_shown_value,
        **facts,
    )


def _facts(gateway: Gateway, one: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a device was told and what it said, the newest first.

    Raises:
        GatewayError: the gateway does not answer.
    """
    revisions, lines = [], []
    # Devices that are in no network, such as boards, have neither.
    if is_configured := "network_identifier" in one:
        path = "devices", one["identifier"]
        query = {"direction": "previous"}
        revisions = gateway.ask(*path, "revisions", query=query, deadline_s=ASK_S)
        revisions.sort(key=lambda each: -each["revision"])
        for each in revisions[1:]:
            if each["progress"] == "waiting":  # of the waiting ones only the newest is sent
                each["progress"] = "replaced"
        lines = gateway.ask(*path, "logs", deadline_s=ASK_S)
    return {
        "device": one,
        "named": name_of(one),
        "is_configured": is_configured,
        "revisions": revisions,
        "lines": lines,
        "words": PROGRESS,
        "as_text": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    }


def _schema_text(rule: object) -> str:
    return "" if rule is None else json.dumps(rule, indent=2, ensure_ascii=False)


def _revision() -> int:
    text = request.form.get("revision", "")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        abort(400, "A revision is a whole number.")
    return int(text)


def _post(codifier: str, *path: object, content: object) -> ResponseReturnValue:
    """Ask for something about the device of a form; say on its page what became of it."""
    gateway, named = _gateway(codifier), request.form.get("device", "")
    try:
        one = _found(gateway, named)
        answer = gateway.ask(
            *("devices", one["identifier"], *path), content=content, deadline_s=ASK_S
        )
    except GatewayError as error:
        flash(f"Not done: {error}.")
        return _back_to(codifier, named)
    said = f"revision {answer['revision']}" if "revision" in answer else "a new revision"
    audit.note("device", codifier, f"{named}: {' '.join(map(str, path))}: {said}")
    flash(
        f"{named} gets {said}."
        if "revision" in answer
        else f"The others of {one['network']} get it, too."
    )
    return _back_to(codifier, named)


def _back_to(codifier: str, named: str) -> ResponseReturnValue:
    return redirect(url_for("gateways.device", codifier=codifier, device=named), 303)
