"""The configuration of the network and its revisions."""

from collections.abc import Callable, Iterable
from contextlib import suppress

from flask import Response, abort

from jph.config import document
from jph.errors import ConfigError
from web.api_v1 import models
from web.api_v1.endpoints import ENDPOINTS
from web.configuration import revisions, store
from web.context import site
from web.people import audit
from web.people.access import Role, who
from web.serving.problems import problem

MOST_BODY = 2 << 20  # bytes
MOST_NUMBER = 1 << 53


@ENDPOINTS.add("GET", "/configuration", answer=models.Configuration)
def configuration() -> models.Configuration:
    """Return the configuration of the network, as it stands in its file, with its revision."""
    newest, content = revisions.current()
    return {"revision": _shown(newest), "document": content}


@ENDPOINTS.add(
    "PUT",
    "/configuration",
    role=Role.ADMIN,
    body=models.NewConfiguration,
    answer=models.Revision,
    errors=(409,),
    most_body=MOST_BODY,
)
def save_configuration(body: models.NewConfiguration) -> models.Revision | Response:
    """Save another document in place of the configuration, and have all components load it.

    It is checked first; mistakes are told with their paths. If the pages do not come back under it,
    the one before does; the outcome of the revision says so.
    """
    return changed(lambda: revisions.save(body.document, who(), body.why, body.base), body.why)


@ENDPOINTS.add(
    "GET", "/configuration/revisions", query=models.RevisionQuery, answer=models.RevisionPage
)
def all_revisions(query: models.RevisionQuery) -> models.RevisionPage:
    """Return the revisions of the configuration, the newest first."""
    found = store.before(site().home, query.before, query.limit + 1)
    page = found[: query.limit]
    return {
        "items": [_shown(revision) for revision in page],
        "next": page[-1].number if len(found) > query.limit else None,
    }


@ENDPOINTS.add("GET", "/configuration/revisions/<int:number>", answer=models.Configuration)
def revision(number: int) -> models.Configuration:
    """Return one revision and its document."""
    found = _find(number)
    content: object = None
    with suppress(ConfigError):  # a file that was edited by hand may have been no JSON
        content = document.parse(_text(number))
    return {"revision": _shown(found), "document": content if isinstance(content, dict) else {}}


@ENDPOINTS.add(
    "POST",
    "/configuration/revisions/<int:number>/restore",
    role=Role.ADMIN,
    body=models.Restoring,
    answer=models.Revision,
    errors=(409,),
)
def restore_revision(number: int, body: models.Restoring) -> models.Revision | Response:
    """Save an earlier revision as the newest one."""
    _find(number)
    why = body.why or f"back to revision {number}"
    text = _text(number).decode("utf-8-sig", "replace")
    return changed(lambda: revisions.save(text, who(), why), why)


def changed(change: Callable[[], store.Revision], why: str) -> models.Revision | Response:
    """Change the configuration, and return its revision, or tell why it is not changed."""
    try:
        saved = change()
    except revisions.RefusedError as error:
        return refused(error.mistakes, "The document has mistakes.")
    except (revisions.ConflictError, revisions.BusyError, revisions.NotWritableError) as error:
        return problem(409, str(error))
    audit.note("configuration", f"revision {saved.number}", why)
    return _shown(saved)


def refused(lines: Iterable[str], title: str) -> Response:
    """Return the mistakes of a document, each with its place in front."""
    mistakes = [
        {"where": where if colon else "", "what": what.strip() if colon else where}
        for where, colon, what in (it.partition(":") for it in lines)
    ]
    return problem(422, title, mistakes=mistakes)


def _find(number: int) -> store.Revision:
    found = store.find(site().home, number) if number < MOST_NUMBER else None
    return found or abort(404, f"There is no revision {number}.")


def _text(number: int) -> bytes:
    return store.text_of(site().home, number) or b""


def _shown(revision: store.Revision) -> models.Revision:
    return {
        "number": revision.number,
        "time": revision.made_ms,
        "who": revision.who,
        "why": revision.why,
        "kind": revision.kind,
        "outcome": dict(revision.outcome),
    }
