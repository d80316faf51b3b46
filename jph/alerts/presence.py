"""Who is there: when each component was heard, on which node it is, and whether we can hear. Pure.

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
from collections.abc import Collection, Mapping, Sequence

from jph.alerts.conditions import Moment
from jph.bus.wire import Address, Control
from jph.config.model import Component
from jph.config.silence import MISSED, SHORTEST_TIMEOUT_S, sign_interval_s, timeout_s
from jph.config.status import Heard

JUMP_MS = 5_000  # by which the wall clock may differ from the other one between two looks
STALL_S = 15.0  # between two looks, which come every second
BLIND_S = 10.0  # after a jump; and a bus that is joined again within it was hardly away
SLACK_S = 1.0
KEEP_ALIVES = 1.5  # after which a node that lives has given a sign


class Presence:
    """What is known of the presence of all components of a network.

    Args:
        own: Codifiers of the alerts themselves, which prove nothing.
        seen: the nodes of the components that were heard before the start.
    """

    def __init__(
        self,
        components: Mapping[str, Component],
        now: Moment,
        own: Collection[str] = (),
        seen: Mapping[str, str] | None = None,
    ) -> None:
        self.heard: dict[str, Heard] = {}  # of components of the configuration
        self.fresh: set[str] = set()  # heard since the start, or since the last blindness
        self._components = components
        self._own = frozenset(own)
        self._addresses: dict[str, Address] = {}
        self._own_ip = ""
        self._since_s = now.s
        self._last = now
        self._jumped_s = -math.inf
        self._joined_s = now.s
        self._jump = ""
        self._earlier = {it: node for it, node in (seen or {}).items() if it in components}
        for codifier in self._earlier:
            if codifier not in self._own:
                self.heard[codifier] = Heard(now.s, now.s, now.s)

    # What is heard

    def on_reading(self, codifier: str, now: Moment, address: Address | None) -> bool:
        """Take a reading; return whether it is of a component that alerts may be about."""
        if codifier in self._own:
            self._own_ip = address[0] if address else ""
            return False
        if codifier not in self._components:
            return False
        self._sign(codifier, now).data_s = now.s
        if address is not None:
            self._addresses[codifier] = address
        return True

    def on_control(self, message: Control, now: Moment) -> None:
        """Take a sign of life."""
        if message.source in self._own or message.source not in self._components:
            return
        heard = self._sign(message.source, now)
        if message.is_active and not heard.is_active:
            heard.since_s = now.s
        heard.control_s = now.s
        heard.is_active = message.is_active

    def _sign(self, codifier: str, now: Moment) -> Heard:
        heard = self.heard.get(codifier)
        if heard is None:
            heard = self.heard[codifier] = Heard()
        if heard.since_s is None:
            heard.since_s = now.s
        self.fresh.add(codifier)
        return heard

    def _rest(self, now: Moment) -> None:
        """Give everybody the limit again, beginning now."""
        for heard in self.heard.values():
            heard.data_s = now.s if heard.data_s is not None else None
            heard.control_s = now.s if heard.control_s is not None else None
            heard.since_s = now.s
        self.fresh.clear()

    def server_of(self, component: Component) -> Component | None:
        """Return the component that sends for a proxy."""
        return self._components.get(component.server or "")

    def _interval_s(self, codifier: str) -> float:
        component = self._components[codifier]
        return sign_interval_s(component, self.server_of(component))

    def is_stale(self, codifier: str, now: Moment) -> bool:
        """Tell whether the last value of a component is too old to tell anything."""
        heard = self.heard.get(codifier)
        if heard is None or heard.data_s is None:
            return True
        component = self._components[codifier]
        return now.s - heard.data_s > timeout_s(component, self.server_of(component))

    def node_of(self, codifier: str) -> str:
        """Return the node of a component: its host, or else where it sends from; "": unknown."""
        component = self._components.get(codifier)
        component = (component and self.server_of(component)) or component
        if component is None:
            return ""
        if component.host:
            return component.host
        address = self._addresses.get(component.codifier) or self._addresses.get(codifier)
        if address is None:
            return self._earlier.get(codifier, "")
        return f"{address[0]}:{address[1]}"

    def is_node_dead(
        self, codifiers: Sequence[str], quiet: Sequence[str], now: Moment
    ) -> bool | None:
        """Tell whether a node with these components is silent; None: not sure yet.

        Args:
            quiet: those of them that are silent.
        """
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

    def proves(self, codifiers: Collection[str]) -> dict[str, bool]:
        """Return of each of these components whether it would have been heard by now."""
        everybody = self._everybody()
        away = self._away(everybody)
        return {it: self._is_proved(it, away if it in away else everybody) for it in codifiers}

    def is_node_proved(self, codifiers: Sequence[str]) -> bool:
        """Tell whether a node would have been heard, since somebody else was."""
        last = max(codifiers, key=self._last_s)
        return self.proves([last])[last]

    def _is_proved(self, codifier: str, witnesses: Collection[str]) -> bool:
        """Tell whether a component would have been heard, since a witness was."""
        heard_s = self._last_s(codifier)
        spoke_s = max((self._heard_s(it) for it in witnesses), default=-math.inf)
        return spoke_s > heard_s + self._interval_s(codifier) + SLACK_S

    # Blindness

    def look(self, now: Moment, joined: bool, was_blind: bool) -> str:
        """Return why nothing can be judged now, empty while everything can.

        Args:
            joined: whether both channels of the bus are.
            was_blind: at the last look.
        """
        self._look_at_clock(now)
        if joined:
            self._joined_s = now.s
        self._last = now
        blind = self._blindness(now)
        if blind or was_blind or not joined:
            self._rest(now)
        if not joined or (was_blind and not blind):
            self._since_s = now.s
        return blind

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

    def _everybody(self) -> list[str]:
        return list(self.heard)

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

    def _last_s(self, codifier: str) -> float:
        heard = self.heard[codifier]
        return max(heard.data_s or -math.inf, heard.control_s or -math.inf)

    def _heard_s(self, codifier: str) -> float:
        return self._last_s(codifier) if codifier in self.fresh else -math.inf
