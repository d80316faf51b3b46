"""What rules find in what is heard: readings, signs of life and a clock in, transitions out. Pure.

The same code judges the live bus and the stored history (`jph.alerts.trial`).

Silence is judged together, so that one cause is one alert:

- A component is silent when nothing came from it for its limit, and something else came more than
  one of its intervals after its last sign, which proves that it would have been heard.
- A node is what runs on one `Host`, or else sends from one address and port. It is silent when two
  or all of its components are, unless another one of it gave such a proof. What does not speak
  often is waited for: a process that lives gives a sign within its keep-alive.
- The alerts are blind when no channel is joined, nothing at all is heard, or nothing of two or more
  other machines; when the clock was set by more than 5 s, or no time passed here for 15 s, such
  as in a suspend. Then nobody else is silent or failing, and everybody gets the limit again.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from jph.alerts.conditions import DayTotal, Moment, Zone, condition_of
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
from jph.config.silence import MISSED, SHORTEST_TIMEOUT_S, interval_s, timeout_s
from jph.config.status import Heard, Status, status

JUMP_MS = 5_000  # by which the wall clock may differ from the other one between two looks
STALL_S = 15.0  # between two looks, which come every second
BLIND_S = 10.0  # after a jump; and a bus that is joined again within it was hardly away
SLACK_S = 1.0
KEEP_ALIVES = 1.5  # after which a node that lives has given a sign


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
        self._own = frozenset(own)
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
        self._heard: dict[str, Heard] = {}  # of components of the configuration
        self._addresses: dict[str, Address] = {}
        self._own_ip = ""
        self._fresh: set[str] = set()  # heard since the start, or since the last blindness
        self._since_s = now.s
        self._last = now
        self._jumped_s = -math.inf
        self._joined_s = now.s
        self._jump = ""
        self._found: list[Transition] = []
        self._earlier = {it: node for it, node in (seen or {}).items() if it in components}
        for codifier in self._earlier:
            if codifier not in self._own:
                self._heard[codifier] = Heard(now.s, now.s, now.s)

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
        if codifier in self._own:
            self._own_ip = address[0] if address else ""
            return
        if codifier not in self._components:
            return
        heard = self._sign(codifier, now)
        heard.data_s = now.s
        if address is not None:
            self._addresses[codifier] = address
        watches = self._by_sensor.get(codifier)
        if watches and value is not None and math.isfinite(value):
            for watch in watches:
                if watch.condition is not None:
                    watch.condition.see(now, value)
                    self._step(watch, now, watch.condition.holds(now, watch.phase == "firing"))

    def on_control(self, message: Control, now: Moment) -> None:
        """Take a sign of life."""
        if message.source in self._own or message.source not in self._components:
            return
        heard = self._sign(message.source, now)
        if message.is_active and not heard.is_active:
            heard.since_s = now.s
        heard.control_s = now.s
        heard.is_active = message.is_active

    def on_losses(self, lost: Mapping[str, float], now: Moment) -> None:
        """Take how many messages of each sensor were lost so far, by its Codifier."""
        for codifier, watches in self._losses.items():
            for watch in watches:
                if watch.condition is not None and codifier in lost:
                    watch.condition.see(now, lost[codifier])
                    self._step(watch, now, watch.condition.holds(now, watch.phase == "firing"))

    @property
    def watched_losses(self) -> Collection[str]:
        """The Codifiers whose losses some rule looks at."""
        return self._losses.keys()

    def _sign(self, codifier: str, now: Moment) -> Heard:
        heard = self._heard.get(codifier)
        if heard is None:
            heard = self._heard[codifier] = Heard()
        if heard.since_s is None:
            heard.since_s = now.s
        self._fresh.add(codifier)
        return heard

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
            self._look_at_clock(now)
            if joined:
                self._joined_s = now.s
            blind = self._blindness(now)
            self._blind.reason = blind or self._blind.reason
            was_blind = self._blind.phase == "firing"
            self._step(self._blind, now, bool(blind))
            if blind or was_blind or not joined:
                self._rest(now)
            if not joined or (was_blind and not blind):
                self._since_s = now.s
        # What is well becomes worse by what is heard, not by the passing of time.
        for watches in self._by_sensor.values():
            for watch in watches:
                if watch.phase != "well":
                    self._look_at_value(watch, now)
        for watches in self._losses.values():
            for watch in watches:
                if watch.phase != "well" and watch.condition is not None:
                    self._step(watch, now, watch.condition.holds(now, watch.phase == "firing"))
        if self._blind.phase != "firing" and joined:
            self._look_at_life(now, failing or {})
        self._last = now
        found, self._found = self._found, []
        return found

    def _step(self, watch: Watch, now: Moment, holds: bool | None) -> None:
        transition = watch.step(now, holds)
        if transition is not None:
            self._found.append(transition)

    def _look_at_value(self, watch: Watch, now: Moment) -> None:
        """Judge by the last value, unless that is too old to tell anything."""
        if watch.condition is None or self._is_stale(watch.subject, now):
            return
        self._step(watch, now, watch.condition.holds(now, watch.phase == "firing"))

    def _is_stale(self, codifier: str, now: Moment) -> bool:
        heard = self._heard.get(codifier)
        if heard is None or heard.data_s is None:
            return True
        component = self._components[codifier]
        return now.s - heard.data_s > timeout_s(component, self._server_of(component))

    def _server_of(self, component: Component) -> Component | None:
        return self._components.get(component.server or "")

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
        everybody = self._everybody()
        away = self._away(everybody)
        for watch in self._life:
            codifier = watch.subject
            state = states[watch.rule.intervals, codifier]
            if watch.rule.kind == "failing":
                watch.reason = failing.get(codifier, "")
                holds = self._told(codifier, state == "failing", state)
            else:
                holds = self._told(codifier, state == "silent", state)
                is_known = dead.get(self._node_of(codifier), False) is False
                witnesses = away if codifier in away else everybody
                if holds and not (is_known and self._is_proved(codifier, witnesses)):
                    holds = None
            self._step(watch, now, holds)

    def _is_proved(self, codifier: str, witnesses: Collection[str]) -> bool:
        """Tell whether a component would have been heard, since a witness was."""
        if not self._is_live:
            return True
        heard_s = self._last_s(codifier)
        spoke_s = max((self._heard_s(it) for it in witnesses), default=-math.inf)
        return spoke_s > heard_s + self._interval_s(codifier) + SLACK_S

    def _told(self, codifier: str, holds: bool, state: Status) -> bool | None:
        """Return None where nothing was heard since the start that could tell otherwise."""
        if holds:
            return True
        return False if codifier in self._fresh or state == "halted" else None

    def _status(self, watch: Watch, now: Moment, is_failing: bool) -> Status:
        component = self._components[watch.subject]
        server = self._server_of(component)
        limit_s = None
        if watch.rule.intervals is not None:
            each_s = interval_s(component, server) or component.keep_alive_interval_s
            limit_s = watch.rule.intervals * each_s
        return status(
            component,
            self._heard.get(watch.subject) or Heard(),
            now.s,
            server,
            self._heard.get(server.codifier) if server else None,
            is_failing=is_failing,
            limit_s=limit_s,
        )

    def _dead_nodes(self, silent: Collection[str], now: Moment) -> dict[str, bool | None]:
        """Return of each node with silent components whether it is silent; None: not sure yet."""
        members: defaultdict[str, list[str]] = defaultdict(list)
        for codifier in self._heard:
            if is_watched(self._components[codifier], self._components):
                members[self._node_of(codifier)].append(codifier)
        found: dict[str, bool | None] = {"": False}
        for node, codifiers in members.items():
            quiet = [codifier for codifier in codifiers if codifier in silent]
            watch = self._nodes.get(node)
            if not node or (not quiet and watch is None):
                continue
            is_dead = self._is_dead(codifiers, quiet, now) if quiet else False
            if is_dead and watch is None and not self._is_node_proved(codifiers):
                is_dead = None
            found[node] = is_dead
            if is_dead and watch is None:
                watch = self._nodes[node] = Watch(NODE_RULE, node)
            if is_dead and watch is not None and watch.phase == "well":
                watch.members = tuple(codifiers)
        for node, watch in list(self._nodes.items()):
            state = found.get(node, False)
            if not state and not self._fresh.intersection(watch.members):
                state = None  # nothing was heard since the start; the same process has another port
            self._step(watch, now, state)
            if watch.phase == "well":
                del self._nodes[node]
        return found

    def _is_dead(self, codifiers: Sequence[str], quiet: Sequence[str], now: Moment) -> bool | None:
        if len(codifiers) < 2:
            return False
        last_s = max(self._last_s(codifier) for codifier in codifiers)
        first_s, first = min((self._last_s(codifier), codifier) for codifier in quiet)
        if last_s > first_s + self._interval_s(first) + SLACK_S:
            return False
        alive_s = min(self._components[it].keep_alive_interval_s for it in codifiers)
        if len(quiet) > 1 or now.s - last_s > KEEP_ALIVES * alive_s:
            return True
        return None

    def _is_node_proved(self, codifiers: Sequence[str]) -> bool:
        """Tell whether a node would have been heard, since somebody else was."""
        everybody = self._everybody()
        away = self._away(everybody)
        last = max(codifiers, key=self._last_s)
        return self._is_proved(last, away if last in away else everybody)

    def _last_s(self, codifier: str) -> float:
        heard = self._heard[codifier]
        return max(heard.data_s or -math.inf, heard.control_s or -math.inf)

    def _interval_s(self, codifier: str) -> float:
        component = self._components[codifier]
        each_s = interval_s(component, self._server_of(component))
        return each_s or component.keep_alive_interval_s

    def _node_of(self, codifier: str) -> str:
        """Return the node of a component: its host, or else where it sends from; "": unknown."""
        component = self._components.get(codifier)
        component = (component and self._server_of(component)) or component
        if component is None:
            return ""
        if component.host:
            return component.host
        address = self._addresses.get(component.codifier) or self._addresses.get(codifier)
        if address is None:
            return self._earlier.get(codifier, "")
        return f"{address[0]}:{address[1]}"

    # Blindness

    def _look_at_clock(self, now: Moment) -> None:
        passed_s = now.s - self._last.s
        jump_ms = now.ms - self._last.ms - round(passed_s * 1000)
        if passed_s > STALL_S:
            self._jumped_s = now.s
            self._jump = f"this process stood still for {passed_s:.0f} s"
        elif abs(jump_ms) > JUMP_MS:
            self._jumped_s = now.s
            self._jump = (
                f"the clock went on by {jump_ms / 1000:.0f} s at once: it was set, or this machine"
                " was suspended"
                if jump_ms > 0
                else f"the clock was set back by {-jump_ms / 1000:.0f} s"
            )

    def _blindness(self, now: Moment) -> str:
        """Return why nothing can be judged now, empty while everything can."""
        if now.s - self._jumped_s < BLIND_S:
            return self._jump
        if now.s - self._joined_s > BLIND_S:
            return "this machine is not on the bus"
        everybody = self._everybody()
        if not everybody:
            return ""
        if self._is_quiet(everybody, now):
            return "nothing at all is heard on the bus"
        away = self._away(everybody)
        if away and self._is_quiet(away, now):
            return "nothing is heard of any other machine"
        return ""

    def _everybody(self) -> list[str]:
        return list(self._heard)

    def _away(self, everybody: Collection[str]) -> list[str]:
        """Return the components of other machines, if there are two or more of these."""
        found = [it for it in everybody if (ip := self._ip_of(it)) and ip != self._own_ip]
        machines = {self._ip_of(codifier) for codifier in found}
        return found if self._own_ip and len(machines) > 1 else []

    def _ip_of(self, codifier: str) -> str:
        address = self._addresses.get(codifier)
        return address[0] if address else ""

    def _is_quiet(self, codifiers: Sequence[str], now: Moment) -> bool:
        """Tell whether none of these gave a sign, though several of them, or all, owe one."""
        last_s = max(self._since_s, *(self._heard_s(codifier) for codifier in codifiers))
        quiet_s = now.s - last_s
        owed = sum(quiet_s > self._patience_s(codifier) for codifier in codifiers)
        alive_s = min(self._components[it].keep_alive_interval_s for it in codifiers)
        return owed > 1 or owed == len(codifiers) or (owed > 0 and quiet_s > KEEP_ALIVES * alive_s)

    def _patience_s(self, codifier: str) -> float:
        each_s = self._components[codifier].keep_alive_interval_s
        return max(SHORTEST_TIMEOUT_S, MISSED * min(self._interval_s(codifier), each_s))

    def _heard_s(self, codifier: str) -> float:
        return self._last_s(codifier) if codifier in self._fresh else -math.inf

    def _rest(self, now: Moment) -> None:
        """Give everybody the limit again, beginning now."""
        for heard in self._heard.values():
            heard.data_s = now.s if heard.data_s is not None else None
            heard.control_s = now.s if heard.control_s is not None else None
            heard.since_s = now.s
        self._fresh.clear()

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
        return {codifier: self._node_of(codifier) for codifier in self._heard}

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
