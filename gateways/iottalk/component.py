"""The component `IotTalk`: devices register, and graphs bring values from one to the other.

    devices -> HTTP, control channels, and programs -> management API
        -> Register -> Store, in one transaction -> Outbox -> broker
    devices -> Channels -> Engine -> Channels -> devices
    bus -> Bus -> Engine -> Bus -> bus, and Channels -> Mapping -> bus

While it is halted graphs go on between devices; only the bus hears nothing, and is not heard.
"""

import logging
import threading
from collections.abc import Collection, Sequence
from collections.abc import Mapping as Given
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateways.address import WebSocket, password_in, web_socket_of
from gateways.broker import instance
from gateways.gateway import Gateway
from gateways.http import JsonServer
from gateways.inlet import Inlet
from gateways.iottalk import control, requests, tables
from gateways.iottalk.bus import Bus, identifier
from gateways.iottalk.channels import VALUES, Channels
from gateways.iottalk.dataflow.engine import Engine
from gateways.iottalk.devices import Device, Reached
from gateways.iottalk.functions import Sandbox, Workers
from gateways.iottalk.proxies import AttributeOf, Proxies
from gateways.iottalk.register import RESPONSES, Draft, Known, Register, refusal
from gateways.iottalk.wills import Looks, Wills
from gateways.link import Link, client_id
from gateways.message import Message
from gateways.outbox import Outbox
from gateways.recent import first_seen
from gateways.rights import Rights
from gateways.schema import note_refusals
from jph.bus.wire import Reading
from jph.config.model import Config
from jph.errors import ConfigError, SensorError, StoreError
from jph.faults import MOST_TEXT
from jph.node.process import STATE
from jph.settings import setting
from jph.tcp import is_loopback

log = logging.getLogger(__name__)

PORT = 9992
MOST_REMINDERS = 5  # of a signal that nobody answers


@dataclass
class IotTalk(Gateway):
    """Serve the devices and programs of IoTtalk, and run their graphs.

    Its own data is {"value": messages per minute, "refused": those that broke a rule, "functions":
    why they do not run, "commands": why graphs do not set something, "fault": why the broker or the
    store takes nothing; the last three absent if all is well}, every SensorInterval.
    """

    device_user: str = setting(
        "", doc="account at the broker that each device gets when it registers; empty: none"
    )
    device_password_file: Path | None = setting(
        None, doc="path of the file with the password of this account"
    )
    web_socket: str = setting(
        "", doc="URL of MQTT over WebSocket at a broker elsewhere; a Broker here says so itself"
    )
    port: int = setting(PORT, ge=0, le=65535, doc="TCP port where devices register; 0: any free")
    host: str = setting("127.0.0.1", doc="address it listens on; 0.0.0.0: all of this machine")
    sandbox: Sandbox = setting(
        "confine",
        doc="functions run confined, or not at all; limits-only: also where the kernel cannot",
    )
    proxy: tuple[AttributeOf, ...] = setting((), doc="what goes on the bus, each value a proxy")

    @staticmethod
    def listens_on(host: str = "127.0.0.1", port: int = PORT, **others: object) -> tuple[str, int]:
        """Return address and port, by the settings that are given; see `jph.config.checks`."""
        return host, port

    @staticmethod
    def check_settings(given: Given[str, Any], codifiers: Collection[str]) -> None:
        """Refuse a range of Codifiers that is none, and an account without its password."""
        Gateway.check_settings(given, codifiers)
        if bool(given.get("device_user")) != (given.get("device_password_file") is not None):
            raise ConfigError("DeviceUser and DevicePasswordFile go together: give both, or none")
        if web_socket := given.get("web_socket"):
            WebSocket.of(web_socket)

    @staticmethod
    def rights(settings: Given[str, Any]) -> Rights:
        """Return what a Broker lets devices and programs do."""
        return Rights(
            own=("+/ctrl/o", f"{RESPONSES}/#", f"{VALUES}/o"),
            devices=("%s/ctrl/i", VALUES),
            reads=("%s/ctrl/o", f"{VALUES}/o"),
            programs=(requests.TOPICS,),
        )

    def __post_init__(self) -> None:
        codifier = self.channel.codifier
        self._proxies = Proxies(self.proxy)
        self._unread = "not read yet"  # why what is kept is not known; empty if it is
        self._reading = threading.Lock()
        self._refused = self._requests = 0
        self._waited: dict[str, int] = {}  # looks, by identifier of a signal without an answer
        self._pieces = requests.Pieces()
        with ExitStack() as opened:
            listener, token = self._open(opened, self.host, self.port, tables.STEPS)
            address = self._address
            if self.web_socket:
                web_socket = WebSocket.of(self.web_socket)
            else:
                web_socket = web_socket_of(self.broker, self.config, address.tls)
            self._reached = Reached(
                "" if is_loopback(address.host) else address.host,
                address.port,
                address.tls,
                web_socket.port,
                web_socket.tls,
                web_socket.path,
                self.device_user,
                password_in(self.device_password_file, "DevicePasswordFile"),
            )
            self._workers = Workers(self.sandbox)
            self._engine = Engine(self._workers, self._output, self._report)
            opened.callback(self._engine.close)
            own = identifier(token, codifier)
            self._bus = Bus(self.channel, self.config, own, self._engine.push)
            opened.callback(self._bus.close)
            name = client_id("iottalk", token, codifier)
            push = self._engine.push
            self._wills = Wills(name)
            self._looks = Looks(
                lambda: instance.present(self.broker, self.config, self.home),
                lambda device: self._channels.seen_ms.get(device, 0) * 1000,
            )
            self._channels = Channels(address, self._wills, token, self._mapping, push)
            self._register = Register(
                self._store, codifier, token, lambda it: self._proxies.features(it), self._apply
            )
            topics = (control.TOPICS, requests.TOPICS, self._wills.topic)
            self._inlet = Inlet(
                address,
                name,
                topics,
                self._commit,
                refused=self._refuse,
                on_state=self._note_state,
            )
            self._outbox = Outbox(self._store, codifier, self._inlet)
            self._link = Link(
                self.channel,
                address,
                self._store,
                self._inlet,
                self._outbox,
                self._mapping,
                self._counts,
            )
            self._server = JsonServer(listener, self._app(token))
            opened.pop_all()
        self.bound_port = self._server.port
        self._read()
        self._link.start()
        self._channels.start()

    def _app(self, token: str) -> Any:
        from gateways.iottalk.routes import Service, app_of  # Flask takes a while

        return app_of(
            Service(
                self._register,
                self._channels,
                self._engine,
                token,
                self._reached,
                self.state,
            )
        )

    # What is known

    def _read(self) -> bool:
        """Read what is kept, once; tell whether it is read."""
        with self._reading:
            if self._unread:
                try:
                    with self._register.change() as draft:
                        self._put_bus(draft)
                        draft.look_again(set(draft.devices))  # other proxies than before
                        control.remind(draft)
                        self._wills.end(draft)  # those of an earlier process
                    self._unread = ""
                except StoreError as error:
                    self._unread = str(error)
            return not self._unread

    def _put_bus(self, draft: Draft) -> None:
        bus = Device.internal(**self._bus.registration)
        if draft.devices.get(bus.id) != bus:
            draft.put_device(bus)
            draft.announce("online", bus.public())

    def _apply(self, known: Known, changed: set[tuple[str, str]]) -> None:
        """Let work what is known, after it was committed."""
        devices = [key for kind, key in changed if kind == "device"]
        self._channels.take(known, self._proxies, devices)
        for _, key in (it for it in changed if it[0] == "graph"):
            attached = known.graphs.get(key)
            if attached is None:
                self._engine.remove(key)
            else:
                self._engine.put(attached.graph)
                self._engine.watch(key, attached.is_watched)
        self._outbox.wake()

    # From the broker, in the thread of the inlet

    def _note_state(self, connected: bool, reason: str) -> None:
        if connected:
            self._looks.look()
        self._wills.note("control", connected)

    def _commit(self, messages: Sequence[Message]) -> None:
        if not self._read():
            raise StoreError(self._unread)
        pieces = self._pieces.copy()
        with self._register.change() as draft:
            for message in first_seen(draft.connection, self.channel.codifier, messages):
                if message.topic.startswith(f"{requests.REQUESTS}/"):
                    requests.take(draft, message, pieces)
                elif message.topic == self._wills.topic:
                    self._wills.take(draft, message)
                else:
                    is_resumed = self._inlet.connection.is_resumed
                    control.take(draft, message, is_resumed, self._looks.run)
            refused = len(draft.refusals)
        self._pieces = pieces
        self._refused += refused
        self._requests += len(messages)

    def _refuse(self, message: Message, error: BaseException) -> None:
        with self._store.writing() as connection:
            refused = refusal(message.topic, "internal", message.payload)
            note_refusals(connection, self.channel.codifier, [refused])
        self._refused += 1

    # From the engine, in its threads

    def _output(self, device: str, feature: str, values: list[object]) -> None:
        if device == self._bus.identifier:
            self._bus.output(feature, values)
        else:
            self._channels.bring(device, feature, values)

    def _report(self, key: str, message: dict[str, object]) -> None:
        attached = self._register.known.graphs.get(key)
        if attached is not None:
            self._channels.publish(attached.monitor, message)

    # From the bus

    def on_batch(self, readings: list[Reading]) -> None:
        """Take readings of the bus as values of its device."""
        self._bus.on_batch(readings)

    def on_command(self, codifier: str, flag: str, number: float) -> None:
        """Send a number to an output feature that has a Codifier.

        Raises:
            SensorError: there is no such feature now, or it is a step.
        """
        devices = self._register.known.devices.values()
        found = self._proxies.output(codifier, devices)
        if found is None:
            raise SensorError("no registered device has this output feature; see Proxy")
        if flag != "A":
            raise SensorError("an output feature takes a value (A), not a step (E)")
        feature, index, dimension = found
        values: list[object] = [None] * max(dimension, index + 1)
        values[index] = int(number) if number.is_integer() else number
        self._channels.bring(feature.device, feature.name, values)

    def on_timer(self, timestamp_ms: int, command: str, number: float) -> STATE:
        """Publish messages per minute, and the fault if there is one."""
        if self._read():
            self._remind()
            self._look_for_wills()
        if some := self._channels.refusals():
            with suppress(StoreError), self._store.writing() as connection:
                note_refusals(connection, self.channel.codifier, some)
        more = {"functions": self._workers.fault, "commands": self._bus.fault}
        told = {key: text[:MOST_TEXT] for key, text in more.items() if text}
        state = self._link.send_own(timestamp_ms, **told)
        return STATE.WITHERRORS if self._workers.fault else state

    def _remind(self) -> None:
        """Send the signals again that were not answered since the last look."""
        waiting = {
            key
            for device in self._register.known.devices.values()
            for key, _ in device.unanswered
            if device.online
        }
        late = {key: self._waited.get(key, -1) + 1 for key in waiting}
        self._waited = late
        again = {key for key, looks in late.items() if 0 < looks <= MOST_REMINDERS}
        if again:
            with suppress(StoreError), self._register.change() as draft:
                control.remind(draft, again)

    def _look_for_wills(self) -> None:
        """Let devices leave whose wills the broker lost."""
        known, listening_us = self._register.known, self._inlet.connection.listening_since_us
        if self._channels.is_connected and self._wills.present not in known.connections:
            self._channels.say_began()  # nobody heard it
        self._looks.look()
        if not self._looks.is_due(known, listening_us):
            return
        with suppress(StoreError), self._register.change() as draft:
            if left := self._looks.leave(draft, listening_us):
                log.info("offline, since the broker lost their wills: %s", ", ".join(left))

    def on_config(self, config: Config) -> None:
        """Take a new list of proxies, and the components of the bus."""
        self.proxy = self._proxies_in(config)
        self._proxies = Proxies(self.proxy)
        self._bus.take(config)
        with suppress(StoreError), self._register.change() as draft:
            self._put_bus(draft)
            draft.look_again(set(draft.devices))
        known = self._register.known
        self._channels.take(known, self._proxies, known.devices)

    def _counts(self) -> Given[str, int]:
        values = self._channels.counts
        return {
            **values,
            "messages": values["values"] + self._requests,
            "refused": values["refused"] + self._refused,
        }

    def state(self) -> dict[str, object]:
        """Return what the pages and tools show of it."""
        known = self._register.known
        devices = [device for device in known.devices.values() if not device.is_internal]
        return {
            **self._link.facts(),
            "functions": self._workers.fault,
            "commands": self._bus.fault,
            "devices": len(devices),
            "online": sum(device.online for device in devices),
            "graphs": len(known.graphs),
            "commands_on_the_bus": self._bus.sent,
            "commands_refused": self._bus.refused,
        }

    def close(self) -> None:
        """Commit what has come, and close everything."""
        self._server.close()
        self._outbox.close()
        self._inlet.close()
        self._engine.close()
        self._bus.close()
        self._channels.close(2)
        self._mapping.close()
        self._store.close()
