"""Programs of an existing network read the last states in Redis: a cache beside ours, calculations.

The older cache here does with sockets and Redis alone what that of such a network does; the states
of both are compared field by field.
"""

import json
import re
import socket
import struct
import threading
import time

import pytest

from jph.config.model import build as build_config
from jph.node.building import build
from tests.helpers import LOOPBACK, eventually, new_bus
from tests.network import Peer, node_of, running

HEADER = "<I4xQ1s2s2s3xI"
# The older cache takes these times by the clock of the sender, ours by its own.
BY_OUR_CLOCK = ("DResetTime", "CResetTime", "TDuration")


class OlderCache:
    """Keeps what it hears in a database of Redis, each field of a message under its sender."""

    def __init__(self, config, client):
        self._client = client
        self._last = {}
        self._ended = threading.Event()
        self._sockets = [
            (name, self._join(getattr(config.multicast, name))) for name in ("control", "data")
        ]
        self._threads = [
            threading.Thread(target=self._run, args=(name, receiver))
            for name, receiver in self._sockets
        ]

    @staticmethod
    def _join(group):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.settimeout(0.1)
        receiver.bind((group.address, group.port))
        member = socket.inet_aton(group.address) + socket.inet_aton(LOOPBACK)
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        return receiver

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self._ended.set()
        for thread in self._threads:
            thread.join()
        for _, receiver in self._sockets:
            receiver.close()

    def _run(self, name, receiver):
        while not self._ended.is_set():
            try:
                datagram = receiver.recv(1500)
            except TimeoutError:
                continue
            sequence, time_ms, flag, source, _, _ = struct.unpack(HEADER, datagram[:28])
            flag, source = flag.decode(), source.decode()
            self._set(source, Codifier=source)
            if flag in "Nn":
                self._set(source, **{f"{name[0].upper()}PacketsLost": 0,
                                     f"{name[0].upper()}ResetTime": time_ms})  # fmt: skip
            elif (name, source) in self._last:
                lost = sequence - self._last[name, source] - 1
                if lost:
                    self._client.hincrby(source, f"{name[0].upper()}PacketsLost", lost)
            self._last[name, source] = sequence
            if name == "data" and flag != "n":
                self._set(source, Value=self._value(flag, datagram[28:]), DTimestamp=time_ms)
            elif name == "control":
                number, active = struct.unpack("<d?", datagram[28:])
                self._on_control(flag, source, time_ms, number, active)

    @staticmethod
    def _value(flag, payload):
        if flag == "s":
            return payload[4:].decode()
        if flag == "j":
            return json.loads(payload[4:])["value"]
        [value] = struct.unpack({"f": "<f", "i": "<I"}[flag], payload)
        return value

    def _on_control(self, flag, source, time_ms, number, active):
        if flag in "PHSIC":
            self._set(source, **{f"{flag}Timestamp": time_ms})
        if flag == "P":
            self._set(source, PRequest=number)
        elif flag == "T":
            self._set(source, TTimestamp=time_ms, TRequest=number, TDuration=time_ms - number)
        elif flag == "I":
            self._set(source, IsActive=active)

    def _set(self, source, **fields):
        # As its library writes them: floats by repr, and everything else by str.
        texts = {
            name: repr(it) if isinstance(it, float) else str(it) for name, it in fields.items()
        }
        self._client.hset(source, mapping=texts)


@pytest.fixture
def config(redis_server):
    codifiers = ("A4", "B2", "C3", "J1", "CC")
    entries = [{"Codifier": it, "Type": "External"} for it in codifiers]
    cache = {"Codifier": "R1", "Type": "jphRedis", "Sensor": {"URL": redis_server.url}}
    return build_config(new_bus().document(cache, *entries))


@pytest.fixture
def network(config, tmp_path, redis_server):
    """Run our cache; yield a peer on the bus, and clients of Redis: of ours, and of another."""
    node = node_of(config, tmp_path)
    node.add(config.components["R1"], build)
    with (
        redis_server.client() as ours,
        redis_server.client(db=2) as other,
        running(node),
        Peer(config) as peer,
    ):
        yield peer, ours, other


def packed(document):
    text = json.dumps(document).encode()
    return len(text).to_bytes(4, "little") + text


def test_a_program_reads_from_ours_what_it_reads_from_the_older_cache(config, network):
    peer, ours, other = network
    now_ms = int(time.time() * 1000)
    with OlderCache(config, other):
        for codifier in ("A4", "B2", "C3", "J1"):
            peer.publish(codifier, "n", struct.pack("<I", 100), 100, now_ms)
        peer.publish("A4", "f", struct.pack("<f", 21.3), 101, now_ms + 1)
        peer.publish("A4", "f", struct.pack("<f", 1e-7), 104, now_ms + 2)
        peer.publish("B2", "i", struct.pack("<I", 4_294_967_295), 101, now_ms + 1)
        peer.publish("C3", "s", b"\4\0\0\0heat", 101, now_ms + 1)
        peer.publish("J1", "j", packed({"value": 31.4159265358979, "voltage": 2.5}), 101, now_ms)
        for source in ("A4", "CC"):
            peer.command("N", number=now_ms, source=source)
        peer.command("P", to="A4", number=float(now_ms), source="CC")
        peer.command("T", to="CC", number=float(now_ms), source="A4")
        peer.command("P", to="@@", number=0.5, source="CC")
        for flag in "HSC":
            peer.command(flag, to="A4", source="CC")
        for source in ("A4", "B2", "C3", "J1", "CC"):
            peer.command("I", number=now_ms, source=source)

        def differing():
            found = {}
            for codifier in ("A4", "B2", "C3", "J1", "CC"):
                expected, state = other.hgetall(codifier), ours.hgetall(codifier)
                if "ITimestamp" not in expected:
                    return {codifier: "is not there yet"}
                for name, text in expected.items():
                    if name in BY_OUR_CLOCK and name in state:
                        assert re.fullmatch(r"-?\d+\.\d+" if name == "TDuration" else r"\d+", text)
                        assert type(json.loads(state[name])) is type(json.loads(text))
                        assert abs(float(state[name]) - float(text)) < 60_000
                    elif state.get(name) != text:
                        found[codifier, name] = state.get(name), text
            return found

        try:
            eventually(lambda: not differing())
        except AssertionError:
            assert differing() == {}
        state = ours.hgetall("A4")
        assert state["DPacketsLost"] == "2"
        assert "PTimestamp" not in state and "HTimestamp" not in state
        assert ours.hget("CC", "PRequest") == "0.5"
        assert ours.hget("A4", "TRequest") == f"{now_ms}.0"
        assert ours.hget("J1", "Value") == "31.4159265358979"
        assert json.loads(ours.hget("J1", "Object"))["voltage"] == 2.5


def test_counts_of_losses_begin_again_with_a_source(network):
    peer, ours, _ = network
    for sequence in (100, 105):
        peer.publish("A4", "f", struct.pack("<f", 1.0), sequence)
    eventually(lambda: ours.hget("A4", "DPacketsLost") == "4")
    before = int(ours.hget("A4", "DResetTime"))
    time.sleep(0.01)
    peer.publish("A4", "n", struct.pack("<I", 5000), 5000)
    peer.publish("A4", "f", struct.pack("<f", 2.0), 5001)
    eventually(lambda: ours.hget("A4", "Value") == "2.0")
    assert ours.hget("A4", "DPacketsLost") == "0"
    assert int(ours.hget("A4", "DResetTime")) > before


def calculated(client, code):
    """Put texts from Redis in the places of {{ CODIFIER|FIELD }}, and run the code, as of old."""

    def look_up(found):
        codifier, _, field = (part.strip() for part in found[1].partition("|"))
        return str(client.hget(codifier, field or "Value"))

    names = {}
    exec(re.sub(r"\{\{(.*?)\}\}", look_up, code), names)
    return names["result"]


def test_a_calculation_of_an_existing_network_computes_with_our_states(network):
    peer, ours, _ = network
    now_ms = int(time.time() * 1000)
    code = (
        "result = None\n"
        "times = [{{ A4|DTimestamp }}, {{ J1|DTimestamp }}]\n"
        "if {{ B2 }} != None and min(times) > 0:\n"
        "    highest = max([{{ A4 }}, {{ J1 }}])\n"
        "    result = highest - {{ B2 }}, {{ CC|PRequest }} - {{ A4|DTimestamp }}\n"
    )
    peer.publish("A4", "f", struct.pack("<f", 21.5), 101, now_ms)
    peer.publish("J1", "j", packed({"value": -3, "voltage": 2.5}), 101, now_ms)
    peer.command("P", to="A4", number=float(now_ms + 7), source="CC")
    for codifier in ("A4", "J1"):
        eventually(lambda it=codifier: ours.hexists(it, "Value"))
    eventually(lambda: ours.hexists("CC", "PRequest"))
    assert calculated(ours, code) is None  # B2 was not heard
    peer.publish("B2", "i", struct.pack("<I", 20), 101, now_ms)
    eventually(lambda: ours.hexists("B2", "Value"))
    assert calculated(ours, code) == (1.5, 7.0)
