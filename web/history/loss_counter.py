"""Adds up how many messages are lost, by the minute, until that is kept. No Flask here."""

from collections.abc import Iterable

from jph.state import Fields, LastStates

MINUTE_MS = 60_000

Row = tuple[int, str, int]  # begin of a minute in ms, Codifier, messages


class LossCounter:
    """Adds up what is lost, from the counters of the last states; not for several threads at once.

    Args:
        began_ms: what a counter has counted since then is new.
    """

    def __init__(self, began_ms: int) -> None:
        self._began_ms = began_ms
        self._before: dict[tuple[str, str], tuple[int, int]] = {}  # reset time, lost
        self._sums: dict[tuple[int, str], int] = {}

    def __bool__(self) -> bool:
        """Tell whether there is something that is not kept yet."""
        return bool(self._sums)

    def look(self, states: LastStates, codifiers: Iterable[str], now_ms: int) -> None:
        """Add what was lost since the last look."""
        for codifier in codifiers:
            fields = states.get(codifier)
            if fields is not None:
                lost = sum(self._grown(codifier, fields, channel) for channel in "DC")
                if lost:
                    key = now_ms // MINUTE_MS * MINUTE_MS, codifier
                    self._sums[key] = self._sums.get(key, 0) + lost

    def _grown(self, codifier: str, fields: Fields, channel: str) -> int:
        lost, reset_ms = fields.get(f"{channel}PacketsLost"), fields.get(f"{channel}ResetTime")
        if not isinstance(lost, int) or not isinstance(reset_ms, int):
            return 0
        before = self._before.get((codifier, channel))
        self._before[codifier, channel] = reset_ms, lost
        if before is None:
            return lost if reset_ms >= self._began_ms else 0
        # A message that came late makes it fewer.
        return lost - before[1] if reset_ms == before[0] else lost

    def rows(self) -> list[Row]:
        """Return what is not kept yet."""
        return [(time_ms, codifier, lost) for (time_ms, codifier), lost in self._sums.items()]

    def kept(self, rows: Iterable[Row]) -> None:
        """Forget what is kept now; what was lost meanwhile stays."""
        for time_ms, codifier, lost in rows:
            rest = self._sums.get((time_ms, codifier), 0) - lost
            if rest:
                self._sums[time_ms, codifier] = rest
            else:
                self._sums.pop((time_ms, codifier), None)
