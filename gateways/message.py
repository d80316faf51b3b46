"""A message as it came from a broker."""

from typing import NamedTuple


class Message(NamedTuple):
    """One message as it came from the broker.

    Args:
        retained: the broker kept it, and sends it since somebody subscribed.
        duplicate: the broker may have sent it before, as its DUP flag says.
        received_us: microseconds since 1970-01-01 UTC.
        identifier: of its packet; 0 with QoS 0, which is sent once and not acknowledged.
        retried: its commit failed, and may have succeeded all the same.
        is_numbered: it has the same identifier when the broker sends it again, and equal ones that
            were sent twice have different ones.
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
