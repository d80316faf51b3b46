"""The book of alerts: which there are, what people did about them, and what is to be said. Pure.

Of each alert one message says that it begins and one that it ends. The first waits while quiet
hours, a snooze, an acknowledgement or maintenance keep it back; if the alert ends meanwhile,
neither is sent. The second waits for the end of quiet hours.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from jph.alerts.conditions import Zone
from jph.alerts.rules import (
    BLIND_RULE,
    NODE_RULE,
    SILENT_RULE,
    QuietHours,
    Rule,
    areas_around,
    host_of,
    is_inside,
)
from jph.alerts.telling import MAINTAINED, Order, Told, Verb, argument_of
from jph.alerts.watch import Transition
from jph.alerts.words import what
from jph.config.host import is_same_host
from jph.config.model import Component

MOST_ALERTS = 2000  # at a time; beyond, new ones are left out


@dataclass(slots=True)
class Alert:
    """One alert, from the beginning of its condition until its last message.

    Args:
        fired_ms: when it began to fire; 0: it is pending.
        ended_ms: 0 while it lasts.
        is_said: a message about its beginning went into the outbox.
    """

    id: int
    rule: str
    subject: str
    severity: str
    since_ms: int
    at_ms: int
    fired_ms: int = 0
    ended_ms: int = 0
    acknowledged: bool = False
    snoozed_ms: int = 0
    is_said: bool = False
    text: str = ""
    reason: str = ""
    number: float | None = None
    members: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Announcement:
    """A message that is due."""

    event: Literal["begins", "ends"]
    alert: Alert
    rule: Rule


@dataclass(slots=True)
class Maintenance:
    """A time in which nothing is said of a component, a host, an area, or anything."""

    of: str
    name: str
    until_ms: int


class Book:
    """The alerts of a network.

    Args:
        rules: that are written.
        quiet: hours for rules that name none and are not critical.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        components: Mapping[str, Component],
        zone: Zone,
        quiet: str | None = None,
    ) -> None:
        self.rules = {it.name: it for it in (*rules, SILENT_RULE, NODE_RULE, BLIND_RULE)}
        self.maintenance: list[Maintenance] = []
        self.is_dirty = False  # what the next process has to know has changed
        self._components = components
        self._zone = zone
        self._quiet = quiet
        self._next_id = 1
        self._alerts: dict[int, Alert] = {}
        self._open: dict[tuple[str, str], Alert] = {}  # that have not ended
        self._told: dict[int, str] = {}  # the state that was told last

    # What is there

    def alerts(self) -> list[Alert]:
        """Return the alerts that have not ended, the oldest first."""
        return list(self._open.values())

    def state(self, alert: Alert, now_ms: int) -> str:
        """Return the state of an alert in one word."""
        if alert.ended_ms:
            return "ended"
        if not alert.fired_ms:
            return "pending"
        if alert.acknowledged:
            return "acknowledged"
        if alert.snoozed_ms > now_ms:
            return "snoozed"
        return "maintained" if self.is_maintained(alert, now_ms) else "firing"

    def firing(self, now_ms: int) -> int:
        """Return how many alerts fire that nobody has looked at."""
        return sum(self.state(it, now_ms) == "firing" for it in self._open.values())

    def of_rule(self, rule: str) -> list[Alert]:
        """Return the alerts of a rule that have not ended."""
        return [it for it in self._open.values() if it.rule == rule]

    def told(self, alert: Alert, now_ms: int) -> Told:
        """Return an alert as it is told on the bus."""
        text = f"{alert.text}: {alert.reason}" if alert.reason else alert.text
        return Told(
            id=alert.id,
            rule=alert.rule,
            subject=alert.subject,
            state=self.state(alert, now_ms),
            severity=alert.severity,
            since=alert.since_ms,
            at=alert.ended_ms or alert.at_ms,
            until=0 if alert.ended_ms or alert.snoozed_ms <= now_ms else alert.snoozed_ms,
            text=text,
            number=alert.number,
        )

    # What happens

    def take(self, transition: Transition) -> None:
        """Take what became of a rule."""
        key = transition.rule.name, transition.subject
        alert = self._open.get(key)
        if transition.phase == "well":
            if alert is not None:
                self._end(alert, transition.at_ms)
            return
        if alert is None:
            if len(self._open) >= MOST_ALERTS:
                return
            rule = transition.rule
            alert = Alert(self._next_id, *key, rule.severity, transition.since_ms, transition.at_ms)
            self._next_id += 1
            self._alerts[alert.id] = self._open[key] = alert
        component = self._components.get(transition.subject)
        alert.members = list(transition.members)
        alert.text = what(transition.rule, transition.subject, component, len(alert.members))
        alert.reason, alert.number = transition.reason, transition.number
        alert.at_ms = transition.at_ms
        if transition.phase == "firing":
            alert.fired_ms = transition.at_ms
            self.is_dirty = True

    def forget(self, alert: Alert, now_ms: int) -> None:
        """End an alert whose rule is gone, without a message."""
        alert.is_said = False
        self._end(alert, now_ms)

    def _end(self, alert: Alert, now_ms: int) -> None:
        self.is_dirty = self.is_dirty or alert.fired_ms > 0
        alert.ended_ms = now_ms
        self._open.pop((alert.rule, alert.subject), None)

    def obey(self, order: Order, now_ms: int) -> bool:
        """Do what a person wants; return whether that meant anything."""
        until_ms = now_ms + order.seconds * 1000
        if order.verb in (Verb.ATTEND, Verb.REOPEN):
            chosen = [self._alerts.get(order.argument)] if order.argument else self.alerts()
            found = [it for it in chosen if it is not None and it.fired_ms and not it.ended_ms]
            for alert in found:
                self._attend(alert, until_ms if order.seconds else 0, order.verb == Verb.REOPEN)
                alert.at_ms = now_ms
            return bool(found)
        if order.verb in MAINTAINED.values():
            of = next(kind for kind, verb in MAINTAINED.items() if verb == order.verb)
            name = self._named(of, order.argument)
            if name is None:
                return False
            kept = [it for it in self.maintenance if (it.of, it.name) != (of, name)]
            self.is_dirty = True
            self.maintenance = [*kept, Maintenance(of, name, until_ms if order.seconds else 0)]
            return True
        return False

    def attend_rule(self, rule: str, seconds: int, now_ms: int) -> None:
        """Acknowledge the alerts of a rule, or snooze them."""
        for alert in self.of_rule(rule):
            if alert.fired_ms:
                self._attend(alert, now_ms + seconds * 1000 if seconds else 0, False)
                alert.at_ms = now_ms

    def _attend(self, alert: Alert, until_ms: int, reopens: bool) -> None:
        self.is_dirty = True
        alert.acknowledged = not until_ms and not reopens
        alert.snoozed_ms = 0 if reopens else until_ms

    def _named(self, of: str, argument: int) -> str | None:
        """Return which of the network's names a command means."""
        known = self._components.values()
        names: Iterable[str] = {
            "codifier": (it.codifier for it in known),
            "host": (it.host or "" for it in known),
            "area": (area for it in known for area in areas_around(it.area)),
            "all": ("",),
        }[of]
        return next((it for it in names if argument_of(of, it) == argument), None)

    def is_maintained(self, alert: Alert, now_ms: int) -> bool:
        """Tell whether somebody works on what an alert is about."""
        subjects = alert.members or [alert.subject]
        return (
            any(
                it.until_ms > now_ms and all(self._covers(it, subject) for subject in subjects)
                for it in self.maintenance
            )
            and alert.rule != BLIND_RULE.name
        )

    def _covers(self, it: Maintenance, subject: str) -> bool:
        if it.of == "all":
            return True
        if it.of == "codifier":
            return it.name == subject
        component = self._components.get(subject)
        if component is None:
            return it.of == "host" and is_same_host(subject, it.name)
        if it.of == "host":
            host = host_of(component, self._components)
            return bool(host) and is_same_host(host, it.name)
        return is_inside(component.area, it.name)

    # What is to be said

    def news(self, now_ms: int) -> list[Told]:
        """Return the alerts whose state changed since the last call, and forget ended ones."""
        found = []
        for alert in list(self._alerts.values()):
            state = self.state(alert, now_ms)
            if self._told.get(alert.id) != state:
                self._told[alert.id] = state
                found.append(self.told(alert, now_ms))
            if state == "ended" and not alert.is_said:
                del self._alerts[alert.id], self._told[alert.id]
        return found

    def due(self, now_ms: int) -> list[Announcement]:
        """Return the messages that are due, each one once."""
        found: list[Announcement] = []
        for alert in self._alerts.values():
            rule = self.rules.get(alert.rule)
            if rule is None or self._is_quiet(rule, now_ms):
                continue
            if alert.ended_ms:
                if alert.is_said:
                    found.append(Announcement("ends", alert, rule))
                    alert.is_said = False
            elif not alert.is_said and self.state(alert, now_ms) == "firing":
                found.append(Announcement("begins", alert, rule))
                alert.is_said = True
        self.is_dirty = self.is_dirty or bool(found)
        return found

    def end_maintenance(self, now_ms: int) -> list[Maintenance]:
        """Forget maintenance that is over, and return it."""
        over = [it for it in self.maintenance if it.until_ms <= now_ms]
        if over:
            self.is_dirty = True
            self.maintenance = [it for it in self.maintenance if it.until_ms > now_ms]
        return over

    def _is_quiet(self, rule: Rule, now_ms: int) -> bool:
        text = rule.quiet
        if text is None and rule.severity != "critical":
            text = self._quiet
        hours = QuietHours.of(text)
        return hours is not None and hours.hold(self._zone(now_ms).time())

    # From one process to the next

    def memory(self) -> dict[str, Any]:
        """Return what the next process has to know."""
        return {
            "next_id": self._next_id,
            "alerts": [asdict(it) for it in self._alerts.values()],
            "maintenance": [asdict(it) for it in self.maintenance],
        }

    def recall(
        self, memory: Mapping[str, Any], now_ms: int, keeps: Callable[[Alert], bool]
    ) -> None:
        """Go on with the alerts of the process before.

        Args:
            keeps: tells of an alert whether its rule still concerns its subject.

        Raises:
            TypeError, ValueError, KeyError: it is no such memory.
        """
        self._next_id = int(memory["next_id"])
        self.maintenance = [Maintenance(**it) for it in memory["maintenance"]]
        for content in memory["alerts"]:
            alert = Alert(**content)
            self._alerts[alert.id] = alert
            if alert.ended_ms:
                continue
            self._open[alert.rule, alert.subject] = alert
            if not keeps(alert):
                self.forget(alert, now_ms)
