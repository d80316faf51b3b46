"""The status of a component: active, failing, silent, halted or never seen.

Silence is judged by when something arrived here, by the monotonic clock: neither a sender with a
wrong clock nor a step of our own makes a component look silent. A component whose readings are
overdue, and that has given a sign of life since, is failing: its process works, its sensor does
not. Of a component of this process it is known at once, with the reason; the bus carries none.
"""

from dataclasses import dataclass
from typing import Literal

from jph.config.model import Component
from jph.config.silence import MISSED, SHORTEST_TIMEOUT_S, interval_s, timeout_s

Status = Literal["active", "failing", "silent", "halted", "unseen"]

# Types that are shown apart from what measures and acts.
SERVICES = frozenset(
    {
        *("StateCache", "HistoryWriter", "Statistics", "Alerts", "Router", "Web", "ControlProgram"),
        *("Broker", "Esp32", "HomeAssistant", "IotTalk", "Tenta"),
    }
)
PROGRAMS = frozenset({"ControlProgram"})  # run only when somebody needs them


@dataclass(slots=True)
class Heard:
    """When something last arrived from a Codifier, monotonic seconds, None for never.

    Args:
        data_s: a reading.
        control_s: a control message.
        since_s: the first sign of all, or when it last became active; a reading is due from then.
        is_active: by its last control message.
    """

    data_s: float | None = None
    control_s: float | None = None
    since_s: float | None = None
    is_active: bool = True


def status(
    component: Component,
    heard: Heard,
    now_s: float,
    server: Component | None = None,
    server_heard: Heard | None = None,
    *,
    is_failing: bool = False,
    limit_s: float | None = None,
) -> Status:
    """Return the state of a component; for a proxy, with the component that serves it.

    Args:
        is_failing: its own process says so.
        limit_s: how long it may be quiet; None: as its configuration says.
    """
    if heard.data_s is None and heard.control_s is None:
        return "unseen"
    if component.type in PROGRAMS:  # nothing is missing when it has done its work
        last = _latest(heard.data_s, heard.control_s)
        return "active" if _is_within(last, now_s, SHORTEST_TIMEOUT_S) else "unseen"
    speaker, speaks = (
        (server, server_heard)
        if server is not None and server_heard is not None
        else (component, heard)
    )
    # Halted components need not send readings, so only their keep-alives tell that they live.
    alive_s = max(MISSED * speaker.keep_alive_interval_s, SHORTEST_TIMEOUT_S)
    if not speaks.is_active and _is_within(speaks.control_s, now_s, alive_s):
        return "halted"
    if is_failing:
        return "failing"
    is_declared = component.timeout_warning_s is not None or limit_s is not None
    limit_s = timeout_s(component, server) if limit_s is None else limit_s
    if sends_data(component, heard, server):
        last = _latest(heard.data_s, heard.since_s, speaks.since_s)
        if not _is_within(last, now_s, limit_s):
            # A sign of life from before readings were overdue tells nothing of now.
            lives = _is_within(speaks.control_s, now_s, alive_s)
            lived = speaks.control_s is None or _is_within(last, speaks.control_s, limit_s)
            return "failing" if lives and not lived else "silent"
    else:
        last = _latest(heard.data_s, heard.control_s)
        if not is_declared:
            limit_s = max(limit_s, alive_s)  # no sign comes more often
    return "active" if _is_within(last, now_s, limit_s) else "silent"


def sends_data(component: Component, heard: Heard, server: Component | None = None) -> bool:
    """Tell whether readings are due from a component, at an interval that we know."""
    if heard.data_s is not None:
        return interval_s(component, server) is not None or component.timeout_warning_s is not None
    return component.sensor_interval_s is not None and component.type not in SERVICES


def _latest(*times: float | None) -> float | None:
    return max((time for time in times if time is not None), default=None)


def _is_within(time_s: float | None, now_s: float, limit_s: float) -> bool:
    return time_s is not None and now_s - time_s <= limit_s
