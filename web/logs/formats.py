"""Lines of text back to what was logged, by the format of the handler that wrote them."""

import logging
import re
import time
from collections.abc import Container
from typing import Any

from web.logs.line import Line, leading_codifier, tidy

STDERR = "%(levelname)s %(name)s: %(message)s"  # of jph.node.logs, without times
PLAIN = "%(message)s"
FIELD = re.compile(r"%\((\w+)\)[-#0 +]*\d*(?:\.\d+)?[sdfrx]")
PATTERNS = {
    "levelname": "[A-Za-z]+",
    "name": r"[\w.-]+",
    "codifier": r"[!-~]{0,2}",
    "message": ".*",
    "levelno": r"\d+",
}
DEFAULT_TIME = "%Y-%m-%d %H:%M:%S"  # and milliseconds


class Format:
    """The format of a formatter of the module logging, in the style of %.

    Args:
        text: such as "%(asctime)s %(levelname)s %(message)s".
        datefmt: of its times; None for the usual one.
    """

    def __init__(self, text: str = PLAIN, datefmt: str | None = None) -> None:
        self._datefmt = datefmt
        pattern, place = "", 0
        seen: set[str] = set()
        for field in FIELD.finditer(text):
            name = field[1]
            pattern += re.escape(text[place : field.start()])
            inner = PATTERNS.get(name, ".*?")
            pattern += rf"(?:{inner})\s*" if name in seen else rf"\s*(?P<{name}>{inner})\s*"
            seen.add(name)
            place = field.end()
        self._pattern = re.compile(pattern + re.escape(text[place:]), re.DOTALL)
        self.is_plain = seen <= {"message"}

    @classmethod
    def of(cls, formatter: Any) -> "Format":
        """Return the format of an entry of `formatters` in a document of dictConfig."""
        entry = formatter if isinstance(formatter, dict) else {}
        text, datefmt = entry.get("format", entry.get("fmt")), entry.get("datefmt")
        if not isinstance(text, str) or entry.get("style", "%") != "%":
            return cls()
        return cls(text, datefmt if isinstance(datefmt, str) else None)

    def begins(self, text: str) -> bool:
        """Tell whether a line is the first one of a record; the others belong to that before."""
        return self.is_plain or self._pattern.fullmatch(text) is not None

    def line(self, text: str, codifiers: Container[str]) -> Line:
        """Return what was logged; a text of another format is the message."""
        first, newline, rest = text.partition("\n")
        found = self._pattern.fullmatch(first)
        if found is None:
            return Line(None, 0, "", "", tidy(text))
        fields = found.groupdict()
        message = fields.get("message", first) + newline + rest
        codifier = fields.get("codifier") or leading_codifier(message, codifiers)
        return Line(
            self._time_ms(fields.get("asctime")),
            _level(fields),
            fields.get("name", ""),
            codifier,
            tidy(message),
        )

    def _time_ms(self, text: str | None) -> int | None:
        if not text:
            return None
        text, thousandths = text.strip(), 0
        if self._datefmt is None and re.search(r",\d{3}$", text):
            text, thousandths = text[:-4], int(text[-3:])
        try:
            return round(time.mktime(time.strptime(text, self._datefmt or DEFAULT_TIME))) * 1000 + (
                thousandths
            )
        except (ValueError, OverflowError):
            return None


def _level(fields: dict[str, str]) -> int:
    if number := fields.get("levelno"):
        return int(number)
    return logging.getLevelNamesMapping().get(fields.get("levelname", "").upper(), 0)
