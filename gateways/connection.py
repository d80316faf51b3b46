"""The connection to an MQTT broker: one thread, which connects, and again whenever it is lost.

All that has to do with the socket happens in that thread; what other threads want is left in a
queue and the thread is woken. paho's own loop is not used, since it cannot stop reading: here the
socket is read only while there is room for what comes, and the broker keeps the rest.

Each connection has a client of paho of its own, with MQTT 5 first and 3.1.1 when the broker refuses
that, as nats-server does. So nothing of an earlier connection is left over: an acknowledgement
belongs to the connection on which its message came, and is sent on no other.
"""

import logging
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateways.address import BrokerAddress
from gateways.client import Client, TlsSocket
from gateways.message import Message
from jph.backoff import Backoff
from jph.faults import Fault
from jph.threads import component_thread

log = logging.getLogger(__name__)

KEEPALIVE_S = 30
FOR_EVER = 2**32 - 1  # a session that does not expire; MQTT 5.0, section 3.1.2.11.2
# Messages that the broker sends ahead of their acknowledgement: while a full batch is committed,
# the next one comes. All of them come once more after a connection is lost.
RECEIVE_MAXIMUM = 4_000
MOST_IN_FLIGHT = 20
MOST_AT_ONCE = 200  # messages read before acknowledgements and other packets are sent
ONLY_NEW = 1  # retained messages come with a new subscription, not with each connection
DEAF_US = 2_000_000  # the thread looks every second, unless it or the machine stood still
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 8.0  # subscribed again within 10 s of a broker's return


class Connection:
    """Keeps a session with a broker; from `start` until `close`.

    Args:
        subscriptions: topic filters, subscribed with QoS 1.
        has_room: whether one more message may come; asked before each.
        on_message: called in the thread of the connection with each message.
        on_state: called there with whether it is connected, and the reason why not, or what is
            wrong though it is.
        most_bytes: of one message, where the broker speaks MQTT 5.
        will: topic and payload that the broker publishes, retained, when we are gone.
        renewed: gives a name and a will that is not retained for each connection, in place of
            `client_id` and `will`; called before each try.
        keeps: whether the broker keeps what comes while we are away; else each connection
            begins with the retained messages.
    """

    def __init__(
        self,
        address: BrokerAddress,
        client_id: str,
        subscriptions: Sequence[str],
        has_room: Callable[[], bool],
        on_message: Callable[[Message], object],
        on_state: Callable[[bool, str], object],
        most_bytes: int,
        will: tuple[str, bytes] | None = None,
        keeps: bool = True,
        renewed: Callable[[], tuple[str, tuple[str, bytes]]] | None = None,
    ) -> None:
        self.on_published: Callable[[int, str], object] = lambda identifier, refusal: None
        self.on_subscribed: Callable[[], object] = lambda: None
        self.protocol = ""
        self.is_resumed = False  # whether the broker knew the session when it was connected
        self.most_in_flight = MOST_IN_FLIGHT  # messages that we publish ahead of their PUBACK
        self._address = address
        self._client_id = client_id
        self._subscriptions = list(subscriptions)
        self._has_room = has_room
        self._on_message = on_message
        self._on_state = on_state
        self._most_bytes = most_bytes
        self._will = will
        self._keeps = keeps
        self._renewed = renewed
        self._version = self._best_version
        self._client: mqtt.Client | None = None  # while it is subscribed
        self._number = 0  # of the present connection
        self._arrived = 0
        self._listening_us = 0
        self._reason = ""
        self._fault = Fault(log)
        self._backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._committed: deque[Message] = deque()
        self._closing = threading.Event()
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = component_thread("mqtt", self._run)

    def start(self) -> None:
        """Begin to connect; never waits for the broker."""
        self._thread.start()

    def close(self, timeout_s: float) -> None:
        """Send what is to be sent, disconnect, and keep the session with the broker."""
        self._closing.set()
        self.wake()
        self._thread.join(timeout_s)
        if not self._thread.is_alive():
            os.close(self._woken)

    @property
    def number(self) -> int:
        """The number of the present connection; 0 while there is none."""
        return self._number if self._client else 0

    @property
    def listening_since_us(self) -> int:
        """Since when all messages are read as they come; now, while there is no connection.

        Who was silent before was perhaps just not heard.
        """
        return self._listening_us if self._client else time.time_ns() // 1000

    def wake(self) -> None:
        """Let the thread look again at what there is to do."""
        os.eventfd_write(self._woken, 1)

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Acknowledge messages, in their order; those of an earlier connection come again."""
        self._committed.extend(messages)
        self.wake()

    def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> int | None:
        """Publish a message; `on_published` has its number when the broker took it.

        Returns:
            its number among those of this connection; None while there is no connection.
        """
        client = self._client
        if client is None:
            return None
        info = client.publish(topic, payload, qos, retain)
        return info.mid if info.rc == mqtt.MQTT_ERR_SUCCESS else None

    def _run(self) -> None:
        while not self._closing.is_set():
            self._reason = ""
            version = self._version
            client = self._new_client()
            try:
                self._connect(client)
                self._serve(client)
            except (OSError, ValueError) as error:  # ValueError: of ssl, and of impossible names
                self._reason = self._reason or str(error) or repr(error)
            except Exception as error:  # else nobody would connect again
                log.exception("the connection to the MQTT broker failed; connecting again")
                self._reason = repr(error)
            finally:
                was_connected, self._client = self._client is not None, None
                if sock := client.socket():
                    sock.close()
            if was_connected:
                self._version = self._best_version  # another broker may come next
            elif version != self._version:
                continue
            if not self._closing.is_set():
                where = f"{self._address.host}:{self._address.port}"
                reason = f"{where}: {self._reason or 'the connection was closed'}"
                self._fault.note(reason, f"no connection to the MQTT broker {reason}; trying again")
                self._on_state(False, reason)
                self._closing.wait(self._backoff.next_s())

    @property
    def _best_version(self) -> MQTTProtocolVersion:
        return mqtt.MQTTv5 if self._address.is_v5 else mqtt.MQTTv311

    def _new_client(self) -> Client:
        is_v5 = self._version == mqtt.MQTTv5
        if self._renewed:
            self._client_id, self._will = self._renewed()
        client = Client(
            CallbackAPIVersion.VERSION2,
            self._client_id,
            clean_session=None if is_v5 else not self._keeps,
            protocol=self._version,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        if self._address.user:
            client.username_pw_set(self._address.user, self._address.password)
        if self._will:
            client.will_set(*self._will, qos=1, retain=not self._renewed)
        if self._address.tls:
            context = self._address.trust()
            context.sslsocket_class = TlsSocket
            client.tls_set_context(context)
        client.on_connect = self._connected
        client.on_subscribe = self._subscribed
        client.on_message = self._message
        client.on_publish = self._published
        client.on_disconnect = self._disconnected
        # Whoever publishes leaves the packet for this thread; else paho writes it in theirs.
        client.on_socket_register_write = lambda client, userdata, sock: self.wake()
        client.on_socket_open = _send_at_once
        return client

    def _connect(self, client: Client) -> None:
        host, port = self._address.host, self._address.port
        if self._version != mqtt.MQTTv5:
            client.connect(host, port, KEEPALIVE_S)
            return
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = FOR_EVER if self._keeps else 0
        properties.ReceiveMaximum = RECEIVE_MAXIMUM
        properties.MaximumPacketSize = self._most_bytes
        client.connect(host, port, KEEPALIVE_S, clean_start=not self._keeps, properties=properties)

    def _serve(self, client: Client) -> None:
        """Read and write until the connection ends."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        self._number += 1
        next_look_s, looked_us = 0.0, 0
        while sock := client.socket():
            has_room = self._has_room()
            now_us = time.time_ns() // 1000  # which may be set, as when a machine has started
            goes_on = has_room and looked_us <= now_us < looked_us + DEAF_US
            if not (goes_on and self._client):
                self._listening_us = now_us
            looked_us = now_us
            events = select.POLLIN * has_room | select.POLLOUT * client.want_write()
            if events:
                poll.register(sock, events)
            happened = dict(poll.poll(0 if has_room and client.has_unread else 1000))
            if events:  # else one that the broker closed would wake the thread all the time
                poll.unregister(sock)
            if self._woken in happened:
                os.eventfd_read(self._woken)
            self._acknowledge(client)
            if has_room and (sock.fileno() in happened or client.has_unread):
                self._read(client)
            if client.want_write():
                client.loop_write()
            # What the broker answered to a ping stands behind all that is not read yet.
            if has_room and time.monotonic() > next_look_s:
                next_look_s = time.monotonic() + 1
                client.loop_misc()
            if self._closing.is_set() and not self._committed and not client.want_write():
                if self._renewed:
                    _leave_to_will(sock)
                else:
                    client.disconnect()
                    client.loop_write()
                return

    def _read(self, client: Client) -> None:
        most = self._arrived + MOST_AT_ONCE
        while self._arrived < most and self._has_room():
            before = self._arrived
            client.loop_read()
            if self._arrived == before and not client.has_unread:
                return

    def _acknowledge(self, client: Client) -> None:
        while self._committed:
            message = self._committed.popleft()
            if message.connection == self._number and message.identifier:
                client.ack(message.identifier, 1)

    def _connected(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        more: Properties | None,
    ) -> None:
        if reason.is_failure:
            if self._version == mqtt.MQTTv5 and "protocol version" in str(reason).lower():
                self._version = mqtt.MQTTv311
            self._reason = f"the broker refuses: {reason}"
            return
        self.is_resumed = flags.session_present
        self.most_in_flight = min(MOST_IN_FLIGHT, getattr(more, "ReceiveMaximum", MOST_IN_FLIGHT))
        if self._version == mqtt.MQTTv5:
            options = SubscribeOptions(qos=1, retainHandling=ONLY_NEW)
            client.subscribe([(topic, options) for topic in self._subscriptions])
        else:
            client.subscribe([(topic, 1) for topic in self._subscriptions])

    def _subscribed(
        self,
        client: mqtt.Client,
        userdata: object,
        identifier: int,
        reasons: list[ReasonCode],
        more: Properties | None,
    ) -> None:
        refused = [
            f"{topic} ({reason})"
            for topic, reason in zip(self._subscriptions, reasons, strict=False)
            if reason.is_failure
        ]
        self._backoff.reset()
        self._client = client
        self.protocol = "5.0" if self._version == mqtt.MQTTv5 else "3.1.1"
        reason = f"the broker refuses the subscription to {', '.join(refused)}" if refused else ""
        if refused:
            self._fault.note(reason, f"{reason}; allow it in the broker's access list")
        else:
            self._fault.end(f"connected to the MQTT broker {self._address.host}")
        self._on_state(True, reason)
        self.on_subscribed()

    def _message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        self._arrived += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            # Brokers refuse such a topic; if one does not, no rule allows it.
            topic = "\N{REPLACEMENT CHARACTER}"
        # nats-server, which speaks 3.1.1, may send a message again with another identifier.
        self._on_message(
            Message(
                topic,
                bytes(message.payload),
                message.retain,
                message.dup,
                time.time_ns() // 1000,
                message.mid if message.qos else 0,
                is_numbered=self._version == mqtt.MQTTv5,
                connection=self._number,
            )
        )

    def _published(
        self,
        client: mqtt.Client,
        userdata: object,
        identifier: int,
        reason: ReasonCode,
        more: Properties,
    ) -> None:
        self.on_published(identifier, str(reason) if reason.is_failure else "")

    def _disconnected(
        self,
        client: mqtt.Client,
        userdata: object,
        flags: object,
        reason: ReasonCode,
        more: Properties | None,
    ) -> None:
        self._reason = self._reason or str(reason)


def _leave_to_will(sock: Any) -> None:
    """End a connection without a word, so that the broker publishes the will."""
    with suppress(OSError):  # the broker was faster
        sock.shutdown(socket.SHUT_WR)


def _send_at_once(client: mqtt.Client, userdata: object, sock: Any) -> None:
    """Let no small packet wait until an earlier one is acknowledged by TCP."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
