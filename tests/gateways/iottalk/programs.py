"""A device and a program of IoTtalk over paho, and the gateway that serves them."""

import contextlib
import json
import queue
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from gateways.iottalk.dataflow.model import digest_of
from tests.gateways.node import gateway_of
from tests.helpers import eventually
from tests.network import config_of

WAIT_S = 30.0


def network(broker, *more, **settings):
    """Return a configuration with a gateway of IoTtalk, and more components."""
    own = {"Broker": broker.url, "Port": 0, **settings}
    return config_of(
        {
            "Codifier": "IT",
            "Type": "IotTalk",
            "SensorInterval": 1,
            "DataType": "json",
            "Sensor": own,
        },
        *more,
    )


@contextlib.contextmanager
def gateway(config, home):
    """Run the gateway; give the node and the component."""
    with gateway_of(config, "IT", home) as (node, component):
        eventually(lambda: component._channels.is_connected, what="it hears values")
        yield node, component


def ask(component, method, path, content=None, token=None, kind="application/json"):
    """Send a request; return status and JSON of the answer."""
    url = f"http://127.0.0.1:{component.bound_port}{path}"
    data = None if content is None else json.dumps(content).encode()
    headers = {"Content-Type": kind} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


class Device:
    """A device application, as the description shows one."""

    def __init__(self, client, component, idf=(), odf=(), identifier=None, **more) -> None:
        self.id = identifier or str(uuid4())
        self.client = client
        self.component = component
        self.body = {"accept_protos": ["mqtt"], "profile": {"model": "AI"}, **more}
        self.body |= {"idf_list": [list(it) for it in idf], "odf_list": [list(it) for it in odf]}
        self.topics: dict[str, str] = {}
        self._heard: set[str] = set()
        self.signals: queue.Queue[dict[str, Any]] = queue.Queue()
        self.values: queue.Queue[tuple[str, Any]] = queue.Queue()

    def register(self) -> dict[str, Any]:
        """Register and come online."""
        status, answer = ask(self.component, "PUT", f"/{self.id}", self.body)
        assert status == 200, answer
        self.rev = answer["rev"]
        self.up, self.down = answer["ctrl_chans"]
        self.client.message_callback_add(self.down, self._on_signal)
        self.client.subscribe(self.down, 2)
        self.say("online")
        return answer

    def say(self, state: str, rev: str | None = None) -> None:
        said = json.dumps({"state": state, "rev": rev or self.rev})
        self.client.publish(self.up, said, 2, retain=True).wait_for_publish(WAIT_S)

    def _on_signal(self, client, userdata, message) -> None:
        signal = json.loads(message.payload)
        name = signal.get("odf") or signal["idf"]
        is_new = signal["msg_id"] not in self._heard  # what is not answered at once comes again
        self._heard.add(signal["msg_id"])
        if signal["command"] == "CONNECT":
            self.topics[name] = signal["topic"]
            if "odf" in signal:
                client.message_callback_add(signal["topic"], self._on_value(name))
                client.subscribe(signal["topic"])
        else:
            self.topics.pop(name, None)
        client.publish(self.up, json.dumps({"msg_id": signal["msg_id"], "state": "ok"}), 2)
        if is_new:
            self.signals.put(signal)

    def _on_value(self, name: str) -> Callable[..., None]:
        return lambda client, userdata, message: self.values.put(
            (name, json.loads(message.payload))
        )

    def signal(self) -> tuple[str, str]:
        """Return the next signal."""
        signal = self.signals.get(timeout=WAIT_S)
        return signal["command"], signal.get("odf") or signal["idf"]

    def push(self, name: str, value: object, qos: int = 1) -> None:
        """Publish a value of an input feature."""
        self.client.publish(self.topics[name], json.dumps(value), qos)

    def value(self) -> tuple[str, Any]:
        """Return the next value of an output feature."""
        return self.values.get(timeout=WAIT_S)


class Program:
    """A program that builds graphs through the management API."""

    def __init__(self, client, name="gui") -> None:
        self.client = client
        self.name = name
        self.answers: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.told: queue.Queue[dict[str, Any]] = queue.Queue()
        self.monitored: queue.Queue[dict[str, Any]] = queue.Queue()
        topic = f"iottalk/api/res/{name}"
        for place, into in (("device", self.told), ("graph/+/monitor", self.monitored)):
            client.message_callback_add(f"{topic}/{place}", self._into(into))
        client.message_callback_add(f"{topic}/graph/+", self._on_answer)
        subscribed = []
        client.on_subscribe = lambda *given: subscribed.append(given)
        client.subscribe(f"{topic}/#", 1)
        eventually(lambda: subscribed, what="it is subscribed")

    @staticmethod
    def _into(into: "queue.Queue[dict[str, Any]]") -> Callable[..., None]:
        return lambda client, userdata, message: into.put(json.loads(message.payload))

    def _on_answer(self, client, userdata, message) -> None:
        self.answers.put((message.topic, json.loads(message.payload)))

    def send(self, place: str, payload: bytes | dict[str, Any]) -> None:
        """Publish a request."""
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        where = f"iottalk/api/req/{self.name}{place}"
        self.client.publish(where, data, 1).wait_for_publish(WAIT_S)

    def ask(self, op: str, graph: str = "1", **more: object) -> dict[str, Any]:
        """Send a request on a graph; return the answer."""
        self.send(f"/graph/{graph}", {"op": op, **more})
        topic, answer = self.answers.get(timeout=WAIT_S)
        assert topic == f"iottalk/api/res/{self.name}/graph/{graph}"
        return answer

    def must(self, op: str, graph: str = "1", **more: object) -> dict[str, Any]:
        """Send a request that is answered with ok."""
        answer = self.ask(op, graph, **more)
        assert answer["state"] == "ok", answer
        return answer

    def functions(self, *sources: str, graph: str = "1") -> list[str]:
        """Add functions; return their digests."""
        digests = [digest_of(source) for source in sources]
        self.must("add_funcs", graph, codes=list(sources), digests=digests)
        return digests
