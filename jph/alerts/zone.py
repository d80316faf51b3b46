"""Zones of time by their names, and the time of the owner, for days and quiet hours."""

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
    zone = named_zone(name)
    return lambda time_ms: datetime.fromtimestamp(time_ms / 1000, zone)


def named_zone(name: str) -> ZoneInfo:
    """Return a zone by its name.

    Raises:
        ValueError: there is no such zone.
    """
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # OSError: the name of a folder, or a very long one
        raise ValueError(
            f"there is no time zone {name[:60]!r}; name one such as Europe/Berlin"
        ) from None
