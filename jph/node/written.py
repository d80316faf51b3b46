"""How much this process writes to its disks."""

import time
from pathlib import Path

LEAST_S = 60.0  # of watching, before a day is told from it
DAY_S = 86_400.0


class Written:
    """What this process has written since it looked first."""

    def __init__(self, source: Path = Path("/proc/self/io")) -> None:
        self._source = source
        self._since_s = time.monotonic()
        self._before = self._bytes()

    def per_day(self) -> float | None:
        """Return bytes per day at the rate so far; None where the system does not tell."""
        now, past_s = self._bytes(), time.monotonic() - self._since_s
        if now is None or self._before is None or past_s < LEAST_S:
            return None
        return (now - self._before) / past_s * DAY_S

    @property
    def watched_s(self) -> float:
        """For how long it has been watched."""
        return time.monotonic() - self._since_s

    def _bytes(self) -> int | None:
        try:
            fields = dict(line.split(": ") for line in self._source.read_text().splitlines())
            return int(fields["write_bytes"]) - int(fields["cancelled_write_bytes"])
        except (OSError, KeyError, ValueError):  # another system, or /proc is closed to us
            return None
