"""A saved configuration, until it is known what became of it.

It is on trial while the pages' own node goes over to it; if they are not served again in time, the
one before takes its place. Meanwhile, and a while longer, the components tell whether they took it.
"""

import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from jph import registry
from jph.bus.wire import Control
from jph.config.loading import ON_TRIAL, OWN
from jph.config.model import Config
from jph.errors import ConfigError
from jph.files import write_file
from jph.node.throttle import RELOAD_EVERY_S
from jph.paths import shipped_config
from web.configuration import store
from web.configuration.file import ConfigFile

log = logging.getLogger(__name__)

TRIAL_S = 20.0  # for the pages to be served again
ANSWERS_S = RELOAD_EVERY_S + 6.0  # for the components to answer, or fetch the document
MOST_STARTS = 1  # of a process under a change on trial
CLOCKS_MS = 60_000  # a configuration time so close to the message's is a new one

State = Literal["trying", "in force", "taken back", "left"]
Answer = Literal["took", "refused", "silent", "waiting"]


@dataclass(slots=True)
class Trial:
    """One change and its fate.

    Args:
        number: of its revision.
        before: number of the revision that takes its place if the pages do not come back.
        document: what the process of the pages is to load.
        config_before: what it had when the change was saved; None: the process began after that.
        changed: Codifiers of the components that it changes.
        known: configuration time of each component before the change, ms.
        is_told: the components know of it.
        was_failing, was_joined: how its Web component, and its bus, were before.
        state: left: the file was changed meanwhile, so it stays as it is.
    """

    number: int
    before: int
    who: str
    document: Mapping[str, object]
    config_before: Config | None
    changed: frozenset[str] = frozenset()
    known: Mapping[str, object] = field(default_factory=dict)
    was_failing: bool = False
    was_joined: bool = False
    is_told: bool = False
    state: State = "trying"
    reason: str = ""
    began_s: float = field(default_factory=time.monotonic)
    _took: set[str] = field(default_factory=set)
    _answered: set[str] = field(default_factory=set)

    @property
    def age_s(self) -> float:
        """How long ago it was saved."""
        return time.monotonic() - self.began_s

    @property
    def is_over(self) -> bool:
        """Whether all is known."""
        return self.state != "trying" and self.age_s >= ANSWERS_S

    def hear(self, message: Control) -> None:
        """Take a control message: who tells a new configuration time has taken the change."""
        if message.flag == "T":
            self._answered.add(message.source)
        elif message.flag in "NI" and message.number != self.known.get(message.source):
            is_new = abs(message.timestamp_ms - message.number) < CLOCKS_MS
            if is_new or self.known.get(message.source):
                self._took.add(message.source)

    def took(self, codifiers: Iterable[str]) -> None:
        """Note components of the pages' own process, which took it as a whole."""
        self._took.update(codifiers)

    def answers(self, config: Config) -> dict[str, Answer]:
        """Return what each component of a configuration said, those that somebody runs."""
        return {
            codifier: self._answer(codifier)
            for codifier, component in config.components.items()
            if registry.is_run(component.type)
        }

    def _answer(self, codifier: str) -> Answer:
        if codifier in self._took:
            return "took"
        if self.age_s < ANSWERS_S:
            return "waiting"
        return "refused" if codifier in self._answered else "silent"


@dataclass(frozen=True, slots=True)
class Mark:
    """What the home remembers of a change on trial, should the process end before it is known.

    Args:
        source: as the process was told or has found it.
        entry: of the component that serves the pages, before the change.
        starts: of processes with that component, since the change.
        taken_back: at a start; the components have yet to be told.
    """

    number: int
    before: int
    who: str
    source: str
    entry: Mapping[str, object]
    starts: int = 0
    taken_back: bool = False

    def write(self, home: Path) -> None:
        """Keep it."""
        content = {name: getattr(self, name) for name in self.__dataclass_fields__}
        write_file(home / ON_TRIAL, json.dumps(content).encode(), 0o600)


def mark_of(home: Path) -> Mark | None:
    """Return the mark of a change on trial, None if there is none."""
    try:
        return Mark(**json.loads((home / ON_TRIAL).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def forget_mark(home: Path) -> None:
    """Remove the mark."""
    (home / ON_TRIAL).unlink(missing_ok=True)


def take_back(home: Path, mark: Mark, reason: str) -> bool:
    """Put the revision before a change into its place; False if the file was changed meanwhile.

    Raises:
        JphError: it cannot be written.
    """
    file = ConfigFile(mark.source, home)
    text, earlier = store.text_of(home, mark.number), store.text_of(home, mark.before)
    try:
        if text is None or earlier is None or file.read() != text:
            return False
    except ConfigError:
        return False
    if file.path == home.resolve() / OWN and earlier == shipped_config().read_bytes():
        file.path.unlink()  # the first change of the network that JPH ships
    else:
        file.write(earlier, text)
    whose = f"revision {mark.number}" + (f" of {mark.who}" if mark.who else "")
    store.add(home, earlier, "", f"Took back {whose}: {reason}", "taken back")
    store.note_outcome(home, mark.number, {"state": "taken back", "reason": reason})
    return True


def at_start(home: Path, runs: Callable[[Mapping[str, object]], bool]) -> Mark | None:
    """Return the change on trial, if this process is to serve the pages; it was begun once more.

    A process that ended before the change was known to be good is started under it once; then the
    earlier configuration takes its place.
    """
    mark = mark_of(home)
    if mark is None or mark.taken_back or not runs(mark.entry):
        return None
    mark = replace(mark, starts=mark.starts + 1)
    if mark.starts > MOST_STARTS:
        take_back_at_start(home, mark, "the process of the pages ended before they were served")
        return None
    mark.write(home)
    return mark


def forget_start(home: Path, mark: Mark | None) -> None:
    """Let a start not count that has ended without a fault."""
    if mark is not None and mark_of(home) == mark:
        replace(mark, starts=mark.starts - 1).write(home)


def take_back_at_start(home: Path, mark: Mark, reason: str) -> bool:
    """Take a change back before the components begin; the others are told when there is a bus."""
    log.error("the configuration of revision %d is taken back: %s", mark.number, reason)
    is_back = take_back(home, mark, reason)
    if is_back:
        replace(mark, taken_back=True).write(home)
    else:
        forget_mark(home)
    return is_back
