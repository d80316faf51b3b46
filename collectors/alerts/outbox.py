"""The outbox: messages that wait until their contacts have taken them.

Each contact has a queue of its own, so that one that does not answer delays no other. A message
leaves the queue, also the one on the disk, as soon as the contact has taken it; if the process is
killed between these two, it is delivered again, under the same key. A contact that was told five
times within a minute gets what comes then as one message.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from collectors.alerts.contacts import Contact, Undelivered
from collectors.alerts.messages import Message, combined
from jph.backoff import Backoff
from jph.faults import Fault
from jph.threads import component_thread

log = logging.getLogger(__name__)

MOST = 200  # messages that wait for one contact
BURST, BURST_S = 5, 60.0
FIRST_RETRY_S, LAST_RETRY_S = 2.0, 300.0
STOP_S = 3.0


class Queue:
    """The messages to one contact; used under the lock of the outbox."""

    def __init__(self, contact: Contact, on_fault: Callable[[], object]) -> None:
        self.contact = contact
        self.messages: deque[Message] = deque()
        self.fault = Fault(log, logging.ERROR, every_s=3600.0, on_change=on_fault)
        self._backoff = Backoff(FIRST_RETRY_S, LAST_RETRY_S)
        self._not_before_s = 0.0
        self._told_s: deque[float] = deque(maxlen=BURST)

    def add(self, message: Message) -> None:
        """Add a message; the oldest gives way where there are too many."""
        if len(self.messages) >= MOST:
            self.messages.popleft()
        self.messages.append(message)

    def due_s(self, now_s: float) -> float:
        """Return when it wants to be looked at, by the monotonic clock."""
        if not self.messages:
            return float("inf")
        is_spent = len(self._told_s) == BURST and now_s < self._told_s[0] + BURST_S
        return max(self._not_before_s, self._told_s[0] + BURST_S if is_spent else 0.0)

    def batch(self) -> list[Message]:
        """Return what is to be delivered now as one message: one, or all after too many."""
        return list(self.messages) if len(self.messages) > BURST else [self.messages[0]]

    def done(self, batch: Sequence[Message], now_s: float) -> None:
        """Take from the queue what was delivered."""
        keys = {message.key for message in batch}
        self.messages = deque(it for it in self.messages if it.key not in keys)
        self._told_s.append(now_s)
        self._backoff.reset()
        self._not_before_s = 0.0

    def failed(self, reason: str, now_s: float) -> None:
        """Wait before the next try."""
        self._not_before_s = now_s + self._backoff.next_s()
        self.fault.note(
            f"{self.contact.name}: {reason}",
            f"the contact {self.contact.name} cannot be told: {reason}; it is tried again, and"
            f" its {len(self.messages)} messages wait",
        )


class Outbox:
    """Delivers messages in a thread of its own.

    Args:
        save: called from that thread when a message is gone; it stores `memory` durably.
        on_change: called when something begins or ceases to fail, from that thread.
        on_test: called with what became of a test: contact, whether it was taken, and words.
    """

    def __init__(
        self,
        contacts: Sequence[Contact],
        name: str,
        *,
        save: Callable[[], object],
        on_change: Callable[[], object] = lambda: None,
        on_test: Callable[[str, bool, str], object] = lambda contact, ok, text: None,
    ) -> None:
        self._queues = {it.name: Queue(it, on_change) for it in contacts}
        self._save = save
        self._on_test = on_test
        self._tests: deque[tuple[Contact, Message]] = deque(maxlen=8)
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._stopping = False
        self._thread = component_thread(f"alerts-{name}", self._run) if contacts else None

    def start(self) -> None:
        """Begin to deliver."""
        if self._thread is not None:
            self._thread.start()

    def add(self, message: Message, contacts: Sequence[str] | None) -> bool:
        """Put a message into the queues of these contacts, or of all; return whether of any."""
        added = False
        with self._lock:
            for name, queue in self._queues.items():
                if (contacts is None or name in contacts) and queue.contact.takes(message.severity):
                    queue.add(message)
                    added = True
        return added

    def wake(self) -> None:
        """Deliver what was added, now that it is on the disk."""
        self._news.set()

    def test(self, contact: Contact, message: Message) -> None:
        """Deliver a test message soon, once."""
        self._tests.append((contact, message))
        self._news.set()

    @property
    def fault(self) -> str:
        """Why messages wait, empty if none does."""
        return "; ".join(it.fault.text for it in self._queues.values() if it.fault)

    def waiting(self) -> int:
        """Return how many messages wait."""
        with self._lock:
            return sum(len(queue.messages) for queue in self._queues.values())

    def memory(self) -> dict[str, list[dict[str, Any]]]:
        """Return what waits, for the next process."""
        with self._lock:
            return {
                name: [message.memory() for message in queue.messages]
                for name, queue in self._queues.items()
                if queue.messages
            }

    def recall(self, memory: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Go on with what waited in the process before; contacts that are gone are forgotten.

        Raises:
            TypeError: it is no such memory.
        """
        with self._lock:
            for name, messages in memory.items():
                if name in self._queues:
                    for content in messages:
                        self._queues[name].add(Message.of(content))

    def close(self) -> None:
        """Stop after the present try; what waits is kept on the disk."""
        self._stopping = True
        self._news.set()
        if self._thread is not None and self._thread.ident is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping:
            now_s = time.monotonic()
            with self._lock:
                due_s = min(queue.due_s(now_s) for queue in self._queues.values())
            self._news.wait(None if due_s == float("inf") else max(0.0, due_s - now_s))
            self._news.clear()
            while self._tests and not self._stopping:
                self._try(*self._tests.popleft())
            for queue in self._queues.values():
                if not self._stopping and queue.due_s(time.monotonic()) <= time.monotonic():
                    self._deliver(queue)

    def _deliver(self, queue: Queue) -> None:
        with self._lock:
            batch = queue.batch()
        message = batch[0] if len(batch) == 1 else combined(batch)
        try:
            queue.contact.deliver(message)
        except Undelivered as error:
            queue.failed(str(error), time.monotonic())
            return
        with self._lock:
            queue.done(batch, time.monotonic())
        self._save()
        queue.fault.end(f"the contact {queue.contact.name} takes messages again")

    def _try(self, contact: Contact, message: Message) -> None:
        try:
            contact.deliver(message)
        except Undelivered as error:
            self._on_test(contact.name, False, str(error))
        else:
            self._on_test(contact.name, True, "took the test message")
