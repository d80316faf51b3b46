"""Payloads of data channels."""

import json

MOST_BYTES = 64 << 10  # of one message


def values_of(payload: bytes) -> list[object]:
    """Return the values of a payload; what is no list counts as a list of one.

    Raises:
        ValueError: it is too long, no JSON, or holds a number that is not finite.
    """
    if len(payload) > MOST_BYTES:
        raise ValueError(f"more than {MOST_BYTES} bytes")
    try:
        found = json.loads(payload, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("no JSON") from None
    except ValueError as error:
        raise ValueError(str(error) if isinstance(error, _NotFinite) else "no JSON") from None
    return found if isinstance(found, list) else [found]


def payload_of(values: object) -> bytes:
    """Return a message's payload."""
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


class _NotFinite(ValueError):
    pass


def _refuse(constant: str) -> object:
    raise _NotFinite("a number that is not finite")


def _finite(text: str) -> float:
    number = float(text)
    return number if abs(number) != float("inf") else float(str(_refuse(text)))
