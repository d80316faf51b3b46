"""The client of paho that reads ahead, on a pair of sockets."""

import socket
from contextlib import closing, contextmanager

import pytest
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from gateways.client import RECEIVE_BYTES, Client
from tests.helpers import LOOPBACK

CONNACK = b"\x20\x03\0\0\0"  # of MQTT 5, without properties


def publication(payload):
    body = b"\0\1t\0" + payload  # with QoS 0: no identifier, no properties
    size = len(body)
    assert size < 128 * 128
    length = bytes([size]) if size < 128 else bytes([size % 128 | 128, size // 128])
    return b"\x30" + length + body


@contextmanager
def connected():
    """Give a client and the socket of its broker, which has taken CONNECT."""
    client = Client(CallbackAPIVersion.VERSION2, "c", protocol=mqtt.MQTTv5)
    with closing(socket.create_server((LOOPBACK, 0))) as server:
        client.connect(*server.getsockname())
        broker, _ = server.accept()
    with broker, closing(client.socket()):
        broker.settimeout(5)
        client.loop_write()
        broker.recv(1000)
        yield client, broker


def read(client):
    """Read as a connection does: until nothing is left that the socket does not tell of."""
    client.loop_read()
    while client.has_unread:
        client.loop_read()


@pytest.mark.parametrize("at_once", [1, 2, 7, 1000, 100_000])
def test_packets_come_whole_however_they_are_cut(at_once):
    payloads = [b"", b"1", bytes(200), b"x" * 16_000, b"last"]
    came = []
    with connected() as (client, broker):
        client.on_message = lambda client, data, message: came.append(bytes(message.payload))
        stream = CONNACK + b"".join(map(publication, payloads))
        for start in range(0, len(stream), at_once):
            broker.sendall(stream[start : start + at_once])
            read(client)
        for _ in range(3):  # the kernel may hand a large piece over in parts
            read(client)
    assert came == payloads


def test_what_was_taken_ahead_is_told():
    came = []
    with connected() as (client, broker):
        client.on_message = lambda client, data, message: came.append(bytes(message.payload))
        broker.sendall(CONNACK + publication(b"1") + publication(b"2"))
        client.loop_read()
        assert client.has_unread and not came
        client.loop_read()
        assert client.has_unread and came == [b"1"]
        client.loop_read()
        assert not client.has_unread and came == [b"1", b"2"]


def test_what_was_taken_ahead_of_the_end_is_read_and_then_the_end():
    came, ended = [], []
    with connected() as (client, broker):
        client.on_message = lambda client, data, message: came.append(bytes(message.payload))
        client.on_disconnect = lambda *some: ended.append(some)
        broker.sendall(CONNACK + publication(b"1") + publication(b"2")[:-1])
        broker.shutdown(socket.SHUT_WR)
        for _ in range(4):
            read(client)
    assert came == [b"1"]
    assert ended and client.socket() is None and not client.has_unread


def test_nothing_is_unread_when_a_packet_is_wrong():
    with connected() as (client, broker):
        broker.sendall(CONNACK + b"\x30\xff\xff\xff\xff\xff" + bytes(100))
        read(client)
        read(client)
        assert client.socket() is None and not client.has_unread


def test_a_hundred_packets_take_few_calls(monkeypatch):
    sizes = []
    take = mqtt.Client._sock_recv

    def counted(self, size):
        sizes.append(size)
        return take(self, size)

    monkeypatch.setattr(mqtt.Client, "_sock_recv", counted)
    with connected() as (client, broker):
        broker.sendall(CONNACK + publication(b"1234") * 100)
        came = []
        client.on_message = lambda client, data, message: came.append(message)
        while len(came) < 100:
            read(client)
    assert len(sizes) < 20 and set(sizes) == {RECEIVE_BYTES}
