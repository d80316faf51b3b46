"""Logging, set up once by whoever owns the process."""

import logging
import logging.config
import os
import sys
from typing import Any

from jph.config.model import Config


def set_up_logging(config: Config | None = None) -> None:
    """Log to stderr, or as the configuration's `Logging` says; a program that did so already wins.

    JPH_DEBUG=1 logs everything, JPH_SILENT only errors. Times are left to the journal; on a
    terminal they are added.
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
    logging.setLogRecordFactory(_record)
    logging.basicConfig(level=level, format=f"{time}%(levelname)s %(name)s: %(message)s")
    if config and config.logging:
        try:
            # Our loggers exist already, so what this option disables would be everything we say.
            logging.config.dictConfig({**config.logging, "disable_existing_loggers": False})
        except (ValueError, OSError) as error:
            logging.getLogger(__name__).error("Logging in %s: %s", config.source, error)


def _record(*arguments: Any, **more: Any) -> logging.LogRecord:
    """Make a record with a Codifier, which formatters of existing configurations name.

    Of our components most messages begin with it, so here it is only what the program was told.
    """
    record = logging.LogRecord(*arguments, **more)
    record.codifier = os.environ.get("JPH_SENSOR", "")
    return record
