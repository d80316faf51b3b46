"""A node on the bus, as an independent peer sees it."""

import itertools
import logging
import os
import struct
import threading
import time

import pytest

from jph import owned
from jph.bus.receive_file import ReceiveFile
from jph.config.model import build
from jph.errors import ChannelError, SensorError
from jph.node.node import Node
from jph.node.process import STATE
from jph.node.reload import Reloader
from jph.node.runner import Callbacks, callbacks_of
from tests.helpers import eventually, logged
from tests.network import Peer, config_of, node_of, running

F = struct.Struct("<f")


def flag(*flags: str, source: str | None = None):
    return lambda m: m["flag"] in flags and source in (None, m["source"])


@pytest.fixture
def config():
    return config_of({"Codifier": "A1"}, {"Codifier": "B1"}, {"Codifier": "ZZ"})


def test_a_component_says_n_once_when_it_starts(config, tmp_path):
    with Peer(config) as peer, running(node_of(config, tmp_path, A1=Callbacks())):
        start = peer.hear("control")
        assert (start["flag"], start["source"], start["to"]) == ("N", "A1", "@@")
        assert start["number"] == config.loaded_ms
        assert start["active"] is True
        assert start["size"] == 37
        assert 1 <= start["sequence"] <= 2**31 - 1
        assert peer.quiet("control", flag("N"), 0.3)


def test_signs_of_life_come_by_their_interval_with_sequences_in_order(tmp_path):
    config = config_of({"Codifier": "A1", "KeepAliveInterval": 0.1})
    with Peer(config) as peer, running(node_of(config, tmp_path, A1=Callbacks())):
        sequence = peer.hear("control", flag("N"))["sequence"]
        began_s = time.monotonic()
        for step in range(1, 6):
            alive = peer.hear("control")
            assert (alive["flag"], alive["sequence"]) == ("I", sequence + step)
            assert alive["number"] == config.loaded_ms
        assert time.monotonic() - began_s > 0.35


def test_a_ping_is_answered_to_who_asked_with_the_same_number(config, tmp_path):
    with Peer(config) as peer, running(node_of(config, tmp_path, A1=Callbacks(), B1=Callbacks())):
        peer.command("P", "A1", 1234.5)
        answer = peer.hear("control", flag("T"))
        assert (answer["source"], answer["to"], answer["number"]) == ("A1", "ZZ", 1234.5)
        assert peer.quiet("control", flag("T"), 0.2)
        peer.command("P", "@@", 7.0)
        answers = {peer.hear("control", flag("T"))["source"] for _ in range(2)}
        assert answers == {"A1", "B1"}


def test_a_halted_component_is_not_called_until_it_is_started(config, tmp_path):
    heard = []
    callbacks = Callbacks(
        on_batch=lambda readings: heard.extend(reading[3] for reading in readings),
        on_control=lambda message, sender: heard.append(message.flag),
    )
    with Peer(config) as peer, running(node_of(config, tmp_path, A1=callbacks)):
        peer.publish("B1", "f", F.pack(1.0), 10)
        eventually(lambda: 1.0 in heard)
        peer.command("H", "A1")
        assert peer.hear("control", flag("I"))["active"] is False
        heard.clear()
        peer.publish("B1", "f", F.pack(2.0), 11)
        peer.command("P", "A1")
        assert peer.hear("control", flag("T"))["active"] is False
        assert heard == []
        peer.command("S", "A1")
        assert peer.hear("control", flag("I"))["active"] is True
        peer.publish("B1", "f", F.pack(3.0), 12)
        eventually(lambda: 3.0 in heard)
        assert 2.0 not in heard


def test_web_servers_and_caches_ignore_a_halt(config, tmp_path):
    with (
        Peer(config) as peer,
        running(node_of(config, tmp_path, A1=Callbacks(ignores_halt=True), B1=Callbacks())),
    ):
        peer.command("H", "@@")
        assert peer.hear("control", flag("I"))["source"] == "B1"
        peer.command("P", "@@")
        active = {}
        for _ in range(2):
            answer = peer.hear("control", flag("T"))
            active[answer["source"]] = answer["active"]
        assert active == {"A1": True, "B1": False}


def test_a_component_configured_inactive_begins_halted(tmp_path):
    config = config_of({"Codifier": "A1", "Active": False, "SensorInterval": 0.05})
    calls = []
    callbacks = Callbacks(on_timer=lambda *a: calls.append(a) or STATE.GOOD)
    with Peer(config) as peer, running(node_of(config, tmp_path, A1=callbacks)):
        assert peer.hear("control", flag("N"))["active"] is False
        assert peer.quiet("control", flag("I"), 0.2)
        assert calls == []
        peer.command("S", "A1")
        eventually(lambda: calls)


def test_set_and_step_reach_only_components_that_allow_it(tmp_path):
    config = config_of({"Codifier": "A1", "Control": "enabled"}, {"Codifier": "B1"})
    calls = []

    def recorder(codifier):
        return Callbacks(on_timer=lambda _, command, n: calls.append((codifier, command, n)))

    node = node_of(config, tmp_path, A1=recorder("A1"), B1=recorder("B1"))
    with Peer(config) as peer, running(node):
        peer.command("A", "B1", 1.0)
        peer.command("A", "A1", 21.5)
        peer.command("E", "A1", -0.5)
        eventually(lambda: len(calls) == 2)
        assert calls == [("A1", "A", 21.5), ("A1", "E", -0.5)]


def test_set_and_step_of_a_proxy_reach_the_component_that_serves_it(tmp_path, caplog):
    served = {"Type": "Proxy", "Sensor": {"Server": "A1"}}
    config = config_of(
        {"Codifier": "A1", "Type": "Python"},
        {"Codifier": "P1", "Control": "enabled", **served},
        {"Codifier": "P2", **served},
    )
    calls = []

    def on_command(codifier, flag, number):
        calls.append((codifier, flag, number))
        if number == 1.0:
            raise ValueError("too much")
        if number == 2.0:
            raise SensorError("it takes 0 or 1")

    node = node_of(config, tmp_path, A1=Callbacks(on_command=on_command))
    with Peer(config) as peer, running(node):
        peer.command("A", "P2", 3.0)
        peer.command("A", "P1", 1.0)
        eventually(lambda: node.process.components()["A1"].error == "ValueError: too much")
        peer.command("E", "P1", -0.5)
        eventually(lambda: len(calls) == 2)
        assert calls == [("P1", "A", 1.0), ("P1", "E", -0.5)]
        assert node.process.components()["A1"].error is None
        peer.command("H", "A1")
        peer.command("A", "P1", 4.0)
        peer.command("S", "A1")
        peer.command("A", "P1", 5.0)
        eventually(lambda: len(calls) == 3)
        assert calls[-1] == ("P1", "A", 5.0)
        peer.command("A", "P1", 2.0)
        eventually(lambda: "P1: A 2: it takes 0 or 1" in caplog.text)
        assert node.process.components()["A1"].error is None


def test_a_component_that_takes_no_values_for_its_proxies_says_so_in_its_log(tmp_path, caplog):
    config = config_of(
        {"Codifier": "A1", "Type": "Pipe"},
        {"Codifier": "P1", "Type": "Proxy", "Control": "enabled", "Sensor": {"Server": "A1"}},
    )
    with Peer(config) as peer, running(node_of(config, tmp_path, A1=Callbacks())):
        peer.command("A", "P1", 1.5)
        eventually(lambda: "P1: A 1.5: a Pipe takes no values for its proxies" in caplog.text)


def test_timers_tick_by_their_interval_and_a_late_one_skips(tmp_path):
    config = config_of({"Codifier": "A1", "SensorInterval": 0.1})
    times_s = []

    def slow(timestamp_ms, command, number):
        times_s.append(time.monotonic())
        if len(times_s) == 2:
            time.sleep(0.35)
        return STATE.GOOD

    with running(node_of(config, tmp_path, A1=Callbacks(on_timer=slow))):
        eventually(lambda: len(times_s) == 5)
    steps = [after - before for before, after in itertools.pairwise(times_s)]
    assert steps[1] >= 0.35
    assert all(step > 0.03 for step in steps)  # no burst to catch up


def test_a_slow_component_delays_nobody_else(tmp_path):
    config = config_of(
        {"Codifier": "A1", "SensorInterval": 0.05, "KeepAliveInterval": 0.1},
        {"Codifier": "B1", "SensorInterval": 0.05, "KeepAliveInterval": 0.1},
    )
    release = threading.Event()
    ticks = []

    def stuck(*_):
        release.wait(60)

    node = node_of(
        config,
        tmp_path,
        A1=Callbacks(on_timer=stuck, on_batch=stuck, on_control=stuck),
        B1=Callbacks(on_timer=lambda *_: ticks.append(time.monotonic())),
    )
    try:
        with Peer(config) as peer, running(node):
            eventually(lambda: len(ticks) >= 5)
            for codifier in ("A1", "B1"):
                peer.command("P", codifier)
                peer.hear("control", flag("T", source=codifier))
            for _ in range(3):
                peer.hear("control", flag("I", source="A1"))
            release.set()
    finally:
        release.set()


def test_the_callbacks_of_one_component_never_overlap(tmp_path):
    config = config_of({"Codifier": "A1", "SensorInterval": 0.01}, {"Codifier": "B1"})
    inside, overlaps, calls = [], [], []

    def callback(*_):
        if inside:
            overlaps.append(1)
        inside.append(1)
        time.sleep(0.002)
        inside.pop()
        calls.append(1)

    callbacks = Callbacks(on_timer=callback, on_batch=callback, on_control=callback)
    with Peer(config) as peer, running(node_of(config, tmp_path, A1=callbacks)):
        for sequence in range(1, 60):
            peer.publish("B1", "f", F.pack(1.0), sequence)
            peer.command("P", "B1")
            time.sleep(0.002)
        eventually(lambda: len(calls) > 60)
    assert not overlaps


def test_an_error_is_told_until_the_sensor_answers_though_with_nothing(tmp_path):
    config = config_of({"Codifier": "A1", "SensorInterval": 0.05})
    is_back = threading.Event()

    def on_timer(*_):
        if not is_back.is_set():
            raise SensorError("it is gone")
        return STATE.NOREADING

    node = node_of(config, tmp_path, A1=Callbacks(on_timer=on_timer))
    with running(node):
        eventually(lambda: node.process.components()["A1"].error == "it is gone")
        is_back.set()
        eventually(lambda: node.process.components()["A1"].state == STATE.NOREADING)
        eventually(lambda: node.process.components()["A1"].error is None)


def test_a_callback_that_raises_is_logged_failed_and_called_again(config, tmp_path, caplog):
    heard = []

    def on_data(*arguments):
        heard.append(arguments[8])
        if arguments[8] < 3:
            raise RuntimeError("broken on purpose")

    node = node_of(config, tmp_path, A1=Callbacks(on_data=on_data))
    with caplog.at_level(logging.INFO), Peer(config) as peer, running(node):
        for sequence in (1, 2):
            peer.publish("B1", "f", F.pack(sequence), sequence)
        eventually(lambda: heard == [1.0, 2.0])
        eventually(lambda: node.runners["A1"].state == STATE.FAILED)
        eventually(lambda: "broken on purpose" in node.process.components()["A1"].error)
        peer.publish("B1", "f", F.pack(3), 3)
        eventually(lambda: node.runners["A1"].state == STATE.GOOD)
        peer.command("P", "A1")
        peer.hear("control", flag("T"))
    raised = [r for r in caplog.records if "raised" in r.getMessage()]
    assert len(raised) == 1  # once, not for each
    assert raised[0].exc_info
    assert any("works again (2 failures" in r.getMessage() for r in caplog.records)


def test_data_arrives_one_by_one_with_ten_arguments(config, tmp_path):
    heard = []
    node = node_of(config, tmp_path, A1=Callbacks(on_data=lambda *a: heard.append(a)))
    with Peer(config) as peer, running(node):
        peer.publish("B1", "n", struct.pack("<I", 40), 40)
        peer.publish("B1", "f", F.pack(1.5), 41, time_ms=123)
        peer.publish("B1", "i", struct.pack("<I", 7), 42, time_ms=124)
        peer.publish("B1", "s", struct.pack("<I2s", 2, b"on"), 43, time_ms=125)
        peer.publish("B1", "j", struct.pack("<I11s", 11, b'{"value":1}'), 44, time_ms=126)
        eventually(lambda: len(heard) == 4)
        senders = {arguments[7] for arguments in heard}
    without_sender = [arguments[:7] + arguments[8:] for arguments in heard]
    assert without_sender == [
        ("Data=", "f", "B1", "@@", 123, 41, 4, 1.5, None),
        ("Data=", "i", "B1", "@@", 124, 42, 4, 7, None),
        ("Data=", "s", "B1", "@@", 125, 43, 6, "on", None),
        ("Data=", "j", "B1", "@@", 126, 44, 15, {"value": 1}, None),
    ]
    assert len(senders) == 1
    assert next(iter(senders))[0] == "127.0.0.1"


def test_loss_duplicates_and_restarts_are_counted_and_duplicates_dropped(config, tmp_path):
    heard = []
    callbacks = Callbacks(on_batch=lambda readings: heard.extend(r[2] for r in readings))
    node = node_of(config, tmp_path, A1=callbacks)
    with Peer(config) as peer, running(node):
        for sequence in (100, 101, 105, 105, 103):
            peer.publish("B1", "f", F.pack(0.0), sequence)
        eventually(lambda: len(heard) == 4)
        source = node.bus.data.receiver.sources["B1"]
        assert (source.lost, source.duplicates, source.restarts) == (2, 1, 0)
        peer.publish("B1", "f", F.pack(0.0), 3)  # 103 back: a restart, from which losses count anew
        eventually(lambda: len(heard) == 5)
        assert heard == [100, 101, 105, 103, 3]
        assert (source.lost, source.restarts) == (0, 1)
        peer.publish("B1", "n", struct.pack("<I", 900_000), 900_000)
        peer.publish("B1", "f", F.pack(0.0), 900_001)
        eventually(lambda: 900_001 in heard)
        assert source.restarts == 2


def test_what_a_component_sends_begins_with_n_and_counts_up(config, tmp_path):
    node = node_of(config, tmp_path, A1=Callbacks())
    with Peer(config) as peer, running(node):
        channel = node.runners["A1"].channel
        channel.send_data(1.5)
        channel.send_data(7)
        channel.send_data(-7)
        channel.send_data("on")
        channel.send_data(2.5, codifier="B1")
        messages = [peer.hear("data") for _ in range(7)]
    first = messages[0]["sequence"]
    assert [(m["flag"], m["source"], m["sequence"] - first, m["value"]) for m in messages[:5]] == [
        ("n", "A1", 0, first),
        ("f", "A1", 1, 1.5),
        ("i", "A1", 2, 7),
        ("j", "A1", 3, '{"value":-7}'),
        ("s", "A1", 4, "on"),
    ]
    start, value = messages[5:]
    assert (start["flag"], start["source"], start["value"]) == ("n", "B1", start["sequence"])
    assert (value["flag"], value["sequence"]) == ("f", start["sequence"] + 1)


@pytest.mark.parametrize("value", [1.5, "on"])
def test_a_time_with_a_fraction_is_taken(config, tmp_path, value):
    node = node_of(config, tmp_path, A1=Callbacks())
    with Peer(config) as peer, running(node):
        node.runners["A1"].channel.sendData(value, 1234.75)
        assert peer.hear("data", flag("f", "s"))["time_ms"] == 1234
        node.runners["A1"].channel.sendCtrl("P", 5678.5, "ZZ", 1.0)
        assert peer.hear("control", flag("P"))["time_ms"] == 5678


def test_a_refused_value_leaves_no_gap(config, tmp_path):
    node = node_of(config, tmp_path, A1=Callbacks())
    with Peer(config) as peer, running(node):
        channel = node.runners["A1"].channel
        channel.send_data(1.0)
        for wrong in (float("nan"), float("inf"), {"value": float("nan")}, "x" * 2000):
            with pytest.raises(ValueError):
                channel.send_data(wrong)
        channel.send_data(2.0)
        start, one, two = (peer.hear("data") for _ in range(3))
    assert [m["sequence"] - start["sequence"] for m in (one, two)] == [1, 2]


def test_a_reader_sends_its_values_and_those_of_its_proxies(tmp_path):
    config = config_of({"Codifier": "A1", "SensorInterval": 0.05}, {"Codifier": "H1"})

    class Reader:
        def read(self):
            return {"A1": 21.5, "H1": 40.0}

    node = Node(config, tmp_path)
    node.add(config.components["A1"], lambda channel: callbacks_of(Reader(), channel))
    with Peer(config) as peer, running(node):
        assert peer.hear("data", flag("f", source="A1"))["value"] == 21.5
        assert peer.hear("data", flag("f", source="H1"))["value"] == 40.0


def test_a_sensor_without_a_reading_says_so_once_and_recovers(tmp_path, caplog):
    config = config_of({"Codifier": "A1", "SensorInterval": 0.02})
    path = tmp_path / "value"
    failures = []

    class Reader:
        def read(self):
            try:
                return {"A1": float(path.read_text())}
            except (OSError, ValueError) as error:
                failures.append(1)
                raise SensorError(f"{path}: not there") from error

    node = Node(config, tmp_path)
    node.add(config.components["A1"], lambda channel: callbacks_of(Reader(), channel))
    with caplog.at_level(logging.INFO), Peer(config) as peer, running(node):
        eventually(lambda: len(failures) >= 5)
        assert node.runners["A1"].state == STATE.FAILED
        peer.command("P", "A1")
        peer.hear("control", flag("T"))
        (tmp_path / "new").write_text("21.5")
        os.replace(tmp_path / "new", path)
        assert peer.hear("data", flag("f"))["value"] == 21.5
        eventually(lambda: node.runners["A1"].state == STATE.GOOD)
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert len([line for line in said if "not there" in line]) == 1
    assert any("reads again" in r.getMessage() for r in caplog.records)


def test_c_reloads_what_it_is_addressed_to(tmp_path):
    config = config_of({"Codifier": "A1", "KeepAliveInterval": 60}, {"Codifier": "B1"})
    document = {**config.document}
    document["Sensors"] = [{**entry} for entry in document["Sensors"]]
    document["Sensors"][0]["KeepAliveInterval"] = 0.05
    lives, closed = [], []

    def build_one(channel):
        lives.append(channel.component.keep_alive_interval_s)
        return Callbacks(close=lambda: closed.append(1))

    node = Node(config, tmp_path)
    Reloader(node, lambda: build(document, "again"))
    node.add(config.components["A1"], build_one)
    node.add(config.components["B1"], lambda channel: Callbacks())
    with Peer(config) as peer, running(node):
        first = peer.hear("control", flag("N", source="A1"))
        peer.hear("control", flag("N", source="B1"))
        time.sleep(0.002)  # a later configuration time, in whole ms
        peer.command("C", "A1")
        again = peer.hear("control", flag("N"))
        assert again["source"] == "A1"
        assert again["number"] > first["number"]
        peer.hear("control", flag("I", source="A1"))
        assert lives == [60.0, 0.05]
        assert closed == [1]
        assert "A1" in node.runners


def test_a_wrong_configuration_at_reload_changes_nothing(tmp_path, caplog):
    config = config_of({"Codifier": "A1", "KeepAliveInterval": 0.05})
    node = Node(config, tmp_path)
    Reloader(node, lambda: build({"Sensors": []}, "again"))
    node.add(config.components["A1"], lambda channel: Callbacks())
    with Peer(config) as peer, running(node):
        peer.command("C", "A1")
        eventually(
            lambda: any("stays as it was: again: " in r.getMessage() for r in caplog.records)
        )
        peer.hear("control", flag("I", source="A1"))


def test_what_cannot_be_built_is_not_on_the_bus(config, tmp_path):
    def taken(channel):
        raise ChannelError("port 8080 is taken")

    node = node_of(config, tmp_path, A1=Callbacks())
    with Peer(config) as peer:
        with pytest.raises(ChannelError):
            node.add(config.components["B1"], taken)
        node.stop()
        assert peer.quiet("control", flag("N"), 0.2)


def test_stop_closes_all_side_by_side_after_the_last_readings(config, tmp_path):
    heard, closed = [], []
    both = threading.Barrier(2, timeout=20)

    def close(name):
        closed.append((name, len(heard)))
        both.wait()

    node = node_of(
        config,
        tmp_path,
        A1=Callbacks(on_batch=heard.extend, close=lambda: close("A1")),
        B1=Callbacks(close=lambda: close("B1")),
    )
    with Peer(config) as peer:
        node.start()
        for sequence in range(1, 101):
            peer.publish("B1", "f", F.pack(0.0), sequence)
        node.stop()
    assert not both.broken
    assert len(heard) == 100
    assert sorted(closed) == [("A1", 100), ("B1", 100)]


def test_a_component_that_is_too_far_behind_loses_the_newest_counted(config, tmp_path, monkeypatch):
    monkeypatch.setattr("jph.node.runner.MOST_BYTES", 50 * 250)
    release = threading.Event()
    heard = []

    def on_batch(readings):
        release.wait(30)
        heard.extend(readings)

    node = node_of(config, tmp_path, A1=Callbacks(on_batch=on_batch))
    try:
        with Peer(config) as peer, running(node):
            for sequence in range(1, 301):
                peer.publish("B1", "f", F.pack(0.0), sequence)
            eventually(lambda: "B1" in node.bus.data.receiver.sources)
            eventually(lambda: node.bus.data.receiver.sources["B1"].received == 300)
            eventually(lambda: node.process.components()["A1"].overruns > 0)
            release.set()
            eventually(lambda: len(heard) + node.process.components()["A1"].overruns == 300)
    finally:
        release.set()


def test_a_component_that_wants_readings_on_arrival_gets_them_before_the_next_are_received(
    config, tmp_path
):
    threads, heard = set(), []

    def on_arrival(readings):
        threads.add(threading.current_thread().name)
        heard.extend(reading[2] for reading in readings)
        return True

    node = node_of(config, tmp_path, A1=Callbacks(on_arrival=on_arrival))
    with Peer(config) as peer, running(node):
        for sequence in range(1, 101):
            peer.publish("B1", "f", F.pack(0.0), sequence)
        eventually(lambda: heard == list(range(1, 101)))
    assert threads == {"jph-node"}


def test_what_a_component_does_not_take_on_arrival_waits_for_it_in_order(config, tmp_path):
    later = []
    callbacks = Callbacks(on_arrival=lambda readings: False, on_batch=later.extend)
    node = node_of(config, tmp_path, A1=callbacks)
    with Peer(config) as peer, running(node):
        for sequence in range(1, 51):
            peer.publish("B1", "f", F.pack(0.0), sequence)
        eventually(lambda: [reading[2] for reading in later] == list(range(1, 51)))


def test_what_a_killed_process_had_just_received_is_handed_over_at_the_next_start(config, tmp_path):
    folder = owned.private_folder(tmp_path / "journal")
    left = ReceiveFile(folder, "A1")
    left.single[:32] = struct.pack("<I4xQ1s2s2s3xIf", 5, 7, b"f", b"B1", b"@@", 4, 1.5)
    left.single.close()
    left._file.close()  # as the kernel does
    heard = []
    callbacks = Callbacks(
        on_arrival=lambda readings: heard.extend(readings) or True, receive_in=folder
    )
    with running(node_of(config, tmp_path, A1=callbacks)):
        assert [reading[:4] for reading in heard] == [("B1", 7, 5, 1.5)]
    with running(node_of(config, tmp_path, A1=callbacks)):
        assert len(heard) == 1
    assert not folder.exists()


def test_an_exception_on_arrival_is_said_and_ends(config, tmp_path, caplog):
    heard = []

    def on_arrival(readings):
        if readings[0][2] < 10:
            raise ValueError("not yet")
        heard.extend(readings)
        return True

    node = node_of(config, tmp_path, A1=Callbacks(on_arrival=on_arrival))
    with Peer(config) as peer, running(node):
        peer.publish("B1", "f", F.pack(0.0), 1)
        eventually(lambda: node.process.components()["A1"].state == STATE.FAILED)
        peer.publish("B1", "f", F.pack(0.0), 12)
        eventually(lambda: node.process.components()["A1"].state == STATE.GOOD)
    assert len(heard) == 1
    assert logged(caplog, "A1", "data callback raised") == 1


def test_long_texts_and_objects_are_bounded_by_their_memory(config, tmp_path):
    release = threading.Event()
    heard = []

    def on_batch(readings):
        release.wait(20)
        heard.extend(readings)

    node = node_of(config, tmp_path, A1=Callbacks(on_batch=on_batch))
    text = (1440).to_bytes(4, "little") + b"x" * 1440
    try:
        with Peer(config) as peer, running(node):
            sent = 0
            while not node.process.components()["A1"].overruns:
                for _ in range(100):
                    sent += 1
                    peer.publish("B1", "s", text, sent)
                count = eventually(lambda: node.bus.data.receiver.sources.get("B1"))
                eventually(lambda count=count, sent=sent: count.received == sent)
            waiting = node.runners["A1"]._inbox_bytes
            assert 15 << 20 < waiting <= 16 << 20
            release.set()
            eventually(lambda: len(heard) + node.process.components()["A1"].overruns == sent)
    finally:
        release.set()
