"""What every gateway answers to our own pages and tools, by the token of the home directory."""

import hmac
from collections.abc import Mapping
from typing import Any

from gateways import schema
from gateways.endpoints import Refuse, bearer
from gateways.store import Store


def check_token(token: str) -> None:
    """Return if the present request carries the token of the home directory; else refuse it."""
    if not hmac.compare_digest((bearer() or "").encode(), token.encode()):
        raise Refuse(401, "send the token in gateways/token of the home directory")


def state(store: Store, gateway: str, facts: Mapping[str, Any]) -> dict[str, object]:
    """Return the state of a gateway, with what it refused, by reason.

    Args:
        facts: what it tells of itself.
    """
    with store.reading() as connection:
        counts = schema.refusal_counts(connection, gateway)
    return {"store": store.name, "refused": counts, **facts}


def refusals(store: Store, gateway: str) -> list[dict[str, object]]:
    """Return the refused messages that are kept, newest first."""
    with store.reading() as connection:
        rows = schema.last_refusals(connection, gateway)
    return [
        {
            "at_ms": row.at_us // 1000,
            "topic": row.topic,
            "reason": row.reason,
            "payload": bytes(row.payload).decode("utf-8", "replace"),
        }
        for row in rows
    ]
