"""The library as its users know it: jph(), run, and the three callbacks."""

import json
import logging
import struct
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from jph import STATE, ConfigError, jph, timeNow
from jph.node.standalone import StandaloneChannel
from tests.helpers import eventually, logged
from tests.network import Peer

F = struct.Struct("<f")


@pytest.fixture
def path(bus, tmp_path, fresh_home):
    """Return the file of a network with A1, which is set and stepped, its proxy H1, and ZZ."""
    document = bus.document(
        {
            "Codifier": "A1",
            "Type": "JSON",
            "ShortName": "Water",
            "SensorInterval": 0.1,
            "KeepAliveInterval": 0.1,
            "Control": "enabled",
            "Sensor": {
                "URL": "http://127.0.0.1:9/",
                "Field": "t",
                "Proxy": [{"Codifier": "H1", "Field": "h"}],
            },
        },
        {"Codifier": "H1", "Type": "Proxy"},
        {"Codifier": "ZZ", "Type": "ControlProgram"},
    )
    place = tmp_path / "config.json"
    place.write_text(json.dumps(document))
    return str(place)


class Running:
    """A channel that runs in a thread of its own for the length of a test."""

    def __init__(self, channel: StandaloneChannel, *callbacks, **options) -> None:
        self.channel = channel
        self._thread = threading.Thread(target=channel.run, args=callbacks, kwargs=options)

    def __enter__(self):
        self._thread.start()
        return self.channel

    def __exit__(self, *exception):
        self.channel.stop()
        self._thread.join(20)
        assert not self._thread.is_alive()


def test_the_configuration_is_at_hand(path):
    channel = jph(path, "A1")
    try:
        assert channel.getConfig() == json.loads(Path(path).read_text())
        assert [sensor["Codifier"] for sensor in channel.getAllSensors()] == ["A1", "H1", "ZZ"]
        assert channel.getSensor("H1")["Type"] == "Proxy"
        assert channel.getSensor("Q1") is None
        assert channel.getMySensor()["ShortName"] == "Water"
        assert channel.getMySensorElement("Field") == "t"
        assert channel.getMySensorElement("Missing") is None
        assert abs(timeNow() - time.time() * 1000) < 1000
    finally:
        channel.close()


def test_configuration_and_codifier_may_come_from_the_environment(path, monkeypatch):
    monkeypatch.setenv("JPH_CONFIG", path)
    monkeypatch.setenv("JPH_SENSOR", "H1")
    channel = jph()
    channel.close()
    assert channel.codifier == "H1"


def test_a_missing_configuration_or_codifier_says_what_to_do(path, monkeypatch):
    monkeypatch.delenv("JPH_CONFIG", raising=False)
    monkeypatch.delenv("JPH_SENSOR", raising=False)
    with pytest.raises(ConfigError, match="set JPH_CONFIG"):
        jph(None, "A1")
    with pytest.raises(ConfigError, match="set JPH_SENSOR"):
        jph(path)
    with pytest.raises(ConfigError, match='no Codifier "Q1"'):
        jph(path, "Q1")


def test_values_sent_without_running_reach_the_bus(path):
    channel = jph(path, "A1")
    with Peer(channel.config) as peer:
        channel.sendData(21.5, 1234)
        channel.sendData(40, None, "H1")
        channel.sendData('{"value": -3, "voltage": 1.5}', None, "A1", True)
        channel.sendData("on")
        messages = [peer.hear("data") for _ in range(6)]
        channel.sendCtrl("P", 99, "ZZ", 5.0)
        ping = peer.hear("control")
    channel.close()
    assert [(m["flag"], m["source"]) for m in messages] == [
        ("n", "A1"),
        ("f", "A1"),
        ("n", "H1"),
        ("i", "H1"),
        ("j", "A1"),
        ("s", "A1"),
    ]
    assert messages[1]["time_ms"] == 1234
    assert json.loads(messages[4]["value"]) == {"value": -3, "voltage": 1.5}
    assert (ping["flag"], ping["time_ms"], ping["to"], ping["number"]) == ("P", 99, "ZZ", 5.0)


def test_three_callbacks_in_the_thread_that_runs(path):
    calls, threads = {"data": [], "time": [], "ctrl": []}, set()

    def recorder(name):
        def callback(*arguments):
            threads.add(threading.current_thread())
            calls[name].append(arguments)
            return STATE.GOOD

        return callback

    channel = jph(path, "A1")
    with (
        Peer(channel.config) as peer,
        Running(channel, recorder("data"), recorder("time"), recorder("ctrl")),
    ):
        assert peer.hear("control", lambda m: m["flag"] == "N")["source"] == "A1"
        peer.publish("H1", "f", F.pack(2.5), 7, time_ms=8)
        peer.command("A", "A1", 30.0)
        eventually(lambda: calls["data"] and len(calls["time"]) > 3)
        eventually(lambda: any(call[1] == "A" for call in calls["ctrl"]))
        eventually(lambda: any(call[1] == "A" for call in calls["time"]))
    channel_name, flag, source, to, timestamp, sequence, length, _, value, active = calls["data"][0]
    assert (channel_name, flag, source, to) == ("Data=", "f", "H1", "@@")
    assert (timestamp, sequence, length, value, active) == (8, 7, 4, 2.5, None)
    command = next(call for call in calls["ctrl"] if call[1] == "A")
    assert command[:4] == ("Ctrl=", "A", "ZZ", "A1")
    assert command[6] == 9
    assert command[8:] == (30.0, True)
    assert [call[1:] for call in calls["time"] if call[1]] == [("A", 30.0)]
    assert len(threads) == 1


def test_signs_of_life_and_pings_go_on_while_a_callback_blocks(path):
    release = threading.Event()
    channel = jph(path, "A1")
    try:
        with (
            Peer(channel.config) as peer,
            Running(channel, None, lambda *_: release.wait(60)),
        ):
            for _ in range(3):
                peer.hear("control", lambda m: m["flag"] == "I")
            peer.command("P", "A1", 1.0)
            peer.hear("control", lambda m: m["flag"] == "T")
            release.set()
    finally:
        release.set()


def test_batches_instead_of_single_readings(path):
    heard = []
    channel = jph(path, "A1")
    with Peer(channel.config) as peer, Running(channel, on_batch=heard.extend):
        peer.hear("control", lambda m: m["flag"] == "N")
        for sequence in range(1, 101):
            peer.publish("H1", "f", F.pack(1.0), sequence)
        eventually(lambda: len(heard) == 100)
    assert [reading[2] for reading in heard] == list(range(1, 101))


def test_what_waits_in_the_socket_is_heard_though_the_channel_joins_again(path):
    heard, busy, free = [], threading.Event(), threading.Event()

    def on_data(*arguments):
        busy.set()
        free.wait(20)
        heard.append(arguments[8])

    channel = jph(path, "A1")
    with Running(channel, on_data), Peer(channel.config) as peer:
        joined = channel.process.bus.data
        eventually(lambda: joined.receiver.fileno() >= 0, 20)
        for sequence in range(6):
            peer.publish("ZZ", "f", F.pack(sequence), 100 + sequence)
            assert busy.wait(20)
        joins = joined.status().joins
        channel._node.loop.soon(lambda: joined.move(replace(channel.config.multicast.data, ttl=1)))
        eventually(lambda: joined.status().joins > joins, 20)
        free.set()
        eventually(lambda: heard == [0, 1, 2, 3, 4, 5], 20)
        assert channel.process.bus.data.receiver.sources["ZZ"].lost == 0


def test_run_ends_when_a_newer_instance_takes_over_but_not_by_one_packet(path, caplog):
    channel = jph(path, "A1")
    with Peer(channel.config) as peer, Running(channel) as running:
        peer.hear("control", lambda m: m["flag"] == "N")
        peer.command("N", "@@", channel.loaded_ms + 1, source="A1")
        for _ in range(5):
            peer.hear("control", lambda m: m["flag"] == "I" and m["source"] == "A1")
        assert not running._node.finished.is_set()
        for _ in range(3):
            peer.command("I", "@@", channel.loaded_ms + 1, source="A1")
        assert running._node.finished.wait(20)
        assert not running._node.instances.standby
    assert logged(caplog, "A1", "127.0.0.1", level=logging.ERROR) == 1


def test_a_reload_is_seen_by_the_component(path):
    channel = jph(path, "A1")
    with Peer(channel.config) as peer, Running(channel, None, lambda *_: STATE.GOOD):
        peer.hear("control", lambda m: m["flag"] == "N")
        document = json.loads(Path(path).read_text())
        document["Sensors"][0]["ShortName"] = "Oil"
        Path(path).write_text(json.dumps(document))
        peer.command("C", "A1")
        peer.hear("control", lambda m: m["flag"] == "N", 10)
        assert channel.getMySensor()["ShortName"] == "Oil"


def test_a_callback_may_stop_the_run(path):
    channel = jph(path, "A1")

    def once(*_):
        channel.stop()
        return STATE.GOOD

    channel.run(None, once)  # returns


def test_a_run_that_was_stopped_before_it_began_ends_at_once(path):
    channel = jph(str(path), "A1")
    channel.stop()
    channel.run()
