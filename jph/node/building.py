"""From an entry of the configuration to a component at work: its class, its settings, its place."""

from dataclasses import fields, is_dataclass

from jph import registry
from jph.errors import ConfigError
from jph.node.channel import Channel
from jph.node.logs import AT_WORK
from jph.node.runner import Callbacks, callbacks_of
from jph.settings import arguments


def build(channel: Channel) -> Callbacks:
    """Make the component that a channel is for, and return its callbacks.

    A dataclass gets its settings as arguments, and of `codifier`, `channel`, `config` and `home`
    those it has fields for. Any other class gets the channel.

    Raises:
        ConfigError: no such type, wrong settings, or a package that it needs is not installed.
        ChannelError: something it needs is taken, such as a port.
    """
    token = AT_WORK.set(channel.codifier)
    try:
        return _build(channel)
    finally:
        AT_WORK.reset(token)


def _build(channel: Channel) -> Callbacks:
    component = channel.component
    cls = registry.find(component.type)
    if not is_dataclass(cls):
        return callbacks_of(cls(channel), channel)
    place = f"Sensors[{component.index}].Sensor"
    try:
        given = arguments(cls, component.settings, place)
        offered = {
            "codifier": channel.codifier,
            "channel": channel,
            "config": channel.config,
            "home": channel.home,
        }
        names = {field.name for field in fields(cls) if field.init}
        made = cls(**given, **{name: offered[name] for name in names & offered.keys()})
    except ConfigError as error:
        raise ConfigError(error.mistakes, channel.config.source) from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{place}: {error}", channel.config.source) from error
    return callbacks_of(made, channel)
