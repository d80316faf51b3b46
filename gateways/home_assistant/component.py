"""Components of the bus in Home Assistant: announced, with their values, and set from there."""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping as Given
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gateways.address import address_of
from gateways.connection import Connection
from gateways.home_assistant.discovery import (
    OFFLINE,
    ONLINE,
    Announcement,
    Topics,
    announce,
    announced_before,
    choose,
    number_of_command,
    payload,
    removals,
)
from gateways.message import Message
from gateways.rights import Rights
from jph.bus.wire import Address, Control, Reading, Value
from jph.config.model import Config
from jph.config.status import Heard, status
from jph.faults import Fault
from jph.node.channel import Channel
from jph.node.process import STATE
from jph.rate import Rate
from jph.settings import setting
from jph.threads import component_thread

log = logging.getLogger(__name__)

LOOK_S = 0.5
GATHER_S = 1.0  # after a subscription, for the retained messages of before
MOST_BYTES = 1 << 20  # of one message; a device with hundreds of entities takes some 100 kB
MOST_WAITING = 1_000


@dataclass
class HomeAssistant:
    """Announce components to Home Assistant, bring it their values, and take its commands.

    What was announced before stands in retained messages at the broker. So whatever has left the
    configuration meanwhile is taken away again, whoever announced it and however it ended.
    """

    channel: Channel
    config: Config
    home: Path
    broker: str = setting("mqtt://127.0.0.1:1883", doc="URL of the broker, or Codifier of a Broker")
    password_file: Path | None = setting(
        None, doc="path of the file with the password of the user in the URL"
    )
    codifiers: tuple[str, ...] = setting((), doc="components that are announced")
    labels: tuple[str, ...] = setting((), doc="announced, too: what has one of these labels")
    areas: tuple[str, ...] = setting((), doc="announced, too: what is in one of these areas")
    interval_s: float = setting(
        1.0, key="Interval", ge=0, doc="shortest time between two values of a component, s"
    )
    prefix: str = setting("homeassistant", doc="prefix of discovery that is set in Home Assistant")
    topic: str = setting("jph", doc="first level of the topics of values; one for each network")

    @staticmethod
    def rights(settings: Given[str, Any]) -> Rights:
        """Return what a Broker lets Home Assistant do."""
        topics = Topics(settings.get("Topic") or "jph", settings.get("Prefix") or "homeassistant")
        return Rights(
            own=(f"{topics.base}/#", f"{topics.prefix}/#"),
            programs=(topics.commands, topics.birth),
        )

    def __post_init__(self) -> None:
        self._topics = Topics(self.topic, self.prefix)
        self._announcement = Announcement()
        self._heard: dict[str, Heard] = {}
        self._values: dict[str, Value] = {}
        self._changed: set[str] = set()  # whose values are to be published
        self._published_s: dict[str, float] = {}
        self._told: dict[str, str] = {}  # last status of each topic of it
        self._arrived: deque[Message] = deque(maxlen=MOST_WAITING)
        self._before: dict[str, bytes] = {}  # announced, as the broker has it
        self._announce_s = float("inf")  # when that is to be compared with what is to be there
        self._look_s = 0.0  # when it is looked next who works
        self._lock = threading.Lock()
        self._messages = Rate()
        self._fault = ""
        self._refused = Fault(log, every_s=60.0)
        self._closing = threading.Event()
        self._woken = threading.Event()
        self._take(self.config)
        address = address_of(self.broker, self.password_file, self.config, self.home)
        subscriptions = (self._topics.birth, self._topics.announced, self._topics.commands)
        self._connection = Connection(
            address,
            f"jph-home-assistant-{self.topic}-{self.channel.codifier.encode().hex()}",
            subscriptions,
            has_room=lambda: True,
            on_message=self._queue_up,
            on_state=self._on_state,
            most_bytes=MOST_BYTES,
            will=(self._topics.status, OFFLINE.encode()),
            keeps=False,  # nobody wants a command obeyed hours later
        )
        self._connection.on_subscribed = self._on_subscribed
        self._thread = component_thread("home-assistant", self._run)
        self._thread.start()
        self._connection.start()

    # From the bus

    def on_batch(self, readings: list[Reading]) -> None:
        """Take readings."""
        heard = self._heard
        values = {codifier: value for codifier, _, _, value, *_ in readings if codifier in heard}
        if not values:
            return
        now_s = time.monotonic()
        for codifier in values:
            one = heard[codifier]
            one.data_s = now_s
            one.since_s = one.since_s or now_s
        with self._lock:
            self._values |= values
            self._changed |= values.keys()
        self._woken.set()

    def on_control(self, message: Control, address: Address) -> None:
        """Take a sign of life."""
        heard = self._heard.get(message.source)
        if heard is not None:
            heard.control_s = time.monotonic()
            heard.since_s = heard.since_s or heard.control_s
            if heard.is_active != message.is_active:
                heard.is_active = message.is_active
                self._look_s = 0.0
                self._woken.set()

    def on_config(self, config: Config) -> None:
        """Announce what a new configuration has."""
        self._take(config)
        self._announce_s = 0.0
        self._woken.set()

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish messages per minute, to Home Assistant and from it."""
        fault = self._fault
        rate = self._messages.take()
        self.channel.send_data({"value": rate, "fault": fault} if fault else rate, timestamp_ms)
        return STATE.WITHERRORS if fault else STATE.GOOD

    def close(self) -> None:
        """Tell Home Assistant that this gateway leaves, and close the connection."""
        self._closing.set()
        self._woken.set()
        self._thread.join(2)
        self._connection.publish(self._topics.status, OFFLINE.encode(), 1, True)
        self._connection.close(2)

    def _take(self, config: Config) -> None:
        self.config = config
        chosen = choose(config, self.codifiers, self.labels, self.areas)
        for unknown in set(self.codifiers) - set(chosen):
            log.warning('"%s" of Codifiers is no component; Home Assistant lacks it', unknown)
        self._announcement = announce(config, chosen, self._topics, version("jph"))
        entities, before = self._announcement.entities, self._heard
        servers = (config.components[it].server for it in entities)
        # Who serves a proxy tells whether it works, announced or not.
        needed = {*entities, *(server for server in servers if server)}
        self._heard = {it: before.get(it, Heard()) for it in needed}

    # From the broker, in the thread of the connection

    def _on_state(self, is_connected: bool, reason: str) -> None:
        self._fault = reason if not is_connected else ""

    def _on_subscribed(self) -> None:
        self._before.clear()
        self._told.clear()
        self._look_s = 0.0
        self._announce_s = time.monotonic() + GATHER_S
        self._woken.set()

    def _queue_up(self, message: Message) -> None:
        self._arrived.append(message)
        self._connection.acknowledge([message])
        self._woken.set()

    # In the thread of this component

    def _run(self) -> None:
        while not self._closing.is_set():
            self._woken.wait(LOOK_S)
            self._woken.clear()
            try:
                while self._arrived:
                    self._on_message(self._arrived.popleft())
                if self._connection.number:
                    self._bring()
            except Exception:
                log.exception("%s: a message to Home Assistant failed", self.channel.codifier)
            self._closing.wait(0.02)  # several readings are one turn

    def _on_message(self, message: Message) -> None:
        topic, text = message.topic, message.payload
        self._messages.add()
        if topic == self._topics.birth:
            if text == ONLINE.encode():  # it has started, and knows no values
                self._told.clear()
                self._look_s = 0.0
                with self._lock:
                    self._changed |= self._values.keys()
        elif self._topics.is_ours(topic):
            if text:
                self._before[topic] = text
            else:
                self._before.pop(topic, None)
        elif component := self._announcement.commands.get(topic):
            codifier = component.codifier
            if message.retained:  # an order of then would be obeyed at each start
                self._refused.note(topic, f"a retained command to {codifier} is not obeyed")
                return
            try:
                number = number_of_command(text.decode(), component)
            except ValueError as error:
                self._refused.note(topic, f"a command to {codifier} is refused: {error}")
                return
            log.info("Home Assistant sets %s to %g", codifier, number)
            self.channel.send_control("A", codifier, number)

    def _bring(self) -> None:
        """Publish what has changed: devices, who works, and values."""
        now_s = time.monotonic()
        if now_s >= self._announce_s:
            self._announce_s = float("inf")
            self._announce()
        if self._announce_s != float("inf"):
            return
        if not self.channel.is_active:  # halted: what Home Assistant has is of before
            self._tell(self._topics.status, OFFLINE)
            return
        self._tell(self._topics.status, ONLINE)
        if now_s >= self._look_s:
            self._look_s = now_s + LOOK_S
            self._tell_who_works(now_s)
        with self._lock:
            due = [
                (codifier, self._values[codifier])
                for codifier in self._changed
                if now_s - self._published_s.get(codifier, float("-inf")) >= self.interval_s
            ]
            self._changed.difference_update(codifier for codifier, _ in due)
        for codifier, value in due:
            if codifier in self._announcement.entities:
                self._published_s[codifier] = now_s
                text = payload(value, self.config.components[codifier])
                self._publish(self._topics.state(codifier), text.encode())

    def _announce(self) -> None:
        wanted = self._announcement.configs
        before = announced_before(self._before.items())
        for topic in before.keys() - wanted.keys():
            self._publish(topic, b"", retain=True)
        for topic, config in wanted.items():
            gone = removals(before[topic], config) if topic in before else None
            if gone is not None:
                self._publish(topic, _json(gone), retain=True)
            if before.get(topic) != config:
                self._publish(topic, _json(config), retain=True)

    def _tell_who_works(self, now_s: float) -> None:
        config, local = self.config, self.channel.process.components()
        for codifier in self._announcement.entities:
            component, heard = config.components[codifier], self._heard[codifier]
            server = config.server_of(component)
            outcome = local.get(server.codifier if server else codifier)
            state = status(
                component,
                heard,
                now_s,
                server,
                self._heard.get(server.codifier) if server else None,
                is_failing=outcome is not None and outcome.is_failing,
            )
            works = state == "active"
            self._tell(self._topics.availability(codifier), ONLINE if works else OFFLINE)

    def _tell(self, topic: str, text: str) -> None:
        if self._told.get(topic) != text and self._publish(topic, text.encode(), True):
            self._told[topic] = text

    def _publish(self, topic: str, text: bytes, retain: bool = False) -> bool:
        """Publish a message; what is not taken comes again with the next connection."""
        self._messages.add()
        return self._connection.publish(topic, text, 1, retain) is not None


def _json(config: Given[str, Any]) -> bytes:
    return json.dumps(config, ensure_ascii=False, separators=(",", ":")).encode()
