"""The time of the owner, for days and quiet hours."""

import contextlib
from datetime import datetime
from zoneinfo import ZoneInfo

from jph.alerts.conditions import Zone


def zone_of(name: str | None) -> Zone:
    """Return what tells the time of a zone, None being that of this machine.

    Raises:
        ValueError: there is no such zone.
    """
    if not name:
        return lambda time_ms: datetime.fromtimestamp(time_ms / 1000).astimezone()
    zone: ZoneInfo | None = None
    with contextlib.suppress(OSError, ValueError, LookupError):
        zone = ZoneInfo(name)
    if zone is None:
        raise ValueError(f"there is no time zone {name[:60]!r}; name one such as Europe/Berlin")
    found = zone
    return lambda time_ms: datetime.fromtimestamp(time_ms / 1000, found)
