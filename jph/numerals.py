"""Numbers as devices and programs write them in text: one rule for all texts.

- Digits with a decimal point, a sign and an exponent are a number: `-5.46`, `+.5`, `1e3`. The
  minus of Unicode is a sign, too. `0x`, `0o` and `0b` begin a whole number of that base: `0x50005`.
- A unit may follow (`60kB`, `47.2'C`). Digits inside a word are no number: `eth0`.
- `n/a`, `nan` and `inf` stand in the place of a number that is not there.
- Refused, because it may mean more than one number: a comma between digits (`23,5`, `1,234.5`;
  `21,55,1013` can only be a list, and commas separate numbers where a list is expected), an
  apostrophe, a fixed space or an underscore that separates thousands, several points (`1.2.3`),
  digits behind a dash that is no minus.
"""

import math
import re

_MOST_SHOWN = 60  # characters of a text in a message
_MINUS = "-\u2212\ufe63\uff0d"  # hyphen-minus, and the minus signs of Unicode
_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015"
_NUMERAL = re.compile(
    rf"""
    (?<![\w.])
    (?: (?P<absent> (?:n/a | nan | inf)(?![\w:=]) )
      | (?P<sign> [+{_MINUS}{_DASHES}] )?
        (?: (?P<based> 0x\w+ | 0[ob]\d\w* )
          | (?P<decimal> (?:\d+\.?\d* | \.\d+)(?:e[-+]?\d+)? ) ) )
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What must not follow a number, since it may be a part of it.
_MORE = re.compile(r"[._]\d|['\u2019\u00a0\u2009\u202f]\d{3}(?!\d)")
# Digits and commas that may be one number: with a decimal comma, or with commas at the thousands.
_ONE_NUMBER = re.compile(r"\d*(?:\.\d{3})*,\d+|\d{1,3}(?:,\d{3})+(?:\.\d*)?")
_COMMAS = re.compile(r"[\d.,]*,\d[\d.,]*(?<=\d)")


def parse(text: str) -> float:
    """Return the number that a text is, an int where it is a whole number.

    Raises:
        ValueError: it is none, in a few words.
    """
    found = _NUMERAL.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:_MOST_SHOWN]!r} is no number")
    return _number(found)


def find(text: str, start: int = 0, place: int | None = None) -> float | None:
    """Return a number in a text, None if there are not so many.

    Args:
        start: where to begin.
        place: which number, 0 for the first, of a list whose separator may be a comma; None: the
            first, which must not be followed by one.

    Raises:
        ValueError: something that is no number, or may be more than one, is in its place.
    """
    for number, found in enumerate(_NUMERAL.finditer(text, start)):
        if number == (place or 0):
            return _in_text(found, text, is_listed=place is not None)
    return None


def next_one(text: str, start: int) -> float | None:
    """Return the number that a text has at this place, None if something else is there.

    Raises:
        ValueError: as `find`.
    """
    found = _NUMERAL.match(text, start)
    return None if found is None else _in_text(found, text, is_listed=False)


def _in_text(found: re.Match[str], text: str, *, is_listed: bool) -> float:
    begin, end = found.start("decimal"), found.end()
    if begin >= 0:
        more = _MORE.match(text, end)
        if more is None and not is_listed:
            more = _COMMAS.match(text, begin)
            if more is not None and _ONE_NUMBER.fullmatch(more.group()) is None:
                more = None
        if more is not None:
            shown = text[found.start() : more.end()][:_MOST_SHOWN]
            raise ValueError(
                f"{shown!r} may be another number, or several; write it with a decimal point and"
                " without separators, or set Number if it is a list"
            )
    return _number(found)


def _number(found: re.Match[str]) -> float:
    """Return the number of a match."""
    sign = found["sign"] or ""
    if found["absent"] or (sign and sign in _DASHES):
        raise ValueError(f"{found.group()!r} is no number")
    if sign in _MINUS:
        sign = sign and "-"
    if found["based"]:
        try:
            return int(sign + found["based"], 0)
        except ValueError:
            raise ValueError(f"{found.group()[:_MOST_SHOWN]!r} is no number") from None
    number = float(sign + found["decimal"])
    if math.isinf(number):
        raise ValueError("its number is too large")
    return int(sign + found["decimal"]) if found["decimal"].isdecimal() else number
