"""What a graph shows, and all readings or statistics of a span, as files."""

from datetime import datetime

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from jph.alerts.zone import named_zone
from jph.errors import JphError
from jph.stores.buckets import RAW, RESOLUTIONS
from web.context import site
from web.graphs import downloads
from web.graphs.views import MOST_TEXTS, asked_lines, changes, earlier, span
from web.history import long_history
from web.history.recent import read_recent, read_recent_text

blueprint = Blueprint("graph_files", __name__)

WHAT = {"shown": RAW, "readings": RAW, **RESOLUTIONS}  # may be in a file, and its resolution


@blueprint.get("/graphs/export")
def export() -> ResponseReturnValue:
    """Hand out a file: ?format=csv, ndjson or parquet, of ?what=shown, readings, 10min or hour.

    Lines and span are as in /graphs/data, and for what is shown ?earlier=, too: then the column
    `period` tells whether a point is of the span shown, or of the earlier one. Without ?line=
    readings and statistics are those of all components. ?zone= is that of the times, such as
    Europe/Berlin.
    """
    here, address = site(), request.remote_addr or ""
    kind, what = request.args.get("format", "csv"), request.args.get("what", "readings")
    try:
        start_ms, end_ms, most_points = span()
        earlier_ms = earlier()
        lines = asked_lines()
        if kind not in downloads.FORMATS or what not in WHAT:
            raise ValueError(
                f"format is one of {', '.join(downloads.FORMATS)}, what one of {', '.join(WHAT)}"
            )
        if kind == "parquet" and not downloads.has_parquet():
            raise ValueError("Parquet needs a package: pip install 'jph[parquet]'")
        zone = named_zone(request.args.get("zone", "UTC"))
    except ValueError as error:
        return jsonify({"error": str(error)}), 400
    every = here.config.components
    chosen = [every[code] for code, _ in lines if code in every] if lines else [*every.values()]
    try:
        if what == "shown":
            columns: tuple[str, ...] = downloads.SHOWN
            with here.history_gate.turn(address):
                shown = _shown(lines, start_ms, end_ms, most_points)
                if earlier_ms is not None:
                    columns, until_ms = downloads.COMPARED, earlier_ms + end_ms - start_ms
                    before = _shown(lines, earlier_ms, until_ms, most_points)
                    shown = [(*line, "shown") for line in shown]
                    shown += [(*line, "earlier") for line in before]
            found = iter(shown)
        else:
            resolution = WHAT[what]
            columns = downloads.STATISTICS if resolution else downloads.READINGS
            found = long_history.begun(
                downloads.stored_lines(here, address, chosen, resolution, start_ms, end_ms)
            )
    except JphError as error:
        return jsonify({"error": str(error)}), 503
    form = downloads.FORMATS[kind]
    days = [datetime.fromtimestamp(ms / 1000, zone) for ms in (start_ms, end_ms)]
    name = f"jph-{what}-{days[0]:%Y%m%d-%H%M}-{days[1]:%Y%m%d-%H%M}.{kind}"
    return long_history.streamed(here, form.encode(columns, found, zone), form.mimetype, name)


def _shown(
    lines: list[tuple[str, str]], start_ms: int, end_ms: int, most: int
) -> list[downloads.Line]:
    """Return the points of lines, one line after the other."""
    here = site()
    found: list[downloads.Line] = []
    for codifier, field in lines:
        component = here.config.components.get(codifier)
        if component is None:
            continue
        about = codifier, component.name, component.symbol, field
        if component.data_type == "string":
            texts = read_recent_text(here, component, start_ms, end_ms, MOST_TEXTS)
            found += [(time_ms, *about, text, None, None) for time_ms, text in changes(texts)]
        else:
            series = read_recent(here, codifier, field, start_ms, end_ms, most)
            columns = series.times_ms, series.values, series.lows, series.highs
            found += [
                (time_ms, *about, *numbers) for time_ms, *numbers in zip(*columns, strict=True)
            ]
    return found
