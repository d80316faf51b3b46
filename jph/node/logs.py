"""Logging, set up once for each process.

A `Logging` document of an existing network names few loggers: of some types, and jphMonitor for all
others. Here many more things have a logger: each type, and the modules of JPH. Those that the
document does not name get the handlers and the level of its jphMonitor. Their records have names
that begin with jph, since the syslog of such a network files messages by that.
"""

import logging
import logging.config
import os
import sys
from contextvars import ContextVar
from typing import Any

from jph.config.model import Config

# The Codifier of the component whose work is being done; of "" records may begin with a Codifier.
AT_WORK: ContextVar[str] = ContextVar("AT_WORK", default="")

_MONITOR = "jphMonitor"
_PACKAGES = ("jph", "sensors", "collectors", "gateways", "web", "tools")


def set_up_logging(config: Config | None = None, codifier: str = "") -> None:
    """Log to stderr, or as `Logging` of the configuration says, unless the program did so already.

    JPH_DEBUG=1 logs everything, JPH_SILENT only errors. Times are left to the journal; on a
    terminal they are added.

    Args:
        codifier: the only component of this process, if there is only one.
    """
    root = logging.getLogger()
    if root.handlers:
        return
    level = logging.INFO
    if os.environ.get("JPH_SILENT"):
        level = logging.ERROR
    if os.environ.get("JPH_DEBUG") == "1":
        level = logging.DEBUG
    time = "%(asctime)s " if sys.stderr.isatty() else ""
    logging.basicConfig(level=level, format=f"{time}%(levelname)s %(name)s: %(message)s")
    if config is None or not config.logging:
        return
    named = config.logging.get("loggers") or {}
    own = {*_PACKAGES, *(each.type_name for each in config.components.values())} - named.keys()
    records = _Records(config, codifier or os.environ.get("JPH_SENSOR", ""), own)
    logging.setLogRecordFactory(records.make)
    try:
        # Our loggers exist already: this option would disable all of them.
        logging.config.dictConfig({**config.logging, "disable_existing_loggers": False})
    except (ValueError, OSError) as error:
        logging.getLogger(__name__).error("Logging in %s: %s", config.source, error)
        return
    if _MONITOR in named:
        monitor = logging.getLogger(_MONITOR)
        for name in own:
            logger = logging.getLogger(name)
            logger.setLevel(monitor.level)
            logger.propagate = monitor.propagate
            for handler in monitor.handlers:
                logger.addHandler(handler)


class _Records:
    """Makes records with the Codifier, which formatters of existing configurations name.

    Args:
        codifier: of a record that is about no component in particular.
        own: loggers of ours, with those below them, whose names are to begin with jph.
    """

    def __init__(self, config: Config, codifier: str, own: set[str]) -> None:
        self._components = config.components
        self._pages = config.first("Web")
        self._codifier = codifier
        self._own = own

    def make(self, name: str, *arguments: Any, **more: Any) -> logging.LogRecord:
        """Make a record."""
        package = name.partition(".")[0]
        if package in self._own and not name.startswith("jph"):
            name = f"jph.{name}"
        record = logging.LogRecord(name, *arguments, **more)
        codifier = AT_WORK.get() or self._leading(record) or self._codifier
        if not codifier and package == "web" and self._pages:
            codifier = self._pages.codifier
        record.codifier = codifier
        return record

    def _leading(self, record: logging.LogRecord) -> str:
        """Return the Codifier that the message begins with."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # the handler reports it
            return ""
        lead = text[:2]
        return lead if lead in self._components and text[2:3] in (" ", ":") else ""
