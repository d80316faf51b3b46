"""Settings, Revisions: who changed the configuration, when and why; and the way back."""

from flask import Blueprint, Response, abort, render_template, request

from jph.config import document
from jph.errors import ConfigError, StoreError
from web.configuration import store
from web.configuration.differences import differences, text_differences
from web.configuration.edits import outcome_of, shown_differences
from web.context import behind, row_number, site
from web.people.access import Role, needs
from web.serving.error_pages import show_fault

blueprint = Blueprint("revisions", __name__, url_prefix="/settings/revisions")
blueprint.register_error_handler(StoreError, show_fault)
blueprint.register_error_handler(ConfigError, show_fault)

PAGE = 50  # revisions
MOST_LINES = 2000  # of a difference as text

KINDS = {
    "found": "as it was found",
    "saved": "saved on the pages",
    "by hand": "edited by hand",
    "update": "came with an update of JPH",
    "fetched": "changed at its URL",
    "taken back": "taken back by JPH",
}


@blueprint.get("")
@needs(Role.ADMIN)
@behind(lambda site: site.page_gate)
def page() -> str:
    """List the revisions, the newest first."""
    newest = site().keeper.look()
    before = request.args.get("before", type=row_number)
    found = store.before(site().home, before, PAGE + 1)
    return render_template(
        "settings/revisions.html",
        revisions=found[:PAGE],
        newest=newest,
        kinds=KINDS,
        before=found[PAGE - 1].number if len(found) > PAGE else None,
    )


@blueprint.get("/<int:number>")
@needs(Role.ADMIN)
@behind(lambda site: site.page_gate)
def one(number: int) -> str:
    """Show one revision and what it has different from another, by default the one before."""
    newest = site().keeper.look()
    home = site().home
    revision = store.find(home, number)
    if revision is None:
        abort(404, f"There is no revision {number}.")
    previous = store.before(home, number, 1)
    other = request.args.get("with", type=row_number)
    if other is None:
        other = previous[0].number if previous else number
    before, after = (store.text_of(home, it) for it in sorted((other, number)))
    if before is None or after is None:
        abort(404, f"There is no revision {other}.")
    texts = [text.decode("utf-8-sig", "replace") for text in (before, after)]
    lines = text_differences(*texts)
    return render_template(
        "settings/revision.html",
        revision=revision,
        newest=newest,
        kinds=KINDS,
        others=[it for it in store.before(home, None, PAGE) if it.number != number],
        earlier=min(other, number),
        later=max(other, number),
        other=other,
        before_it=previous[0].number if previous else None,
        changes=changes_of(before, after),
        lines=lines[:MOST_LINES],
        more_lines=max(0, len(lines) - MOST_LINES),
        outcome=outcome_of(site(), number),
        why_not=site().keeper.file.why_not(),
    )


@blueprint.get("/<int:number>/config.json")
@needs(Role.ADMIN)
def download(number: int) -> Response:
    """Return the document of a revision as a file."""
    text = store.text_of(site().home, number)
    if text is None:
        abort(404, f"There is no revision {number}.")
    name = f"config-{number}.json"
    return Response(
        text,
        mimetype="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def changes_of(before: bytes, after: bytes) -> list[dict[str, object]] | None:
    """Return what differs, by the paths of keys; None if one of them is no JSON."""
    try:
        return shown_differences(differences(document.parse(before), document.parse(after)))
    except ConfigError:
        return None
