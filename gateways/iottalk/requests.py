"""The management API: requests of programs that build graphs, and their answers.

    iottalk/api/req/<client>/graph/<graph>   attach, detach, add_funcs, …, on one graph
    iottalk/api/req/<client>/graph           detach all graphs of the client
    iottalk/api/req/<client>/device          attach, detach: be told of devices
    iottalk/api/req/<client>                 detach all

Each request is answered at the same place below `iottalk/api/res`: the request with "state": "ok",
or with "state": "error" and the reason.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from gateways.iottalk.dataflow.model import Feature, Graph, Link, Use
from gateways.iottalk.dataflow.values import MOST_VALUES
from gateways.iottalk.devices import KINDS, identified
from gateways.iottalk.register import RESPONSES, Attached, Draft, key_of, refusal
from gateways.iottalk.values import object_of
from gateways.message import Message

log = logging.getLogger(__name__)

REQUESTS = "iottalk/api/req"
TOPICS = f"{REQUESTS}/#"
MOST_GRAPHS = 1_000
MOST_PIECES, MOST_KEPT = 16, 1 << 16  # topics whose lines are kept, and bytes of each
MOST_CLIENTS = 100  # that are told of devices
MOST_NAME = 200  # characters of a program or a graph

Answer = dict[str, Any]


class Pieces:
    """Puts the lines of a request together again.

    The description of IoTtalk has a shell write requests. Where the shell's `echo` makes a line end
    of each `\\n`, as that of Debian does, `mosquitto_pub -l` sends one request as several messages.
    """

    def __init__(self, kept: Mapping[str, bytes] = MappingProxyType({})) -> None:
        self._kept = dict(kept)  # by topic: what no JSON began

    def copy(self) -> "Pieces":
        """Return pieces of their own, for a change that may fail and be tried again."""
        return Pieces(self._kept)

    def whole(self, topic: str, payload: bytes) -> dict[str, Any]:
        """Return the request that a message is, or that it ends.

        Raises:
            ValueError: it is none, or not yet.
        """
        before = self._kept.pop(topic, b"")
        try:
            return object_of(payload)
        except ValueError as error:
            if before:
                payload = before + b"\\n" + payload
                with suppress(ValueError):
                    return object_of(payload)
            if payload.startswith(b"{") and len(payload) <= MOST_KEPT:
                self._kept[topic] = payload
                if len(self._kept) > MOST_PIECES:
                    del self._kept[next(iter(self._kept))]
            raise error


def take(draft: Draft, message: Message, pieces: Pieces) -> None:
    """Take a request from the broker, and answer it there."""
    place = message.topic.removeprefix(f"{REQUESTS}/")
    topic = f"{RESPONSES}/{place}"
    if message.retained:
        draft.refusals.append(refusal(message.topic, "a retained request", message.payload))
        return
    try:
        request = pieces.whole(message.topic, message.payload)
    except ValueError as error:
        answer: Answer = {"state": "error", "reason": str(error)}
    else:
        answer = asked(draft, place, request)
    if answer["state"] == "error":
        reason = "a request with a mistake"
        draft.refusals.append(refusal(message.topic, reason, message.payload))
    log.debug("%s: %.1000r: %s", place, message.payload, answer.get("reason") or answer["state"])
    draft.say(topic, answer)


def asked(draft: Draft, place: str, request: Mapping[str, Any]) -> Answer:
    """Do what a request asks, or nothing of it; return the answer.

    Args:
        place: the levels of its topic behind `iottalk/api/req/`.
    """
    try:
        names = place.split("/")
        if any(len(name) > MOST_NAME or set(name) & set("+#\0") for name in names):
            raise ValueError(f"a name has at most {MOST_NAME} characters, and no + and #")
        match names:
            case [client, "graph", name] if client and name:
                answer = _of_graph(draft, request, client, name)
            case [client] | [client, "graph" | "device"] if client:
                answer = _of_client(draft, request, client, place.partition("/")[2])
            case _:
                raise ValueError(f"unknown api: {place}")
    except (ValueError, TypeError) as error:
        return {**request, "state": "error", "reason": str(error)}
    return {**answer, "state": "ok"}


def _of_client(draft: Draft, request: Mapping[str, Any], client: str, part: str) -> Answer:
    op = request.get("op")
    if op == "attach" and part == "device":
        if client not in draft.clients and len(draft.clients) >= MOST_CLIENTS:
            raise ValueError(f"at most {MOST_CLIENTS} programs are told of devices")
        draft.attach_client(client, True)
        online = (device for device in draft.devices.values() if device.online)
        return {**request, "da_list": {device.id: device.public() for device in online}}
    if op != "detach":
        raise ValueError(f"unknown op: {op!r:.60}")
    if part in ("", "device") and client in draft.clients:
        draft.attach_client(client, False)
    if part in ("", "graph"):
        for key in [key for key, it in draft.graphs.items() if it.client == client]:
            draft.remove_graph(key)
    return dict(request)


def _of_graph(draft: Draft, request: Mapping[str, Any], client: str, name: str) -> Answer:
    op, key = request.get("op"), key_of(client, name)
    attached = draft.graphs.get(key)
    if op == "attach":
        if attached is None:
            if len(draft.graphs) >= MOST_GRAPHS:
                raise ValueError(f"there are {MOST_GRAPHS} graphs, and no room for more")
            draft.put_graph(Attached(client, name, Graph(key)))
        return dict(request)
    if attached is None:
        raise ValueError(f"Unknown graph id {name}")
    if op == "detach":
        draft.remove_graph(key)
        return dict(request)
    if op in ("start_monitor", "stop_monitor"):
        draft.put_graph(replace(attached, is_watched=op == "start_monitor"))
        return {**request, "monitor_topics": [attached.monitor]}
    change = CHANGES.get(op) if isinstance(op, str) else None
    if change is None:
        raise ValueError(f"unknown op: {op!r:.60}")
    draft.put_graph(replace(attached, graph=change(draft, attached.graph, request)))
    answer = dict(request)
    answer.pop("codes", None)
    return answer


def _add_functions(draft: Draft, graph: Graph, request: Mapping[str, Any]) -> Graph:
    codes, digests = _texts(request, "codes"), _texts(request, "digests")
    if len(codes) != len(digests):
        raise ValueError(f"there are {len(codes)} codes and {len(digests)} digests")
    return graph.add_functions(codes, digests)


def _remove_functions(draft: Draft, graph: Graph, request: Mapping[str, Any]) -> Graph:
    return graph.remove_functions(_texts(request, "digests"))


def _add_link(draft: Draft, graph: Graph, request: Mapping[str, Any]) -> Graph:
    feature = _feature(request)
    device = draft.devices.get(feature.device)
    if device is None:
        raise ValueError(f"unknown device {feature.device}; it has to register first")
    dimension = device.dimension(feature)
    if dimension is None:
        raise ValueError(f"{device.name} has no {feature.kind} {feature.name!r:.60}")
    count = _count(request, "param_no")
    return graph.add_link(
        Link(
            feature,
            _used(request, "func"),
            request.get("input_type") or "sample",
            dimension if count is None else count,
            _count(request, "tag_param_no") or 0,
        )
    )


def _remove_link(draft: Draft, graph: Graph, request: Mapping[str, Any]) -> Graph:
    return graph.remove_link(_feature(request))


def _set_join(draft: Draft, graph: Graph, request: Mapping[str, Any]) -> Graph:
    return graph.set_join(_digest(request, "prev"), _used(request, "new"))


def _set_function(draft: Draft, graph: Graph, request: Mapping[str, Any]) -> Graph:
    input_type = request.get("input_type")
    if input_type not in (None, "sample", "variant"):
        raise ValueError(f"input_type is sample or variant, not {input_type!r:.60}")
    feature, used = _feature(request), _used(request, "new")
    return graph.set_function(feature, _digest(request, "prev"), used, input_type)


CHANGES: Mapping[str, Callable[[Draft, Graph, Mapping[str, Any]], Graph]] = {
    "add_funcs": _add_functions,
    "rm_funcs": _remove_functions,
    "add_link": _add_link,
    "rm_link": _remove_link,
    "set_join": _set_join,
    "set_df_func": _set_function,
}


def _feature(request: Mapping[str, Any]) -> Feature:
    kinds = [kind for kind in KINDS if kind in request]
    if len(kinds) != 1:
        raise ValueError("name either an idf or an odf")
    device, name = request.get("da_id"), request[kinds[0]]
    if not isinstance(device, str) or not isinstance(name, str):
        raise ValueError(f"da_id and {kinds[0]} are texts")
    with suppress(ValueError):
        device = identified(device)
    return Feature(device, name, kinds[0])


def _used(request: Mapping[str, Any], key: str) -> Use | None:
    depends = request.get("depends") or {}
    if not isinstance(depends, dict) or not all(isinstance(it, str) for it in depends.values()):
        raise ValueError("depends: an object of names and digests")
    if wrong := [alias for alias in depends if not alias.isidentifier()]:
        raise ValueError(f"depends: {wrong[0]!r:.60} is no name of Python")
    return Use.of(_digest(request, key), depends)


def _digest(request: Mapping[str, Any], key: str) -> str | None:
    digest = request.get(key)
    if digest is not None and not isinstance(digest, str):
        raise ValueError(f"{key}: a digest, or null")
    return digest


def _texts(request: Mapping[str, Any], key: str) -> list[str]:
    texts = request.get(key)
    if not isinstance(texts, list) or not all(isinstance(it, str) for it in texts):
        raise ValueError(f"{key}: a list of texts")
    return texts


def _count(request: Mapping[str, Any], key: str) -> int | None:
    count = request.get(key)
    if count is None:
        return None
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MOST_VALUES:
        raise ValueError(f"{key}: a whole number from 0 to {MOST_VALUES}")
    return count
