"""Web Push: browsers that are told of alerts while no page is open.

The browser chooses a push service and gives us an address there; what we send is encrypted for the
browser, and signed with a key of this server (VAPID), which is in the home directory.
"""

import importlib.util
import ipaddress
import json
import logging
import queue
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jph.child import run_module
from jph.clock import time_now_ms
from jph.errors import JphError, StoreError
from jph.faults import Fault
from jph.files import write_file
from web.alerts.board import Posted

log = logging.getLogger(__name__)

KEY_FILE = "web.push.key"
NEEDED = "pywebpush"
MOST_OF_PERSON, MOST = 20, 200
MOST_WAITING = 200
CHILD_S = 120.0
TRIES_S = (5.0, 30.0, 120.0)  # pauses before the next tries
GONE = (404, 410)  # the browser has unsubscribed
LONGEST = 1000  # characters of an address
SCHEMES = frozenset({"https"})


class PushError(JphError):
    """Messages cannot be pushed; the text says what to do."""


class Subscription(NamedTuple):
    """One browser.

    Args:
        site: where it finds the pages, with a slash at the end.
    """

    endpoint: str
    p256dh: str
    auth: str
    site: str


def is_possible() -> bool:
    """Tell whether the packages are there."""
    return importlib.util.find_spec(NEEDED) is not None


def public_key(home: Path) -> str:
    """Return the key that browsers need to subscribe; it is made when first asked for.

    Raises:
        PushError: it cannot be made.
    """
    return _keys(home)["public"]


def _keys(home: Path) -> dict[str, str]:
    path = home / KEY_FILE
    try:
        found = json.loads(path.read_text())
        return {"private": str(found["private"]), "public": str(found["public"])}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PushError(f"{path} cannot be read; delete it, and subscribe again") from error
    made = _child({"op": "key"})
    try:
        write_file(path, json.dumps(made).encode(), 0o600)
    except OSError as error:
        raise PushError(f"{path} cannot be written: {error.strerror}") from error
    return dict(made)


def checked(given: object) -> tuple[str, str, str]:
    """Return endpoint and keys of a subscription as a browser gives it.

    Raises:
        ValueError: it is none, or its address is not that of a service in the internet.
    """
    found: Any = given if isinstance(given, dict) else {}
    keys = found.get("keys") if isinstance(found.get("keys"), dict) else {}
    texts = found.get("endpoint"), keys.get("p256dh"), keys.get("auth")
    if not all(isinstance(it, str) and 0 < len(it) <= LONGEST for it in texts):
        raise ValueError("this is no subscription of a browser")
    endpoint = str(texts[0])
    parts = urlsplit(endpoint)
    if parts.scheme not in SCHEMES or not is_public(parts.hostname or ""):
        raise ValueError("the address of a subscription must be https, of a public push service")
    return endpoint, str(texts[1]), str(texts[2])


def is_public(host: str) -> bool:
    """Tell whether a name may be that of a push service, and not of a machine in this network."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host and not host.endswith((".local", ".localhost", ".internal", ".lan"))


def add(home: Path, subscription: Subscription, who: str) -> None:
    """Tell a browser from now on; the oldest of a person gives way where there are too many.

    Raises:
        StoreError: the database cannot be used.
    """
    with _database(home) as database:
        database.execute(
            "INSERT OR REPLACE INTO push (endpoint, p256dh, auth, site, who, is_account, made_ms)"
            " VALUES (?, ?, ?, ?, ?, EXISTS (SELECT 1 FROM account WHERE name = ?), ?)",
            (*subscription, who, who, time_now_ms()),
        )
        newest = "SELECT endpoint FROM push {} ORDER BY made_ms DESC LIMIT ?"
        database.execute(
            "DELETE FROM push WHERE who = ? AND endpoint NOT IN "
            f"({newest.format('WHERE who = ?')})",
            (who, who, MOST_OF_PERSON),
        )
        database.execute(f"DELETE FROM push WHERE endpoint NOT IN ({newest.format('')})", (MOST,))


def remove(home: Path, endpoint: str) -> None:
    """Tell a browser no more."""
    with _database(home) as database:
        database.execute("DELETE FROM push WHERE endpoint = ?", (endpoint,))


def subscriptions(home: Path) -> list[Subscription]:
    """Return the browsers that are told, without those of people whose accounts are gone."""
    with _database(home) as database:
        database.execute(
            "DELETE FROM push WHERE is_account AND who NOT IN (SELECT name FROM account)"
        )
        rows = database.execute("SELECT endpoint, p256dh, auth, site FROM push ORDER BY made_ms")
        return [Subscription(*row) for row in rows]


def _database(home: Path) -> Any:
    from web.history import events
    from web.migrations import connection  # loads sqlite3

    return connection(events.database_of(home))


class PushSender:
    """Pushes what is said of alerts, from a thread that begins with the first message."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._queue: queue.Queue[Posted | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._fault = Fault(log)
        self._closing = threading.Event()

    def take(self, posted: Posted, said: str) -> None:
        """Take what is said of an alert: that it begins, or that it ends."""
        if not said or not (self._home / KEY_FILE).exists():
            return  # nobody ever subscribed
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="jph-push", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(posted)
        except queue.Full:
            log.warning("too many messages wait to be pushed; %s is left out", posted.told.text)

    def close(self) -> None:
        """End after the present message."""
        self._closing.set()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(1.0)

    def _run(self) -> None:
        while (posted := self._queue.get()) is not None and not self._closing.is_set():
            try:
                self._push(posted)
            except (PushError, StoreError) as error:
                self._fault.note(str(error), f"browsers are not told of alerts: {error}")

    def _push(self, posted: Posted) -> None:
        told = subscriptions(self._home)
        for pause_s in (0.0, *TRIES_S):
            if not told or self._closing.wait(pause_s):
                return
            failed = self._send(posted, told)
            if not failed:
                self._fault.end("browsers are told of alerts again")
                return
            told = failed
        raise PushError("the push service does not answer")

    def _send(self, posted: Posted, told: Sequence[Subscription]) -> list[Subscription]:
        """Send to these browsers; return those that are to be tried again."""
        site = told[0].site
        host = urlsplit(site).hostname or "localhost"
        messages = [
            {
                "subscription": {
                    "endpoint": it.endpoint,
                    "keys": {"p256dh": it.p256dh, "auth": it.auth},
                },
                "data": json.dumps(notification(posted, it.site), ensure_ascii=False),
                "urgency": "high" if posted.told.severity == "critical" else "normal",
            }
            for it in told
        ]
        given = {"op": "send", "private": _keys(self._home)["private"]}
        results = _child({**given, "contact": f"mailto:jph@{host}", "messages": messages})
        failed = []
        for it, result in zip(told, results, strict=True):
            status = result["status"]
            if status in GONE:
                remove(self._home, it.endpoint)
            elif not 200 <= status < 300:
                log.info("a push to %s: %s", urlsplit(it.endpoint).hostname, result["error"])
                if status == 0 or status == 429 or status >= 500:
                    failed.append(it)
        return failed


def notification(posted: Posted, site: str) -> dict[str, str]:
    """Return what a browser shows."""
    told = posted.told
    is_over = told.state == "ended"
    when = time.strftime("%H:%M", time.localtime(told.since / 1000))
    is_component = len(told.subject) == 2
    return {
        "title": f"Over: {told.text}" if is_over else told.text,
        "body": f"{told.rule} · since {when}",
        "url": f"{site}component/{told.subject}" if is_component else f"{site}alerts",
        "tag": f"{posted.component}-{told.id}",  # the end takes the place of the beginning
    }


def _child(given: dict[str, Any]) -> Any:
    """Have a process of its own do something, and return what it printed.

    Raises:
        PushError: it did not.
    """
    if not is_possible():
        raise PushError("Web Push is not installed: pip install 'jph[push]'")
    try:
        ended = run_module("web.alerts.by_push", given, CHILD_S)
        if ended.returncode == 0:
            return json.loads(ended.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise PushError(f"Web Push fails: {error}"[:300]) from error
    last = ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    raise PushError(f"Web Push fails: {last}"[:300])
