"""Logging, set up once for each process."""

import logging
import logging.config
import os
import sys
from typing import Any

from jph.config.model import Config


def set_up_logging(config: Config | None = None) -> None:
    """Log to stderr, or as `Logging` of the configuration says, unless the program did so already.

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
            # Our loggers exist already: this option would disable all of them.
            logging.config.dictConfig({**config.logging, "disable_existing_loggers": False})
        except (ValueError, OSError) as error:
            logging.getLogger(__name__).error("Logging in %s: %s", config.source, error)


def _record(*arguments: Any, **more: Any) -> logging.LogRecord:
    """Make a record with a Codifier, which formatters of existing configurations name.

    Most messages of our components begin with it, so this is only the one of the environment.
    """
    record = logging.LogRecord(*arguments, **more)
    record.codifier = os.environ.get("JPH_SENSOR", "")
    return record
