"""The audit list: who did what, for admins; also as a file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain

from flask import Blueprint, Flask, Response, abort, current_app, render_template, request

from jph.errors import StoreError
from web.context import row_number, site
from web.history.long_history import as_csv, begun, streamed
from web.people import audit
from web.people.access import Role, needs

blueprint = Blueprint("audit", __name__)

SHOWN = 100  # entries of a page
CHUNK = 1000
COLUMNS = ("time", "who", "address", "action", "subject", "detail")


@blueprint.get("/settings/audit")
@needs(Role.ADMIN)
def page() -> str:
    """Show entries, the newest first; ?who=, ?action= and ?text= choose, ?before= goes on."""
    chosen = _chosen()
    before = request.args.get("before", type=row_number)
    try:
        entries = audit.entries(before, SHOWN + 1, **chosen)
        people, actions = audit.choices()
    except StoreError as error:
        abort(503, f"The audit list cannot be read now: {error}")
    more = entries[SHOWN - 1].number if len(entries) > SHOWN else None
    return render_template(
        "audit.html",
        rows=entries[:SHOWN],
        more=more,
        chosen=chosen,
        query={name: value for name, value in request.args.items() if name != "before" and value},
        people=people,
        actions=actions,
        most=audit.MOST,
    )


@blueprint.get("/settings/audit.csv")
@needs(Role.ADMIN)
def download() -> Response:
    """Send all chosen entries as CSV, the newest first."""
    try:
        rows = begun(_rows(current_app._get_current_object(), _chosen()))  # type: ignore[attr-defined]
    except StoreError as error:
        abort(503, f"The audit list cannot be read now: {error}")
    return streamed(site(), as_csv(chain((COLUMNS,), rows)), "text/csv", "audit.csv")


def _chosen() -> dict[str, str]:
    given = request.args
    return {
        "person": given.get("who", ""),
        "action": given.get("action", ""),
        "text": given.get("text", "")[:200],
    }


def _rows(app: Flask, chosen: dict[str, str]) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the file, read piece by piece, so that a long list is never in memory.

    Args:
        app: most are read when the request is answered already.
    """
    before: int | None = None
    while True:
        with app.app_context():
            entries = audit.entries(before, CHUNK, **chosen)
        for entry in entries:
            time = datetime.fromtimestamp(entry.time_ms / 1000, UTC).isoformat(timespec="seconds")
            yield time, *entry[2:]
        if len(entries) < CHUNK:
            return
        before = entries[-1].number
