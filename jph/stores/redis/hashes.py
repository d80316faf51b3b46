"""A last state as a hash of Redis, in the form that programs of existing networks read.

The key is the Codifier, the fields are those of `jph.state`, and each value is text:

    numbers    as Python writes them: 21.5, 1700000000000; those of P and T are floats: 77.0
    IsActive   True or False
    Value      a number; the text of a string; of a JSON object its value
    Object     the JSON object, no field if the last reading was none
    unknown    no field

Programs read `float(state["Value"])`, `int(state["DTimestamp"])`, `state["IsActive"] == "True"`. A
text that looks like a number is read back as a number: the hash does not tell them apart.
"""

import json
import math
import re
from typing import Any

from jph.state import FIELDS, OBJECT, Fields, for_programs
from jph.stores.redis.client import Command

_PLAIN = {int, float, str}
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+|(?:\.[0-9]+)?[eE][+-]?[0-9]+)?")
LONGEST_INTEGER = 1500  # digits; a datagram has no room for more
_TRUTH = {"True": True, "1": True, "False": False, "0": False}
# The first of each pair is outdated if it is unknown and the second is known; it is deleted, since
# an unknown field leaves the stored one alone otherwise.
_FLOATS = ("PRequest", "TRequest", "TDuration")
_BESIDE = (
    ("TRequest", "TTimestamp"),
    ("TDuration", "TTimestamp"),
    ("PRequest", "PTimestamp"),
    ("Value", "DTimestamp"),
)


def commands_of(codifier: str, fields: Fields, *, had_object: bool = True) -> list[Command]:
    """Return the commands that write a state; redis-py writes numbers as Python does.

    Args:
        had_object: there may be the object of an earlier reading, to be deleted.
    """
    is_object = isinstance(fields["Value"], dict)
    if is_object:
        fields = for_programs(fields)
    store: list[Any] = ["HSET", codifier]
    for item in fields.items():
        value = item[1]
        if value is not None:
            if item[0] in _FLOATS and isinstance(value, int):
                value = float(value)
            store += (item[0], value if type(value) in _PLAIN else _text(value))
    gone = [name for name, beside in _BESIDE if fields[name] is None and fields[beside] is not None]
    if had_object and not is_object and fields["DTimestamp"] is not None:
        gone.append(OBJECT)
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
    found = _object(stored.get(OBJECT, ""))
    if found is not None and _value_in(found) == fields.get("Value"):  # else of another reading
        fields["Value"] = found
    if all(value is None for value in fields.values()):
        return None
    return {**dict.fromkeys(FIELDS), **fields, "Codifier": codifier}


def _parsed(name: str, text: str) -> object:
    if name == "IsActive":
        return _TRUTH.get(text)
    if name == "Value" and (value := _object(text)) is not None:  # as earlier versions wrote it
        return value
    number = _number(text)
    return text if number is None and name == "Value" else number


def _object(text: str) -> dict[str, object] | None:
    """Return the JSON object with a value that a text is, None for any other text."""
    if not text.startswith("{"):
        return None
    try:
        found: dict[str, object] = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if "value" in found else None


def _value_in(found: dict[str, object]) -> object:
    """Return what `fields_of` reads in Value beside an object."""
    value = for_programs({"Value": found})["Value"]
    return None if value is None else _parsed("Value", str(value))


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
