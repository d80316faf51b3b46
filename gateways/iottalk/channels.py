"""Data channels: values of devices come in, those of graphs go out, and both to the bus.

Values are of the moment: they are not stored, and those that come while this gateway is away are
not waited for. So they have a connection of their own, and wait for no commit.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gateways.address import BrokerAddress
from gateways.connection import Connection
from gateways.iottalk.dataflow.model import Feature
from gateways.iottalk.devices import Device, topic_of
from gateways.iottalk.paced import Paced, Value
from gateways.iottalk.proxies import Proxies
from gateways.iottalk.register import Known, refusal
from gateways.iottalk.values import MOST_BYTES, NotTaken, payload_of, values_of
from gateways.iottalk.wills import Wills
from gateways.mapping import MappedReading
from gateways.mapping import Mapping as BusMapping
from gateways.message import Message
from gateways.schema import Refusal

VALUES = "iottalk/esm/+"
MOST_REFUSALS = 200  # until they are taken
MOST_PAYLOAD = 2048  # kept of one
MOST_LEAVING = 4 << 20  # bytes that wait for a broker that reads nothing

Codifiers = dict[tuple[str, str], list[tuple[str, int]]]  # of device and feature


class Channels:
    """The data channels of all devices.

    Args:
        secret: from which topics are made.
        wills: gives its connections their names, and is told of them.
        push: called as push(device, feature, values, bytes) with what a device sends.
    """

    def __init__(
        self,
        address: BrokerAddress,
        wills: Wills,
        secret: str,
        mapping: BusMapping,
        push: Callable[[str, str, object, int], object],
    ) -> None:
        self.counts = {"values": 0, "published": 0, "not_published": 0, "refused": 0}
        self.seen_ms: dict[str, int] = {}  # by device
        self.codifiers: Codifiers = {}
        self.last: dict[tuple[str, str], tuple[int, list[object]]] = {}
        self._secret = secret
        self._wills = wills
        self._mapping = mapping
        self._push = push
        self._inputs: dict[str, Feature] = {}  # by topic
        self._outputs: dict[tuple[str, str], str] = {}  # topics by device and feature
        self._taken: dict[str, list[tuple[dict[Any, Any], object]]] = {}  # by device
        self._refused: deque[Refusal] = deque(maxlen=MOST_REFUSALS)
        self._connection = Connection(
            address,
            "",
            (VALUES,),
            has_room=lambda: True,
            on_message=self._on_message,
            on_state=lambda connected, reason: wills.note("data", connected),
            most_bytes=MOST_BYTES,
            keeps=False,
            renewed=wills.renewed,
        )
        self._connection.on_subscribed = self._on_connected
        self._connection.on_published = self._on_published
        self._leaving: deque[int] = deque()  # sizes of messages that are not written yet
        self._leaving_bytes = 0
        self._lock = threading.Lock()
        self.start = self._connection.start
        self._paced = Paced("iottalk-outputs", self._send)

    @property
    def is_connected(self) -> bool:
        """Whether values come and go."""
        return bool(self._connection.number)

    def take(self, known: Known, proxies: Proxies, changed: Iterable[str]) -> None:
        """Take the devices that have changed; those that are not known have left."""
        for identifier in changed:
            before = self._taken.pop(identifier, [])
            device = known.devices.get(identifier)
            if device is not None and not device.is_internal:
                # First what it has now, so that no value falls between.
                self._taken[identifier] = list(self._put(device, proxies))
            there = {(id(found), key) for found, key in self._taken.get(identifier, ())}
            for found, key in before:
                if (id(found), key) not in there:
                    found.pop(key, None)
            if device is None:
                self.seen_ms.pop(identifier, None)
                for key in [key for key in list(self.last) if key[0] == identifier]:
                    self.last.pop(key, None)

    def _put(self, device: Device, proxies: Proxies) -> Iterator[tuple[dict[Any, Any], object]]:
        """Note what a device has; yield each place and key where it is noted."""
        for feature, _ in device.features:
            topic = topic_of(feature, self._secret)
            if feature.kind == "idf":
                self._inputs[topic] = feature
                yield self._inputs, topic
            else:
                self._outputs[device.id, feature.name] = topic
                yield self._outputs, (device.id, feature.name)
        for key, some in proxies.codifiers(device).items():
            self.codifiers[key] = some
            yield self.codifiers, key

    def refusals(self) -> list[Refusal]:
        """Return the values that were refused since the last call, the last ones if many were."""
        return [self._refused.popleft() for _ in range(len(self._refused))]

    def bring(self, device: str, feature: str, values: list[object]) -> None:
        """Publish a value of an output feature; any thread may call."""
        topic = self._outputs.get((device, feature))
        if topic is not None:
            self.publish(topic, values)
            for codifier, value in self._note(device, feature, values):
                self._paced.offer(codifier, value)

    def publish(self, topic: str, message: object) -> None:
        """Publish JSON, if there is a connection now, and the broker reads what it is sent."""
        is_taken = self._publish(topic, payload_of(message), 0)
        self.counts["published" if is_taken else "not_published"] += 1

    def say_began(self) -> None:
        """Say that the present connection began; see `Wills`."""
        self._publish(self._wills.topic, self._wills.began(), 1)

    def _publish(self, topic: str, payload: bytes, qos: int) -> bool:
        with self._lock:
            is_taken = self._leaving_bytes < MOST_LEAVING
            if is_taken:
                self._leaving.append(len(payload))
                self._leaving_bytes += len(payload)
        if is_taken and self._connection.publish(topic, payload, qos, False) is None:
            is_taken = False
            self._on_published(0, "")
        return is_taken

    def _on_connected(self) -> None:
        with self._lock:
            self._leaving.clear()
            self._leaving_bytes = 0
        self.say_began()

    def _on_published(self, identifier: int, refusal: str) -> None:
        with self._lock:
            if self._leaving:
                self._leaving_bytes -= self._leaving.popleft()

    def _on_message(self, message: Message) -> None:
        self._connection.acknowledge([message])
        feature = self._inputs.get(message.topic)
        try:
            if feature is None:
                raise NotTaken("no such data channel")
            if message.retained:
                raise NotTaken("a retained value")
            values = values_of(message.payload)
        except NotTaken as error:
            self.counts["refused"] += 1
            payload = message.payload[:MOST_PAYLOAD]
            self._refused.append(refusal(message.topic, str(error), payload))
            return
        self.counts["values"] += 1
        self.seen_ms[feature.device] = message.received_us // 1000
        self._push(feature.device, feature.name, values, len(message.payload))
        for codifier, value in self._note(feature.device, feature.name, values):
            self._send(codifier, value)

    def _note(self, device: str, feature: str, values: list[object]) -> Iterator[tuple[str, Value]]:
        """Note the last values of a feature; yield those that go on the bus."""
        self.last[device, feature] = time.time_ns() // 1_000_000, values
        for codifier, index in self.codifiers.get((device, feature), ()):
            value = values[index] if index < len(values) else None
            if isinstance(value, bool | int | float | str):
                yield codifier, value

    def _send(self, codifier: str, value: Value) -> None:
        self._mapping.send([MappedReading(codifier, time.time_ns() // 1_000_000, value)])

    def close(self, timeout_s: float) -> None:
        """Send no more, and disconnect."""
        self._paced.close()
        self._connection.close(timeout_s)
