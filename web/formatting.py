"""Values as people read them: a few significant digits, a prefix before the unit, no jitter.

The browser shows the text that is made here, so that the rules exist once.
"""

import json
import math

from jph.bus.wire import number_of

# Units that read better with a prefix; all others keep the number as it is.
PREFIXED = {"B", "B/s", "bit", "bit/s", "Hz", "W", "Wh", "VA", "H/s"}
PREFIXES = ("", "k", "M", "G", "T", "P", "E")
BYTE_UNITS = {"B", "B/s", "bit", "bit/s"}
THIN = "\u202f"  # a narrow space that does not break, between groups of three digits
LONGEST_TEXT = 80  # letters of a text value that a card shows
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what begins so, a spreadsheet computes
NOTHING = "\u2013"


def display(value: object, symbol: str = "", data_type: str = "float") -> tuple[str, str]:
    """Return a value as text, and its unit with a prefix where that reads better."""
    number = number_of(value)
    if number is None:
        return _words(value), ""
    if data_type == "bool":
        return ("on" if number else "off"), ""
    if symbol == "s" and abs(number) >= 120:
        return _duration(number)
    given = value.get("value") if isinstance(value, dict) else value
    is_whole = number.is_integer() and (data_type == "integer" or isinstance(given, int))
    if symbol in PREFIXED:
        return _prefixed(number, symbol, is_whole=is_whole)
    return digits(number, is_whole=is_whole), symbol


def cell(value: object) -> str:
    """Return a value as the cell of a table in a file, which no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if text.startswith(FORMULA):
        try:
            float(text)
        except ValueError:
            return f"'{text}"
    return text


def digits(number: float, *, is_whole: bool = False) -> str:
    """Return a number with three significant digits or all before the point; one more from 100."""
    size = abs(number)
    if size == 0 or (is_whole and size < 1e15):
        return _grouped(f"{number:.0f}")
    if size >= 1e9 or 0 < size < 0.0005:
        return f"{number:.3g}".replace("-", "\u2212")
    places = 0 if size >= 999.95 else 1 if size >= 9.995 else 2 if size >= 0.9995 else 3
    return _grouped(f"{number:.{places}f}")


def _prefixed(number: float, symbol: str, *, is_whole: bool) -> tuple[str, str]:
    steps = 0
    # 1,500 W is as good as 1.5 kW, but 1,500 B is not a size that anyone thinks in.
    limit = 999.5 if symbol in BYTE_UNITS else 9999.5
    while abs(number) >= limit and steps < len(PREFIXES) - 1:
        number, steps, limit = number / 1000, steps + 1, 999.5
    if steps == 0 and (is_whole or symbol in BYTE_UNITS):
        return _grouped(f"{number:.0f}"), symbol
    is_round = steps > 0 and abs(number) >= 99.95
    return digits(number, is_whole=is_round), PREFIXES[steps] + symbol


def _duration(seconds: float) -> tuple[str, str]:
    for size, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if abs(seconds) >= 2 * size:
            return digits(seconds / size), unit
    return digits(seconds), "s"


def _grouped(text: str) -> str:
    """Group digits by three from five on, and write a true minus sign."""
    sign, text = ("\u2212", text[1:]) if text.startswith("-") else ("", text)
    whole, dot, rest = text.partition(".")
    if len(whole) > 4:
        head = len(whole) % 3
        groups = ([whole[:head]] if head else []) + [
            whole[place : place + 3] for place in range(head, len(whole), 3)
        ]
        whole = THIN.join(groups)
    if not whole.strip("0" + THIN) and not rest.strip("0"):
        sign = ""
    return f"{sign}{whole}{dot}{rest}"


def _words(value: object) -> str:
    if isinstance(value, dict):
        value = value.get("value")
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NOTHING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "\u2026"
