"""The logs that there are: the journal, the files of `Logging`, this process."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from jph.config.model import Config
from web.logs.files import LogFile
from web.logs.formats import Format
from web.logs.journal import Journal
from web.logs.line import Source
from web.site import Site

LOOK_S = 60.0  # how often the journal is looked for

_looked: list[tuple[float, bool]] = []  # when, monotonic, and whether it is readable


def sources(here: Site) -> list[Source]:
    """Return the logs that can be read, the one that has most of this network's first."""
    codifiers = here.config.components
    found: list[Source] = []
    journal = Journal(codifiers)
    if _is_readable(journal):
        found.append(journal)
    files = list(_files(here.config))
    # Where this process does not log to the journal, what is there may be of another one.
    found = [*found, *files] if os.environ.get("JOURNAL_STREAM") else [*files, *found]
    if found and (files or os.environ.get("JOURNAL_STREAM")):
        return [*found, here.log_ring]
    return [here.log_ring, *found]


def _is_readable(journal: Journal) -> bool:
    now_s = time.monotonic()
    if not _looked or now_s - _looked[-1][0] > LOOK_S:
        _looked[:] = [(now_s, journal.is_readable())]
    return _looked[-1][1]


def _files(config: Config) -> Iterator[LogFile]:
    """Yield the files of the handlers that the configuration names, as far as they are there."""
    document = config.logging or {}
    handlers, formatters = document.get("handlers"), document.get("formatters")
    known = set()
    for handler in handlers.values() if isinstance(handlers, Mapping) else ():
        name = handler.get("filename") if isinstance(handler, Mapping) else None
        if not isinstance(name, str):
            continue
        path = Path(os.path.abspath(name))
        if path in known or not path.is_file() or not os.access(path, os.R_OK):
            continue
        known.add(path)
        named = formatters if isinstance(formatters, Mapping) else {}
        yield LogFile(path, Format.of(named.get(handler.get("formatter"))), config.components)
