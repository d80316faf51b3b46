"""How much of a sender's control messages is taken: a flood costs little, people notice nothing.

For each kind of command, every pair of sender and destination has an allowance of its own, so that
one person may halt a hundred components at once; signs of life have one for each Codifier that
gives them. Messages beyond it are counted, and reported once. Of those that tell or bring about a
state (C, H, S, A, N, I) the latest is taken as soon as the allowance permits: who corrects a
mistake at once gets what was sent last.

Pure, apart from the log: times are arguments.
"""

import logging
import math
from dataclasses import dataclass

from jph.bus.wire import Address, Control
from jph.faults import Fault

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Allowance:
    """So many messages at once, and then one in each interval."""

    burst: int
    interval_s: float
    is_kept: bool = False  # the latest one beyond it is taken later

    @property
    def lead_s(self) -> float:
        """How far ahead of time the allowance may be used up."""
        return (self.burst - 1) * self.interval_s


RELOAD_EVERY_S = 5.0  # to one destination, as one sender asks for it

_ALLOWANCES = {
    "C": _Allowance(1, RELOAD_EVERY_S, is_kept=True),
    "H": _Allowance(10, 2.0, is_kept=True),
    "A": _Allowance(50, 0.05, is_kept=True),
    "E": _Allowance(50, 0.05),  # a step that comes late is a surprise
    "P": _Allowance(50, 0.05),
    "T": _Allowance(50, 0.05),
    "N": _Allowance(50, 0.1, is_kept=True),
    "I": _Allowance(50, 0.1, is_kept=True),
}
_KINDS = {**{flag: flag for flag in _ALLOWANCES}, "S": "H"}  # H and S undo each other

_MOST_HOSTS = 64  # senders with allowances of their own; all others share theirs
_FORGET_S = 60.0  # after the last message of a host
_MOST_KEYS = 4096  # then what is further of a host shares an allowance
_TIDY_S = 1.0  # between looks for what can be forgotten
_CALM_S = 10.0  # without a message too many: the flood is over
_FLOOD = 20  # messages too many: no person sends so many by mistake

_Key = tuple[str, str, str]  # sender, whom it is about, kind


def _about(message: Control, kind: str) -> str:
    """Return who shares an allowance: the destination of commands, the source of signs of life."""
    if kind == "T":
        return message.source + message.destination
    return message.source if kind in "NI" else message.destination


class _Host:
    """A sender, by its address without the port."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard_s = 0.0
        self.calm_s = 0.0  # when it will not have sent one too many for a while
        self.fault = Fault(log)

    def exceeds(self, message: Control, now_s: float) -> None:
        """Count a message too many."""
        said = ""
        if not self.fault and self.fault.count + 1 >= _FLOOD:
            interval_s = _ALLOWANCES[_KINDS[message.flag]].interval_s
            said = (
                f"{self.name} sends too many control messages: of {message.flag} from"
                f" {message.source} to {message.destination} one in {interval_s:g} s is taken;"
                " stop the program that sends them"
            )
        self.fault.note("too many control messages", said, after=_FLOOD)
        self.calm_s = now_s + _CALM_S


class Throttle:
    """The allowances of all senders that one process hears."""

    def __init__(self) -> None:
        self.due_s = math.inf  # when `due` wants to be called, monotonic
        self._tidied_s = -math.inf
        self._hosts: dict[str, _Host] = {}
        self._others = _Host("a crowd of hosts")
        self._whole_s: dict[_Key, float] = {}  # when an allowance will be whole again
        self._kept: dict[_Key, tuple[float, Control, Address]] = {}  # and when to obey it

    def passes(self, message: Control, address: Address, now_s: float) -> bool:
        """Tell whether to take a message now; `due` returns some of the others later."""
        kind = _KINDS[message.flag]
        host = self._host(address[0], now_s)
        key = host.name, _about(message, kind), kind
        if key not in self._whole_s and len(self._whole_s) >= _MOST_KEYS:
            self._tidy(now_s)
            if len(self._whole_s) >= _MOST_KEYS:
                key = host.name, "", kind
        allowance = _ALLOWANCES[kind]
        whole_s = max(now_s, self._whole_s.get(key, 0.0))
        if whole_s - now_s <= allowance.lead_s and key not in self._kept:
            self._whole_s[key] = whole_s + allowance.interval_s
            return True
        host.exceeds(message, now_s)
        due_s = host.calm_s
        if allowance.is_kept:
            due_s = self._kept[key][0] if key in self._kept else whole_s - allowance.lead_s
            self._kept[key] = due_s, message, address
        self.due_s = min(self.due_s, due_s)
        return False

    def due(self, now_s: float) -> list[tuple[Control, Address]]:
        """Return the kept messages whose time has come, and note which floods are over."""
        if now_s < self.due_s:
            return []
        found = []
        for key, (due_s, message, address) in list(self._kept.items()):
            if due_s <= now_s:
                del self._kept[key]
                whole_s = max(now_s, self._whole_s.get(key, 0.0))
                self._whole_s[key] = whole_s + _ALLOWANCES[key[2]].interval_s
                found.append((message, address))
        waits = [due_s for due_s, _, _ in self._kept.values()]
        for host in (*self._hosts.values(), self._others):
            if host.fault.count and host.calm_s <= now_s:
                said = f"{host.name} sends no more control messages than it may"
                host.fault.end(said, "excess message")
            elif host.fault.count:
                waits.append(host.calm_s)
        self.due_s = min(waits, default=math.inf)
        return found

    def _host(self, name: str, now_s: float) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= _MOST_HOSTS:
                self._tidy(now_s)
                if len(self._hosts) >= _MOST_HOSTS:
                    return self._others
            host = self._hosts[name] = _Host(name)
        host.heard_s = now_s
        return host

    def _tidy(self, now_s: float) -> None:
        """Forget whole allowances, and hosts that were not heard for a while."""
        if now_s - self._tidied_s < _TIDY_S:
            return
        self._tidied_s = now_s
        self._whole_s = {key: whole_s for key, whole_s in self._whole_s.items() if whole_s > now_s}
        self._hosts = {
            name: host
            for name, host in self._hosts.items()
            if host.fault or now_s - host.heard_s < _FORGET_S
        }
