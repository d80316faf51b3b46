"""The page with the log, for operators: what is in it names files, addresses and people."""

import logging

from flask import Blueprint, Response, jsonify, render_template, request

from web.context import behind, site
from web.logs.line import Line, LogError, Wanted
from web.logs.sources import sources
from web.people.access import Role, needs

blueprint = Blueprint("logs", __name__)

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
MOST_WORDS = 10
LONGEST_WORDS = 200

Answer = Response | tuple[Response, int]


@blueprint.get("/logview")
@needs(Role.OPERATOR)
@behind(lambda site: site.page_gate)
def page() -> str:
    """Show the log, and follow it; ?component=, ?level= and ?words= choose what is shown."""
    return _page(request.args.get("component", ""), request.args.get("words", ""))


@blueprint.get("/logview/<path:filter>")
@blueprint.get("/sensorlog/<path:filter>", endpoint="sensorlog")
@blueprint.get("/sensorlog/<codifier:filter>", endpoint="sensorlog_of")  # it may begin with a slash
@needs(Role.OPERATOR)
@behind(lambda site: site.page_gate)
def filtered(filter: str) -> str:
    """Show the lines about one component, or those with some words, as older pages are linked."""
    is_codifier = filter in site().config.components
    return _page(filter, "") if is_codifier else _page("", filter)


def _page(component: str, words: str) -> str:
    here = site()
    return render_template(
        "logs.html",
        overview=here.records.overview(),
        components=here.config.components.values(),
        component=component,
        words=words[:LONGEST_WORDS],
        level=request.args.get("level", "INFO").upper(),
        levels=LEVELS,
        sources=sources(here),
        source=request.args.get("source", ""),
    )


@blueprint.get("/logs/lines")
@needs(Role.OPERATOR)
@behind(lambda site: site.history_gate)
def lines() -> Answer:
    """Return lines of the log, oldest first: the newest, those before a place, or those after one.

    ?component= narrows them to a component and the one that serves it, ?level= to this one and
    above, ?words= to lines with all of these. `before` and `after` of the answer lead on; `before`
    is null at the beginning of the log. Only a part of the log is looked at for one answer, so
    there may be no lines in it though `before` leads further.
    """
    given = request.args
    known = {it.name: it for it in sources(site())}
    source = known.get(given.get("source", "")) or next(iter(known.values()))
    try:
        wanted = _wanted(given.get("component", ""))
        after = given.get("after")
        found = (
            source.older(given.get("before"), wanted)
            if after is None
            else source.newer(after, wanted)
        )
    except ValueError:
        return jsonify({"error": "There is no such place in the log."}), 400
    except LogError as error:
        return jsonify({"error": str(error)}), 503
    return jsonify(
        {
            "source": source.name,
            "title": source.title,
            "lines": [_shown(line) for line in found.lines],
            "before": found.before,
            "after": found.after,
        }
    )


def _wanted(codifier: str) -> Wanted:
    component = site().config.components.get(codifier)
    codifiers = {codifier} if codifier else set()
    if component is not None and component.server:
        codifiers.add(component.server)
    level = logging.getLevelNamesMapping().get(request.args.get("level", "").upper(), 0)
    words = request.args.get("words", "")[:LONGEST_WORDS].lower().split()[:MOST_WORDS]
    return Wanted(frozenset(codifiers), level, tuple(words))


def _shown(line: Line) -> dict[str, object]:
    return {
        "time": line.time_ms,
        "level": logging.getLevelName(line.level) if line.level else "",
        "logger": line.logger,
        "codifier": line.codifier,
        "text": line.text,
    }
