"""The audit list: who did what, for admins; also as a file."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime

from flask import Blueprint, Flask, Response, abort, current_app, render_template, request

from jph.errors import StoreError
from web import audit
from web.access import Role, needs
from web.context import row_number, site
from web.formatting import cell
from web.long_history import begun, streamed

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
        lines = begun(_lines(current_app._get_current_object(), _chosen()))  # type: ignore[attr-defined]
    except StoreError as error:
        abort(503, f"The audit list cannot be read now: {error}")
    return streamed(site(), lines, "text/csv", "audit.csv")


def _chosen() -> dict[str, str]:
    given = request.args
    return {
        "person": given.get("who", ""),
        "action": given.get("action", ""),
        "text": given.get("text", "")[:200],
    }


def _lines(app: Flask, chosen: dict[str, str]) -> Iterator[str]:
    """Yield the file in pieces, so that a long list is not in memory at once.

    Args:
        app: the pieces are made when the request is answered already.
    """
    before: int | None = None
    head: tuple[str, ...] = COLUMNS
    while True:
        with app.app_context():
            entries = audit.entries(before, CHUNK, **chosen)
        piece = io.StringIO()
        writer = csv.writer(piece)
        if head:
            writer.writerow(head)
            head = ()
        for entry in entries:
            time = datetime.fromtimestamp(entry.time_ms / 1000, UTC).isoformat(timespec="seconds")
            writer.writerow([time, *(cell(text) for text in entry[2:])])
        yield piece.getvalue()
        if len(entries) < CHUNK:
            return
        before = entries[-1].number
