"""The tables that all gateways share, and what is done with them inside a transaction of a store.

    outbox         messages that are to be published, until the broker has them
    recent         digests of the last messages that were stored, those of one batch in a row, so
                   that one that the broker delivers again is not stored twice
    refusal        the last refused messages of each reason, with the beginning of their payload
    refusal_count  how many were refused, by reason
    device_seen    when each device was heard first and last, and how many messages it sent

Times are microseconds since 1970, UTC.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    Table,
    Text,
    delete,
    insert,
    select,
    text,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from gateways.steps import Step

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

MOST_REFUSALS = 20  # of each reason
PAYLOAD_BYTES = 2048  # of a refused message
TOPIC_CHARACTERS = 1024
AT_ONCE = 500  # names in one query


def datetime_of(time_us: int) -> datetime:
    """Return a time in microseconds since 1970 as a datetime; of the years 1 to 9999."""
    return EPOCH + timedelta(microseconds=time_us)


def microseconds_of(time: datetime) -> int:
    """Return a datetime with a zone as microseconds since 1970."""
    return (time - EPOCH) // MICROSECOND


class Microseconds(TypeDecorator[int]):
    """Whole microseconds since 1970: TIMESTAMPTZ in PostgreSQL, an integer in SQLite."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        is_postgres = dialect.name == "postgresql"
        return dialect.type_descriptor(DateTime(timezone=True) if is_postgres else BigInteger())

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        if value is None or dialect.name != "postgresql":
            return value
        return datetime_of(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return microseconds_of(value) if isinstance(value, datetime) else value


STEPS = (
    Step(
        "gateways",
        sqlite=(
            "CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL,"
            " key TEXT NOT NULL, topic TEXT NOT NULL, payload BLOB NOT NULL, retain BOOLEAN"
            " NOT NULL, qos INTEGER NOT NULL, created_us INTEGER NOT NULL)",
            "CREATE INDEX outbox_key ON outbox (gateway, key)",
            "CREATE TABLE recent (gateway TEXT NOT NULL, number INTEGER NOT NULL,"
            " digests BLOB NOT NULL, PRIMARY KEY (gateway, number)) WITHOUT ROWID",
            "CREATE TABLE refusal (number INTEGER PRIMARY KEY AUTOINCREMENT, gateway TEXT NOT NULL,"
            " at_us INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL,"
            " payload BLOB NOT NULL)",
            "CREATE INDEX refusal_reason ON refusal (gateway, reason, number)",
            "CREATE TABLE refusal_count (gateway TEXT NOT NULL, reason TEXT NOT NULL,"
            " count INTEGER NOT NULL, PRIMARY KEY (gateway, reason)) WITHOUT ROWID",
            "CREATE TABLE device_seen (gateway TEXT NOT NULL, device TEXT NOT NULL,"
            " first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, messages INTEGER NOT NULL,"
            " PRIMARY KEY (gateway, device)) WITHOUT ROWID",
        ),
        postgresql=(
            "CREATE TABLE outbox (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            " gateway TEXT NOT NULL, key TEXT NOT NULL, topic TEXT NOT NULL, payload BYTEA"
            " NOT NULL, retain BOOLEAN NOT NULL, qos INTEGER NOT NULL, created_us BIGINT NOT NULL)",
            "CREATE INDEX outbox_key ON outbox (gateway, key)",
            "CREATE TABLE recent (gateway TEXT NOT NULL, number BIGINT NOT NULL,"
            " digests BYTEA NOT NULL, PRIMARY KEY (gateway, number))",
            "CREATE TABLE refusal (number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
            " gateway TEXT NOT NULL, at_us BIGINT NOT NULL, topic TEXT NOT NULL,"
            " reason TEXT NOT NULL, payload BYTEA NOT NULL)",
            "CREATE INDEX refusal_reason ON refusal (gateway, reason, number)",
            "CREATE TABLE refusal_count (gateway TEXT NOT NULL, reason TEXT NOT NULL,"
            " count BIGINT NOT NULL, PRIMARY KEY (gateway, reason))",
            "CREATE TABLE device_seen (gateway TEXT NOT NULL, device TEXT NOT NULL,"
            " first_us BIGINT NOT NULL, last_us BIGINT NOT NULL, messages BIGINT NOT NULL,"
            " PRIMARY KEY (gateway, device))",
        ),
    ),
)

metadata = MetaData()
outbox = Table(
    "outbox",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("gateway", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("retain", Boolean, nullable=False),
    Column("qos", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)
recent = Table(
    "recent",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("digests", LargeBinary, nullable=False),
)
refusal = Table(
    "refusal",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("gateway", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
)
refusal_count = Table(
    "refusal_count",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("count", BigInteger, nullable=False),
)
device_seen = Table(
    "device_seen",
    metadata,
    Column("gateway", Text, primary_key=True),
    Column("device", Text, primary_key=True),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("messages", BigInteger, nullable=False),
)

COUNT = text(
    "INSERT INTO refusal_count VALUES (:gateway, :reason, :count) ON CONFLICT (gateway, reason)"
    " DO UPDATE SET count = refusal_count.count + excluded.count"
)
SEEN = text(
    "INSERT INTO device_seen VALUES (:gateway, :device, :at_us, :at_us, :messages)"
    " ON CONFLICT (gateway, device) DO UPDATE SET last_us = excluded.last_us,"
    " messages = device_seen.messages + excluded.messages"
)


def put_out(
    connection: Connection,
    gateway: str,
    topic: str,
    payload: bytes,
    *,
    key: str = "",
    retain: bool = False,
    qos: int = 1,
) -> int:
    """Put a message into the outbox; return its number.

    Args:
        key: what the message is about; it takes the place of one with the same key that waits.
    """
    if key:
        connection.execute(delete(outbox).where(outbox.c.gateway == gateway, outbox.c.key == key))
    row = {"gateway": gateway, "key": key, "topic": topic, "payload": payload, "retain": retain}
    result = connection.execute(
        insert(outbox), {**row, "qos": qos, "created_us": time.time_ns() // 1000}
    )
    (number,) = result.inserted_primary_key or (0,)
    return int(number)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that was refused.

    Args:
        reason: a short constant, by which refusals are counted.
    """

    at_us: int
    topic: str
    reason: str
    payload: bytes


def note_refusals(connection: Connection, gateway: str, refusals: Iterable[Refusal]) -> None:
    """Count refused messages by reason, and keep the last ones of each."""
    by_reason: dict[str, list[Refusal]] = defaultdict(list)
    for refused in refusals:
        by_reason[refused.reason].append(refused)
    for reason, some in by_reason.items():
        count = {"gateway": gateway, "reason": reason, "count": len(some)}
        connection.execute(COUNT, count)
        rows = [
            {
                "gateway": gateway,
                "at_us": refused.at_us,
                "topic": refused.topic[:TOPIC_CHARACTERS].replace("\0", "\ufffd"),
                "reason": reason,
                "payload": refused.payload[:PAYLOAD_BYTES],
            }
            for refused in some[-MOST_REFUSALS:]
        ]
        connection.execute(insert(refusal), rows)
        of_this = (refusal.c.gateway == gateway, refusal.c.reason == reason)
        newest_too_old = (
            select(refusal.c.number)
            .where(*of_this)
            .order_by(refusal.c.number.desc())
            .limit(1)
            .offset(MOST_REFUSALS)
            .scalar_subquery()
        )
        connection.execute(delete(refusal).where(*of_this, refusal.c.number <= newest_too_old))


def last_refusals(connection: Connection, gateway: str) -> list[Row[Any]]:
    """Return the kept refused messages of all reasons, newest first."""
    query = select(refusal).where(refusal.c.gateway == gateway)
    return list(connection.execute(query.order_by(refusal.c.number.desc())))


def refusal_counts(connection: Connection, gateway: str) -> dict[str, int]:
    """Return how many messages were refused, by reason."""
    columns = refusal_count.c
    query = select(columns.reason, columns.count).where(columns.gateway == gateway)
    return {reason: count for reason, count in connection.execute(query)}


def note_seen(
    connection: Connection, gateway: str, messages: Mapping[str, int], at_us: int
) -> None:
    """Note that devices were heard.

    Args:
        messages: how many messages each of them sent.
    """
    rows = [
        {"gateway": gateway, "device": device, "at_us": at_us, "messages": count}
        for device, count in sorted(Counter(messages).items())
    ]
    if rows:
        connection.execute(SEEN, rows)
