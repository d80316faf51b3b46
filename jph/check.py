"""The full check of a document, done once for each document and version of JPH.

It runs in a process of its own, so that a node of three sensors does not carry pydantic for
years, and its result is remembered in `config/checked.json` of the home directory.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jph import document, registry
from jph.digest import digest
from jph.errors import ConfigError
from jph.host import this_host

log = logging.getLogger(__name__)

TIMEOUT_S = 120.0  # imports of every type that the document names, on a slow Pi
STAMPS_KEPT = 8

_said: set[str] = set()


def check_once(text: bytes, content: object, source: str, home: Path) -> tuple[str, ...]:
    """Check a document unless that was done before, and return its warnings.

    Args:
        text: the document.
        content: what it says, parsed.
        source: where it came from, for messages.
        home: where it is remembered; it may be missing or read-only.

    Raises:
        ConfigError: names all mistakes.
    """
    stamp = digest(repr([digest(text), _checker(content)]).encode())
    file = home / "config" / "checked.json"
    stamps = _read(file)
    for known in stamps:
        if known["stamp"] == stamp:
            return tuple(known["warnings"])
    try:
        mistakes, warnings = check(text)
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("pydantic", "pydantic_core"):
            raise
        _say_once("pydantic is not installed, so the configuration is not checked in full")
        return ()
    if mistakes:
        raise ConfigError(mistakes, source)
    stamps = [{"stamp": stamp, "warnings": warnings}, *stamps][:STAMPS_KEPT]
    try:
        document.write(file, json.dumps({"checked": stamps}, indent=1).encode())
    except OSError as error:
        log.debug("the check of %s is not remembered: %s", source, error)
    return tuple(warnings)


def check(text: bytes) -> tuple[list[str], list[str]]:
    """Return all mistakes and all warnings of a document.

    Raises:
        ImportError: pydantic is not installed.
    """
    if find_spec("pydantic") is None:  # a process to find that out takes a Pi two seconds
        raise ModuleNotFoundError("pydantic is not installed", name="pydantic")
    found = _check_apart(text)
    if found is None:
        from jph import schema

        found = schema.check(document.parse(text))
    return found


def _check_apart(text: bytes) -> tuple[list[str], list[str]] | None:
    """Check in another process; None if that does not work here."""
    import subprocess  # 0.6 MB that a start with a checked document does not need

    folders = [os.path.abspath(folder) for folder in sys.path]
    try:
        answer = subprocess.run(
            [sys.executable, "-P", "-m", "jph.schema"],
            input=text,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(folders)},
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        found = json.loads(answer.stdout)
        return found["mistakes"], found["warnings"]
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        log.debug("a process of its own cannot do the check: %r", error)
        return None


def _checker(content: object) -> list[object]:
    """Return what a result depends on beside the document."""
    found: list[object] = [this_host()]
    for module in ("check", "config", "registry", "schema", "settings"):
        status = Path(__file__).with_name(f"{module}.py").stat()
        found += [status.st_size, status.st_mtime_ns]
    entries = content.get("Sensors") if isinstance(content, Mapping) else None
    for entry in entries if isinstance(entries, list) else ():
        name = entry.get("Type") if isinstance(entry, Mapping) else None
        if not isinstance(name, str) or not registry.in_table(name):
            return [*found, registry.installed()]
    return found


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        stamps = json.loads(file.read_bytes())["checked"]
        return [known for known in stamps if _is_stamp(known)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _is_stamp(known: Any) -> bool:
    return (
        isinstance(known["stamp"], str)
        and isinstance(known["warnings"], list)
        and all(isinstance(line, str) for line in known["warnings"])
    )


def _say_once(what: str) -> None:
    if what not in _said:
        _said.add(what)
        log.warning("%s; `jph config check` on another machine does that", what)
