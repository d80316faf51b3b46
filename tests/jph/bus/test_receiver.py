"""Receiving from real sockets, with recvmmsg and without: both must give the same."""

import logging
import random
import socket
import struct

import pytest

from jph.bus import sockets as multicast
from jph.bus.group import Group
from jph.bus.receiver import ControlReceiver, DataReceiver
from tests import helpers
from tests.helpers import eventually

F = struct.Struct("<f")


def group_of(bus: helpers.Bus, channel: str = "data", **options) -> Group:
    address, port = getattr(bus, channel)
    return Group(address, port, interface=helpers.LOOPBACK, ttl=0, **options)


def datagram(
    sequence: int,
    flag: bytes = b"f",
    payload: bytes = F.pack(1.5),
    *,
    source: bytes = b"A1",
    to: bytes = b"@@",
    time_ms: int = 7,
    length: int | None = None,
) -> bytes:
    length = len(payload) if length is None else length
    return (
        struct.pack("<IIQ", sequence, 0, time_ms)
        + flag
        + source
        + to
        + bytes(3)
        + struct.pack("<I", length)
        + payload
    )


@pytest.fixture(params=["recvmmsg", "plain"])
def receiver(request, bus):
    made = DataReceiver(plain=request.param == "plain")
    made.use(multicast.open_receiver(group_of(bus)))
    yield made
    made.close()


@pytest.fixture
def send(bus):
    sender = helpers.bare_sender()
    yield lambda content: sender.sendto(content, bus.data)
    sender.close()


def receive_all(receiver: DataReceiver, count: int) -> list:
    """Return the readings of the next `count` datagrams, of whatever kind."""
    before, readings = receiver.received, []
    eventually(lambda: readings.extend(receiver.receive()) or receiver.received - before >= count)
    return readings


def test_a_batch_of_floats(receiver, send):
    for sequence in range(10, 20):
        send(datagram(sequence, payload=F.pack(sequence / 2)))
    readings = receive_all(receiver, 10)
    assert [r[:6] for r in readings] == [
        ("A1", 7, sequence, sequence / 2, "f", 4) for sequence in range(10, 20)
    ]
    address, port = readings[0][6]
    assert address == helpers.LOOPBACK
    assert port > 0


def test_all_kinds_mixed(receiver, send):
    send(datagram(1, b"n", struct.pack("<I", 1)))
    send(datagram(2))
    send(datagram(3, b"i", struct.pack("<I", 4_000_000_000)))
    send(datagram(4, b"s", struct.pack("<I", 5) + "grün".encode()))
    text = b'{"value":-1.5,"voltage":3}'
    send(datagram(5, b"j", struct.pack("<I", len(text)) + text))
    long = "x" * 1440
    send(datagram(6, b"s", struct.pack("<I", 1440) + long.encode()))
    readings = receive_all(receiver, 6)
    assert [r[2:6] for r in readings] == [
        (2, 1.5, "f", 4),
        (3, 4_000_000_000, "i", 4),
        (4, "grün", "s", 9),
        (5, {"value": -1.5, "voltage": 3}, "j", 30),
        (6, long, "s", 1444),
    ]
    assert receiver.refusals.count == 0
    assert receiver.sources["A1"].lost == 0


def test_the_sender_of_each_datagram(receiver, bus):
    senders = [helpers.bare_sender() for _ in range(3)]
    try:
        for sequence in range(30):
            sender = senders[sequence % 3]
            sender.sendto(datagram(sequence, source=b"S%d" % (sequence % 3)), bus.data)
        ports = {f"S{at}": sender.getsockname()[1] for at, sender in enumerate(senders)}
    finally:
        for sender in senders:
            sender.close()
    readings = receive_all(receiver, 30)
    assert len(readings) == 30
    assert all(reading[6] == (helpers.LOOPBACK, ports[reading[0]]) for reading in readings)


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"x",
        bytes(28),
        bytes(32),
        bytes(65000),
        datagram(2, length=5),
        datagram(2, length=0xFFFFFFFF),
        datagram(2, b"x"),
        datagram(2, b"\x00"),
        datagram(2, source=b"@@"),
        datagram(2, source=b"\xc3\xa4"),
        datagram(2, source=b"A\x00"),
        datagram(2, to=b"\xff\xff"),
        datagram(2, time_ms=2**48),
        datagram(2, time_ms=2**64 - 1),
        datagram(2, b"i", bytes(8)),
        datagram(2, b"s", struct.pack("<I", 3) + b"ab"),
        datagram(2, b"s", struct.pack("<I", 2) + b"\xff\xfe"),
        datagram(2, b"j", struct.pack("<I", 2) + b"[]"),
        datagram(2, b"f", F.pack(1.0) + b"\x00"),
        datagram(2)[:-1],
    ],
)
def test_what_is_no_message_is_counted_and_dropped(receiver, send, bad):
    send(datagram(1))
    send(bad)
    send(datagram(2))
    readings = receive_all(receiver, 3)
    assert [reading[2] for reading in readings] == [1, 2]
    assert receiver.refusals.count == 1
    assert set(receiver.sources) == {"A1"}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_a_sign_of_life_but_no_reading(receiver, send, number):
    send(datagram(1))
    send(datagram(2, payload=F.pack(number)))
    send(datagram(3))
    assert [reading[2] for reading in receive_all(receiver, 3)] == [1, 3]
    assert receiver.refusals.count == 1
    assert receiver.sources["A1"].lost == 0


def test_floats_near_the_end_of_their_range_are_readings(receiver, send):
    largest = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
    for sequence, number in enumerate((largest, -largest, 1e-45, 0.0)):
        send(datagram(sequence, payload=F.pack(number)))
    values = [reading[3] for reading in receive_all(receiver, 4)]
    assert values[:2] == [largest, -largest]
    assert len(values) == 4


def test_duplicates_are_dropped_and_loss_is_counted(receiver, send):
    for sequence in (5, 6, 6, 9, 8):
        send(datagram(sequence))
    assert [reading[2] for reading in receive_all(receiver, 5)] == [5, 6, 9, 8]
    source = receiver.sources["A1"]
    assert (source.received, source.lost, source.duplicates) == (4, 1, 1)


def test_refusals_are_logged_once_a_minute_for_each_sender(receiver, send, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            send(b"junk")
        receive_all(receiver, 50)
    assert receiver.refusals.count == 50
    assert len(caplog.records) == 1
    assert "127.0.0.1" in caplog.text


def test_kernel_drops_are_counted(bus):
    receiver = DataReceiver()
    receiver.use(multicast.open_receiver(group_of(bus, receive_buffer=4096)))
    sender = helpers.bare_sender()
    for sequence in range(1000):
        sender.sendto(datagram(sequence), bus.data)
    while receiver.receive():
        pass
    for sequence in range(1000, 1200):  # a batch is among them, and brings the count
        sender.sendto(datagram(sequence), bus.data)
        receive_all(receiver, 1)
    sender.close()
    receiver.close()
    assert receiver.received < 1200
    assert receiver.kernel_drops == 1200 - receiver.received
    assert receiver.sources["A1"].lost == receiver.kernel_drops


def test_a_batch_is_tried_only_where_messages_come_fast(bus, send, monkeypatch):
    """A batch of one would be slower than one message, and its time would be latency."""
    made = DataReceiver()
    made.use(multicast.open_receiver(group_of(bus)))
    batches = []
    fill = made._batch.fill
    monkeypatch.setattr(made._batch, "fill", lambda fileno: batches.append(1) or fill(fileno))
    now_s = 1000.0
    monkeypatch.setattr("jph.bus.receiver.time.monotonic", lambda: now_s)
    sequence = 1

    def receive_for(count: int, each_s: float) -> int:
        """Return how many batches were tried while messages came at this distance."""
        nonlocal now_s, sequence
        batches.clear()
        for _ in range(count):
            now_s += each_s
            send(datagram(sequence))
            sequence += 1
            assert len(made.receive()) == 1
        return len(batches)

    try:
        receive_for(1, 0)
        assert receive_for(5000, 0.001) <= 1
        assert receive_for(5000, 0.0001) > 20
        assert 2 <= receive_for(1000, 0.1) <= 10  # to hear from the kernel what it dropped
    finally:
        made.close()


def test_another_group_on_the_same_port_is_not_heard(bus):
    other = helpers.new_bus()
    here, there = group_of(bus), Group(other.data[0], bus.data[1], helpers.LOOPBACK, 0)
    receivers = [DataReceiver(), DataReceiver()]
    for receiver, group in zip(receivers, (here, there), strict=True):
        receiver.use(multicast.open_receiver(group))
    sender = helpers.bare_sender()
    sender.sendto(datagram(1, source=b"H1"), (here.address, here.port))
    sender.sendto(datagram(1, source=b"T1"), (there.address, there.port))
    sender.close()
    heard = [receive_all(receiver, 1) for receiver in receivers]
    assert [[reading[0] for reading in readings] for readings in heard] == [["H1"], ["T1"]]
    assert [receiver.received for receiver in receivers] == [1, 1]
    for receiver in receivers:
        receiver.close()


def test_both_ways_of_receiving_agree_on_damaged_floods(bus):
    """What one way reads or refuses, the other one does, whatever the batches."""
    chance = random.Random(1)
    sent = []
    for sequence in range(3000):
        content = bytearray(datagram(sequence % 900, source=b"D%d" % (sequence % 3)))
        if chance.random() < 0.2:
            for _ in range(chance.randint(1, 4)):
                content[chance.randrange(len(content))] = chance.randrange(256)
        if chance.random() < 0.05:
            content = content[: chance.randrange(len(content))]
        sent.append(bytes(content))
    outcomes = []
    for plain in (False, True):
        receiver = DataReceiver(plain=plain)
        receiver.use(multicast.open_receiver(group_of(bus)))
        sender = helpers.bare_sender()
        readings = []
        for at in range(0, len(sent), 500):
            for content in sent[at : at + 500]:
                sender.sendto(content, bus.data)
            readings += receive_all(receiver, min(500, len(sent) - at))
        counts = {
            name: (source.received, source.lost, source.duplicates, source.restarts)
            for name, source in receiver.sources.items()
        }
        outcomes.append(([r[:6] for r in readings], counts, receiver.refusals.count))
        sender.close()
        receiver.close()
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][2] > 300


def test_control_messages_and_what_is_none(bus, caplog):
    receiver = ControlReceiver()
    receiver.use(multicast.open_receiver(group_of(bus, "control")))
    sender = helpers.bare_sender()
    good = datagram(5, b"P", struct.pack("<d?", 2.5, True), source=b"ZZ", to=b"A1")
    for content in (good, good, good[:-1], good + b"x", datagram(6, b"?", bytes(9)), b"", good):
        sender.sendto(content, bus.control)
    messages = []
    eventually(lambda: messages.extend(receiver.receive()) or receiver.received == 7)
    sender.close()
    receiver.close()
    assert [(m.flag, m.source, m.destination, m.number) for m, _ in messages] == [
        ("P", "ZZ", "A1", 2.5)
    ]
    assert receiver.refusals.count == 4
    assert receiver.sources["ZZ"].duplicates == 2


def test_a_socket_that_takes_the_place_of_another_goes_on(bus, send):
    receiver = DataReceiver()
    receiver.use(multicast.open_receiver(group_of(bus)))
    send(datagram(1))
    receive_all(receiver, 1)
    receiver.use(multicast.open_receiver(group_of(bus)))
    send(datagram(2))
    assert [reading[2] for reading in receive_all(receiver, 1)] == [2]
    assert receiver.sources["A1"].lost == 0
    receiver.close()
    assert receiver.receive() == []


def test_a_sender_with_a_missing_interface_says_what_to_do():
    group = Group("239.76.80.3", 7699, interface="nowhere0")
    with pytest.raises(OSError) as caught:
        multicast.open_receiver(group)
    said = multicast.explain(caught.value, group)
    assert "nowhere0" in said
    assert "lo" in said


def test_ttl_and_loop_are_as_configured(bus):
    sender = multicast.open_sender(group_of(bus, loop=False))
    assert sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP) == 0
    assert sender.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL) == 0
    sender.close()
