"""A rule on one subject: well, pending until it has held long enough, or firing. Pure."""

from dataclasses import dataclass
from typing import Literal

from jph.alerts.conditions import Condition, Moment
from jph.alerts.rules import Rule

NEVER = Moment(0.0, 0)

Phase = Literal["well", "pending", "firing"]


@dataclass(frozen=True, slots=True)
class Transition:
    """What became of a rule on one subject.

    Args:
        subject: a Codifier, the name of a node, or "" for all.
        phase: the one that it has now; "well" after "firing" is the end of an alert.
        since_ms: when the condition began to hold.
        at_ms: when this happened.
        number: that the rule was judged by, None where it was none.
        members: of a node, the Codifiers that are silent with it.
        reason: more than the rule says, if anything.
    """

    rule: Rule
    subject: str
    phase: Phase
    since_ms: int
    at_ms: int
    number: float | None = None
    members: tuple[str, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class Watch:
    """A rule on one subject."""

    rule: Rule
    subject: str
    condition: Condition | None = None
    phase: Phase = "well"
    since: Moment = NEVER
    members: tuple[str, ...] = ()
    reason: str = ""

    def step(self, now: Moment, holds: bool | None) -> Transition | None:
        """Go on with what is known now; None changes nothing, since nobody can tell."""
        if holds is None:
            return None
        if not holds:
            if self.phase == "well":
                return None
            self.phase = "well"
            return self._transition(now)
        if self.phase == "well":
            self.since = now
            self.phase = "pending" if self.rule.for_s > 0 else "firing"
            return self._transition(now)
        if self.phase == "pending" and now.s - self.since.s >= self.rule.for_s:
            self.phase = "firing"
            return self._transition(now)
        return None

    def _transition(self, now: Moment) -> Transition:
        number = None if self.condition is None else self.condition.number
        return Transition(
            *(self.rule, self.subject, self.phase, self.since.ms, now.ms),
            *(number, self.members, self.reason),
        )
