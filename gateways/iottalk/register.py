"""All that a gateway of IoTtalk knows, changed in transactions of its store.

    with register.change() as draft:
        draft.put_device(device)    # and whatever follows, CONNECT and announcements among it
    # committed, and from here on known

A change that fails is not known, in memory either. The devices and graphs themselves are immutable,
so that whoever reads sees them at one moment.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import uuid1, uuid4

from sqlalchemy import Connection, delete

from gateways.iottalk import tables
from gateways.iottalk.dataflow.model import Feature, Graph, Link, Use
from gateways.iottalk.devices import Device, topic_of
from gateways.schema import Refusal, note_refusals, put_out
from gateways.store import Store

log = logging.getLogger(__name__)

RESPONSES = "iottalk/api/res"
MOST_DEVICES = 10_000


@dataclass(frozen=True, slots=True)
class Attached:
    """A graph, and the program that builds it.

    Args:
        client: name of the program in its topics.
        name: of the graph in its topics.
    """

    client: str
    name: str
    graph: Graph
    is_watched: bool = False

    @property
    def topic(self) -> str:
        """Where requests are answered."""
        return f"{RESPONSES}/{self.client}/graph/{self.name}"

    @property
    def monitor(self) -> str:
        """Where it is told what becomes of values, and errors."""
        return f"{self.topic}/monitor"

    def document(self) -> str:
        """Return it as it is kept."""
        return json.dumps(
            {
                "client": self.client,
                "name": self.name,
                "is_watched": self.is_watched,
                "functions": dict(self.graph.functions),
                "join": _of_use(self.graph.join),
                "links": [
                    {
                        "device": link.feature.device,
                        "name": link.feature.name,
                        "kind": link.feature.kind,
                        "use": _of_use(link.use),
                        "input_type": link.input_type,
                        "param_no": link.param_no,
                        "tag_param_no": link.tag_param_no,
                    }
                    for link in self.graph.links
                ],
            }
        )

    @classmethod
    def kept(cls, document: str) -> "Attached":
        """Return it from what was kept."""
        found = json.loads(document)
        links = tuple(
            Link(
                Feature(it["device"], it["name"], it["kind"]),
                _use(it["use"]),
                it["input_type"],
                it["param_no"],
                it["tag_param_no"],
            )
            for it in found["links"]
        )
        key = key_of(found["client"], found["name"])
        graph = Graph(key, found["functions"], links, _use(found["join"]))
        return cls(found["client"], found["name"], graph, found["is_watched"])


def key_of(client: str, name: str) -> str:
    """Return the key of a graph among those of all programs."""
    return f"{client}/{name}"


def _of_use(use: Use | None) -> object:
    return use and [use.digest, use.depends]


def _use(kept: list[object] | None) -> Use | None:
    if kept is None:
        return None
    digest, depends = kept
    return Use.of(str(digest), dict(depends))  # type: ignore[call-overload]


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known at one moment.

    Args:
        clients: programs that are told of devices.
        connections: our data connections by their names, and when they ended, 0 while they have
            not; those whose end the broker told are not among them.
    """

    devices: Mapping[str, Device]
    graphs: Mapping[str, Attached]
    clients: frozenset[str]
    connections: Mapping[str, int]


class Draft:
    """A change under way; see `Register.change`."""

    def __init__(
        self,
        connection: Connection,
        known: Known,
        secret: str,
        mapped: Callable[[Device], frozenset[Feature]],
    ) -> None:
        self.connection = connection
        self.devices = dict(known.devices)
        self.graphs = dict(known.graphs)
        self.clients = set(known.clients)
        self.connections = dict(known.connections)
        self.refusals: list[Refusal] = []
        self.messages: list[tuple[str, object, bool]] = []  # topic, JSON or bytes, retain
        self.changed: set[tuple[str, str]] = set()  # kind and key
        self._secret = secret
        self._mapped = mapped
        self._linked: dict[str, set[Feature]] | None = None

    def say(self, topic: str, message: object, retain: bool = False) -> None:
        """Publish a message when the change is committed."""
        self.messages.append((topic, message, retain))

    # Devices

    def put_device(self, device: Device) -> None:
        """Take a new state of a device; tell it which features are wanted if it is online."""
        self.devices[device.id] = self._connected(device)
        self.changed.add(("device", device.id))

    def remove_device(self, identifier: str) -> None:
        """Forget a device."""
        device = self.devices.pop(identifier)
        self.changed.add(("device", identifier))
        self.say(device.channels[0], b"", retain=True)  # nobody is to find it online later

    def has_room(self) -> bool:
        """Tell whether one more device may come; one that is away and unused leaves for it."""
        if len(self.devices) < MOST_DEVICES:
            return True
        for device in self.devices.values():
            if not (device.online or device.is_internal or self.wanted(device)):
                self.remove_device(device.id)
                return True
        return False

    def announce(self, kind: str, what: object) -> None:
        """Tell all programs that asked for it that a device is online, changed or offline."""
        for client in sorted(self.clients):
            message = {"op": "anno", "timestamp": str(uuid1()), "type": kind, "da": what}
            self.say(f"{RESPONSES}/{client}/device", message)

    def wanted(self, device: Device) -> set[Feature]:
        """Return the features of a device that a graph has, or the bus."""
        if self._linked is None:
            self._linked = {}
            for attached in self.graphs.values():
                for link in attached.graph.links:
                    self._linked.setdefault(link.feature.device, set()).add(link.feature)
        linked = self._linked.get(device.id, set()) | self._mapped(device)
        return {feature for feature, _ in device.features if feature in linked}

    def _connected(self, device: Device) -> Device:
        """Send CONNECT and DISCONNECT for the features that are wanted now, or no longer."""
        if device.is_internal or not device.online:
            return device
        wanted = self.wanted(device)
        unanswered = {key: it for key, it in device.unanswered if it in wanted}
        for feature in sorted(wanted - device.connected, key=str):
            unanswered[self.signal("CONNECT", feature)] = feature
        for feature in sorted(device.connected - wanted, key=str):
            self.signal("DISCONNECT", feature)
        return replace(device, connected=frozenset(wanted), unanswered=tuple(unanswered.items()))

    def signal(self, command: str, feature: Feature, identifier: str = "") -> str:
        """Send a signal to a device; return its identifier."""
        identifier = identifier or uuid4().hex
        message = {
            "command": command,
            "msg_id": identifier,
            feature.kind: feature.name,
            "topic": topic_of(feature, self._secret),
        }
        log.debug("%s to %s: %s", command, feature, message["topic"])
        self.say(f"{feature.device}/ctrl/o", message)
        return identifier

    # Graphs and programs

    def put_graph(self, attached: Attached) -> None:
        """Take a new state of a graph."""
        before = self.graphs.get(attached.graph.key)
        self.graphs[attached.graph.key] = attached
        self._graph_changed(attached, before)

    def remove_graph(self, key: str) -> None:
        """Forget a graph."""
        self._graph_changed(None, self.graphs.pop(key))

    def _graph_changed(self, now: Attached | None, before: Attached | None) -> None:
        some = now or before
        assert some is not None
        self.changed.add(("graph", some.graph.key))
        self._linked = None
        links = [set(it.graph.links) if it else set() for it in (now, before)]
        self.look_again({link.feature.device for link in links[0] ^ links[1]})

    def look_again(self, identifiers: set[str]) -> None:
        """See which features of devices are wanted now."""
        for identifier in sorted(identifiers & self.devices.keys()):
            before = self.devices[identifier]
            device = self._connected(before)
            if device != before:
                self.devices[identifier] = device
                self.changed.add(("device", identifier))

    def attach_client(self, client: str, is_there: bool) -> None:
        """Tell a program of devices from now on, or no more."""
        (self.clients.add if is_there else self.clients.discard)(client)
        self.changed.add(("client", client))

    def put_connection(self, name: str, ended_us: int | None) -> None:
        """Take the state of one of our data connections; None: the broker told its end."""
        if ended_us is None:
            if self.connections.pop(name, None) is None:
                return
        else:
            self.connections[name] = ended_us
        self.changed.add(("connection", name))

    def document(self, kind: str, key: str) -> str | None:
        """Return what is to be kept; None: nothing."""
        if kind == "connection":
            ended_us = self.connections.get(key)
            return None if ended_us is None else json.dumps({"ended_us": ended_us})
        if kind == "client":
            return "{}" if key in self.clients else None
        some: Mapping[str, Device | Attached] = self.devices if kind == "device" else self.graphs
        return some[key].document() if key in some else None


class Register:
    """The devices and graphs of a gateway.

    Args:
        secret: from which topics are made.
        mapped: features of a device that the bus wants.
        applied: called after a change, with what is known and the kinds and keys that changed.
    """

    def __init__(
        self,
        store: Store,
        gateway: str,
        secret: str,
        mapped: Callable[[Device], frozenset[Feature]],
        applied: Callable[[Known, set[tuple[str, str]]], object],
    ) -> None:
        self.store = store
        self.gateway = gateway
        self.secret = secret
        self.known = Known({}, {}, frozenset(), {})
        self._mapped = mapped
        self._applied = applied
        self._is_loaded = False
        self._lock = threading.Lock()

    @contextmanager
    def change(self) -> Iterator[Draft]:
        """Give a change, and commit it at the end; one at a time.

        Raises:
            StoreError: the store is away; nothing has changed.
        """
        with self._lock:
            with self._written() as draft:
                yield draft
            changed = set(draft.changed)
            if not self._is_loaded:
                changed |= {("device", it) for it in draft.devices}
                changed |= {("graph", it) for it in draft.graphs}
            self.known = Known(
                draft.devices, draft.graphs, frozenset(draft.clients), draft.connections
            )
            self._is_loaded = True
            self._applied(self.known, changed)

    @contextmanager
    def _written(self) -> Iterator[Draft]:
        with self.store.writing() as connection:
            before = self.known if self._is_loaded else self._load(connection)
            draft = Draft(connection, before, self.secret, self._mapped)
            yield draft
            for kind, key in draft.changed:
                row = {"gateway": self.gateway, "kind": kind, "key": key}
                document = draft.document(kind, key)
                if document is not None:
                    connection.execute(tables.KEEP, {**row, "document": document})
                else:
                    columns = tables.kept.c
                    connection.execute(
                        delete(tables.kept).where(*(columns[it] == row[it] for it in row))
                    )
            for topic, message, retain in draft.messages:
                payload = message if isinstance(message, bytes) else json.dumps(message).encode()
                put_out(connection, self.gateway, topic, payload, retain=retain)
            if draft.refusals:
                note_refusals(connection, self.gateway, draft.refusals)

    def _load(self, connection: Connection) -> Known:
        devices: dict[str, Device] = {}
        graphs: dict[str, Attached] = {}
        clients: set[str] = set()
        connections: dict[str, int] = {}
        for kind, key, document in tables.documents(connection, self.gateway):
            if kind == "device":
                devices[key] = Device.kept(document)
            elif kind == "graph":
                graphs[key] = Attached.kept(document)
            elif kind == "connection":
                connections[key] = json.loads(document)["ended_us"]
            else:
                clients.add(key)
        return Known(devices, graphs, frozenset(clients), connections)


def refusal(topic: str, reason: str, payload: bytes) -> Refusal:
    """Return a refused message."""
    return Refusal(time.time_ns() // 1000, topic, reason, payload)
