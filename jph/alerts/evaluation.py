"""What rules find in what is heard: readings, signs of life and a clock in, transitions out. Pure.

The same code judges the live bus and the stored history (`jph.alerts.trial`).
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from jph.alerts.conditions import DayTotal, Moment, Zone, condition_of
from jph.alerts.presence import Presence
from jph.alerts.rules import (
    BLIND_RULE,
    NODE_RULE,
    OF_VALUES,
    SILENT_RULE,
    Rule,
    is_watched,
    subjects,
)
from jph.alerts.watch import Transition, Watch
from jph.bus.wire import Address, Control
from jph.config.model import Component
from jph.config.silence import sign_interval_s
from jph.config.status import Heard, Status, status


class Evaluator:
    """Judges all rules of a network.

    Args:
        rules: those that are written.
        components: all of the network, by Codifier.
        zone: the time of the owner.
        own: Codifiers of the alerts themselves, which prove nothing.
        seen: the nodes of the components that were heard before the start; only those can be
            silent from it on.
        silence: whether everything is watched for silence that no rule of silence concerns.
    """

    def __init__(
        self,
        rules: Iterable[Rule],
        components: Mapping[str, Component],
        now: Moment,
        zone: Zone,
        *,
        own: Collection[str] = (),
        seen: Mapping[str, str] | None = None,
        silence: bool = True,
    ) -> None:
        self._components = components
        self._is_live = silence
        self._watches: dict[tuple[str, str], Watch] = {}
        self._by_sensor: defaultdict[str, list[Watch]] = defaultdict(list)  # judged by numbers
        self._losses: defaultdict[str, list[Watch]] = defaultdict(list)
        self._life: list[Watch] = []  # judged by signs of life
        self._covered: set[str] = set()  # by a written rule of silence
        for rule in _with_silence(rules, components, silence):
            for codifier in subjects(rule, components):
                self._add(rule, codifier, zone)
        self._blind = Watch(BLIND_RULE, "")
        self._nodes: dict[str, Watch] = {}
        self._presence = Presence(components, now, own, seen)
        self._found: list[Transition] = []

    def _add(self, rule: Rule, codifier: str, zone: Zone) -> None:
        key = rule.name, codifier
        if key in self._watches or (rule is SILENT_RULE and codifier in self._covered):
            return
        if rule.kind == "silent":
            self._covered.add(codifier)  # also by one that is not enabled
        if not rule.enabled:
            return
        watch = self._watches[key] = Watch(rule, codifier, condition_of(rule, zone))
        if rule.kind in OF_VALUES:
            self._by_sensor[codifier].append(watch)
        elif rule.kind == "losses":
            self._losses[codifier].append(watch)
        else:
            self._life.append(watch)

    # What is heard

    def on_reading(
        self, codifier: str, value: float | None, now: Moment, address: Address | None = None
    ) -> None:
        """Take a reading, in the order of arrival; None for one that is no number."""
        if not self._presence.on_reading(codifier, now, address):
            return
        watches = self._by_sensor.get(codifier)
        if watches and value is not None and math.isfinite(value):
            for watch in watches:
                self._see(watch, now, value)

    def on_control(self, message: Control, now: Moment) -> None:
        """Take a sign of life."""
        self._presence.on_control(message, now)

    def on_losses(self, lost: Mapping[str, float], now: Moment) -> None:
        """Take how many messages of each sensor were lost so far, by its Codifier."""
        for codifier, watches in self._losses.items():
            if codifier in lost:
                for watch in watches:
                    self._see(watch, now, lost[codifier])

    @property
    def watched_losses(self) -> Collection[str]:
        """The Codifiers whose losses some rule looks at."""
        return self._losses.keys()

    # What is found

    def tick(
        self, now: Moment, failing: Mapping[str, str] | None = None, *, joined: bool = True
    ) -> list[Transition]:
        """Judge everything now; return what changed since the last call, in order.

        Args:
            failing: components of this process that fail, with the reason.
            joined: whether both channels of the bus are.
        """
        if self._is_live:
            blind = self._presence.look(now, joined, self._blind.phase == "firing")
            self._blind.reason = blind or self._blind.reason
            self._step(self._blind, now, bool(blind))
        # What is well becomes worse by what is heard, not by the passing of time.
        for watches in self._by_sensor.values():
            for watch in watches:
                # A value that is too old tells nothing.
                if watch.phase != "well" and not self._presence.is_stale(watch.subject, now):
                    self._judge(watch, now)
        for watches in self._losses.values():
            for watch in watches:
                if watch.phase != "well":
                    self._judge(watch, now)
        if self._blind.phase != "firing" and joined:
            self._look_at_life(now, failing or {})
        found, self._found = self._found, []
        return found

    def _see(self, watch: Watch, now: Moment, value: float) -> None:
        if watch.condition is not None:
            watch.condition.see(now, value)
            self._judge(watch, now)

    def _judge(self, watch: Watch, now: Moment) -> None:
        """Judge by the numbers so far."""
        if watch.condition is not None:
            self._step(watch, now, watch.condition.holds(now, watch.phase == "firing"))

    def _step(self, watch: Watch, now: Moment, holds: bool | None) -> None:
        transition = watch.step(now, holds)
        if transition is not None:
            self._found.append(transition)

    # Silence

    def _look_at_life(self, now: Moment, failing: Mapping[str, str]) -> None:
        states = {
            (watch.rule.intervals, watch.subject): self._status(
                watch, now, watch.subject in failing
            )
            for watch in self._life
        }
        silent = {subject for (_, subject), state in states.items() if state == "silent"}
        dead = self._dead_nodes(silent, now)
        proved = self._presence.proves(silent) if self._is_live else dict.fromkeys(silent, True)
        for watch in self._life:
            codifier = watch.subject
            state = states[watch.rule.intervals, codifier]
            if watch.rule.kind == "failing":
                watch.reason = failing.get(codifier, "")
                holds = self._told(codifier, state == "failing", state)
            else:
                holds = self._told(codifier, state == "silent", state)
                is_known = dead.get(self._presence.node_of(codifier), False) is False
                if holds and not (is_known and proved[codifier]):
                    holds = None
            self._step(watch, now, holds)

    def _told(self, codifier: str, holds: bool, state: Status) -> bool | None:
        """Return None where nothing was heard since the start that could tell otherwise."""
        if holds:
            return True
        return False if codifier in self._presence.fresh or state == "halted" else None

    def _status(self, watch: Watch, now: Moment, is_failing: bool) -> Status:
        component = self._components[watch.subject]
        server = self._presence.server_of(component)
        limit_s = None
        if watch.rule.intervals is not None:
            limit_s = watch.rule.intervals * sign_interval_s(component, server)
        return status(
            component,
            self._presence.heard.get(watch.subject) or Heard(),
            now.s,
            server,
            self._presence.heard.get(server.codifier) if server else None,
            is_failing=is_failing,
            limit_s=limit_s,
        )

    def _dead_nodes(self, silent: Collection[str], now: Moment) -> dict[str, bool | None]:
        """Return of each node with silent components whether it is silent; None: not sure yet."""
        members: defaultdict[str, list[str]] = defaultdict(list)
        for codifier in self._presence.heard:
            if is_watched(self._components[codifier], self._components):
                members[self._presence.node_of(codifier)].append(codifier)
        found: dict[str, bool | None] = {"": False}
        for node, codifiers in members.items():
            quiet = [codifier for codifier in codifiers if codifier in silent]
            watch = self._nodes.get(node)
            if not node or (not quiet and watch is None):
                continue
            is_dead = self._presence.is_node_dead(codifiers, quiet, now) if quiet else False
            if is_dead and watch is None and not self._presence.is_node_proved(codifiers):
                is_dead = None
            found[node] = is_dead
            if is_dead and watch is None:
                watch = self._nodes[node] = Watch(NODE_RULE, node)
            if is_dead and watch is not None and watch.phase == "well":
                watch.members = tuple(codifiers)
        for node, watch in list(self._nodes.items()):
            state = found.get(node, False)
            if not state and not self._presence.fresh.intersection(watch.members):
                state = None  # nothing was heard since the start; the same process has another port
            self._step(watch, now, state)
            if watch.phase == "well":
                del self._nodes[node]
        return found

    # From one process to the next

    def restore(
        self,
        rule: str,
        subject: str,
        phase: str,
        since_ms: int,
        members: Sequence[str],
        now: Moment,
    ) -> bool:
        """Go on with an alert of the process before; return whether its rule still has it."""
        if rule == NODE_RULE.name:
            watch: Watch | None = self._nodes.setdefault(subject, Watch(NODE_RULE, subject))
        elif rule == BLIND_RULE.name:
            watch = self._blind
        else:
            watch = self._watches.get((rule, subject))
        if watch is None or not watch.rule.enabled or phase not in ("pending", "firing"):
            return False
        watch.phase = "firing" if phase == "firing" else "pending"
        age_s = max(0.0, (now.ms - since_ms) / 1000)
        watch.since = Moment(now.s - age_s, since_ms)
        watch.members = tuple(members)
        return True

    def seen(self) -> dict[str, str]:
        """Return the node of each component that was ever heard; "": unknown."""
        return {codifier: self._presence.node_of(codifier) for codifier in self._presence.heard}

    def totals(self) -> dict[str, dict[str, list[object]]]:
        """Return how far each day's total is, by rule and sensor."""
        found: dict[str, dict[str, list[object]]] = {}
        for (rule, codifier), watch in self._watches.items():
            if isinstance(watch.condition, DayTotal):
                found.setdefault(rule, {})[codifier] = watch.condition.memory()
        return found

    def recall_totals(self, totals: Mapping[str, Mapping[str, object]]) -> None:
        """Go on with the totals of the process before."""
        for rule, of_rule in totals.items():
            for codifier, memory in of_rule.items():
                watch = self._watches.get((rule, codifier))
                if watch is not None and isinstance(watch.condition, DayTotal):
                    watch.condition.recall(memory)


def _with_silence(
    rules: Iterable[Rule], components: Mapping[str, Component], silence: bool
) -> Iterable[Rule]:
    yield from rules
    if silence and components:
        yield SILENT_RULE
