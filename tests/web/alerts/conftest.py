"""A real network: a node with pages, history and alerts, and sensors of bare sockets."""

import contextlib
import json
from types import SimpleNamespace

import pytest

from collectors.alerts import component as component_module
from jph.config import loading
from jph.node.building import build
from jph.node.node import Node
from jph.node.reload import Reloader
from jph.registry import NEVER_RUN
from tests.helpers import eventually
from tests.http_server import Server
from tests.http_server import running as serving
from tests.network import Peer, Sensors, running
from tests.web.client import Client
from web.alerts import views
from web.history import event_recorder

STRANGE = '"><img src=x onerror=alert(1)> مرحبا 🌡️ {{ 7 * 7 }}'


def document(bus, *, rules=(), contacts=(), history="sqlite:///history.sqlite", state="memory:"):
    sensor = {"Type": "External", "SensorInterval": 1, "TimeoutWarning": 4, "KeepAliveInterval": 5}
    return bus.document(
        {"Codifier": "A1", "Name": "Boiler", "Symbol": "°C", "Area": "House/Cellar", **sensor},
        {"Codifier": "A2", "Name": STRANGE, "Labels": ["water"], **sensor},
        {"Codifier": "HW", "Type": "HistoryWriter", "DataType": "json", "SensorInterval": 1}
        | {"Sensor": {"URL": history, "BatchTime": 0.2, "StoreTime": 0.2}},
        {"Codifier": "SC", "Type": "StateCache", "SensorInterval": 1, "Sensor": {"URL": state}},
        {
            "Codifier": "AL",
            "Name": "Alerts",
            "Type": "Alerts",
            "DataType": "json",
            "SensorInterval": 1,
            "Control": "enabled",
            "Sensor": {"Rules": list(rules), "Contacts": list(contacts)},
        },
        {"Codifier": "W1", "Name": "Pages", "Type": "Web", "Sensor": {"Port": 0}},
    )


def is_trying(node):
    """Tell whether a change of the configuration is on trial."""
    site = node.runners["W1"].callbacks.close.__self__._site
    trial = site.keeper.trial if "keeper" in vars(site) else None
    return trial is not None and trial.state == "trying"


@pytest.fixture
def start(bus, tmp_path, monkeypatch):
    """Return what starts the network; it stops at the end of the test."""
    monkeypatch.setattr(component_module, "LOOK_S", 0.1)
    monkeypatch.setattr(event_recorder, "WRITE_S", 0.0)
    monkeypatch.setattr(views._send, "__defaults__", (30.0,))  # a busy machine may take long
    with contextlib.ExitStack() as stack:

        def begin(content=None, **given):
            content = content or document(bus, **given)
            path = tmp_path / "network.json"
            path.write_text(json.dumps(content, indent=2))
            home = tmp_path / "home"

            def load():
                return loading.load(str(path), home)

            def own(config):
                return [it for it in config.components.values() if it.type not in NEVER_RUN]

            config = load()
            node = Node(config, home)
            Reloader(node, load, own)
            for component in own(config):
                node.add(component, build)
            stack.enter_context(running(node))
            peer = stack.enter_context(Peer(config, "YY"))
            sensors = stack.enter_context(Sensors(peer))
            stack.callback(eventually, lambda: not is_trying(node), 60)
            greeting = node.runners["W1"].callbacks.greeting()
            address, link = (line.split()[-1] for line in greeting.splitlines())
            return SimpleNamespace(
                node=node, sensors=sensors, path=path, home=home, address=address, link=link
            )

        yield begin


@pytest.fixture
def hook():
    """Yield an HTTP server that contacts and browsers are told by."""
    with serving(Server()) as started:
        yield started


@pytest.fixture
def signed_in():
    """Return what makes a client that came by the one-time link."""

    def make(network):
        client = Client(int(network.address.rstrip("/").rpartition(":")[2]))
        assert client.follow_link(network.link).status == 303
        return client

    return make
