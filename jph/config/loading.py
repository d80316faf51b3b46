"""Loading the configuration: from a file, from a URL, or from the last good copy of a URL."""

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from jph import paths, registry
from jph.backoff import Backoff
from jph.config import checks, document
from jph.config.checks import Runs
from jph.config.model import Config, build
from jph.errors import ConfigError

log = logging.getLogger(__name__)

RETRY_FIRST_S = 1.0
RETRY_CAP_S = 60.0
# Files of the home.
OWN = "config.json"  # in place of the shipped network
ON_TRIAL = "config.trial.json"  # there while a change is on trial

Check = Callable[[bytes], Config]


def load(
    source: str | Path,
    home: Path,
    *,
    runs: Runs = checks.runs_nothing,
    wait: bool = False,
    port: int | None = None,
    stop: threading.Event | None = None,
    on_read: Callable[[Config], object] | None = None,
) -> Config:
    """Return the configuration, checked as far as this process needs it.

    While a URL cannot be fetched, its last good copy in the home directory takes its place.

    Args:
        source: path or http(s) URL of the document; the shipped one gives way to that of the home.
        home: for copies; it may be missing or read-only.
        runs: tells whether this process runs the component of an entry of `Sensors`; then its
            settings are checked, too.
        wait: without a copy, try the URL until it answers.
        port: replaces the Port of the first Web component that this process runs, or else of the
            first one.
        stop: ends the waiting, with ConfigError.
        on_read: gets the configuration before the settings of its components are checked, which
            imports their modules; it may be called more than once.

    Raises:
        ConfigError: the document cannot be had, or names all its mistakes.
    """
    where = in_force(str(source), home)

    def check(text: bytes) -> Config:
        content = document.parse(text, where)
        if port is not None:
            _set_port(content, port, runs)
        if on_read is not None:
            with suppress(ConfigError):  # the check names it with all others
                on_read(build(content, where))
        mistakes, warnings = checks.check(content, runs)
        if mistakes:
            raise ConfigError(mistakes, where)
        return build(content, where, warnings=tuple(warnings))

    if not document.is_url(where):
        return check(document.read(where))
    if document.holds_password(where):
        raise ConfigError("the URL of the configuration must not hold a password")
    copy = document.copy_of(where, home)
    try:
        return _fetched(where, copy, check)
    except document.Unreachable as error:
        found = _from_copy(where, copy, check, str(error))
        if found is None and not wait:
            raise
        reason = str(error)
    return found or _await(where, copy, check, reason, stop or threading.Event())


def in_force(source: str, home: Path) -> str:
    """Return where the document of a source is read from.

    The shipped network stays as it came, so that an update can replace it: what people change of it
    stands in the home directory, which the pages write, and is read in its place.
    """
    own = home / OWN
    if not document.is_url(source) and own.is_file() and is_shipped(source):
        return str(own.resolve())
    return source


def is_shipped(source: str) -> bool:
    """Tell whether a source is the network that JPH ships."""
    if document.is_url(source):
        return False
    with suppress(OSError):
        return os.path.samefile(document.path_of(source), paths.shipped_config())
    return False


def _fetched(url: str, copy: Path, check: Check) -> Config:
    text = document.read(url)
    config = check(text)
    try:
        document.keep(copy, text)
    except OSError as error:
        log.warning("no copy of %s is kept: %s", url, error)
    return config


def _from_copy(url: str, copy: Path, check: Check, reason: str) -> Config | None:
    try:
        fetched_s = copy.stat().st_mtime
        config = check(copy.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ConfigError) as error:
        log.warning("the last good copy of %s cannot be used: %s", url, error)
        return None
    log.warning("%s; using its last good copy, fetched %s", reason, _ago(time.time() - fetched_s))
    return replace(config, stale=True)


def _await(url: str, copy: Path, check: Check, reason: str, stop: threading.Event) -> Config:
    log.warning("%s; there is no copy of it yet, so it is tried until it answers", reason)
    began_s = time.monotonic()
    backoff = Backoff(RETRY_FIRST_S, RETRY_CAP_S)
    while not stop.wait(backoff.next_s()):
        try:
            config = _fetched(url, copy, check)
        except document.Unreachable as error:
            log.debug("%s", error)
        else:
            log.info("%s answered after %.0f s", url, time.monotonic() - began_s)
            return config
    raise ConfigError("was waited for until it was time to stop", url)


def _ago(age_s: float) -> str:
    """Return an age in words, in the largest unit that fits."""
    for unit, length_s in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if age_s >= 2 * length_s:
            return f"{age_s / length_s:.0f} {unit} ago"
    return f"{age_s:.0f} seconds ago" if age_s >= 0 else "in the future, by this clock"


def _set_port(content: object, port: int, runs: Runs) -> None:
    entries = content.get("Sensors") if isinstance(content, dict) else None
    pages = [
        entry
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, dict) and registry.current(str(entry.get("Type"))) == "Web"
    ]
    entry = next(filter(runs, pages), pages[0] if pages else None)
    if entry is None:
        log.warning("port %d is of no use: the configuration has no Web component", port)
    elif isinstance(settings := entry.get("Sensor") or {}, dict):  # else the check refuses it
        entry["Sensor"] = {**settings, "Port": port}
