"""A gateway in a node of its own, as tests of whole gateways run it."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jph.config.model import Config
from jph.node.building import build
from jph.node.channel import Channel
from jph.node.node import Node
from jph.node.runner import Callbacks
from tests.helpers import eventually
from tests.network import running


def kept(made: list[Any]) -> Callable[[Channel], Callbacks]:
    """Return what builds a component for a node, and adds it to a list."""

    def build_and_keep(channel: Channel) -> Callbacks:
        callbacks = build(channel)
        made.append(callbacks.close.__self__)
        return callbacks

    return build_and_keep


@contextlib.contextmanager
def component_of(config: Config, codifier: str, home: Path) -> Iterator[None]:
    """Run one component of a configuration, such as its Broker."""
    node = Node(config, home)
    node.add(config.components[codifier], build)
    with running(node):
        yield


@contextlib.contextmanager
def gateway_of(config: Config, codifier: str, home: Path) -> Iterator[tuple[Node, Any]]:
    """Run a gateway; give the node and the component when it is connected to its broker."""
    made: list[Any] = []
    node = Node(config, home)
    node.add(config.components[codifier], kept(made))
    with running(node):
        eventually(lambda: made and made[0]._inlet.status.connected, what="it is connected")
        yield node, made[0]
