"""From messages of sensors to rows of the store: a batch is one transaction.

What sensors sent is stored, or refused and counted by reason; both in the same transaction, so that
a message that is acknowledged afterwards is never lost and never counted twice. Its values go on
the bus when it is stored.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from uuid import UUID

from gateways.mapping import MappedReading
from gateways.message import Message
from gateways.recent import Resumption, first_seen
from gateways.schema import Refusal, note_refusals, note_seen
from gateways.store import Store
from gateways.tenta.models import Refused, parse
from gateways.tenta.proxies import Codifiers, Proxies
from gateways.tenta.writing import Batch, write

SEEN_EVERY_S = 5.0  # the store learns so often which sensors were heard


class Ingest:
    """Stores what sensors send.

    Args:
        gateway: under this name the store keeps what it is about.
        send: called with the values that go on the bus, after they are stored.
    """

    def __init__(
        self,
        store: Store,
        gateway: str,
        base_topic: str,
        proxies: Proxies,
        send: Callable[[Sequence[MappedReading]], object],
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._base_topic = base_topic
        self.proxies = proxies
        self._send = send
        self._resumption = Resumption()
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._seen: Counter[str] = Counter()  # messages of sensors, not in the store yet
        self._seen_s = 0.0

    @property
    def counts(self) -> dict[str, int]:
        """How many messages, readings, logs and acknowledgments were stored, how many refused."""
        with self._lock:
            return dict(self._counts)

    def commit(self, messages: Sequence[Message]) -> None:
        """Store a batch, oldest first.

        Raises:
            StoreError: the store is away; nothing of the batch is stored.
        """
        with self._store.writing() as connection:
            new = first_seen(connection, self._gateway, messages, self._resumption)
            batch, taken, refusals = self._read(new)
            written = write(connection, batch)
            if written.unknown:
                refusals += [
                    _refusal(message, "unknown sensor")
                    for message, sensor in taken
                    if sensor in written.unknown
                ]
            if refusals:
                note_refusals(connection, self._gateway, refusals)
            heard = Counter(str(sensor) for _, sensor in taken if sensor not in written.unknown)
            heard += self._seen
            is_time = bool(heard) and time.monotonic() >= self._seen_s + SEEN_EVERY_S
            if is_time:
                note_seen(connection, self._gateway, heard, messages[-1].received_us)
            codifiers = self.proxies.codifiers(connection)
        # A row per sensor in each batch would be as many again as there are readings.
        self._seen = Counter() if is_time else heard
        self._seen_s = time.monotonic() if is_time else self._seen_s
        with self._lock:
            self._counts["messages"] += len(new) - len(refusals)
            self._counts["readings"] += written.readings
            self._counts["logs"] += written.logs
            self._counts["acknowledgments"] += written.acknowledgments
            self._counts["refused"] += len(refusals)
            self._counts["skipped"] += len(messages) - len(new)
        if codifiers and (values := _mapped(batch, codifiers, written.unknown)):
            self._send(values)

    def refuse(self, message: Message, error: BaseException) -> None:
        """Note a message that cannot be stored for a reason that no rule names."""
        with self._store.writing() as connection:
            note_refusals(connection, self._gateway, [_refusal(message, "internal")])
        with self._lock:
            self._counts["refused"] += 1

    def _read(
        self, messages: Sequence[Message]
    ) -> tuple[Batch, list[tuple[Message, UUID]], list[Refusal]]:
        batch = Batch()
        taken: list[tuple[Message, UUID]] = []
        refusals: list[Refusal] = []
        for message in messages:
            received_us = message.received_us
            try:
                parsed = parse(message.topic, message.payload, self._base_topic)
            except Refused as refused:
                refusals.append(_refusal(message, refused.reason))
                continue
            sensor = parsed.sensor
            taken.append((message, sensor))
            for revision, time_us, values in parsed.measurements:
                batch.measurements.append((sensor, time_us, revision, received_us, values))
            for line in parsed.logs:
                when = (sensor, line.time_us, line.revision, received_us)
                words = (line.severity, line.message, line.subject, line.details)
                batch.logs.append((*when, *words))
            for of_revision, time_us, success in parsed.acknowledgments:
                row = (sensor, of_revision, time_us, success, received_us)
                batch.acknowledgments.append(row)
        return batch, taken, refusals


def _refusal(message: Message, reason: str) -> Refusal:
    return Refusal(message.received_us, message.topic, reason, message.payload)


def _mapped(batch: Batch, codifiers: Codifiers, unknown: frozenset[UUID]) -> list[MappedReading]:
    """Return the values that go on the bus, oldest first."""
    values = [
        MappedReading(codifier, time_us // 1000, points[attribute])
        for sensor, time_us, _, _, points in batch.measurements
        if sensor in codifiers and sensor not in unknown
        for attribute, codifier in codifiers[sensor].items()
        if attribute in points
    ]
    values.sort(key=lambda value: value.time_ms)
    return values
