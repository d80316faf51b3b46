"""One Codifier on the bus: it sends, and knows its own entry and the network.

The documented names (`sendData`, `getMySensor`, …) are those the network's users already know; they
are thin beside the ones that our own components call.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time_ns
from typing import Any

from jph.bus import wire
from jph.bus.wire import BROADCAST, FLOAT, SEQUENCE_MASK, UINT32, Control, Data, Value
from jph.clock import time_now_ms
from jph.config.model import Component, Config
from jph.node.process import Process
from jph.state import LastStates

# The largest magnitude that float32 carries: (2 - 2**-23) * 2**127.
_FLOAT32_MAX = 3.4028234663852886e38


@dataclass(slots=True)
class _Stream:
    """The outgoing data messages of one Codifier."""

    code: bytes
    sequence: int
    data_type: str
    started: bool = False


class Channel:
    """One Codifier's place on the control and the data channel.

    `send_data` and `send_control` may be called from any thread. A datagram that the network does
    not take is counted, not raised: the bus goes on when the link comes back.
    """

    def __init__(self, component: Component, process: Process) -> None:
        self.process = process
        self._sender = process.bus.data.sender
        self.restart(component)

    def restart(self, component: Component) -> None:
        """Begin again with an entry of the configuration: new sequences, configured activity."""
        self.component = component
        self.codifier = component.codifier
        self.is_active = component.active
        self.loaded_ms = self.process.config.loaded_ms
        self._control_sequence = _random_sequence()
        self._streams: dict[str | None, _Stream] = {}
        self._own = self._stream(component.codifier)
        self._streams[None] = self._own

    def carry_on(self, component: Component) -> None:
        """Go on under a new configuration in which this component is the same."""
        self.component = component
        self.loaded_ms = self.process.config.loaded_ms
        for codifier, stream in self._streams.items():
            if entry := self.config.components.get(codifier or component.codifier):
                stream.data_type = entry.data_type

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.process.config

    @property
    def home(self) -> Path:
        """The folder for all that is written."""
        return self.process.home

    def last_states(self) -> LastStates:
        """Return the last state of every Codifier, one object for all components of the process.

        Call it before the first callback, since the states are kept from the first call on.
        """
        return self.process.last_states()

    # Sending

    def send_data(
        self, value: object, timestamp_ms: float | None = None, codifier: str | None = None
    ) -> bool:
        """Send a value on the data channel, and tell whether the network took it.

        Args:
            value: bool, int, float, str, or a dict with the key "value".
            timestamp_ms: when it was read, a fraction is cut off; now if None.
            codifier: of the proxy it belongs to; None for the channel's own.

        Raises:
            ValueError: NaN or infinity, text of more than 1440 bytes, or no Codifier.
            TypeError: a value that no message carries.
        """
        if timestamp_ms is None:
            timestamp_ms = time_ns() // 1_000_000
        stream = self._streams.get(codifier) or self._stream(codifier or self.codifier)
        sender = self._sender
        if (
            type(value) is float
            and type(timestamp_ms) is int
            and stream.data_type == "float"
            and -_FLOAT32_MAX <= value <= _FLOAT32_MAX
            and 0 <= timestamp_ms < wire.TIMESTAMP_LIMIT
        ):
            with sender.lock:
                sequence = stream.sequence if stream.started else self._start(stream)
                stream.sequence = (sequence + 1) & SEQUENCE_MASK
                return sender.send(
                    FLOAT.pack(sequence, timestamp_ms, b"f", stream.code, b"@@", 4, value)
                )
        flag, chosen = wire.choose(value, stream.data_type)
        # Encoded before the sequence is taken, so that a refused value leaves no gap.
        code = stream.code.decode()
        datagram = bytearray(wire.encode_data(Data(0, int(timestamp_ms), flag, code, chosen)))
        with sender.lock:
            sequence = stream.sequence if stream.started else self._start(stream)
            stream.sequence = (sequence + 1) & SEQUENCE_MASK
            wire.SEQUENCE.pack_into(datagram, wire.SEQUENCE_AT, sequence)
            return sender.send(datagram)

    def send_control(
        self,
        flag: str,
        to: str = BROADCAST,
        number: float | None = None,
        timestamp_ms: float | None = None,
    ) -> None:
        """Send a message on the control channel.

        Args:
            flag: one of N, I, P, T, S, H, C, A, E.
            to: Codifier it is meant for, or @@ for all.
            number: the time component; by default for N and I when the configuration was loaded,
                for P our clock, else 0.
            timestamp_ms: a fraction is cut off; now if None.

        Raises:
            ValueError: no such flag, no Codifier, or a number that is not finite.
        """
        if timestamp_ms is None:
            timestamp_ms = time_now_ms()
        if number is None:
            number = {"N": self.loaded_ms, "I": self.loaded_ms, "P": timestamp_ms}.get(flag, 0)
        sender = self.process.bus.control.sender
        with sender.lock:
            sequence = self._control_sequence
            message = Control(
                sequence, int(timestamp_ms), flag, self.codifier, to, float(number), self.is_active
            )
            datagram = wire.encode_control(message)
            self._control_sequence = wire.next_sequence(sequence)
            sender.send(datagram)

    def _stream(self, codifier: str) -> _Stream:
        stream = self._streams.get(codifier)
        if stream is None:
            code = wire.codifier_bytes(codifier)
            entry = self.config.components.get(codifier)
            data_type = entry.data_type if entry else "float"
            stream = _Stream(code, _random_sequence(), data_type)
            self._streams[codifier] = stream
        return stream

    def _start(self, stream: _Stream) -> int:
        """Send the message that starts a sequence; return the number of the next datagram."""
        stream.started = True
        sequence = stream.sequence
        self._sender.send(
            UINT32.pack(sequence, time_now_ms(), b"n", stream.code, b"@@", 4, sequence)
        )
        return wire.next_sequence(sequence)

    # The names that the network's users know

    def sendData(
        self,
        data: Value | bool,
        timestamp: float | None = None,
        Codifier: str | None = None,
        isJson: bool = False,
    ) -> None:
        """Send on the data channel; with isJson, data is JSON text or an object.

        Raises:
            ValueError, TypeError: as `send_data`; JSON text that is none.
        """
        if isJson:
            if isinstance(data, str):
                data = json.loads(data)
            if not isinstance(data, dict):
                data = {"value": data}
        self.send_data(data, timestamp, Codifier)

    def sendCtrl(
        self,
        flag: str,
        timestamp: float | None = None,
        to: str = BROADCAST,
        timeComponent: float | None = None,
    ) -> None:
        """Send on the control channel; see `send_control`."""
        self.send_control(flag, to, timeComponent, timestamp)

    def getConfig(self) -> Mapping[str, Any]:
        """Return the whole configuration, as in its document."""
        return self.config.document

    def getAllSensors(self) -> list[Mapping[str, Any]]:
        """Return the entries of all components, in the order of the document."""
        return [component.entry for component in self.config.components.values()]

    def getSensor(self, Codifier: str) -> Mapping[str, Any] | None:
        """Return the entry of one component, None if there is none."""
        component = self.config.components.get(Codifier)
        return component.entry if component else None

    def getMySensor(self) -> Mapping[str, Any]:
        """Return this component's own entry."""
        return self.component.entry

    def getMySensorElement(self, name: str) -> Any:
        """Return one element of the `Sensor` object of this component, None if it is not there."""
        return self.component.settings.get(name)


def _random_sequence() -> int:
    return random.randint(1, SEQUENCE_MASK)
