"""A message as it came from a broker."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came from the broker.

    Args:
        retained: the broker kept it, and sends it since somebody subscribed.
        duplicate: it may have been stored before: the broker may have sent it before, as its DUP
            flag says, or a commit failed and may have succeeded all the same.
        received_us: microseconds since 1970-01-01 UTC.
        identifier: packet identifier, the same when the broker sends it again; 0 with QoS 0.
    """

    topic: str
    payload: bytes
    retained: bool
    duplicate: bool
    received_us: int
    identifier: int = 0
