"""Lines of a log, wherever they come from, and which of them are wanted."""

import logging
import re
from collections.abc import Container
from dataclasses import dataclass
from typing import NamedTuple, Protocol

LONGEST = 4_000  # letters of a line; the rest is cut off
MOST = 200  # lines of one answer
# A link that signs its reader in is printed at the start, and may be in the journal.
SECRET = re.compile(r"(/enter/)[\w-]+")


class Line(NamedTuple):
    """One record of a log.

    Args:
        time_ms: when it was logged; None where its format does not tell.
        level: as in the module logging; 0 where the format does not tell.
        logger: its name; empty where the format does not tell.
        codifier: of the component that it is about; empty for none.
        text: what it says, perhaps over several lines.
    """

    time_ms: int | None
    level: int
    logger: str
    codifier: str
    text: str


class Page(NamedTuple):
    """A part of a log.

    Args:
        lines: those that were wanted, oldest first.
        before: where to go on backwards; None at the beginning of the log.
        after: where to go on with what is logged later.
    """

    lines: list[Line]
    before: str | None
    after: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are wanted.

    Args:
        codifiers: about one of these components; empty: about anything.
        level: at least this one; lines of unknown level are wanted, too, where it is INFO or less.
        words: which are all in the line, in any case.
    """

    codifiers: frozenset[str] = frozenset()
    level: int = 0
    words: tuple[str, ...] = ()

    def takes(self, line: Line) -> bool:
        """Tell whether a line is wanted."""
        if self.codifiers and line.codifier not in self.codifiers:
            return False
        if line.level < self.level and (line.level or self.level > logging.INFO):
            return False
        if not self.words:
            return True
        text = f"{line.logger} {line.codifier} {line.text}".lower()
        return all(word in text for word in self.words)


class Source(Protocol):
    """A log that can be read from its end, and followed.

    Calls read a bounded part of it, and so may return no lines though there are some further on.

    Attributes:
        name: for programs.
        title: for people.
    """

    @property
    def name(self) -> str: ...

    @property
    def title(self) -> str: ...

    def older(self, before: str | None, wanted: Wanted) -> Page:
        """Return the newest lines before a place, or at the end of the log.

        Raises:
            LogError: the log cannot be read.
            ValueError: there is no such place.
        """

    def newer(self, after: str, wanted: Wanted) -> Page:
        """Return what was logged after a place; raises as `older` does."""


class LogError(Exception):
    """A log cannot be read; says why, for people."""


def tidy(text: str) -> str:
    """Return the text of a line as it may be shown."""
    text = SECRET.sub(r"\1…", text)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def leading_codifier(text: str, codifiers: Container[str]) -> str:
    """Return the Codifier that a text begins with, as many of our messages do."""
    lead = text[:2]
    return lead if text[2:3] in (" ", ":", ",") and lead in codifiers else ""
