"""A network whose configuration is a file, with a node, its pages, and a reloader."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from jph.config import loading
from jph.config.checks import runs_everything
from jph.node.building import build
from jph.node.node import Node
from jph.node.reload import Reloader
from tests.helpers import eventually, new_bus
from tests.network import running
from tests.web.client import Client


class Network:
    """One node with pages; `path` is the file of its configuration."""

    def __init__(
        self, folder: Path, path: Path, here: set[str] | None = None, port: int | None = None
    ) -> None:
        self.path = path
        self.home = folder / "home"

        def load() -> Any:
            return loading.load(path, self.home, runs=runs_everything, port=port)

        self.node = Node(load(), self.home)

        def chosen(config: Any) -> list[Any]:
            return [it for it in config.components.values() if here is None or it.codifier in here]

        Reloader(self.node, load, chosen)
        for component in chosen(self.node.config):
            self.node.add(component, build)

    @property
    def web(self) -> Any:
        """The Web component of now."""
        return self.node.runners["W1"].callbacks.close.__self__

    @property
    def keeper(self) -> Any:
        return self.web._site.keeper

    def strangers(self) -> list[str]:
        """Return the Codifiers that are heard but not configured."""
        return [it.codifier for it in self.web._site.records.strangers.lately()]

    def client(self) -> Client:
        """Return a browser without scripts that has signed in."""
        client = Client(self.web.bound_port)
        client.follow_link(self.web.sign_in_url())
        return client

    def in_force(self) -> Any:
        """Wait until no change is on trial any more; return the last one."""
        eventually(lambda: self.keeper.trial is None or self.keeper.trial.state != "trying", 40)
        return self.keeper.trial


def entry(codifier: str, **more: Any) -> dict[str, Any]:
    return {"Codifier": codifier, "Type": "Simulated", "SensorInterval": 5, **more}


@pytest.fixture
def document(server: str) -> dict[str, Any]:
    return new_bus().document(
        entry("A1", Name="Kitchen", __comment="on the shelf"),
        entry("A2", Name="Cellar"),
        {"Codifier": "W1", "Type": "Web", "Sensor": {"Port": 0, "Server": server}},
    )


@pytest.fixture
def path(tmp_path: Path, document: dict[str, Any]) -> Path:
    place = tmp_path / "network.json"
    place.write_text(json.dumps(document, indent=2))
    return place


@pytest.fixture
def make_network(tmp_path: Path) -> Iterator[Callable[..., Network]]:
    with ExitStack() as stack:

        def make(path: Path, **options: Any) -> Network:
            network = Network(tmp_path, path, **options)
            stack.enter_context(running(network.node))
            eventually(lambda: network.keeper._served is not None)
            return network

        yield make


@pytest.fixture
def network(make_network: Callable[..., Network], path: Path) -> Network:
    return make_network(path)
