"""Where the programs that can be our broker are."""

import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path


def mosquitto() -> str | None:
    """Return the path of mosquitto, which Debian puts where only root looks; None: not here."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")


def nats_server() -> str | None:
    """Return the path of nats-server, of its wheel or installed; None: not here."""
    beside = Path(sys.executable).with_name("nats-server")
    return str(beside) if beside.exists() else shutil.which("nats-server")


PROGRAMS: Mapping[str, Callable[[], str | None]] = {"mosquitto": mosquitto, "nats": nats_server}
