"""Simulated ESP32 boards, each with a connection of its own, all in one thread.

    python -m gateways.esp32.examples.boards --port 1883 --boards 4

It ends when its input does, unless that is a terminal. With --user the first line of its input is
the password.

A board does what the firmware does. It connects, and publishes its MAC address every 5 s until a
name comes for it. It disconnects, waits, connects again with a will, says its name and session, and
reports: the LED at once and when it is switched, the light every 2 s, the button when it changes.
When the connection is lost, it begins anew.
"""

import math
import random
import select
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from gateways.address import BrokerAddress
from gateways.esp32.protocol import ASSIGN, COMMAND, JOIN, LEAVE, Kind
from gateways.examples import begun, program_parser

KEEPALIVE_S = 5
REPEAT_S = 5.0  # between two MAC addresses
PAUSE_S = 5.0  # between the two connections
INTERVAL_S = 2.0
RETRY_S = 2.0  # until it connects again, and up to twice as long
LOOK_S = 0.5  # at each connection
MOST_WAIT_S = 0.2


@dataclass(frozen=True, slots=True)
class Habits:
    """What boards of one firmware do alike.

    Args:
        protocol: of MQTT.
        qos_join, qos_will, qos_led, qos_value: QoS of state/join, the will, led/status, and the
            others.
        qos_heard: of the subscriptions.
        measures: whether values come by themselves; else by `SimulatedBoard.report`.
    """

    protocol: MQTTProtocolVersion = MQTTProtocolVersion.MQTTv311
    qos_join: int = 1
    qos_will: int = 0
    qos_led: int = 1
    qos_value: int = 0
    qos_heard: int = 1
    interval_s: float = INTERVAL_S
    pause_s: float = PAUSE_S
    measures: bool = True


class SimulatedBoard:
    """One board; the thread of its fleet works for it.

    Attributes:
        name, session: as they were assigned; empty until then.
        is_started: whether it has said so on its second connection.
        led: whether its LED is on.
        values: how many values of light it has published.
    """

    def __init__(self, mac: str, address: BrokerAddress, habits: Habits) -> None:
        self.mac = mac
        self.name = self.session = ""
        self.led = False
        self.is_started = False
        self.values = 0
        self._address = address
        self._habits = habits
        self._client: mqtt.Client | None = None
        self._due: list[tuple[float, Callable[[], None]]] = []
        self._button = False
        self._looked_s = time.monotonic() + random.random()
        self._phase = random.random()
        self.after(0, self._join)

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something later."""
        self._due.append((time.monotonic() + seconds, what))

    @property
    def socket(self) -> Any:
        """The socket of its connection, or None."""
        return self._client.socket() if self._client else None

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be sent."""
        return self._client is not None and self._client.want_write()

    def tick(self, now_s: float) -> None:
        """Do what is due, and keep the connection alive."""
        due = [what for when_s, what in self._due if when_s <= now_s]
        if due:
            self._due = [(when_s, what) for when_s, what in self._due if when_s > now_s]
        for what in due:
            what()
        if self._client is not None and now_s >= self._looked_s + LOOK_S:
            self._looked_s = now_s
            self._client.loop_misc()
            if self._client.socket() is None:
                self._lost()

    def handle(self, *, read: bool, write: bool) -> None:
        """Read what came, and write what waits."""
        client = self._client
        if client is None:
            return
        if read:
            client.loop_read()
        if write and client.want_write():
            client.loop_write()

    def close(self) -> None:
        """Vanish as with its power: the broker publishes the will."""
        self._due.clear()
        client, self._client = self._client, None
        if client is not None and (sock := client.socket()):
            sock.close()

    def report(self, kind: Kind, value: int) -> None:
        """Publish a value of this session."""
        qos = self._habits.qos_led if kind == "led" else self._habits.qos_value
        self._publish(f"{kind}/status", f"{self.name};{self.session};{value}", qos)

    def _connect(self, topic: str, connected: Callable[[], None], will: str = "") -> None:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            "",  # the broker chooses one, which nobody else can take
            protocol=self._habits.protocol,
            reconnect_on_failure=False,
        )
        if self._address.user:
            client.username_pw_set(self._address.user, self._address.password)
        if will:
            client.will_set(LEAVE, will.encode(), qos=self._habits.qos_will)

        def subscribe(*_: Any) -> None:
            client.subscribe(topic, self._habits.qos_heard)

        client.on_connect = subscribe
        client.on_subscribe = lambda *_: connected()
        client.on_message = lambda _, __, message: self._take(message)
        self._client = client
        try:
            client.connect(self._address.host, self._address.port, KEEPALIVE_S)
        except OSError:
            self._lost()

    def _join(self) -> None:
        self.name = self.session = ""
        self._connect(ASSIGN, self._say_mac)

    def _say_mac(self) -> None:
        if not self.name:
            self._publish(JOIN, self.mac, self._habits.qos_join)
            self.after(REPEAT_S, self._say_mac)

    def _take(self, message: mqtt.MQTTMessage) -> None:
        parts = message.payload.decode().split(";")
        if message.topic == ASSIGN and parts[0] == self.mac and not self.name:
            self.name, self.session = parts[1:]
            self._leave_broker()
            self._due.clear()
            self.after(self._habits.pause_s, self._return)
        elif message.topic == COMMAND and parts[:2] == [self.name, self.session]:
            self.led = parts[2] == "1"
            self.report("led", int(self.led))

    def _leave_broker(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.disconnect()
            client.loop_write()
            if sock := client.socket():
                sock.close()

    def _return(self) -> None:
        self._connect(COMMAND, self._start, f"{self.name};{self.session}")

    def _start(self) -> None:
        self._publish(JOIN, f"{self.name};{self.session}", self._habits.qos_join)
        self.is_started = True
        self.report("led", int(self.led))
        if self._habits.measures:
            self.after(self._habits.interval_s * random.random(), self._measure)

    def _measure(self) -> None:
        now_s = time.time()
        angle = 2 * math.pi * (now_s / 60 + self._phase)
        light = 50 + 45 * math.sin(angle) + random.uniform(-2, 2)
        self.report("photoresistor", round(light))
        self.values += 1
        pressed = random.random() < 0.1 if not self._button else False
        if pressed != self._button:
            self._button = pressed
            self.report("button", int(pressed))
        self.after(self._habits.interval_s, self._measure)

    def _publish(self, topic: str, payload: str, qos: int) -> None:
        if self._client is not None:
            self._client.publish(topic, payload.encode(), qos)

    def _lost(self) -> None:
        self._client, self.is_started = None, False
        self._due.clear()
        self.after(RETRY_S * random.uniform(1, 2), self._join)


def mac_of(number: int) -> str:
    """Return the MAC address of a simulated board; one that no manufacturer gives."""
    return ":".join(f"{byte:02X}" for byte in (0x0200_0000_0000 + number).to_bytes(6))


class Fleet:
    """Boards that work as long as `run` does."""

    def __init__(self, boards: Sequence[SimulatedBoard]) -> None:
        self.boards = boards

    def run(self, goes_on: Callable[[], bool]) -> None:
        """Let the boards work; then they vanish."""
        next_tick_s = 0.0
        try:
            while goes_on():
                poll = select.poll()
                by_number = {}
                for board in self.boards:
                    if sock := board.socket:
                        events = select.POLLIN | select.POLLOUT * board.wants_write
                        poll.register(sock, events)
                        by_number[sock.fileno()] = board
                wait_s = max(0.0, min(MOST_WAIT_S, next_tick_s - time.monotonic()))
                for number, events in poll.poll(wait_s * 1000):
                    by_number[number].handle(
                        read=bool(events & ~select.POLLOUT), write=bool(events & select.POLLOUT)
                    )
                now_s = time.monotonic()
                if now_s >= next_tick_s:
                    next_tick_s = now_s + 0.05
                    for board in self.boards:
                        board.tick(now_s)
        finally:
            for board in self.boards:
                board.close()


def fleet_of(
    count: int, address: BrokerAddress, habits: Habits | None = None, first: int = 1
) -> Fleet:
    """Return simulated boards; the first one has the MAC address of a number."""
    habits = habits or Habits()
    numbers = range(first, first + count)
    return Fleet([SimulatedBoard(mac_of(number), address, habits) for number in numbers])


def main(arguments: Sequence[str] | None = None) -> None:
    """Be boards until SIGINT or SIGTERM."""
    parser = program_parser("Be ESP32 boards.")
    parser.add_argument("--boards", type=int, default=4)
    parser.add_argument("--interval", type=float, default=INTERVAL_S, help="seconds")
    given = parser.parse_args(arguments)
    address = begun(given)
    with suppress(SystemExit):
        fleet_of(given.boards, address, Habits(interval_s=given.interval)).run(lambda: True)


if __name__ == "__main__":
    main()
