"""The curve of a card, packed as finely as it is drawn: about a byte for each of its points.

A card draws its curve 30 pixels high. So a snapshot has the height of a point as one letter, and
its time as a small number of steps since the point before, which compresses to almost nothing where
readings come at an interval.
"""

from collections.abc import Sequence
from itertools import pairwise

LEVELS = 91  # heights of a point; the letters "#" to "~" stand for 0 to 91
FIRST_LETTER = ord("#")  # JSON would double the length of the quotation mark before it
STEPS = 4  # of time, for each point on average


def pack_curve(points: Sequence[tuple[int, float]], now_ms: int) -> dict[str, object]:
    """Return points, oldest first, for static/js/spark.js, which unpacks them.

    Its fields: Age, ms from the first point to now; Step, ms; Times, the steps from each point to
    the next; Low and High; Levels, the heights between these as letters.
    """
    times = [time_ms for time_ms, _ in points]
    values = [value for _, value in points]
    low, high = min(values), max(values)
    span = high / 2 - low / 2  # of halves, which cannot overflow
    levels = [(value / 2 - low / 2) / span if span else 0.0 for value in values]
    step_ms = max(1.0, (max(times) - min(times)) / max(1, STEPS * (len(times) - 1)))
    places = [round((time_ms - times[0]) / step_ms) for time_ms in times]
    return {
        "Age": now_ms - times[0],
        "Step": round(step_ms, 3),
        "Times": [after - before for before, after in pairwise(places)],
        "Low": low,
        "High": high,
        "Levels": "".join(chr(FIRST_LETTER + round(level * LEVELS)) for level in levels),
    }
