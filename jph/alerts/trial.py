"""A rule tried against stored history: when it would have fired. Pure; the live code judges."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jph.alerts.conditions import Moment, Zone
from jph.alerts.evaluation import Evaluator
from jph.alerts.rules import Rule
from jph.config.model import Component
from jph.config.silence import sign_interval_s, timeout_s
from jph.stores.series import Series

MOST_FIRINGS = 1000


@dataclass(frozen=True, slots=True)
class Firing:
    """A time in which a rule would have fired; end_ms is None where it lasts."""

    begin_ms: int
    end_ms: int | None


def firings(
    rule: Rule,
    components: Mapping[str, Component],
    codifier: str,
    series: Series,
    end_ms: int,
    zone: Zone,
) -> list[Firing]:
    """Return when a rule would have fired for a sensor, oldest first.

    Where a point stands for many readings, a rule that must hold for longer than the point is
    judged by its mean, another one by its lowest and its highest reading.

    Args:
        components: of the network, the sensor among them.
        series: its history; for a rule about losses, how many messages were lost so far.
        end_ms: up to when it is tried.

    Raises:
        ValueError: history has no readings of a sensor that fails.
    """
    if rule.kind == "failing":
        raise ValueError("History keeps readings, and none of a sensor that fails.")
    if not series.times_ms:
        return []
    component = components[codifier]
    server = components.get(component.server or "")
    involved = {it.codifier: it for it in (component, server) if it is not None}
    start = _moment(series.times_ms[0])
    evaluator = Evaluator([rule], involved, start, zone, silence=False)
    limit_s = timeout_s(component, server)
    if rule.intervals is not None:
        limit_s = rule.intervals * sign_interval_s(component, server)
    # Points lie apart by so much where nothing is missing.
    silent_ms = max(round(limit_s * 1000) + 1, round(2.5 * series.bucket_ms))
    found: list[Firing] = []
    due_ms: int | None = None  # when what is pending fires
    fading: deque[int] = deque()  # when what was lost is too long ago

    def look(time_ms: int) -> None:
        nonlocal due_ms
        for transition in evaluator.tick(_moment(time_ms)):
            due_ms = None
            if transition.phase == "pending":
                due_ms = transition.at_ms + round(rule.for_s * 1000) + 1
            elif transition.phase == "firing":
                found.append(Firing(transition.at_ms, None))
            elif found and found[-1].end_ms is None:
                found[-1] = Firing(found[-1].begin_ms, transition.at_ms)

    def look_until(time_ms: int) -> None:
        """Look where something may change before the next reading."""
        if rule.kind == "silent" and last_ms + silent_ms < time_ms:
            look(last_ms + silent_ms)
        while fading and fading[0] < time_ms:
            look(fading.popleft())
        if due_ms is not None and due_ms < time_ms:
            look(due_ms)

    last_ms = series.times_ms[0]
    for time_ms, value in _points(rule, series):
        look_until(time_ms)
        if rule.kind == "losses":
            evaluator.on_losses({codifier: value}, _moment(time_ms))
            fading.append(time_ms + round((rule.within_s or 0.0) * 1000) + 1)
        else:
            evaluator.on_reading(codifier, value, _moment(time_ms))
        look(time_ms)
        last_ms = time_ms
        if len(found) >= MOST_FIRINGS:
            return found
    look_until(end_ms)
    look(end_ms)
    return found


def _points(rule: Rule, series: Series) -> Iterator[tuple[int, float]]:
    """Yield what a rule is to see of each point."""
    if series.bucket_ms and rule.for_s * 1000 <= series.bucket_ms and rule.kind != "total":
        quarter_ms = series.bucket_ms // 4
        rows = zip(series.times_ms, series.values, series.lows, series.highs, strict=True)
        for time_ms, mean, low, high in rows:
            if rule.kind == "above":
                yield time_ms, high
            elif rule.kind == "below":
                yield time_ms, low
            else:
                yield time_ms - quarter_ms, low
                yield time_ms, mean
                yield time_ms + quarter_ms, high
    else:
        yield from zip(series.times_ms, series.values, strict=True)


def _moment(time_ms: int) -> Moment:
    return Moment(time_ms / 1000, time_ms)
