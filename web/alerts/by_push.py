"""Encrypt and send Web Push messages, in a process of its own.

What that needs takes 40 MB and half a second to load, so it is loaded for each alert, and the
server of the pages stays small. Reads one JSON object and prints one:

    {"op": "key"}                  {"private", "public"}: a new pair of keys for VAPID, in base64url
    {"op": "send", "private", "contact", "messages": [{"subscription", "data", "urgency"}]}
                                   [{"endpoint", "status", "error"}]

Source: RFC 8030 (protocol), RFC 8291 (encryption), RFC 8292 (VAPID).
"""

import base64
import json
import sys
from typing import Any

TTL_S = 24 * 3600  # the push service keeps it so long for a browser that is away
TIMEOUT_S = 15.0


def main() -> int:
    """Do what stdin asks for."""
    given = json.load(sys.stdin)
    made = _key() if given["op"] == "key" else [_send(given, it) for it in given["messages"]]
    json.dump(made, sys.stdout)
    return 0


def _key() -> dict[str, str]:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    private = ec.generate_private_key(ec.SECP256R1())
    number = private.private_numbers().private_value.to_bytes(32, "big")
    point = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return {"private": _base64(number), "public": _base64(point)}


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _send(given: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    import requests
    from pywebpush import WebPushException, webpush

    endpoint = message["subscription"]["endpoint"]
    status, error = 0, ""
    try:
        answer = webpush(
            message["subscription"],
            message["data"],
            vapid_private_key=given["private"],
            vapid_claims={"sub": given["contact"]},
            headers={"Urgency": message["urgency"]},
            ttl=TTL_S,
            timeout=TIMEOUT_S,
        )
        status = answer.status_code if not isinstance(answer, str) else 0
    except WebPushException as refused:
        status = refused.response.status_code if refused.response is not None else 0
        error = f"the push service answers {status}" if status else str(refused)[:200]
    except (requests.RequestException, ValueError) as failed:
        error = type(failed).__name__
    return {"endpoint": endpoint, "status": status, "error": error}


if __name__ == "__main__":
    sys.exit(main())
