"""Where files are: those that JPH ships beside its modules, and those that a user keeps.

In a checkout static/ and templates/ stand at the top; an installed wheel has them inside web/.
"""

import os
from pathlib import Path

_TOP = Path(__file__).resolve().parent.parent


def _shipped(folder: str) -> Path:
    installed = _TOP / "web" / folder
    return installed if installed.is_dir() else _TOP / folder


def static_dir() -> Path:
    """Return the folder that the web server serves as /static/."""
    return _shipped("static")


def templates_dir() -> Path:
    """Return the folder of the page templates."""
    return _shipped("templates")


def shipped_config() -> Path:
    """Return the configuration of the small network that runs on any Linux machine."""
    return static_dir() / "config.json"


def state_dir() -> Path:
    """Return the user's folder for the state of JPH, where nobody names another one."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "jph"
