"""A gateway in a node of its own, as tests of whole gateways run it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jph.config.model import Config
from jph.node.building import build
from jph.node.node import Node
from tests.helpers import eventually
from tests.network import running


@contextlib.contextmanager
def gateway_of(config: Config, codifier: str, home: Path) -> Iterator[tuple[Node, Any]]:
    """Run a gateway; give the node and the component when it is connected to its broker."""
    made = []

    def build_and_keep(channel):
        callbacks = build(channel)
        made.append(callbacks.close.__self__)
        return callbacks

    node = Node(config, home)
    node.add(config.components[codifier], build_and_keep)
    with running(node):
        eventually(lambda: made and made[0]._inlet.status.connected, what="it is connected")
        yield node, made[0]
