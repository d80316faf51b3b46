"""A clock that cannot be right: readings wait for it, all else goes on."""

import logging
import os
import struct
import time
from dataclasses import replace

import pytest

from jph.bus import clock_guard
from jph.bus.clock_guard import ClockGuard
from jph.bus.sender import MOST_HELD, Sender
from jph.clock import time_now_ms
from jph.node.node import Node
from jph.node.process import STATE
from jph.node.runner import Callbacks
from tests import helpers
from tests.helpers import eventually, logged
from tests.network import Peer, config_of, running

HOUR_MS = 3_600_000


class Wall:
    """A wall clock that is wrong by some time."""

    def __init__(self, wrong_ms: int = 0) -> None:
        self.wrong_ms = wrong_ms

    def __call__(self) -> int:
        return time_now_ms() + self.wrong_ms


@pytest.fixture
def guard_of(tmp_path):
    """Return what makes a guard of a wall clock; nothing on this machine speaks against it."""

    def make(wall: Wall) -> ClockGuard:
        return ClockGuard(
            tmp_path / "home", now_ms=wall, run=tmp_path / "timesync", rtc=tmp_path / "rtc"
        )

    return make


def test_a_clock_is_believed_unless_something_speaks_against_it(guard_of):
    assert guard_of(Wall()).doubt() == ""


def test_a_time_before_this_program_cannot_be_right(guard_of):
    wall = Wall(-time_now_ms())
    assert "1970-01-01 00:00 UTC" in guard_of(wall).doubt()


def test_a_time_before_the_last_noted_one_cannot_be_right(guard_of):
    guard_of(Wall()).note()
    assert guard_of(Wall(5000)).doubt() == ""
    assert guard_of(Wall(-HOUR_MS)).doubt().count(" UTC") == 2


def test_a_note_can_go_back_again(guard_of):
    guard_of(Wall(100 * HOUR_MS)).note()
    guard_of(Wall()).note()
    assert guard_of(Wall()).doubt() == ""


def test_a_home_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / "home").write_text("a file where a folder should be")
    ClockGuard(tmp_path / "home").note()


def test_a_time_server_that_did_not_answer_yet(guard_of, tmp_path, monkeypatch):
    monkeypatch.setattr(clock_guard.time, "clock_gettime", lambda _: uptime_s)
    uptime_s = 20.0
    (tmp_path / "timesync").mkdir()
    assert "not set" in guard_of(Wall()).doubt()
    (tmp_path / "rtc" / "rtc0").mkdir(parents=True)
    flag = tmp_path / "rtc" / "rtc0" / "hctosys"
    flag.write_text("0\n")
    assert guard_of(Wall()).doubt()
    flag.write_text("1\n")
    assert guard_of(Wall()).doubt() == ""  # a hardware clock set it
    flag.unlink()
    uptime_s = 601.0
    assert guard_of(Wall()).doubt() == ""  # it had its chance
    uptime_s = 20.0
    (tmp_path / "timesync" / "synchronized").touch()
    assert guard_of(Wall()).doubt() == ""


def test_it_is_not_doubted_for_ever(guard_of, monkeypatch):
    guard = guard_of(Wall(-time_now_ms()))
    monkeypatch.setattr(clock_guard, "LONGEST_S", 0.0)
    time.sleep(0.002)
    assert guard.doubt() == ""


def test_readings_wait_and_go_out_in_order_with_their_times_put_right(guard_of, tmp_path, caplog):
    wall = Wall()
    guard_of(wall).note()
    wall.wrong_ms = -10 * HOUR_MS
    config = config_of({"Codifier": "A1", "SensorInterval": 0.1, "KeepAliveInterval": 0.1})
    node = Node(config, tmp_path / "home", guard=guard_of(wall))
    sent = []

    def on_timer(timestamp_ms, command, number):
        sent.append(timestamp_ms)
        channel.send_data(float(len(sent)), timestamp_ms + wall.wrong_ms)
        return STATE.GOOD

    member = node.add(config.components["A1"], lambda channel: Callbacks(on_timer=on_timer))
    channel = member.channel
    with caplog.at_level(logging.INFO), Peer(config) as peer, running(node):
        loaded_ms = peer.hear("control")["number"]
        eventually(lambda: len(sent) >= 5, 20)
        peer.command("P", "A1", 1.0)
        peer.hear("control", lambda m: m["flag"] == "T")
        assert peer.quiet("data", lambda m: True, 0.05)
        assert node.bus.status().holds
        wall.wrong_ms = 0
        first = peer.hear("data", timeout_s=20)
        assert first["flag"] == "n"
        heard = [peer.hear("data", timeout_s=20) for _ in range(5)]
        assert [m["value"] for m in heard] == [1.0, 2.0, 3.0, 4.0, 5.0]
        assert [m["sequence"] for m in heard] == [first["sequence"] + at for at in range(1, 6)]
        for message, time_ms in zip(heard, sent, strict=False):
            assert message["time_ms"] == pytest.approx(time_ms, abs=1000)
        eventually(lambda: not node.bus.status().holds, 20)
        moved_ms = channel.loaded_ms - loaded_ms
        assert moved_ms == pytest.approx(10 * HOUR_MS, abs=1000)
        peer.hear("control", lambda m: m["number"] == channel.loaded_ms)
    assert logged(caplog, "clock", " UTC", level=logging.WARNING)
    assert logged(caplog, "clock", "+36000.0 s")


def test_a_clock_that_steps_back_later_holds_nothing_back_and_timers_go_on(guard_of, tmp_path):
    wall = Wall()
    config = config_of({"Codifier": "A1", "SensorInterval": 0.05})
    node = Node(config, tmp_path / "home", guard=guard_of(wall))

    def on_timer(timestamp_ms, command, number):
        channel.send_data(1.0, timestamp_ms + wall.wrong_ms)
        return STATE.GOOD

    channel = node.add(
        config.components["A1"], lambda channel: Callbacks(on_timer=on_timer)
    ).channel
    with Peer(config) as peer, running(node):
        before = peer.hear("data", lambda m: m["flag"] == "f")
        began_s = time.monotonic()
        wall.wrong_ms = -HOUR_MS
        after = [peer.hear("data", lambda m: m["time_ms"] < before["time_ms"]) for _ in range(10)]
        assert time.monotonic() - began_s > 0.3  # no flood
        assert after[-1]["time_ms"] - after[0]["time_ms"] < 10_000


def test_the_newest_readings_are_held_and_the_lost_ones_counted(bus):
    sender = Sender("data", lambda: None)
    group = config_of({"Codifier": "A1"}).multicast.data
    receiver = helpers.bare_receiver((group.address, group.port))
    sender.open(group)
    setting_ms = 10
    sender.hold(lambda: setting_ms)
    with sender.lock:
        for number in range(MOST_HELD + 3):
            sender.send(struct.pack("<IIQ", number, 0, 5) + bytes(16))
    sender.open(group)  # a link that came back lets nothing through
    sizes = []
    sender._through = lambda datagram: sizes.append(bytes(datagram))
    setting_ms = 0
    assert sender.waiting() == (MOST_HELD, 3)
    assert not sender.release(1)
    with sender.lock:
        sender.send(struct.pack("<IIQ", MOST_HELD + 3, 0, 5) + bytes(16))  # behind the others
    assert sender.release(MOST_HELD)
    assert struct.unpack_from("<IIQ", sizes[0]) == (3, 0, 0)  # never before 1970
    assert len(sizes) == MOST_HELD + 1
    assert struct.unpack_from("<I", sizes[-1]) == (MOST_HELD + 3,)
    sender.close()
    receiver.close()


def test_the_note_is_the_time_of_a_file(guard_of, tmp_path):
    guard_of(Wall(-50 * HOUR_MS)).note()
    noted_s = os.stat(tmp_path / "home" / "clock").st_mtime
    assert time.time() - noted_s == pytest.approx(50 * 3600, abs=5)


def test_what_was_sent_after_the_clock_was_set_is_not_moved():
    sender, setting_ms, sent = Sender("data", lambda: None), 1000, []
    sender._through = lambda datagram: sent.append(struct.unpack_from("<Q", datagram, 8)[0])
    sender.hold(lambda: setting_ms)
    with sender.lock:
        sender.send(struct.pack("<IIQ", 1, 0, 1005) + bytes(16))
        setting_ms = 500_000  # and half a second later somebody looks at the clock
        sender.send(struct.pack("<IIQ", 2, 0, 500_105) + bytes(16))
    assert sender.release(2)
    assert sent == [500_005, 500_105]


@pytest.mark.parametrize("stops", [False, True])
def test_all_that_waited_reaches_a_receiver_with_the_usual_buffer(guard_of, tmp_path, stops):
    guard_of(wall := Wall()).note()
    wall.wrong_ms = -10 * HOUR_MS
    config = config_of({"Codifier": "A1"}, {"Codifier": "B1"})
    data = replace(config.multicast.data, receive_buffer=212_992)
    config = replace(config, multicast=replace(config.multicast, data=data))
    node, heard = Node(config, tmp_path / "home", guard=guard_of(wall)), []
    channel = node.add(config.components["A1"], lambda channel: Callbacks()).channel
    node.add(config.components["B1"], lambda channel: Callbacks(on_batch=heard.extend))
    with running(node):
        for number in range(5000):
            channel.send_data(float(number))
        wall.wrong_ms = 0
        eventually(lambda: heard)
        if not stops:
            eventually(lambda: not node.bus.status().holds)
    assert [reading[3] for reading in heard] == [float(number) for number in range(5000)]


def test_what_still_waits_when_the_process_ends_is_counted_in_the_log(guard_of, tmp_path, caplog):
    guard_of(wall := Wall()).note()
    wall.wrong_ms = -10 * HOUR_MS
    config = config_of({"Codifier": "A1", "DataType": "string"})
    node = Node(config, tmp_path / "home", guard=guard_of(wall))
    channel = node.add(config.components["A1"], lambda channel: Callbacks()).channel
    with running(node):
        for number in range(5):
            channel.send_data(str(number))
    assert logged(caplog, "5 readings", "clock", level=logging.WARNING)
