"""History up to this moment: what the store has, and behind it what it does not have yet.

A history writer gathers readings for up to its `StoreTime`. This server has heard them too,
so a graph has them at once. What was heard before this server started it asks of the store alone.
"""

from itertools import groupby

from jph.clock import time_now_ms
from jph.config.model import Component
from jph.stores import HistoryStore, Series, row_of, text_of
from jph.stores.address import longest_store_s
from jph.stores.buckets import statistic_of
from jph.stores.span import parse_field
from web.site import Site

SETTLE_MS = 10_000  # a batch that is due is stored within this time

Point = tuple[int, float, float, float]  # time, value, lowest, highest


def read_recent(
    here: Site, codifier: str, field: str, start_ms: int, end_ms: int, most_points: int
) -> Series:
    """Return a field of one Codifier as `HistoryStore.read` does, up to what was just heard.

    Statistics of a resolution are those of times of which everything is stored.
    """
    store = here.history()
    asked = parse_field(field)
    if asked.resolution is not None:
        wait_ms = SETTLE_MS + round(longest_store_s(here.config) * 1000)
        stored_ms = max(time_now_ms() - wait_ms, last_stored_ms(store, codifier))
        return store.read([codifier], field, start_ms, min(end_ms, stored_ms), most_points)[
            codifier
        ]
    # Asked first: what is stored between the two questions is left out below.
    after_ms = max(last_stored_ms(store, codifier), start_ms - 1)
    recent = here.records.recent(codifier, after_ms, end_ms)
    room = min(len(recent), max(1, most_points // 4))
    series = store.read([codifier], field, start_ms, end_ms, max(1, most_points - room))[codifier]
    last_ms = series.times_ms[-1] if series.times_ms else after_ms
    recent = [point for point in recent if point[0] > last_ms]
    if not recent:
        return series
    width_ms = series.bucket_ms
    if width_ms or len(recent) > room:
        least_ms = (recent[-1][0] - recent[0][0]) // room + 1
        width_ms = max(width_ms, least_ms)
    points = [_point(asked.name, part) for part in _parts(recent, width_ms)]
    return _joined(series, [point for point in points if point is not None], width_ms)


def read_recent_text(
    here: Site, component: Component, start_ms: int, end_ms: int, most: int
) -> list[tuple[int, str]]:
    """Return the newest texts of one component, oldest first, up to what was just heard."""
    store, codifier = here.history(), component.codifier
    objects = component.data_type == "json"
    after_ms = max(last_stored_ms(store, codifier), start_ms - 1)
    texts = store.read_text(codifier, start_ms, end_ms, most, objects=objects)
    known = set(texts)
    for reading in here.records.recent_texts(codifier, after_ms, end_ms):
        row = row_of(reading)
        if row is not None and (objects or row[4] is not None):
            text = (row[0], text_of(row[3], row[4]))
            if text not in known:
                texts.append(text)
    return texts[-most:]


def last_stored_ms(store: HistoryStore, codifier: str) -> int:
    rows = store.last(codifier, 1)
    return rows[0][0] if rows else -1


def _parts(points: list[tuple[int, float]], width_ms: int) -> list[list[tuple[int, float]]]:
    """Return the points of each cell, or each alone if cells have no width."""
    if not width_ms:
        return [[point] for point in points]
    first_ms = points[0][0]
    return [list(part) for _, part in groupby(points, lambda it: (it[0] - first_ms) // width_ms)]


def _point(field: str, part: list[tuple[int, float]]) -> Point | None:
    """Return the point that some readings make together, as in `jph.stores.span`."""
    statistic = statistic_of([value for _, value in part])
    value = statistic.mean if field == "value" else getattr(statistic, field)
    if value is None:
        return None
    is_alone = field in ("max", "min", "stdev")
    low, high = (value, value) if is_alone else (statistic.min, statistic.max)
    return (part[0][0] + part[-1][0]) // 2, value, low, high


def _joined(series: Series, points: list[Point], bucket_ms: int) -> Series:
    columns = zip(series.times_ms, series.values, series.lows, series.highs, strict=True)
    return Series.of([*columns, *points], bucket_ms)
