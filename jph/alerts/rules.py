"""Rules of alerts: what they say, whom they concern, and those that hold without being written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import time
from typing import Literal, get_args

from jph.config.model import Component
from jph.config.status import SERVICES
from jph.registry import NEVER_RUN
from jph.settings import setting

Kind = Literal["above", "below", "outside", "changes", "silent", "failing", "losses", "total"]
Severity = Literal["info", "warning", "critical"]

SEVERITIES: tuple[str, ...] = get_args(Severity)  # the mildest first
OF_VALUES = frozenset({"above", "below", "outside", "changes", "total"})  # judged by numbers
LONGEST_NAME = 80  # characters; it travels in a datagram with other texts
LONGEST_TEXT = 300

# The keys that a kind needs, and those that it takes besides.
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "above": ("Limit",),
    "below": ("Limit",),
    "outside": ("Low", "High"),
    "changes": ("Limit", "Within"),
    "losses": ("Limit", "Within"),
    "total": ("Limit",),
}
_TAKES: Mapping[str, tuple[str, ...]] = {"silent": ("Intervals",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; without sensors, areas and labels it concerns every sensor."""

    name: str = setting(doc="its name for people; no other rule has it")
    kind: Kind = setting(
        doc="what it looks for: `above`, `below`, `outside`, `changes`, `silent`, `failing`,"
        " `losses` or `total`"
    )
    enabled: bool = setting(True, doc="whether it is looked at")
    sensors: tuple[str, ...] = setting((), doc="Codifiers that it concerns")
    areas: tuple[str, ...] = setting((), doc="and all sensors of these areas, with those inside")
    labels: tuple[str, ...] = setting((), doc="and all sensors with one of these labels")
    limit: float | None = setting(
        None,
        doc="of `above` and `below`: value; `changes`: difference; `losses`: messages; `total`",
    )
    low: float | None = setting(None, doc="of `outside`: the lowest good value")
    high: float | None = setting(None, doc="of `outside`: the highest good value")
    within_s: float | None = setting(
        None, gt=0, le=7 * 86400, doc="of `changes` and `losses`: the time that is looked at, s"
    )
    intervals: float | None = setting(
        None, ge=2, doc="of `silent`: so many intervals of the sensor; absent: as the pages judge"
    )
    hysteresis: float = setting(0.0, ge=0, doc="it ends when the value is better by so much")
    for_s: float = setting(0.0, ge=0, doc="it begins when it has held for so long, s")
    severity: Severity = setting("warning", doc="`info`, `warning` or `critical`")
    quiet: str | None = setting(
        None, doc="hours in which no message goes out, such as `22:00-07:00`; empty: none"
    )
    text: str = setting("", doc="what to do, for the message")
    contacts: tuple[str, ...] | None = setting(
        None, doc="names of the contacts that are told; absent: all"
    )
    codifier: str | None = setting(None, doc="of a Proxy, whose value is the state of this rule")

    def __post_init__(self) -> None:
        """Refuse what cannot be looked at, with every mistake."""
        keys = {"Limit": self.limit, "Low": self.low, "High": self.high, "Within": self.within_s}
        keys["Intervals"] = self.intervals
        needed = _NEEDS.get(self.kind, ())
        taken = {*needed, *_TAKES.get(self.kind, ())}
        mistakes = [
            f"{key}: is required by Kind {self.kind}" for key in needed if keys[key] is None
        ]
        mistakes += [
            f"{key}: means nothing to Kind {self.kind}"
            for key, value in keys.items()
            if value is not None and key not in taken
        ]
        if not self.name.strip() or len(self.name) > LONGEST_NAME:
            mistakes.append(f"Name: must have 1 to {LONGEST_NAME} characters")
        if self.name in BUILT_IN:
            mistakes.append(f'Name: "{self.name}" is the name of a rule that is there already')
        if len(self.text) > LONGEST_TEXT:
            mistakes.append(f"Text: must have at most {LONGEST_TEXT} characters")
        if self.low is not None and self.high is not None and self.low > self.high:
            mistakes.append("Low: must not be greater than High")
        if self.limit is not None and self.limit < 0 and self.kind in ("changes", "losses"):
            mistakes.append(f"Limit: must be >= 0 for Kind {self.kind}")
        if self.hysteresis and self.kind not in OF_VALUES - {"total"}:
            mistakes.append(f"Hysteresis: means nothing to Kind {self.kind}")
        try:
            QuietHours.of(self.quiet)
        except ValueError as error:
            mistakes.append(f"Quiet: {error}")
        if mistakes:
            raise ValueError(*mistakes)

    def concerns(self, component: Component) -> bool:
        """Tell whether a component is one of those that it is about."""
        if not (self.sensors or self.areas or self.labels):
            return self.kind not in OF_VALUES or component.type not in SERVICES
        return (
            component.codifier in self.sensors
            or any(is_inside(component.area, area) for area in self.areas)
            or not {*self.labels}.isdisjoint(component.labels)
        )


def is_inside(area: str, whole: str) -> bool:
    """Tell whether an area is another one, or lies in it."""
    whole = whole.strip("/ ")
    return bool(whole) and (area == whole or area.startswith(f"{whole}/"))


def host_of(component: Component, components: Mapping[str, Component]) -> str:
    """Return the host of a component, or of the one that sends for it; empty if none is named."""
    server = components.get(component.server or "")
    return component.host or (server.host if server else None) or ""


def areas_around(area: str) -> list[str]:
    """Return an area and those that it lies in, the largest first."""
    parts = area.split("/") if area else []
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Hours of each day, by the clock of the owner; they may pass midnight."""

    begin: time
    end: time

    @classmethod
    def of(cls, text: str | None) -> "QuietHours | None":
        """Return the hours in a text such as 22:00-07:00, None for an empty one.

        Raises:
            ValueError: it is no such text.
        """
        if not text or not text.strip():
            return None
        begin, dash, end = text.partition("-")
        try:
            found = cls(_hour(begin), _hour(end))
        except ValueError:
            found = None
        if not dash or found is None or found.begin == found.end:
            raise ValueError(f"must be two times such as 22:00-07:00, not {text[:40]!r}")
        return found

    def hold(self, now: time) -> bool:
        """Tell whether a time of the day is one of them."""
        if self.begin < self.end:
            return self.begin <= now < self.end
        return now >= self.begin or now < self.end


def _hour(text: str) -> time:
    hour, _, minute = text.strip().partition(":")
    if not (text.isascii() and hour.isdecimal() and minute.isdecimal() and len(minute) == 2):
        raise ValueError(text)
    return time(int(hour), int(minute))


def subjects(rule: Rule, components: Mapping[str, Component]) -> list[str]:
    """Return the Codifiers that a rule concerns, in the order of the configuration."""
    return [
        code for code, it in components.items() if is_watched(it, components) and rule.concerns(it)
    ]


def is_watched(component: Component, components: Mapping[str, Component]) -> bool:
    """Tell whether a component is one that alerts may be about.

    Not the alerts themselves with the states of their rules, nor who only stands for a person.
    """
    if component.type == "Proxy":
        server = components.get(component.server or "")
        return server is not None and server.type != "Alerts"
    return component.type != "Alerts" and component.type not in NEVER_RUN - {"External"}


# Rules that hold without being written.
SILENT = "A component is silent"
NODE = "A node is silent"
BLIND = "Alerts hear nothing"
BUILT_IN = frozenset({SILENT, NODE, BLIND})


def _built_in(name: str, severity: Severity, text: str) -> Rule:
    made = Rule(name="x", kind="silent", severity=severity, text=text)
    object.__setattr__(made, "name", name)  # which no written rule may have
    return made


SILENT_RULE = _built_in(SILENT, "warning", "Look at its power, its network and its log.")
NODE_RULE = _built_in(NODE, "critical", "Look at the machine: its power, its network, its log.")
BLIND_RULE = _built_in(
    BLIND, "critical", "Look at the network of the machine that runs the alerts: jph doctor there."
)


def mistakes_in(
    rules: Iterable[Rule | None], codifiers: Iterable[str], contacts: Iterable[str]
) -> list[str]:
    """Return how rules disagree with each other and with the network, a line each.

    Args:
        rules: None for one that has mistakes of its own.
        codifiers: of all components.
        contacts: names of those that can be told.
    """
    known, told = {*codifiers}, {*contacts}
    names: dict[str, int] = {}
    used: dict[str, int] = {}
    mistakes = []
    for index, rule in enumerate(rules):
        if rule is None:
            continue
        path = f"Rules[{index}]"
        first = names.setdefault(rule.name, index)
        if first != index:
            mistakes.append(f'{path}.Name: "{rule.name}" is also the name of Rules[{first}]')
        mistakes += [
            f'{path}.Sensors[{place}]: "{codifier}" is not in Sensors'
            for place, codifier in enumerate(rule.sensors)
            if codifier not in known
        ]
        mistakes += [
            f'{path}.Contacts[{place}]: there is no contact "{name}"'
            for place, name in enumerate(rule.contacts or ())
            if name not in told
        ]
        if rule.codifier is not None:
            first = used.setdefault(rule.codifier, index)
            if rule.codifier not in known:
                mistakes.append(f'{path}.Codifier: "{rule.codifier}" is not in Sensors')
            elif first != index:
                mistakes.append(f'{path}.Codifier: "{rule.codifier}" is used by Rules[{first}]')
    return mistakes
