"""A node as a service: it tells systemd that it is ready and alive, and its status.

The loop of the node itself sends the keep-alives, between its other work. They end when the loop
hangs; systemd then starts the process again.
"""

import faulthandler
import socket
import threading
import time
from collections.abc import Sequence

from jph.bus.bus import BusStatus
from jph.node.node import Node
from jph.node.process import STATE
from jph.node.reload import Reloader
from jph.node.systemd import Notifier

DATA_SOCKET = "jph-data"  # its name while the service manager keeps it
STATUS_EVERY_S = 10.0
_TICK_S = 1.0  # until it is ready, this is also how late systemd may learn of it


class Service:
    """Tells the service manager about a node, from `begin` to `end`."""

    def __init__(self, node: Node, reloader: Reloader, notifier: Notifier) -> None:
        self._node = node
        self._reloader = reloader
        self._notifier = notifier
        self._lock = threading.Lock()
        self._joined = False  # both channels, at least once
        self._owes_ready = True  # READY=1, for the start or for a reload
        self._reloads = 0  # in progress; one may begin before another ends
        self._began = self._ended = False
        self._status_s = -STATUS_EVERY_S
        # Of the last status: its time, s, and the messages sent and heard until then.
        self._last_counts: tuple[float, int, int] | None = None

    def begin(self) -> None:
        """Follow the node, if there is a service manager."""
        self._began = True
        if not self._notifier.is_heard:
            return
        watchdog_s = self._notifier.watchdog_s
        tick_s = min(_TICK_S, watchdog_s / 4) if watchdog_s else _TICK_S
        if watchdog_s:
            faulthandler.enable()  # the watchdog ends us by SIGABRT: tell the journal what hung
        self._keep_data_socket()
        self._reloader.on_progress = self._reloading
        self._node.loop.soon(self._tick)
        self._node.loop.soon(lambda: self._node.loop.timers.every(tick_s, self._tick))

    def end(self) -> None:
        """Tell the service manager that the node stops, if it has begun.

        A start that failed may be followed by another one, after which systemd would wait in vain.
        """
        with self._lock:
            self._ended = True
            if self._began:
                self._notifier.stopping()

    def _keep_data_socket(self) -> None:
        """Go on with the socket that was kept, and have each new one kept for the next process."""
        fileno = self._notifier.kept.get(DATA_SOCKET)
        kept = None if fileno is None else socket.socket(fileno=fileno)
        if kept is not None:
            kept.setblocking(False)
        self._node.go_on_with(kept, lambda new: self._notifier.keep(DATA_SOCKET, new.fileno()))

    def _tick(self) -> None:
        if self._notifier.watchdog_s:
            self._notifier.alive()
        now_s = time.monotonic()
        is_due = now_s - self._status_s >= STATUS_EVERY_S
        if not is_due and self._joined and not self._owes_ready:
            return
        status = self._node.bus.status()
        self._joined = self._joined or status.joined
        with self._lock:
            self._tell_ready()
            if is_due and not self._ended:
                self._notifier.status(self._text(now_s, status))
                self._status_s = now_s

    def _reloading(self, begins: bool) -> None:
        with self._lock:
            self._reloads += 1 if begins else -1
            if begins and self._joined and not self._ended:
                self._notifier.reloading()
                self._owes_ready = True
            elif not begins:
                self._tell_ready()

    def _tell_ready(self) -> None:
        """Send READY=1 if it is owed; if that fails, the next tick sends it again."""
        if self._owes_ready and self._joined and not self._reloads and not self._ended:
            self._owes_ready = not self._notifier.ready()

    def _text(self, now_s: float, status: BusStatus) -> str:
        """Return the status in one line: network, components, rates, losses."""
        parts = (
            _network(status),
            self._components(),
            "readings wait for the clock to be set" if status.holds else "",
            self._rates(now_s, status),
            _losses(status),
        )
        return "; ".join(filter(None, parts))

    def _components(self) -> str:
        components = self._node.process.components()
        failing = sorted(code for code, one in components.items() if one.state == STATE.FAILED)
        text = f"{len(components)} component{'s' * (len(components) != 1)}"
        if standby := sorted(self._node.instances.standby):
            text += f", on standby: {_listed(standby)}"
        return f"{text}, failing: {_listed(failing)}" if failing else text

    def _rates(self, now_s: float, status: BusStatus) -> str:
        """Return the rates of messages since the last status; those heard include our own."""
        sent, heard = status.total("sent"), status.total("received")
        before, self._last_counts = self._last_counts, (now_s, sent, heard)
        if before is None:
            return ""
        past_s = max(now_s - before[0], 1e-3)
        return f"{_rate(sent - before[1], past_s)} sent, {_rate(heard - before[2], past_s)} heard"


def _listed(codifiers: Sequence[str]) -> str:
    more = f" and {len(codifiers) - 8} more" if len(codifiers) > 8 else ""
    return " ".join(codifiers[:8]) + more


def _network(status: BusStatus) -> str:
    interface = "the default interface" if status.interface == "default" else status.interface
    away = [name for name, channel in status.channels.items() if not channel.joined]
    if not away:
        return f"on {interface}"
    return f"cannot join the {' and '.join(away)} channel on {interface}, trying again"


def _losses(status: BusStatus) -> str:
    counts = {
        "lost": status.total("lost"),
        "dropped by the kernel": status.total("kernel_drops"),
        "unsent": status.total("unsent"),
    }
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none lost"


def _rate(count: int, past_s: float) -> str:
    per_s = count / past_s
    return f"{per_s:.0f}/s" if per_s >= 10 else f"{60 * per_s:.0f}/min"
