"""Messages that were stored lately, so that one which the broker sends again is not stored twice.

A broker sends again what it sent and saw no acknowledgement of, with the same packet identifier.
So the digest is made of identifier, topic and payload: equal messages that a device sent twice
have different ones, and both are stored. Not so with MQTT 3.1.1, since nats-server may give a
message another identifier when it sends it again.

A nats-server that was killed has forgotten what it delivered last, and delivers it once more as if
it were new. It comes at the beginning of the next connection, in its order; see `Resumption`.

Retained messages have new identifiers whenever
the broker sends them; their digests leave it out, and are counted by themselves. With MQTT 3.1.1
they come with each connection, also those that came when a device published them.
"""

import hashlib
from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, func, insert, select

from gateways.message import Message
from gateways.schema import recent

MOST_RECENT = 10_000  # messages; more than a broker has in flight for one client
FORGET_EVERY = 100  # messages
DIGEST_BYTES = 16
RETAINED = " retained"  # added to the name of the gateway

NEWEST = select(func.max(recent.c.number)).where(recent.c.gateway == bindparam("gateway"))
STORED = select(recent.c.digests).where(recent.c.gateway == bindparam("gateway"))
REMEMBER = insert(recent)
FORGET = delete(recent).where(
    recent.c.gateway == bindparam("name"), recent.c.number <= bindparam("oldest")
)


class Resumption:
    """Tells which messages may come again though their DUP flag does not say so.

    Those are the first ones of a connection to nats-server, until one comes that is not known; each
    subscription by itself. Only for messages that are never equal unless a device sent them twice,
    such as those with a time.
    """

    def __init__(self) -> None:
        self._connection = 0
        self._over: set[str] = set()  # subscriptions of which something new has come

    def includes(self, message: Message) -> bool:
        """Tell whether a message may have come before."""
        if message.is_numbered:
            return False
        if message.connection > self._connection:
            self._connection = message.connection
            self._over.clear()
        is_present = message.connection == self._connection
        return is_present and _level_above(message.topic) not in self._over

    def end(self, message: Message) -> None:
        """Note that a message is new, and so are those after it."""
        if not (message.is_numbered or message.duplicate):
            self._over.add(_level_above(message.topic))


def _level_above(topic: str) -> str:
    return topic.rpartition("/")[0]


def first_seen(
    connection: Connection,
    gateway: str,
    batch: Sequence[Message],
    resumption: Resumption | None = None,
) -> list[Message]:
    """Return the messages that were not stored before, and remember the whole batch.

    To be called in the transaction that stores them.
    """
    live = [message for message in batch if not message.retained]
    if len(live) == len(batch):
        return _new(connection, gateway, batch, resumption)
    retained = [message for message in batch if message.retained]
    wanted = set(map(id, _new(connection, gateway, live, resumption)))
    came = _stored(connection, gateway)
    new = _new(connection, gateway + RETAINED, retained)
    wanted.update(id(message) for message in new if _digest(message, _number(message)) not in came)
    return [message for message in batch if id(message) in wanted]


def _new(
    connection: Connection,
    gateway: str,
    batch: Sequence[Message],
    resumption: Resumption | None = None,
) -> list[Message]:
    digests = [_digest(each, 0 if each.retained else _number(each)) for each in batch]
    if any(
        message.duplicate
        or message.retried
        or message.retained
        or (resumption is not None and resumption.includes(message))
        for message in batch
    ):
        new = _not_stored(batch, digests, _stored(connection, gateway), resumption)
    else:
        new = list(batch)
    if batch:
        number = (connection.scalar(NEWEST, {"gateway": gateway}) or 0) + len(batch)
        row = {"gateway": gateway, "number": number, "digests": b"".join(digests)}
        connection.execute(REMEMBER, row)
        if number // FORGET_EVERY > (number - len(batch)) // FORGET_EVERY:
            connection.execute(FORGET, {"name": gateway, "oldest": number - MOST_RECENT})
    return new


def _not_stored(
    batch: Sequence[Message],
    digests: Sequence[bytes],
    stored: set[bytes],
    resumption: Resumption | None,
) -> list[Message]:
    new, in_batch = [], set()
    for message, digest in zip(batch, digests, strict=True):
        # What is tried again is not known by what is tried with it: that may be just equal.
        is_resumed = resumption is not None and resumption.includes(message)
        may_come_again = message.duplicate or is_resumed
        is_sent_again = message.retained or (may_come_again and message.identifier)
        is_tried_again = message.retried and message.identifier
        is_known = (is_sent_again or is_tried_again) and digest in stored
        if not is_known and not (is_sent_again and digest in in_batch):
            new.append(message)
            if resumption is not None:
                resumption.end(message)
        in_batch.add(digest)
    return new


def _stored(connection: Connection, gateway: str) -> set[bytes]:
    return {
        digests[start : start + DIGEST_BYTES]
        for digests in map(bytes, connection.scalars(STORED, {"gateway": gateway}))
        for start in range(0, len(digests), DIGEST_BYTES)
    }


def _number(message: Message) -> int:
    return message.identifier if message.is_numbered else bool(message.identifier)


def _digest(message: Message, identifier: int) -> bytes:
    digest = hashlib.sha256(b"%d %s\0" % (identifier, message.topic.encode()))
    digest.update(message.payload)
    return digest.digest()[:DIGEST_BYTES]
