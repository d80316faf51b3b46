"""Readings in the kind that the configuration declares, for every sensor alike.

    DataType          what becomes of a reading
    float, double     text that is a number (see `jph.numerals`) becomes it; other text is refused
    integer           likewise; a number with a fraction is not rounded
    bool              likewise; true, false, on, off, yes and no become 1 and 0
    string            a number becomes text
    json              stays what it is

The key `value` of an object is treated so, and its other keys stay as they are.
"""

import math
import struct
from collections.abc import Mapping

from jph import numerals
from jph.bus.wire import Value

_WORDS = {"true": 1, "on": 1, "yes": 1, "false": 0, "off": 0, "no": 0}
_F4 = struct.Struct("<f")
_CERTAIN_DIGITS = 6  # float32 keeps every decimal number of so many digits
_MOST_DIGITS = 11  # of a number that somebody wrote; with more of them it comes from arithmetic
_EXACT = 2.0**53  # up to this every whole number is a double


def typed(value: object, data_type: str) -> Value:
    """Return a reading in the declared kind.

    Raises:
        ValueError: it is of another kind, or a number that is not finite.
    """
    if type(value) is float and data_type != "string" and math.isfinite(value):
        return value  # the usual case
    if isinstance(value, Mapping):
        if data_type == "json" or "value" not in value:
            return dict(value)
        return {**value, "value": typed(value["value"], data_type)}
    if isinstance(value, str):
        return value if data_type in ("string", "json") else _number_in(value, data_type)
    if not isinstance(value, int | float):
        raise ValueError(f"{value!r:.60} is no value of DataType {data_type}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} cannot be sent")
    return str(value) if data_type == "string" else value


def _number_in(text: str, data_type: str) -> float:
    word = text.strip().casefold()
    if data_type == "bool" and word in _WORDS:
        return _WORDS[word]
    try:
        return numerals.parse(text)
    except ValueError as error:
        raise ValueError(
            f'{error}, but its DataType is {data_type}; set DataType to "string" to send text'
        ) from None


def loses_digits(value: float) -> bool:
    """Tell whether float32 would change a number as its source wrote it.

    It changes nearly every number in the last bits of a double. Only digits that somebody wrote
    count: those of whole numbers, and of decimal numbers with 11 of them at most.
    """
    try:
        (nearest,) = _F4.unpack(_F4.pack(value))
    except (OverflowError, struct.error):
        return False  # such a number never goes as float32
    if nearest == value:
        return False
    if value.is_integer() and abs(value) < _EXACT:
        return True
    text = f"{value:.15g}"  # the digits behind these come from arithmetic in any case
    digits = len(text.partition("e")[0].replace(".", "").lstrip("-0"))
    if not _CERTAIN_DIGITS < digits <= _MOST_DIGITS:
        return False
    return float(f"{nearest:.{digits}g}") != float(text)
