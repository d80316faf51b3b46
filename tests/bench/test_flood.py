"""The C programs of bench/ speak the wire format, and count what they say they count."""

import struct
import subprocess

import pytest

from bench import common
from jph.bus import wire
from tests.helpers import LOOPBACK, bare_receiver


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder for the compiled programs."""
    return tmp_path_factory.mktemp("bench")


def flood(folder, kind, group, rate):
    place = [group[0], str(group[1]), LOOPBACK]
    command = [common.compiled("flood", folder), kind, *place, "0.2", "3", str(rate)]
    return int(subprocess.run(command, check=True, capture_output=True).stdout)


def test_the_flood_is_of_well_formed_messages_in_order(folder, bus):
    with bare_receiver(bus.data) as receiver:
        sent = flood(folder, "jph", bus.data, 600)
        messages = [wire.decode_data(receiver.recv(1500)) for _ in range(sent)]
    assert {message.source for message in messages} == {"AA", "AB", "AC"}
    for source in ("AA", "AB", "AC"):
        sequences = [message.sequence for message in messages if message.source == source]
        assert sequences == list(range(1, sent // 3 + 1))
    assert all(message.flag == "f" for message in messages)


def test_the_flood_for_lcm_is_of_small_messages_of_the_same_size(folder, bus):
    with bare_receiver(bus.data) as receiver:
        sent = flood(folder, "lcm", bus.data, 600)
        datagrams = [receiver.recv(1500) for _ in range(sent)]
    assert {len(datagram) for datagram in datagrams} == {32}
    assert [struct.unpack(">4sI4s20x", datagram) for datagram in datagrams] == [
        (b"LC02", sequence, b"JPH\0") for sequence in range(1, sent + 1)
    ]


def test_the_bare_receiver_counts_every_message(folder, bus):
    group, port = bus.data
    with common.started([common.compiled("bare_receive", folder), group, str(port)]) as process:
        sent = flood(folder, "jph", bus.data, 6000)
        received, seconds, rate = map(float, common.last_line(process).split())
    assert received == sent
    assert rate == pytest.approx(received / seconds, rel=0.01)
