"""Who may publish what on a broker of ours. Pure, no I/O.

A gateway's class tells by `rights(settings)` what it needs; `%s` stands for the name of an account,
which is the identifier of a sensor.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jph import registry
from jph.config.model import Config
from jph.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Rights:
    """The topics of one gateway.

    Args:
        own: filters of what only we may publish, and everybody reads.
        devices: what a device publishes, with %s for its identifier.
        reads: what a device alone may read, with %s for its identifier.
        programs: what programs such as Home Assistant publish, and devices do not.
    """

    own: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


def rights_on(config: Config, broker: str) -> Rights:
    """Return the rights of all gateways that use a Broker, by its Codifier."""
    found = [
        _rights_of(component.type, component.settings)
        for component in config.components.values()
        if component.settings.get("Broker") == broker
    ]
    return Rights(
        _joined(rights.own for rights in found),
        _joined(rights.devices for rights in found),
        _joined(rights.reads for rights in found),
        _joined(rights.programs for rights in found),
    )


def _rights_of(type_name: str, settings: Mapping[str, Any]) -> Rights:
    try:
        rights = getattr(registry.find(type_name), "rights", None)
    except ConfigError:  # which says itself what it lacks
        return Rights()
    return rights(settings) if rights is not None else Rights()


def _joined(parts: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(topic for part in parts for topic in part))
