"""How long a component may be quiet before it counts as silent, and its last value as stale."""

from jph.config.model import Component

SHORTEST_TIMEOUT_S = 10.0  # one late reading of a fast sensor is no news
MISSED = 3  # intervals without a sign before something counts as silent
VALUELESS = frozenset({"Web", "ControlProgram"})  # types that give signs of life and nothing else


def timeout_s(component: Component, server: Component | None = None) -> float:
    """Return how long a component may be quiet, in seconds."""
    if component.timeout_warning_s is not None:
        return component.timeout_warning_s
    value_s = interval_s(component, server)
    if value_s is not None:
        return max(MISSED * value_s, SHORTEST_TIMEOUT_S)
    return MISSED * component.keep_alive_interval_s


def interval_s(component: Component, server: Component | None = None) -> float | None:
    """Return the longest time between two values, None if the configuration has none."""
    if component.type in VALUELESS:  # whatever SensorInterval says
        return None
    found_s = component.sensor_interval_s
    if found_s is None and server is not None:
        found_s = server.sensor_interval_s
    if found_s is None or component.report is None:
        return found_s
    return max(found_s, component.report.silence_s(component.timeout_warning_s) or 0.0)


def sign_interval_s(component: Component, server: Component | None = None) -> float:
    """Return the longest time between two values, or two signs of life where it has none."""
    return interval_s(component, server) or component.keep_alive_interval_s
