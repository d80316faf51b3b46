"""A last state as a hash of Redis, in the form that programs of existing networks read.

The key is the Codifier, the fields are those of `jph.state`, and each value is text:

    numbers    as Python writes them: 21.5, 1700000000000
    IsActive   True or False
    Value      a number; the text of a string; a JSON object as JSON
    unknown    no field

Programs read `float(state["Value"])`, `int(state["DTimestamp"])`, `state["IsActive"] == "True"`. A
text that looks like a number is read back as a number: the hash does not tell them apart.
"""

import json
import math
import re
from typing import Any

from jph.state import FIELDS, Fields
from jph.stores.redis.client import Command

_PLAIN = {int, float, str}
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+|(?:\.[0-9]+)?[eE][+-]?[0-9]+)?")
LONGEST_INTEGER = 1500  # digits; a datagram has no room for more
_TRUTH = {"True": True, "1": True, "False": False, "0": False}
# The first of each pair is outdated if it is unknown and the second is known; it is deleted, since
# an unknown field leaves the stored one alone otherwise.
_BESIDE = (
    ("TRequest", "TTimestamp"),
    ("TDuration", "TTimestamp"),
    ("PRequest", "PTimestamp"),
    ("Value", "DTimestamp"),
)


def commands_of(codifier: str, fields: Fields) -> list[Command]:
    """Return the commands that write a state; redis-py writes numbers as Python does."""
    store: list[Any] = ["HSET", codifier]
    for item in fields.items():
        value = item[1]
        if value is not None:
            store += item if type(value) in _PLAIN else (item[0], _text(value))
    gone = [name for name, beside in _BESIDE if fields[name] is None and fields[beside] is not None]
    return [store, ["HDEL", codifier, *gone]] if gone else [store]


def _text(value: object) -> str:
    if not isinstance(value, dict):
        return str(value)
    text = json.dumps(value, ensure_ascii=False)
    # Half a surrogate pair is no text; its escape in JSON is.
    return text.encode("utf-8", "backslashreplace").decode()


def fields_of(codifier: str, reply: object) -> Fields | None:
    """Return the state in a reply to HGETALL, None if it has no field of a state."""
    if not isinstance(reply, dict):
        return None
    stored = {
        key.decode("utf-8", "replace"): it.decode("utf-8", "replace") for key, it in reply.items()
    }
    fields: Fields = {name: _parsed(name, stored[name]) for name in FIELDS if name in stored}
    fields.pop("Codifier", None)
    if all(value is None for value in fields.values()):
        return None
    return {**dict.fromkeys(FIELDS), **fields, "Codifier": codifier}


def _parsed(name: str, text: str) -> object:
    if name == "IsActive":
        return _TRUTH.get(text)
    if name == "Value" and text.startswith("{"):
        try:
            value = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return text
        return value if "value" in value else text
    number = _number(text)
    return text if number is None and name == "Value" else number


def _refuse(constant: str) -> float:
    raise ValueError(constant)  # NaN and Infinity are no JSON


def _number(text: str) -> int | float | None:
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    if found[1] is None and len(text) <= LONGEST_INTEGER:
        return int(text)
    number = float(text)
    return number if math.isfinite(number) else None
