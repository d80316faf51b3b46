"""JSON as devices send it: its encoding, its faults, and a value at a path in it.

Of the faults two are mended, which some devices make: a comma before a closing bracket, and a bare
word of C for a number that is none, such as `inf`, `-nan` or Arduino's `ovf`. Such a number is
never passed on as a value.
"""

import json
import math
import re

from jph.bus.wire import Value, number_of

# Encodings of one byte to take when the text is not UTF-8.
_CHARSETS = frozenset(
    {"us-ascii", "latin-1", "latin1", "iso-8859-1", "iso-8859-2", "iso-8859-9", "iso-8859-15"}
    | {f"windows-125{n}" for n in range(9)}
)
_SIGNS = re.compile(
    r"""
    \\.                         # an escape: only strings have them
    | "                         # a string begins or ends
    | [\[{][ \t\r\n]*,          # a comma with no value before it: not one that is mended
    | ,(?=[ \t\r\n]*[\]}])      # a comma before a closing bracket
    | (?<![\w.+-])[-+]?(?:inf(?:inity)?|ovf|nan(?:\(\w*\))?)(?![\w("])  # bare words of C
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


def parse(content: bytes, charset: str | None = None, *, mend: bool = False) -> object:
    """Return the document in an answer.

    Args:
        content: UTF-8, or UTF-16 or UTF-32 as its first bytes tell; else in `charset`.
        charset: the encoding that came with it; Latin-1 if none did, or another than it is.
        mend: try again without the faults that are known.

    Raises:
        ValueError: there is none, in a few words.
    """
    text = _decoded(content, charset)
    try:
        try:
            return json.loads(text)
        except ValueError:
            mended = _mended(text) if mend else text
            if mended == text:
                raise
            return json.loads(mended)
    except RecursionError:
        raise ValueError("no JSON: nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"no JSON: {error}") from None


def pick(document: object, path: str, *, infinity: float | None = None) -> Value | None:
    """Return the value at a dotted path, booleans as 0 and 1; None if no value is there.

    A key that has dots itself is found at the top, as a whole.

    Args:
        infinity: stands for an infinite number, which is no value else.
    """
    found = document
    steps = [path] if isinstance(document, dict) and path in document else path.split(".")
    for step in steps:
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    if isinstance(found, float) and math.isinf(found):
        return infinity
    return value_of(found)


def value_of(found: object) -> Value | None:
    """Return a JSON value as the bus carries it: text, finite numbers, booleans as 0 and 1.

    An integer beyond 1.8e308 is as infinite as 1e999 is.
    """
    if isinstance(found, bool):
        return int(found)
    if isinstance(found, int | float):
        return found if number_of(found) is not None else None
    return found if isinstance(found, str) else None


def _decoded(content: bytes, charset: str | None) -> str:
    try:
        return content.decode(json.detect_encoding(content))
    except UnicodeDecodeError:
        # Every byte is a character of Latin-1. At worst a text looks odd; the numbers are right.
        return content.decode(charset if charset in _CHARSETS else "latin-1", errors="replace")


def _constant(word: str) -> str:
    """Return the name by which json.loads knows what a word of C says."""
    if "nan" in word.lower():
        return "NaN"
    return "-Infinity" if word[0] == "-" else "Infinity"


def _mended(text: str) -> str:
    parts = []
    end = 0
    in_string = False
    for found in _SIGNS.finditer(text):
        sign = found.group()
        if sign == '"':
            in_string = not in_string
        elif not in_string and sign[0] not in "\\[{":
            parts.append(text[end : found.start()])
            parts.append("" if sign == "," else _constant(sign))
            end = found.end()
    return "".join(parts) + text[end:]
