"""The board: the alerts of the network, as the pages hear them. No Flask here.

An Alerts component tells each change once. So the pages ask it to tell everything when they start,
when it starts, and when the number that it sends is not the one of the alerts that are known.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from jph.alerts.rules import SEVERITIES
from jph.alerts.telling import Order, Told, Verb
from jph.bus.wire import Control, Reading
from jph.clock import time_now_ms
from jph.config.model import Config

ASK_S = 5.0  # between two questions, at least
ANSWER_S = 10.0  # after which an alert that was not told again is gone
ENDED_KEPT = 100
MOST_ALERTS, MOST_UPKEEP, MOST_TESTED = 5000, 500, 100  # whatever somebody sends

Ask = Callable[[str, float], bool]


@dataclass(frozen=True, slots=True)
class Posted:
    """An alert on the board, and the component that told it."""

    component: str
    told: Told
    heard_s: float


class Upkeep(NamedTuple):
    """Maintenance of a component, a host, an area, or everything."""

    component: str
    of: str
    name: str
    until_ms: int


class Tested(NamedTuple):
    """What became of a test message."""

    component: str
    contact: str
    ok: bool
    text: str
    heard_s: float


Listener = Callable[[Posted, str], object]


class Board:
    """The alerts of all Alerts components; every method may be called from any thread.

    Args:
        ask: sends the number of an A to a component; False if there is no bus.
    """

    def __init__(self, config: Config, ask: Ask) -> None:
        self.version = 0
        self.listeners: list[Listener] = []  # get each change of an alert, and what is said of it
        self._ask = ask
        self._changed = threading.Condition()
        self._alerts: dict[tuple[str, int], Posted] = {}
        self._ended: deque[Posted] = deque(maxlen=ENDED_KEPT)
        self._upkeep: dict[tuple[str, str, str], Upkeep] = {}
        self._tested: dict[tuple[str, str], Tested] = {}
        self._asked_s: dict[str, float] = {}
        self._components: frozenset[str] = frozenset()
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Take the Alerts components of a configuration."""
        found = frozenset(c for c, it in config.components.items() if it.type == "Alerts")
        with self._changed:
            self._components = found
            self._alerts = {key: it for key, it in self._alerts.items() if key[0] in found}
            self._upkeep = {key: it for key, it in self._upkeep.items() if key[0] in found}
            self._note()
        for codifier in found:
            self.ask(codifier)

    @property
    def components(self) -> frozenset[str]:
        """The Codifiers of the Alerts components."""
        return self._components

    def ask(self, codifier: str) -> None:
        """Have a component tell everything again, unless it was just asked."""
        now_s = time.monotonic()
        with self._changed:
            if now_s < self._asked_s.get(codifier, -ASK_S) + ASK_S:
                return
            self._asked_s[codifier] = now_s
        if not self._ask(codifier, Order(Verb.TELL).number()):
            self._asked_s.pop(codifier, None)  # it announces itself when there is a bus

    # From the bus

    def on_batch(self, readings: Iterable[Reading]) -> None:
        """Take readings; those of others are not looked at."""
        for reading in readings:
            codifier, value = reading[0], reading[3]
            if codifier in self._components:
                self._hear(codifier, value if isinstance(value, dict) else {"value": value})

    def on_control(self, message: Control) -> None:
        """Ask a component that has just started."""
        if message.flag == "N" and message.source in self._components:
            self.ask(message.source)

    def _hear(self, codifier: str, content: Mapping[str, object]) -> None:
        now_s = time.monotonic()
        told = Told.of(content.get("alert"))
        change: Posted | None = None
        with self._changed:
            if told is not None:
                change = self._post(Posted(codifier, told, now_s))
            self._hear_upkeep(codifier, content.get("maintenance"))
            self._hear_test(codifier, content.get("tested"), now_s)
            self._drop_unanswered(codifier, now_s)
            # News may come in several messages, each with the number after all of them.
            is_known = told is not None or self._firing(codifier) == content.get("value")
        said = content.get("said")
        if change is not None or (told is not None and isinstance(said, str)):
            posted = change or Posted(codifier, told, now_s)  # type: ignore[arg-type]
            for listener in self.listeners:
                listener(posted, said if isinstance(said, str) else "")
        if not is_known:
            self.ask(codifier)

    def _post(self, posted: Posted) -> Posted | None:
        """Put an alert on the board; return it if that changed anything."""
        key = posted.component, posted.told.id
        before = self._alerts.get(key)
        if posted.told.state == "ended":
            if self._alerts.pop(key, None) is None:
                return None
            self._ended.appendleft(posted)
        else:
            if before is None and len(self._alerts) >= MOST_ALERTS:
                return None
            self._alerts[key] = posted
            if before is not None and before.told == posted.told:
                return None
        self._note()
        return posted

    def _hear_upkeep(self, codifier: str, content: object) -> None:
        if not isinstance(content, Mapping):
            return
        of, name, until_ms = (content.get(key) for key in ("of", "name", "until"))
        if isinstance(of, str) and isinstance(name, str) and isinstance(until_ms, int):
            key = codifier, of, name
            if until_ms > time_now_ms() and len(self._upkeep) < MOST_UPKEEP:
                self._upkeep[key] = Upkeep(codifier, of, name, until_ms)
            else:
                self._upkeep.pop(key, None)
            self._note()

    def _hear_test(self, codifier: str, content: object, now_s: float) -> None:
        if not isinstance(content, Mapping):
            return
        contact, ok, text = (content.get(key) for key in ("contact", "ok", "text"))
        if isinstance(contact, str) and isinstance(ok, bool) and isinstance(text, str):
            if len(self._tested) >= MOST_TESTED:
                self._tested.clear()
            self._tested[codifier, contact] = Tested(codifier, contact, ok, text, now_s)
            self._note()

    def _drop_unanswered(self, codifier: str, now_s: float) -> None:
        """Forget alerts that were not told again after a question: they ended unheard."""
        asked_s = self._asked_s.get(codifier)
        if asked_s is None or now_s < asked_s + ANSWER_S + len(self._alerts) / 10:
            return
        gone = [
            key for key, it in self._alerts.items() if key[0] == codifier and it.heard_s < asked_s
        ]
        for key in gone:
            posted = self._alerts.pop(key)
            self._ended.appendleft(replace(posted, told=replace(posted.told, state="ended")))
        if gone:
            self._note()

    def _firing(self, codifier: str) -> int:
        return sum(
            it.told.state == "firing" for it in self._alerts.values() if it.component == codifier
        )

    def _note(self) -> None:
        self.version += 1
        self._changed.notify_all()

    # For the pages

    @property
    def firing(self) -> int:
        """How many alerts fire that nobody has looked at."""
        with self._changed:
            return sum(it.told.state == "firing" for it in self._alerts.values())

    def frame(self) -> dict[str, object]:
        """Return what every open page is told."""
        if not self._components:
            return {}
        with self._changed:
            states = [it.told for it in self._alerts.values() if it.told.state == "firing"]
            worst = max((it.severity for it in states), key=_rank, default="")
            return {"alerts": {"firing": len(states), "worst": worst, "version": self.version}}

    def alerts(self) -> list[Posted]:
        """Return the alerts that have not ended: the worst first, then the newest."""
        order = ["firing", "acknowledged", "snoozed", "maintained", "pending"]
        with self._changed:
            found = list(self._alerts.values())

        def place(it: Posted) -> tuple[int, int, int]:
            state = order.index(it.told.state) if it.told.state in order else len(order)
            return state, -_rank(it.told.severity), -it.told.since

        return sorted(found, key=place)

    def ended(self) -> list[Posted]:
        """Return the alerts that ended since the pages run, the newest first."""
        with self._changed:
            return list(self._ended)

    def upkeep(self) -> list[Upkeep]:
        """Return the maintenance that goes on."""
        now_ms = time_now_ms()
        with self._changed:
            return [it for it in self._upkeep.values() if it.until_ms > now_ms]

    def get(self, component: str, number: int) -> Posted | None:
        """Return an alert that has not ended."""
        with self._changed:
            return self._alerts.get((component, number))

    def wait_for(self, is_so: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something is so, looked at after each change; return whether it is."""
        with self._changed:
            return self._changed.wait_for(is_so, timeout_s)

    def tested(self, component: str, contact: str, since_s: float) -> Tested | None:
        """Return what became of a test message since a time, None if nobody knows yet."""
        with self._changed:
            found = self._tested.get((component, contact))
            return found if found is not None and found.heard_s >= since_s else None


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else -1
