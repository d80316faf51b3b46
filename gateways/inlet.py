"""Messages from an MQTT broker into a store: acknowledged when they are committed, never before.

    thread of the connection -> queue, bounded in messages and bytes -> thread of the writer
    the writer: up to 1,000 messages or what came in 20 ms -> commit -> acknowledge, in order

A full queue stops the reading of the socket; the broker keeps the rest. While the store is away the
same batch is tried again, and nothing is acknowledged. A message on which `commit` fails for any
other reason is found by halving its batch; it is refused and acknowledged, since it would come
again for ever.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from gateways.address import BrokerAddress
from gateways.connection import Connection
from gateways.message import Message
from jph.backoff import Backoff
from jph.errors import StoreError
from jph.faults import Fault
from jph.threads import component_thread

__all__ = ["Inlet", "InletStatus", "Message"]

log = logging.getLogger(__name__)

MOST_IN_BATCH = 1_000
# Of the payloads of a batch, unless it is one message: a reading of 60 bytes in JSON takes ten
# times as much on its way to the store.
BATCH_BYTES = 100_000
BATCH_S = 0.02  # a message waits so long for others, which share the commit with it
MOST_MESSAGES = 2_000  # that wait, of half a kilobyte each besides the payload
MOST_BYTES = 250_000  # of their payloads: while a batch is committed, the next one comes
MOST_PACKET = 2 << 20  # larger messages the broker does not send


@dataclass(frozen=True, slots=True)
class InletStatus:
    """What an inlet is doing; counts since its start.

    Args:
        since_us: since when it is connected, or is not.
        reason: why it is not connected, or what is wrong though it is.
        protocol: of MQTT, "5.0" or "3.1.1".
        redelivered: messages that the broker sent again, as their DUP flag says.
        refused: messages on which `commit` failed.
        store: why the store takes nothing; empty when it does.
    """

    connected: bool
    since_us: int
    reason: str
    protocol: str
    messages: int
    bytes: int
    committed: int
    redelivered: int
    refused: int
    queued: int
    queued_bytes: int
    store: str


class Inlet:
    """Takes messages from a broker into a store; from `start` until `close`.

    Args:
        client_id: the name of the session, the same at each start.
        subscriptions: topic filters.
        commit: stores a batch, oldest first, in one transaction; called in the writer's thread. It
            raises StoreError when the store is away.
        refused: called there with each message on which `commit` failed, and why.
        on_state: called with whether the broker is connected, and a reason.
        most_messages, most_bytes: what may wait here; bytes of payloads.
    """

    def __init__(
        self,
        address: BrokerAddress,
        client_id: str,
        subscriptions: Sequence[str],
        commit: Callable[[Sequence[Message]], object],
        *,
        refused: Callable[[Message, BaseException], object] = lambda message, error: None,
        on_state: Callable[[bool, str], object] = lambda connected, reason: None,
        most_messages: int = MOST_MESSAGES,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._commit_batch = commit
        self._refused = refused
        self._on_state = on_state
        self._most_messages = most_messages
        self._most_bytes = most_bytes
        self._queue: deque[Message] = deque()  # the first of them are being committed
        self._queued_bytes = 0
        self._began_s = 0.0  # when the first message came into an empty queue
        self._taken_s = 0.0  # when the present batch was taken
        self._changed = threading.Condition()
        self._is_closing = False
        self._gives_up_s = 0.0
        self._state = (False, time.time_ns() // 1000, "not connected yet")
        self._messages = self._bytes = self._committed = 0
        self._redelivered = self._refusals = 0
        self._store_fault = Fault(log)
        self._poison = Fault(log, logging.ERROR, every_s=60)
        self._backoff = Backoff(0.2, 5.0)
        self._connection = Connection(
            address,
            client_id,
            subscriptions,
            self._has_room,
            self._take,
            self._note_state,
            MOST_PACKET,
        )
        self._writer = component_thread("inlet", self._write)

    def start(self) -> None:
        """Begin to connect and to store; never waits for the broker or the store."""
        self._writer.start()
        self._connection.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Commit and acknowledge what is here, if the store takes it in time, and disconnect."""
        until_s = time.monotonic() + timeout_s
        with self._changed:
            self._is_closing = True
            self._gives_up_s = until_s
            self._changed.notify()
        self._connection.wake()
        self._writer.join(timeout_s)
        self._connection.close(max(0.5, until_s - time.monotonic()))

    @property
    def status(self) -> InletStatus:
        """What it is doing now."""
        connected, since_us, reason = self._state
        return InletStatus(
            connected=connected,
            since_us=since_us,
            reason=reason,
            protocol=self._connection.protocol if connected else "",
            messages=self._messages,
            bytes=self._bytes,
            committed=self._committed,
            redelivered=self._redelivered,
            refused=self._refusals,
            queued=len(self._queue),
            queued_bytes=self._queued_bytes,
            store=self._store_fault.text,
        )

    @property
    def connection(self) -> Connection:
        """The connection to the broker, on which the outbox publishes."""
        return self._connection

    def _has_room(self) -> bool:
        return (
            len(self._queue) < self._most_messages
            and self._queued_bytes < self._most_bytes
            and not self._is_closing
        )

    def _note_state(self, connected: bool, reason: str) -> None:
        self._state = (connected, time.time_ns() // 1000, reason)
        self._on_state(connected, reason)

    def _take(self, message: Message) -> None:
        with self._changed:
            self._queue.append(message)
            self._queued_bytes += len(message.payload)
            waiting = len(self._queue)
            if waiting == 1:
                self._began_s = time.monotonic()
            if waiting == 1 or self._is_full():
                self._changed.notify()
        self._messages += 1
        self._bytes += len(message.payload)
        self._redelivered += message.duplicate

    def _write(self) -> None:
        while batch := self._next_batch():
            while batch:
                # A commit may have succeeded though its answer was lost.
                batch = [each._replace(retried=True) for each in batch[self._commit(batch) :]]
                if batch and not self._wait_for_store():
                    return

    def _next_batch(self) -> list[Message]:
        """Wait for messages; return the oldest, or none when it closes."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_closing)
            self._changed.wait_for(
                lambda: self._is_full() or self._is_closing,
                self._began_s + BATCH_S - time.monotonic(),
            )
            self._taken_s = time.monotonic()
            batch: list[Message] = []
            size = 0
            for message in islice(self._queue, MOST_IN_BATCH):
                size += len(message.payload)
                if batch and size > BATCH_BYTES:
                    break
                batch.append(message)
            return batch

    def _is_full(self) -> bool:
        return len(self._queue) >= MOST_IN_BATCH or self._queued_bytes >= BATCH_BYTES

    def _commit(self, batch: list[Message]) -> int:
        """Store a batch and acknowledge it; return how many messages of it are done with."""
        try:
            self._commit_batch(batch)
        except StoreError as error:
            self._store_fault.note(
                str(error), f"the gateway's store takes nothing: {error}; the broker keeps the rest"
            )
            return 0
        except Exception as error:
            if len(batch) > 1:
                half = len(batch) // 2
                done = self._commit(batch[:half])
                return done if done < half else half + self._commit(batch[half:])
            if not self._refuse(batch[0], error):
                return 0
        else:
            self._committed += len(batch)
        self._store_fault.end("the gateway's store takes messages again", "try")
        self._backoff.reset()
        self._done(batch)
        return len(batch)

    def _refuse(self, message: Message, error: Exception) -> bool:
        """Give up a message that cannot be stored; False if the store is away now."""
        self._poison.note(
            repr(error),
            f"a message to {message.topic[:200]!r} cannot be stored: {error!r}; it is refused",
            error=error,
        )
        try:
            self._refused(message, error)
        except StoreError:
            return False
        except Exception:
            log.exception("a refused message cannot be noted")
        self._refusals += 1
        return True

    def _done(self, batch: list[Message]) -> None:
        with self._changed:
            for message in batch:
                self._queue.popleft()
                self._queued_bytes -= len(message.payload)
            self._began_s = self._taken_s  # what is left came since
        self._connection.acknowledge(batch)

    def _wait_for_store(self) -> bool:
        """Wait before the next try; False when it closes and the time for that is over."""
        with self._changed:
            pause_s = self._backoff.next_s()
            if not self._is_closing:
                self._changed.wait_for(lambda: self._is_closing, pause_s)
                return True
            left_s = self._gives_up_s - time.monotonic()
        time.sleep(max(0.0, min(pause_s, left_s)))
        return left_s > 0
