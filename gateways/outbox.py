"""Messages to an MQTT broker: rows of the store, published until the broker has taken them.

A message is put into the outbox by `schema.put_out`, in the transaction of the fact that it tells,
so that it is published if and only if the fact is stored, whatever is killed meanwhile. Rows are
published in their order, and deleted when the PUBACK came. After a lost connection all that are
left are published again: the broker may get one twice, but never an older one after a newer one of
the same key, since `put_out` replaces that.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select

from gateways.inlet import Inlet
from gateways.schema import outbox
from gateways.store import Store
from jph.backoff import Backoff
from jph.errors import StoreError
from jph.faults import Fault
from jph.threads import component_thread

log = logging.getLogger(__name__)

LOOK_S = 5.0  # another process may put something into the outbox


class Outbox:
    """Publishes what a gateway puts into its outbox; from `start` until `close`.

    Args:
        inlet: whose connection is used.
        published: called with each row that the broker took, in the transaction that deletes it.
        connected: called at each new connection, in a transaction: it may put into the outbox what
            the broker may have lost meanwhile.
    """

    def __init__(
        self,
        store: Store,
        gateway: str,
        inlet: Inlet,
        published: Callable[[Connection, Row[Any]], object] = lambda connection, row: None,
        connected: Callable[[Connection], object] = lambda connection: None,
    ) -> None:
        self._store = store
        self._gateway = gateway
        self._connection = inlet.connection
        self._published = published
        self._connected = connected
        self._in_flight: dict[int, Row[Any]] = {}  # by the number of the packet
        self._on_connection = 0  # its number
        self._answered: deque[tuple[int, int, str]] = deque()
        self._last = 0  # number of the newest row that was published on this connection
        self._fault = Fault(log)
        self._store_fault = Fault(log)
        self._backoff = Backoff(1.0, 60.0)
        self._woken = threading.Event()
        self._closing = False
        self._thread = component_thread("outbox", self._run)
        self._connection.on_published = self._note_answer
        self._connection.on_subscribed = self.wake

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop; what the broker has not taken stays in the store."""
        self._closing = True
        self._woken.set()
        self._thread.join(timeout_s)

    def wake(self) -> None:
        """Look at once, since a transaction that put something into the outbox was committed."""
        self._woken.set()

    @property
    def fault(self) -> str:
        """Why the broker does not take what is published; empty if it does."""
        return self._fault.text or self._store_fault.text

    def waiting(self, connection: Connection) -> int:
        """Return how many messages are not published yet."""
        return connection.scalar(select(func.count()).where(self._mine)) or 0

    @property
    def _mine(self) -> Any:
        return outbox.c.gateway == self._gateway

    def _note_answer(self, identifier: int, refusal: str) -> None:
        self._answered.append((self._connection.number, identifier, refusal))
        self._woken.set()

    def _run(self) -> None:
        self._woken.set()
        while not self._closing:
            self._woken.wait(LOOK_S)
            self._woken.clear()
            try:
                refusal = self._take_answers()
                if not refusal:
                    self._publish()
            except Exception as error:  # a row that cannot be marked is no reason to end
                is_bug = not isinstance(error, StoreError)
                self._store_fault.note(
                    str(error) or repr(error),
                    f"the outbox cannot be read or written: {error}",
                    error=error if is_bug else None,
                )
                self._forget()  # published once more when the store is back
                self._pause(self._backoff.next_s())
                continue
            self._store_fault.end("the outbox can be read and written again", "try")
            if refusal:
                self._fault.note(refusal, f"{refusal}; it is tried again")
                self._forget()
                self._pause(self._backoff.next_s())

    def _pause(self, pause_s: float) -> None:
        until_s = time.monotonic() + pause_s
        while not self._closing and (left_s := until_s - time.monotonic()) > 0:
            self._woken.wait(min(left_s, 1.0))
            self._woken.clear()

    def _forget(self) -> None:
        """Begin with the oldest row again."""
        self._in_flight.clear()
        self._answered.clear()
        self._last = 0

    def _take_answers(self) -> str:
        """Delete the rows that the broker took; return why it refused one, or nothing."""
        taken, refusal = [], ""
        while self._answered:
            connection, identifier, refused = self._answered[0]
            row = self._in_flight.get(identifier)
            if row is None or connection != self._on_connection:
                pass
            elif refused:
                refusal = f"the broker refuses the message to {row.topic}: {refused}"
            else:
                taken.append(row)
            self._in_flight.pop(identifier, None)
            self._answered.popleft()
        if taken:
            self._delete(taken)
            if not refusal:
                self._fault.end("the broker takes messages again", "message")
                self._backoff.reset()
        return refusal

    def _delete(self, rows: list[Row[Any]], *, are_published: bool = True) -> None:
        with self._store.writing() as connection:
            for row in rows:
                if are_published:
                    self._published(connection, row)
            numbers = [row.number for row in rows]
            connection.execute(delete(outbox).where(outbox.c.number.in_(numbers)))

    def _publish(self) -> None:
        """Publish the next rows, as many as the broker takes at once."""
        number = self._connection.number
        if number != self._on_connection:
            self._forget()
            if number:
                with self._store.writing() as connection:
                    self._connected(connection)
            self._on_connection = number
        most = self._connection.most_in_flight - len(self._in_flight)
        if not number or most <= 0:
            return
        if not self._in_flight:
            self._last = 0  # a row with a lower number may have been committed later
        with self._store.reading() as connection:
            query = select(outbox).where(self._mine, outbox.c.number > self._last)
            rows = connection.execute(query.order_by(outbox.c.number).limit(most)).all()
        for row in rows:
            self._last = row.number
            try:
                identifier = self._connection.publish(row.topic, row.payload, row.qos, row.retain)
            except ValueError as error:
                log.error("the message to %r can never be published: %s", row.topic, error)
                self._delete([row], are_published=False)
                continue
            if identifier is None:
                return self._forget()
            self._in_flight[identifier] = row
