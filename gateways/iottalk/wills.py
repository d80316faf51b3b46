"""Whether the broker lost the wills of its clients, and who is offline then.

A broker that is killed publishes no wills, so that a device which died with it would stay online
for ever. That is told by a will of our own: each data connection has a name, says at the broker
that it began, and the broker says that it ended. Where it does not say so, it lost all wills, and
whoever was connected then has to come online again: device applications do when they connect anew.
Who does not within `PATIENCE_S`, and sends nothing else either, is offline. A restart of the
gateway alone changes nothing, since the broker says that its connection ended.

Of our own broker it is known without that when it began anew, also while the gateway was away.
"""

import json
import threading
import time
from collections.abc import Callable
from uuid import uuid4

from gateways.iottalk.control import lost
from gateways.iottalk.devices import Device
from gateways.iottalk.register import RESPONSES, Draft, Known
from gateways.iottalk.values import NotTaken, object_of
from gateways.message import Message

PATIENCE_S = 300.0  # paho tries to connect every two minutes at least
MOST_CONNECTIONS = 20  # whose end was not told


class Wills:
    """The names of our data connections, and when they were lost; any thread may call.

    Args:
        client_id: with which their names begin.
    """

    def __init__(self, client_id: str) -> None:
        self.topic = f"{RESPONSES}/{client_id}/connection"
        self.present = ""  # name of the connection that there is, or that is tried
        self._client_id = client_id
        self._started_us = time.time_ns() // 1000
        self._lock = threading.Lock()
        self._connected: dict[str, bool] = {}
        self._lost_us: dict[str, int] = {}

    def renewed(self) -> tuple[str, tuple[str, bytes]]:
        """Return name and will of a new connection.

        The name is a new one, since a broker publishes no will of a session that is taken over.
        """
        self.present = f"{self._client_id}-{uuid4().hex[:8]}"
        return self.present, (self.topic, self._said("ended"))

    def began(self) -> bytes:
        """Return what the present connection says when it begins."""
        return self._said("began")

    def note(self, which: str, connected: bool) -> None:
        """Note whether one of the connections to the broker is there now."""
        with self._lock:
            if self._connected.get(which) and not connected:
                self._lost_us[which] = time.time_ns() // 1000
            self._connected[which] = connected

    def take(self, draft: Draft, message: Message) -> None:
        """Take what is said of connections."""
        try:
            said = object_of(message.payload)
        except NotTaken:
            return
        name, state = said.get("name"), said.get("state")
        if state == "ended" and isinstance(name, str):
            draft.put_connection(name, None)
        elif state == "began" and name == self.present and name not in draft.connections:
            self.end(draft)
            draft.put_connection(name, 0)
            for first in list(draft.connections)[:-MOST_CONNECTIONS]:
                draft.put_connection(first, None)

    def end(self, draft: Draft) -> None:
        """Note of all connections that were there that they have ended."""
        with self._lock:
            # Of both kinds, since one may be noticed later than what devices say on the next.
            lost_us = min(self._lost_us.values(), default=self._started_us)
        for name, ended_us in list(draft.connections.items()):
            if not ended_us:
                draft.put_connection(name, lost_us)

    def _said(self, state: str) -> bytes:
        return json.dumps({"name": self.present, "state": state}).encode()


class Looks:
    """Finds devices whose wills were lost, each time it is asked.

    Args:
        run: gives the present run of our broker; see `gateways.broker.instance`.
        seen_us: gives when a value of a device came last.
    """

    def __init__(self, run: Callable[[], str], seen_us: Callable[[str], int]) -> None:
        self._run = run
        self._seen_us = seen_us
        self.run = ""  # the present one
        self._run_since_us = 0
        self.look()

    def look(self) -> None:
        """See which run of the broker it is; to be called with each connection."""
        run = self._run()
        if run != self.run:
            self.run, self._run_since_us = run, time.time_ns() // 1000

    def is_due(self, known: Known, listening_us: int) -> bool:
        """Tell whether there is something for `leave` to do."""
        return bool(self._over(known, listening_us) or self._lost(known, listening_us))

    def leave(self, draft: Draft, listening_us: int) -> list[str]:
        """Let devices leave whose will was lost and that did not come back; return their names.

        Args:
            listening_us: since when all is heard that the broker says.
        """
        devices = self._lost(draft, listening_us)
        for name in self._over(draft, listening_us):
            draft.put_connection(name, None)
        for device in devices:
            lost(draft, device)
        return [device.name for device in devices]

    def _over(self, known: Known | Draft, listening_us: int) -> list[str]:
        """Return connections whose end was not told, and whose devices had their time."""
        return [
            name
            for name, ended_us in known.connections.items()
            if ended_us and _is_over(ended_us, listening_us)
        ]

    def _lost(self, known: Known | Draft, listening_us: int) -> list[Device]:
        over = self._over(known, listening_us)
        ended_us = max((known.connections[name] for name in over), default=0)
        is_other_run = bool(self.run) and _is_over(self._run_since_us, listening_us)

        def is_lost(device: Device) -> bool:
            seen_us = self._seen_us(device.id)
            if max(device.heard_us, seen_us) < ended_us:
                return True
            return is_other_run and device.heard_on != self.run and seen_us < self._run_since_us

        online = [it for it in known.devices.values() if it.online and not it.is_internal]
        return [device for device in online if is_lost(device)]


def _is_over(since_us: int, listening_us: int) -> bool:
    return time.time_ns() // 1000 > max(since_us, listening_us) + PATIENCE_S * 1e6
