"""Looks after the configuration for the pages of one process: saves it, and sees who edits it.

A keeper outlives its Web component, which is built again when its own settings change: somebody has
to see whether it comes back.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from jph.bus.wire import BROADCAST, Control
from jph.clock import time_now_ms
from jph.config import checks, document
from jph.config.model import Component, Config
from jph.errors import ConfigError, JphError, StoreError
from jph.faults import Fault
from jph.node.channel import Channel
from jph.node.outcome import send_command
from web.configuration import store, trial
from web.configuration.differences import differences
from web.configuration.file import ConfigFile, NotWritableError
from web.configuration.own_pages import (
    PROBE_S,
    Served,
    entry_in,
    own_mistakes,
    port_in,
    why_not_served,
    with_port,
)
from web.configuration.store import Revision
from web.configuration.text import dumped, is_same, parsed, written
from web.configuration.trial import Mark, Trial
from web.history import events

log = logging.getLogger(__name__)

LOOK_S = 3.0  # between looks at the file
STEP_S = 0.2  # between looks at a change on trial
TELL_S = 0.3  # until the components are told: the answer to who saved it is on its way then
WAIT_S = 5.0  # for a change that is still on trial
MOST_LOOKED_AT = 20  # revisions, for one that is valid
MOST_EVENTS = 20  # components that get an event of their own


class RefusedError(ConfigError):
    """The document has mistakes; `mistakes` has each with its path."""


class ConflictError(JphError):
    """The configuration is not any more what the change was made of."""

    def __init__(self, base: Revision | None, newest: Revision) -> None:
        super().__init__("The configuration has been changed meanwhile.")
        self.base = base
        self.newest = newest


class BusyError(JphError):
    """Another change is still on trial."""


class Keeper:
    """Keeps the configuration of one process; every method may be called from any thread."""

    def __init__(self, channel: Channel, home: Path) -> None:
        self._channel = channel
        self._home = home
        self._lock = threading.RLock()
        self._wake = threading.Condition()
        self._served: Served | None = None
        self._thread: threading.Thread | None = None
        self._stamp: object = ()
        self._fault = Fault(log, logging.ERROR)
        self.trial: Trial | None = None

    # Its Web component

    def attach(self, served: Served) -> None:
        """Take the Web component that serves from now on."""
        with self._wake:
            self._served = served
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="jph-config", daemon=True)
                self._thread.start()
            self._wake.notify_all()

    def detach(self, served: Served) -> None:
        """Let go of a Web component; wait for the end of the thread if no change is on trial."""
        with self._wake:
            if self._served is served:
                self._served = None
            thread = self._thread
            self._wake.notify_all()
            is_trying = self.trial is not None and self.trial.state == "trying"
        if thread is not None and not is_trying:
            thread.join(PROBE_S)

    def hear(self, message: Control) -> None:
        """Take a control message."""
        if (one := self.trial) is not None:
            one.hear(message)

    # The revisions

    @property
    def file(self) -> ConfigFile:
        """The file in force."""
        return ConfigFile(self._channel.process.config.source, self._home)

    def look(self) -> Revision:
        """Return the newest revision, after noting what somebody else wrote into the file.

        Raises:
            ConfigError: the file cannot be read.
            StoreError: the database of the pages cannot be used.
        """
        with self._lock:
            file, newest = self.file, store.newest(self._home)
            if newest is not None and not file.is_there:  # somebody has deleted it
                return newest
            stamp, text = file.stamp(), self._text_in(file)
            if newest is None:
                newest = store.add(self._home, text, "", "", "found", file.changed_ms())
            elif store.text_of(self._home, newest.number) != text:
                kind: store.Kind = "by hand"
                if file.is_url or file.is_shipped:
                    kind = "fetched" if file.is_url else "update"
                newest = store.add(self._home, text, "", "", kind, file.changed_ms())
                log.info("%s was changed; it is revision %d now", file.reads, newest.number)
            self._stamp = (file.reads, stamp)
            return newest

    def _text_in(self, file: ConfigFile) -> bytes:
        """Return what is in force: of a URL, what was loaded from there."""
        if file.is_there and not file.is_url:
            return file.read()
        with suppress(OSError):
            return document.copy_of(file.reads, self._home).read_bytes()
        return dumped(self._config.document)

    def current(self) -> tuple[Revision, dict[str, Any]]:
        """Return the newest revision and its document, empty if that is no JSON object."""
        newest = self.look()
        return newest, dict(parsed(store.text_of(self._home, newest.number) or b""))

    def text(self, number: int | None = None) -> str:
        """Return the text of a revision; None: of the newest.

        Raises:
            KeyError: it is not kept.
        """
        found = store.text_of(self._home, self.look().number if number is None else number)
        if found is None:
            raise KeyError(number)
        return found.decode("utf-8-sig", "replace")

    def save(
        self,
        wanted: Mapping[str, object] | str,
        who: str,
        why: str,
        base: int | None = None,
        kind: store.Kind = "saved",
    ) -> Revision:
        """Check a document, write it, keep it as a revision, and have all components load it.

        Args:
            wanted: a document, whose changes are made in the text that there is; or a text.
            base: number of the revision that it was made of; None: of the last one seen.

        Raises:
            RefusedError: it has mistakes.
            ConflictError: the file is not any more what it was made of.
            NotWritableError: the pages cannot write it.
            BusyError: another change is still on trial.
            StoreError: the database of the pages cannot be used.
        """
        self._await_trial()
        with self._lock:
            before = store.newest(self._home) if base is None else store.find(self._home, base)
            newest = self.look()
            if before is not None and before.number != newest.number:
                raise ConflictError(before, newest)
            file = self.file
            if reason := file.why_not():
                raise NotWritableError(reason)
            old = store.text_of(self._home, newest.number) or b""
            text = written(wanted, old)
            content = self._checked(text)
            if text == old and file.is_there:
                return newest
            return self._write(file, text, content, old, newest, who, why, kind)

    def change(self, edit: Callable[[dict[str, Any]], object], who: str, why: str) -> Revision:
        """Save what a function makes of the present document; raises as `save`."""
        with self._lock:
            newest, content = self.current()
            if not content:
                raise RefusedError(["the document of the file is none; correct it as text first"])
            edit(content)
            return self.save(content, who, why, newest.number)

    @property
    def own(self) -> str:
        """The Codifier of the component that serves the pages."""
        return self._channel.codifier

    @property
    def own_component(self) -> Component:
        """The component that serves the pages."""
        return self._config.components[self._channel.codifier]

    def port_given(self) -> int | None:
        """Return the port that --port gives the pages in place of the file's, None if none."""
        given = port_in(self._config.document, self.own)
        if isinstance(given, int) and given != port_in(self.current()[1], self.own):
            return given if self.is_loaded() else None
        return None

    def is_loaded(self) -> bool:
        """Tell whether this process has loaded what the file holds, but for --port."""
        loaded = self._config.document
        written = parsed(store.text_of(self._home, self.look().number) or b"")
        given = port_in(loaded, self.own)
        if given is not None and entry_in(written, self.own):
            written = with_port(written, self.own, given)
        return is_same(loaded, written)

    def reload(self) -> None:
        """Have all components load the configuration, as after an edit by hand."""
        self._channel.process.reload()
        send_command(self._channel, "C", BROADCAST)

    def handed_out(self) -> Mapping[str, object]:
        """Return the document that other nodes load from here: already the one on trial."""
        config = self._channel.process.config
        one = self.trial
        if one is None or one.state != "trying" or config is not one.config_before:
            return config.document
        return one.document

    def _checked(self, text: bytes) -> dict[str, Any]:
        try:
            content = document.parse(text)
            mistakes, _ = checks.check(content)
        except ConfigError as error:
            raise RefusedError(error.mistakes) from error
        mistakes += own_mistakes(self.own_component, content)
        if mistakes or not isinstance(content, dict):
            raise RefusedError(mistakes)
        return content

    def _write(
        self,
        file: ConfigFile,
        text: bytes,
        content: dict[str, Any],
        old: bytes,
        newest: Revision,
        who: str,
        why: str,
        kind: store.Kind,
    ) -> Revision:
        before = self._last_valid(newest)
        revision = store.add(self._home, text, who, why, kind)  # or the newest, if it is that
        entry = self.own_component.entry
        Mark(revision.number, before, who, file.reads, entry).write(self._home)
        try:
            file.write(text, old)
        except JphError:
            trial.forget_mark(self._home)
            if revision.number != newest.number:
                store.remove(self._home, revision.number)
            raise
        self._stamp = (self.file.reads, self.file.stamp())
        log.info("%s saves revision %d: %s", who or "somebody", revision.number, why)
        names = list(dict.fromkeys(it.codifier for it in differences(parsed(old), content)))
        self._note_events(names, who, why or f"revision {revision.number}")
        one = Trial(revision.number, before, who, content, self._config, frozenset(names))
        self._begin(one, parsed(store.text_of(self._home, before) or b""))
        return revision

    def _last_valid(self, newest: Revision) -> int:
        """Return the revision to fall back to, by its number: the file may hold a wrong one."""
        for each in (newest, *store.before(self._home, newest.number, MOST_LOOKED_AT)):
            with suppress(RefusedError):
                self._checked(store.text_of(self._home, each.number) or b"")
                return each.number
        return newest.number

    def _note_events(self, names: list[str], who: str, text: str) -> None:
        if len(names) > MOST_EVENTS:
            names = [""]
        now_ms = time_now_ms()
        try:
            events.add(
                self._home,
                [events.Event(now_ms, name, "configuration", text, who) for name in names],
            )
        except StoreError as error:
            log.error("the change of the configuration is not among the events: %s", error)

    # A change on trial

    @property
    def _config(self) -> Config:
        return self._channel.process.config

    def _begin(self, one: Trial, written: Mapping[str, object]) -> None:
        """Put a change on trial.

        Args:
            written: the document that the process has loaded, as it stands in the file.
        """
        process, codifier = self._channel.process, self._channel.codifier
        own = process.components().get(codifier)
        one.was_failing = own is not None and own.is_failing
        one.was_joined = process.bus.status().joined
        states = self._channel.last_states()
        one.known = {
            each: (states.get(each) or {}).get("LoadedTime") for each in process.config.components
        }
        given = port_in(process.config.document, codifier)
        if given != port_in(written, codifier):  # by --port
            one.document = with_port(one.document, codifier, given)
        with self._wake:
            self.trial = one
            self._wake.notify_all()

    def _await_trial(self) -> None:
        until_s = time.monotonic() + WAIT_S
        with self._wake:
            while self.trial is not None and self.trial.state == "trying":
                if not self._wake.wait(until_s - time.monotonic()):
                    raise BusyError(
                        f"The change of {self.trial.who or 'somebody'} is still on trial: "
                        "try again in some seconds."
                    )

    def _run(self) -> None:
        """Look at the file and at a change on trial, until nobody serves pages here any more."""
        self._resume()
        look_s = 0.0
        while True:
            with self._wake:
                one = self.trial
                if self._served is None and (one is None or one.state != "trying"):
                    self._thread = None
                    return
                self._wake.wait(STEP_S if one is not None else LOOK_S)
            try:
                if one is not None:
                    self._step(one)
                if time.monotonic() >= look_s and self._served is not None:
                    look_s = time.monotonic() + LOOK_S
                    self._look_at_stamp()
                self._fault.end("the configuration is looked after again")
            except (JphError, OSError) as error:
                self._fault.note(str(error), "the configuration cannot be looked after")

    def _look_at_stamp(self) -> None:
        file = self.file
        stamp = file.stamp()
        if not file.is_url and stamp is not None and (file.reads, stamp) != self._stamp:
            # A second time the same: whoever writes it has ended.
            time.sleep(STEP_S)
            if stamp == file.stamp():
                self.look()

    def _resume(self) -> None:
        """Go on with a change that was on trial when an earlier process ended."""
        mark = trial.mark_of(self._home)
        if mark is None or mark.entry.get("Codifier") != self._channel.codifier:
            return
        try:
            if mark.taken_back:
                trial.forget_mark(self._home)
                self.reload()
                return
            text = store.text_of(self._home, mark.number)
            content = document.parse(text or b"")
        except (JphError, OSError) as error:
            log.error("the change of the configuration is not on trial any more: %s", error)
            trial.forget_mark(self._home)
            return
        if self.trial is None and isinstance(content, dict):
            self._begin(Trial(mark.number, mark.before, mark.who, content, None), content)

    def _step(self, one: Trial) -> None:
        if not one.is_told:
            if one.age_s >= TELL_S:
                one.is_told = True
                self.reload()
        elif one.state == "trying":
            reason, is_final = why_not_served(one, self._channel, self._served)
            if not reason:
                self._end(one, "in force")
            elif is_final or one.age_s >= trial.TRIAL_S:
                self._take_back(one, reason)
        elif one.is_over:
            self._note_outcome(one)
            with self._wake:
                if self.trial is one:
                    self.trial = None

    def _end(self, one: Trial, state: trial.State, reason: str = "") -> None:
        trial.forget_mark(self._home)
        with self._wake:
            one.state, one.reason = state, reason
            self._wake.notify_all()
        if state == "in force":
            one.took(self._channel.process.components())
        self._note_outcome(one)

    def _take_back(self, one: Trial, reason: str) -> None:
        log.error("the configuration of revision %d is taken back: %s", one.number, reason)
        with self._lock:
            mark = Mark(one.number, one.before, one.who, self.file.reads, {})
            if trial.take_back(self._home, mark, reason):
                self._stamp = (self.file.reads, self.file.stamp())
                self._end(one, "taken back", reason)
                self.reload()
            else:
                self._end(one, "left", reason)  # somebody has changed it by hand meanwhile

    def _note_outcome(self, one: Trial) -> None:
        answers = one.answers(self._config)
        outcome = {"state": one.state, "reason": one.reason, "answers": answers}
        store.note_outcome(self._home, one.number, outcome)


def keeper_of(channel: Channel, home: Path) -> Keeper:
    """Return the keeper of a channel, which the Web components that it has in turn share."""
    kept = channel.process.shared.setdefault((Keeper, channel.codifier), Keeper(channel, home))
    assert isinstance(kept, Keeper)
    return kept
