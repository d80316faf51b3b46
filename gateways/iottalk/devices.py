"""Devices of IoTtalk: what they register, and their channels. Pure, no I/O."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from gateways.iottalk.dataflow.model import Feature, Kind

MOST_FEATURES = 1_000
MOST_NAME = 200  # characters
MOST_DIMENSIONS = 256
KINDS: tuple[Kind, Kind] = ("idf", "odf")

Features = tuple[tuple[str, tuple[str | None, ...]], ...]  # name, and a unit for each value


class NotRecognized(ValueError):
    """A registration that no device makes."""


class NoProtocol(ValueError):
    """A device that speaks no protocol of ours."""


@dataclass(frozen=True, slots=True)
class Device:
    """A registered device.

    Args:
        rev: of its registration; what it says with another one is of an earlier.
        connected: features that were told their topic since it came online.
        unanswered: features by the identifier of the message that told them.
        is_internal: it is no program elsewhere, and always online.
        heard_us: when it came online, or answered a signal last.
        heard_on: on which run of our broker that was.
    """

    id: str
    name: str
    rev: str
    idf_list: Features = ()
    odf_list: Features = ()
    accept_protos: tuple[str, ...] = ("mqtt",)
    profile: Mapping[str, Any] = field(default_factory=dict)
    online: bool = False
    connected: frozenset[Feature] = frozenset()
    unanswered: tuple[tuple[str, Feature], ...] = ()
    is_internal: bool = False
    heard_us: int = field(default=0, compare=False)
    heard_on: str = field(default="", compare=False)

    @property
    def channels(self) -> tuple[str, str]:
        """The topics on which it speaks, and is spoken to."""
        return f"{self.id}/ctrl/i", f"{self.id}/ctrl/o"

    @property
    def features(self) -> Iterable[tuple[Feature, int]]:
        """Yield its features, and how many values they have."""
        for kind, listed in zip(KINDS, (self.idf_list, self.odf_list), strict=True):
            for name, units in listed:
                yield Feature(self.id, name, kind), len(units)

    def dimension(self, feature: Feature) -> int | None:
        """Return how many values a feature has; None: it has no such feature."""
        return dict(self.features).get(feature)

    def public(self) -> dict[str, object]:
        """Return it as programs get it that build graphs."""
        return {
            "id": self.id,
            "name": self.name,
            "idf_list": self.idf_list,
            "odf_list": self.odf_list,
        }

    def document(self) -> str:
        """Return it as it is kept."""
        return json.dumps(
            {
                **self.public(),
                "rev": self.rev,
                "accept_protos": self.accept_protos,
                "profile": self.profile,
                "online": self.online,
                "connected": [[it.kind, it.name] for it in sorted(self.connected, key=str)],
                "unanswered": [[key, it.kind, it.name] for key, it in self.unanswered],
                "is_internal": self.is_internal,
                "heard_us": self.heard_us,
                "heard_on": self.heard_on,
            }
        )

    @classmethod
    def kept(cls, document: str) -> "Device":
        """Return it from what was kept."""
        found = json.loads(document)
        of = found["id"]
        return cls(
            **{
                **found,
                "idf_list": _listed(found["idf_list"]),
                "odf_list": _listed(found["odf_list"]),
                "accept_protos": tuple(found["accept_protos"]),
                "connected": frozenset(Feature(of, name, it) for it, name in found["connected"]),
                "unanswered": tuple(
                    (key, Feature(of, name, it)) for key, it, name in found["unanswered"]
                ),
            }
        )

    @classmethod
    def internal(
        cls, id: str, name: str, idf_list: Any, odf_list: Any, profile: Mapping[str, Any]
    ) -> "Device":
        """Return a device that is no program elsewhere, by its registration."""
        inputs, outputs = _listed(idf_list), _listed(odf_list)
        return cls(id, name, id, inputs, outputs, (), profile, online=True, is_internal=True)

    def heard(self, at_us: int, on: str) -> "Device":
        """Return it when it was heard on its control channel."""
        return replace(self, heard_us=at_us, heard_on=on)

    def gone(self) -> "Device":
        """Return it when it has gone offline."""
        return replace(self, online=False, connected=frozenset(), unanswered=())


@dataclass(frozen=True, slots=True)
class Reached:
    """How devices reach the broker.

    Args:
        host: its name; empty: the one by which we are asked.
        web_socket: port of MQTT over WebSocket, for device applications in browsers.
        web_socket_tls: whether it has TLS.
        web_socket_path: where it is; nats-server has it at `/mqtt`, mosquitto at any path.
        user: account that devices get, if they need one.
    """

    host: str
    port: int
    tls: bool
    web_socket: int | None
    web_socket_tls: bool
    web_socket_path: str
    user: str = ""
    password: str = field(default="", repr=False)

    def answer(self, asked: str) -> dict[str, object]:
        """Return what a registration is told of it."""
        url = {
            "scheme": "mqtts" if self.tls else "mqtt",
            "host": self.host or asked,
            "port": self.port,
            "ws_scheme": "wss" if self.web_socket_tls else "ws",
            "ws_port": self.web_socket,
            "ws_path": self.web_socket_path,
        }
        account = {"username": self.user, "password": self.password} if self.user else {}
        return {"url": url, **account}


def _listed(given: Iterable[tuple[str, Iterable[str | None]]]) -> Features:
    return tuple((name, tuple(units)) for name, units in given)


def identified(text: str) -> str:
    """Return an identifier of a device as it is kept; ValueError if it is no UUID."""
    return str(UUID(text))


def registered(identifier: str, body: object, names: Iterable[str] = ()) -> Device:
    """Return a device by what it registers.

    Args:
        names: that other devices have; a device without a name gets one beside them.

    Raises:
        NotRecognized: a part is missing, or is no such thing.
        NoProtocol: it does not accept mqtt.
    """
    if not isinstance(body, dict):
        raise NotRecognized("the body is no JSON object")
    name = body.get("name")
    if name is not None and (not isinstance(name, str) or not 0 < len(name) <= MOST_NAME):
        raise NotRecognized(f"name: no text of 1 to {MOST_NAME} characters")
    protocols = body.get("accept_protos")
    if not isinstance(protocols, list) or not all(isinstance(it, str) for it in protocols):
        raise NotRecognized('accept_protos: no list of names, such as ["mqtt"]')
    if "mqtt" not in protocols:
        raise NoProtocol("accept_protos: this server speaks mqtt only")
    profile = body.get("profile") or {}
    if not isinstance(profile, dict):
        raise NotRecognized("profile: no JSON object")
    inputs, outputs = (_features(body.get(f"{kind}_list"), f"{kind}_list") for kind in KINDS)
    if not inputs and not outputs:
        raise NotRecognized("idf_list, odf_list: a device has at least one feature")
    return Device(
        identifier,
        name or _free_name(identifier, names),
        str(uuid4()),
        inputs,
        outputs,
        tuple(protocols),
        profile,
    )


def _features(given: object, where: str) -> Features:
    if given is None:
        return ()
    if not isinstance(given, list) or len(given) > MOST_FEATURES:
        raise NotRecognized(f"{where}: no list of at most {MOST_FEATURES} features")
    found: dict[str, tuple[str | None, ...]] = {}
    for each in given:
        name, units = _pair([each, [None]] if isinstance(each, str) else each, where)
        if not isinstance(name, str) or not 0 < len(name) <= MOST_NAME:
            raise NotRecognized(f"{where}: {name!r:.60} is no name of a feature")
        if name in found:
            raise NotRecognized(f"{where}: {name!r:.60} is there twice")
        units = list(units) if isinstance(units, list) else [units]
        if len(units) > MOST_DIMENSIONS:
            raise NotRecognized(f"{where}: {name!r:.60} has more than {MOST_DIMENSIONS} values")
        if not all(unit is None or isinstance(unit, str) for unit in units):
            raise NotRecognized(f"{where}: units of {name!r:.60} are texts, or null")
        found[name] = tuple(units) or (None,)
    return tuple(found.items())


def _pair(given: object, where: str) -> tuple[Any, Any]:
    if not isinstance(given, list) or len(given) != 2:
        raise NotRecognized(f'{where}: a feature is ["name", ["unit"]], not {given!r:.60}')
    return given[0], given[1]


def _free_name(identifier: str, names: Iterable[str]) -> str:
    taken, number = set(names), 1
    start = f"device-{identifier[:4]}"
    name = start
    while name in taken:
        number += 1
        name = f"{start}-{number}"
    return name


def topic_of(feature: Feature, secret: str) -> str:
    """Return the topic of a feature's values: the same at each time, and nobody can guess it."""
    key = uuid5(NAMESPACE_OID, f"{secret} {feature.device} {feature.kind} {feature.name}")
    # Apart from each other, so that what we publish does not come back to us.
    return f"iottalk/esm/{key}" if feature.kind == "idf" else f"iottalk/esm/{key}/o"
