"""Settings, Configuration: the components as forms and the whole as text, checked as one types."""

import json
from typing import Any

from flask import (
    Blueprint,
    Response,
    abort,
    jsonify,
    render_template,
    request,
)
from flask.typing import ResponseReturnValue

from jph import registry
from jph.config import document
from jph.config.schema import component_schema, multicast_schema
from jph.errors import ConfigError, JphError, StoreError
from web.configuration import edits, entries
from web.configuration.edits import Edit
from web.configuration.keeper import BusyError, ConflictError, RefusedError
from web.context import behind, site
from web.people import audit
from web.people.access import Role, needs, who
from web.serving.error_pages import show_fault

blueprint = Blueprint("settings", __name__, url_prefix="/settings")
blueprint.register_error_handler(StoreError, show_fault)
blueprint.register_error_handler(ConfigError, show_fault)

MOST_BODY = document.MAX_SIZE + (1 << 16)


@blueprint.url_value_preprocessor
def allow_documents(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Let a whole document be sent here."""
    request.max_content_length = request.max_form_memory_size = MOST_BODY


@blueprint.get("")
@needs(Role.ADMIN)
@behind(lambda site: site.page_gate)
def page() -> str:
    """List the components, and what stands beside them."""
    keeper = site().keeper
    newest, content = keeper.current()
    file = keeper.file
    statuses = {it.component.codifier: it.status for it in site().records.all()}
    return render_template(
        "settings/page.html",
        components=[
            (entry, statuses.get(str(entry.get("Codifier"))), registry.ABOUT.get(type_of(entry)))
            for entry in entries.entries_of(content)
        ],
        newest=newest,
        file=file,
        why_not=file.why_not(),
        is_loaded=keeper.is_loaded(),
        strangers=site().records.strangers.lately(),
        has_document=bool(content),
    )


@blueprint.get("/component/<codifier:codifier>")
@needs(Role.ADMIN)
@behind(lambda site: site.page_gate)
def component(codifier: str) -> str:
    """Show the form of one component."""
    newest, content = site().keeper.current()
    entry = entries.entry_of(content, codifier)
    if entry is None:
        abort(404, f"There is no component {codifier} in the configuration.")
    return form(entry, content, newest.number, codifier)


@blueprint.get("/add")
@needs(Role.ADMIN)
@behind(lambda site: site.page_gate)
def add() -> str:
    """Let a person choose the type of a new component, or show its form."""
    newest, content = site().keeper.current()
    if copied := request.args.get("copy"):
        entry = entries.entry_of(content, copied)
        if entry is None:
            abort(404, f"There is no component {copied} in the configuration.")
        codifier = entries.free_codifier(content, str(entry.get("Name", "")), heard())
        return form(entries.copy_of(entry, codifier), content, newest.number)
    chosen = request.args.get("type")
    if chosen is None:
        return render_template("settings/add.html", groups=entries.types_to_add())
    if registry.canonical(chosen) is None:
        abort(404, f"There is no type {chosen}.")
    codifier = entries.free_codifier(content, chosen, heard())
    return form(entries.new_entry(chosen, codifier), content, newest.number)


@blueprint.get("/accept/<codifier:codifier>")
@needs(Role.ADMIN)
@behind(lambda site: site.page_gate)
def accept(codifier: str) -> str:
    """Show the form of a Codifier that is heard but not configured, filled with what it sends."""
    newest, content = site().keeper.current()
    if (entry := entries.entry_of(content, codifier)) is not None:
        return form(entry, content, newest.number, codifier)
    found = [it for it in site().records.strangers.lately() if it.codifier == codifier]
    if not found:
        abort(404, f"{codifier} has not been heard lately.")
    return form(entries.entry_of_stranger(found[0]), content, newest.number, stranger=found[0])


def form(
    entry: dict[str, Any],
    content: dict[str, Any],
    base: int,
    codifier: str = "",
    **more: object,
) -> str:
    """Return the page with the form of one component.

    Args:
        codifier: that it has in the document; empty for a new one.
    """
    keeper = site().keeper
    schema, note = schema_of(type_of(entry))
    taken = [str(it.get("Codifier")) for it in entries.entries_of(content)] + heard()
    model = {
        "schema": schema,
        "note": note,
        "entry": entry,
        "codifier": codifier,
        "base": base,
        "taken": [it for it in taken if it not in (codifier, entry.get("Codifier"))],
        "own": keeper.own,
    }
    return render_template(
        "settings/form.html",
        model=json.dumps(model),
        entry=entry,
        codifier=codifier,
        about=registry.ABOUT.get(registry.current(type_of(entry)), ""),
        types=entries.types_like(type_of(entry)),
        why_not=keeper.file.why_not(),
        is_own=codifier == keeper.own,
        port_given=keeper.port_given() if codifier == keeper.own else None,
        **more,
    )


@blueprint.get("/network")
@needs(Role.ADMIN)
@behind(lambda site: site.page_gate)
def network() -> str:
    """Show the form of the two channels."""
    newest, content = site().keeper.current()
    entry = content.get("Multicast")
    model = {
        "schema": multicast_schema(),
        "entry": entry if isinstance(entry, dict) else {},
        "section": "Multicast",
        "base": newest.number,
    }
    return render_template(
        "settings/network.html", model=json.dumps(model), why_not=site().keeper.file.why_not()
    )


@blueprint.get("/schema/<path:type_name>")
@needs(Role.ADMIN)
@behind(lambda site: site.page_gate)
def schema(type_name: str) -> Response:
    """Return the schema of the entry of a component of a type."""
    found, note = schema_of(type_name)
    return jsonify(schema=found, note=note)


def schema_of(type_name: str) -> tuple[dict[str, Any], str]:
    """Return the schema of a type, and what is to be known of it; that of any, if it has none."""
    try:
        return component_schema(type_name), ""
    except ConfigError as error:
        return component_schema("External"), str(error)


@blueprint.get("/text")
@needs(Role.ADMIN)
@behind(lambda site: site.page_gate)
def text() -> str:
    """Show the whole document as text."""
    keeper = site().keeper
    newest, file = keeper.look(), keeper.file
    return render_template(
        "settings/text.html",
        text=keeper.text(newest.number),
        base=newest.number,
        file=file,
        why_not=file.why_not(),
    )


@blueprint.post("/check")
@needs(Role.ADMIN)
@behind(lambda site: site.page_gate)
def check() -> Response:
    """Check an edit, without saving it: its mistakes and warnings, each with its place."""
    edit = given_edit()
    keeper = site().keeper
    newest = keeper.look()
    wanted = edit.wanted(keeper, edit.base or newest.number)
    mistakes, warnings = edits.found_in(wanted, keeper, edit)
    return jsonify(mistakes=mistakes, warnings=warnings, newest=newest.number)


@blueprint.post("/save")
@needs(Role.ADMIN)
@behind(lambda site: site.command_gate)
def save() -> ResponseReturnValue:
    """Save an edit; see `web.configuration.edits.Edit` for what is sent.

    The answer has the `number` of the revision; or, where nothing is saved, the `mistakes`, or
    what `mine` and `theirs` change, if somebody else changed the configuration meanwhile.
    """
    edit = given_edit()
    keeper = site().keeper
    base = edit.base or keeper.look().number
    wanted = edit.wanted(keeper, base)
    try:
        if edit.how == "merge":
            newest = keeper.look()
            wanted, base = edits.merged_with(wanted, keeper, base, newest.number), newest.number
        elif edit.how == "over":
            base = keeper.look().number
        revision = keeper.save(wanted, who(), edit.why, base)
        address = edits.address_after(keeper, request.host)
    except ConflictError as conflict:
        return jsonify(edits.conflict_of(wanted, keeper, conflict))
    except RefusedError as error:
        mistakes = [edits.placed(line, wanted, edit) for line in error.mistakes]
        return jsonify(mistakes=mistakes)
    except BusyError as error:
        abort(409, str(error))
    except JphError as error:
        abort(503, str(error))
    audit.note("configuration", edit.codifier, f"revision {revision.number}: {edit.why}")
    return jsonify(number=revision.number, moves_to=address)


@blueprint.get("/outcome/<int:number>")
@needs(Role.ADMIN)
def outcome(number: int) -> Response:
    """Return what became of a revision so far."""
    found = edits.outcome_of(site(), number)
    if found is None:
        abort(404, f"There is no revision {number}.")
    return jsonify(found)


@blueprint.post("/reload")
@needs(Role.ADMIN)
def reload() -> Response:
    """Have all components load the file, as after an edit by hand."""
    site().keeper.reload()
    audit.note("reload", "@@", "all components are told to load the configuration")
    return jsonify(done=True)


def given_edit() -> Edit:
    """Return the edit in the present request."""
    given = request.get_json(silent=True)
    if not isinstance(given, dict):
        abort(400, "An edit is an object with base and text, entry or revision.")
    try:
        return Edit.of(given)
    except ValueError as error:
        abort(400, str(error))


def type_of(entry: dict[str, Any]) -> str:
    """Return the type of an entry, as it stands there."""
    return str(entry.get("Type", ""))


def heard() -> list[str]:
    """Return the Codifiers that somebody uses without being configured."""
    return [it.codifier for it in site().records.strangers.lately()]
