"""Messages to people: what, where, with which value, since when, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from collectors.alerts.book import Alert, Announcement
from jph.alerts.conditions import Zone
from jph.alerts.rules import BLIND, NODE, SEVERITIES, host_of
from jph.alerts.words import duration, quantity
from jph.config.model import Component

Event = Literal["begins", "ends", "test"]
MOST_NAMED = 20  # components of a node
MOST_LISTED = 50  # messages that became one


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one contact.

    Args:
        key: the same for each try to deliver it, and for no other message.
        made_ms: when it became due.
        title, body: for people.
        url: of the page that shows more; empty if nobody said where the pages are.
        facts: for programs.
    """

    key: str
    event: Event
    severity: str
    made_ms: int
    title: str
    body: str
    url: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, memory: Mapping[str, Any]) -> "Message":
        """Return a message that was kept as JSON."""
        return cls(**memory)

    def memory(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


class Writer:
    """Writes messages.

    Args:
        zone: the time of the reader.
        public_url: where the pages are, for links; empty: no links.
    """

    def __init__(
        self, components: Mapping[str, Component], zone: Zone, public_url: str, network: str
    ) -> None:
        self._components = components
        self._zone = zone
        self._public_url = public_url.rstrip("/")
        self._network = network

    def write(self, announcement: Announcement, now_ms: int) -> Message:
        """Return the message about the beginning or the end of an alert."""
        alert, rule = announcement.alert, announcement.rule
        component = self._components.get(alert.subject)
        ends = announcement.event == "ends"
        unit = component.symbol if component else ""
        value = "" if ends else quantity(alert.number, unit)
        lines = [f"Over: {alert.text}." if ends else f"{alert.text}{value and f': {value}'}."]
        if alert.reason and not ends:
            lines.append(f"Reason: {alert.reason}")
        lines += self._where(alert, component)
        lines.append(f"Since: {self._time(alert.since_ms)}")
        if ends:
            lasted_s = (alert.ended_ms - alert.since_ms) / 1000
            lines.append(f"Until: {self._time(alert.ended_ms)}, after {duration(lasted_s)}")
        lines.append(f"Rule: {rule.name} ({rule.severity})")
        if rule.text and not ends:
            lines.append(f"What to do: {rule.text}")
        url = self._url(alert)
        if url:
            lines.append(url)
        return Message(
            key=f"{self._network}-{alert.id}-{announcement.event}",
            event=announcement.event,
            severity=rule.severity,
            made_ms=now_ms,
            title=f"Over: {alert.text}" if ends else f"{alert.text}{value and f': {value}'}",
            body="\n".join(lines),
            url=url,
            facts={
                "alert": alert.id,
                "rule": rule.name,
                "subject": alert.subject,
                "name": component.name if component else alert.subject,
                "area": component.area if component else "",
                "value": None if ends else alert.number,
                "unit": unit,
                "since_ms": alert.since_ms,
                "ended_ms": alert.ended_ms or None,
                "members": alert.members,
            },
        )

    def test(self, contact: str, now_ms: int) -> Message:
        """Return a message that tries a contact."""
        url = f"{self._public_url}/alerts" if self._public_url else ""
        body = f"This is a test of the contact {contact}: alerts of JPH come this way."
        return Message(
            key=f"{self._network}-test-{now_ms}",
            event="test",
            severity="info",
            made_ms=now_ms,
            title="Test of the alerts",
            body=f"{body}\nSent: {self._time(now_ms)}" + (url and f"\n{url}"),
            url=url,
        )

    def _where(self, alert: Alert, component: Component | None) -> list[str]:
        if alert.rule == NODE:
            named = [self._name(codifier) for codifier in alert.members[:MOST_NAMED]]
            more = len(alert.members) - len(named)
            return ["Components: " + ", ".join(named) + (f" and {more} more" if more > 0 else "")]
        if alert.rule == BLIND or component is None:
            return []
        places = [f"Codifier {component.codifier}"]
        if component.area:
            places.append(component.area)
        host = host_of(component, self._components)
        return ["Where: " + ", ".join([*places, *([f"on {host}"] if host else [])])]

    def _name(self, codifier: str) -> str:
        component = self._components.get(codifier)
        return component.short_name if component else codifier

    def _url(self, alert: Alert) -> str:
        if not self._public_url:
            return ""
        if alert.subject in self._components:
            return f"{self._public_url}/component/{quote(alert.subject, safe='')}"
        return f"{self._public_url}/alerts"

    def _time(self, time_ms: int) -> str:
        return f"{self._zone(time_ms):%Y-%m-%d %H:%M:%S %Z}"


def combined(messages: Sequence[Message]) -> Message:
    """Return one message that says what several say, for a contact that was told much lately."""
    first, last = messages[0], messages[-1]
    titles = [message.title for message in messages[:MOST_LISTED]]
    more = len(messages) - len(titles)
    lines = [f"- {title}" for title in titles] + ([f"and {more} more"] if more else [])
    begin = sum(message.event == "begins" for message in messages)
    return Message(
        key=f"{first.key}-to-{last.key}",
        event=last.event,
        severity=max((message.severity for message in messages), key=SEVERITIES.index),
        made_ms=first.made_ms,
        title=f"{len(messages)} messages: {begin} alerts began, {len(messages) - begin} ended",
        body="\n".join(lines),
        url=first.url.rpartition("/component/")[0] or first.url,
        facts={"messages": [{"event": it.event, **it.facts} for it in messages[:MOST_LISTED]]},
    )
