"""A message as it came from a broker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came from the broker.

    Args:
        retained: the broker kept it, and sends it since somebody subscribed.
        duplicate: the broker may have sent it before, as its DUP flag says.
        received_us: microseconds since 1970-01-01 UTC.
        identifier: the same when the broker sends it again; 0 with QoS 0, which is sent once.
        is_numbered: equal messages that were sent twice have different identifiers.
        retried: its commit failed, and may have succeeded all the same.
        connection: the number of the connection on which it came.
    """

    topic: str
    payload: bytes
    retained: bool
    duplicate: bool
    received_us: int
    identifier: int = 0
    retried: bool = False
    is_numbered: bool = True
    connection: int = 0
