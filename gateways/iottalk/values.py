"""JSON as devices and programs send it, and as they get it: finite numbers, whole characters."""

import json
from typing import Any

MOST_BYTES = 64 << 10  # of a message of a data channel


class NotTaken(ValueError):
    """What is no JSON, or none that every client could read; the text says what."""


def json_of(payload: bytes) -> Any:
    """Return what a payload holds.

    Raises:
        NotTaken: it is no JSON, nested too deep, or has a number that is not finite, or half a
            character.
    """
    try:
        text = payload.decode()
        found = json.loads(text, parse_constant=_not_finite, parse_float=_finite)
        if "\\u" in text:
            json.dumps(found, ensure_ascii=False).encode()
    except NotTaken:
        raise
    except UnicodeEncodeError:
        raise NotTaken("half a character") from None
    except RecursionError:
        raise NotTaken("nested too deep") from None
    except ValueError:
        raise NotTaken("no JSON") from None
    return found


def object_of(payload: bytes) -> dict[str, Any]:
    """Return the object that a payload holds; NotTaken if it holds none."""
    found = json_of(payload)
    if not isinstance(found, dict):
        raise NotTaken("no JSON object")
    return found


def values_of(payload: bytes) -> list[object]:
    """Return the values of a payload; what is no list counts as a list of one.

    Raises:
        NotTaken: it is too long, or see `json_of`.
    """
    if len(payload) > MOST_BYTES:
        raise NotTaken(f"more than {MOST_BYTES} bytes")
    found = json_of(payload)
    return found if isinstance(found, list) else [found]


def payload_of(message: object) -> bytes:
    """Return the payload of a message."""
    return json.dumps(message, separators=(",", ":")).encode()


def _not_finite(constant: str) -> object:
    raise NotTaken("a number that is not finite")


def _finite(text: str) -> float:
    number = float(text)
    if abs(number) == float("inf"):
        raise NotTaken("a number that is not finite")
    return number
