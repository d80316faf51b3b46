"""A history for pages."""

from collections.abc import Iterable

from jph.bus.wire import Reading
from jph.clock import time_now_ms
from jph.stores import open_history, row_of
from web.service import Web


def store(web: Web, readings: Iterable[Reading]) -> None:
    """Store readings, and compute their statistics."""
    history = open_history("sqlite:///history.sqlite", web.home)
    history.append([row_of(one) for one in readings])
    while history.statistics.compute(time_now_ms()):
        pass
    history.close()
