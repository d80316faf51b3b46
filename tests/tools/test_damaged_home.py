"""`jph up` in a home whose files are damaged: sensors, bus and pages go on."""

import json
import os
import shutil
import signal
import sqlite3
import struct
import time
from contextlib import closing, suppress

import pytest

from jph.config.model import build
from jph.stores import open_history
from tests.helpers import eventually, free_tcp_port
from tests.jph.stores.damages import DAMAGES
from tests.network import Peer
from tests.tools.program import jph, start
from tests.web.client import Client

PASSES_S = 30


@pytest.fixture
def document(bus):
    """Return a small network with pages."""
    return bus.document(
        {
            "Codifier": "LA",
            "Type": "Pipe",
            "SensorInterval": 0.2,
            "Sensor": {"Pipe": "/proc/loadavg"},
        },
        {
            "Codifier": "HW",
            "Type": "HistoryWriter",
            "DataType": "json",
            "SensorInterval": 1,
            "Sensor": {"BatchTime": 0.5, "StoreTime": 0.5},
        },
        {"Codifier": "ST", "Type": "Statistics", "SensorInterval": 1},
        {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": free_tcp_port()}},
    )


@pytest.fixture
def up(document, fresh_home):
    """Return a function that starts `jph up` and returns the process."""
    config = fresh_home / "network.json"
    config.write_text(json.dumps(document))
    started = []

    def begin(home=fresh_home):
        started.append(start(fresh_home, "up", "-u", str(config), "--home", str(home)))
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(30)


def stored(path):
    there = f"{path.as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(there, uri=True)) as connection:
        return connection.execute("SELECT count(*) FROM measurement").fetchone()[0]
    return 0


def status_with(peer, key):
    """Return the next status of the history writer that has this key."""
    while True:
        told = peer.hear("data", lambda m: m["source"] == "HW" and m["flag"] == "j", PASSES_S)
        if key in (status := json.loads(told["value"])):
            return status


@pytest.mark.parametrize("damage", ["first page zeroed", "half", "a text", "a folder"])
def test_a_damaged_history_ends_nothing_and_is_shown(document, up, fresh_home, damage):
    path = fresh_home / "history.sqlite"
    with closing(open_history("sqlite:///history.sqlite", fresh_home)) as store:
        store.append([(1_763_000_000_000 + n, "C1", n, 1.0, None) for n in range(2000)])
    DAMAGES[damage](path)
    pages = Client(document["Sensors"][3]["Sensor"]["Port"])
    with Peer(build(document, "test")) as peer:
        process = up()
        for _ in range(3):
            peer.hear("data", lambda m: m["source"] == "LA", PASSES_S)
        eventually(lambda: stored(path) > 3, PASSES_S)
        told = status_with(peer, "damaged")
        (aside,) = fresh_home.glob("history.damaged-*.sqlite")
        assert told["damaged"] == aside.name
    eventually(lambda: aside.name in pages.get("/").text, PASSES_S)
    assert "jph history repair" in pages.get("/").text
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    log = (fresh_home / "err").read_text()
    assert log.count("was damaged") == 1, log


def test_a_history_that_cannot_be_used_ends_nothing(document, up, fresh_home):
    path = fresh_home / "history.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE invoices (id)")
    pages = Client(document["Sensors"][3]["Sensor"]["Port"])
    with Peer(build(document, "test")) as peer:
        process = up()
        told = status_with(peer, "fault")
        assert "another program" in told["fault"]
        for _ in range(3):
            peer.hear("data", lambda m: m["source"] == "LA", PASSES_S)
    eventually(lambda: "another program" in pages.get("/").text, PASSES_S)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.parametrize("what", ["home", "history"])
def test_what_is_deleted_while_it_runs_is_made_anew_and_no_later_reading_is_lost(
    document, up, fresh_home, what
):
    home = fresh_home / "inner"
    path = home / "history.sqlite"
    with Peer(build(document, "test")) as peer:
        process = up(home)
        eventually(lambda: stored(path) > 3, PASSES_S)
        eventually((home / "web.key").exists, PASSES_S)
        if what == "home":
            shutil.rmtree(home)
        else:
            for each in home.glob("history.sqlite*"):
                each.unlink()
        peer.drain("data")
        first = peer.hear("data", lambda m: m["source"] == "LA", PASSES_S)["sequence"]
        eventually(lambda: stored(path) > 3, PASSES_S)
        eventually((home / "web.key").exists, PASSES_S)
        last = peer.hear("data", lambda m: m["source"] == "LA", PASSES_S)["sequence"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT sequence FROM measurement WHERE codifier = 'LA'")
        assert set(range(first, last + 1)) <= {sequence for (sequence,) in rows}
    log = (fresh_home / "err").read_text()
    assert log.count("history.sqlite was deleted") == 1, log
    assert log.count("the home directory, was deleted") <= (what == "home"), log


def test_a_deleted_history_is_noticed_within_10_s_though_nothing_is_due(document, up, fresh_home):
    document["Sensors"][1]["Sensor"]["BatchTime"] = 600
    home = fresh_home / "inner"
    (fresh_home / "network.json").write_text(json.dumps(document))
    process = up(home)
    path = home / "history.sqlite"
    eventually(path.exists, PASSES_S)
    eventually((home / "web.key").exists, PASSES_S)
    shutil.rmtree(home)
    eventually(path.exists, PASSES_S)  # LOOK_S is 5 s; the machine may be busy
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert stored(path) > 0


def test_a_kill_after_the_home_was_deleted_loses_nothing_either(document, up, fresh_home):
    document["Sensors"][1]["Sensor"] = {}  # nothing is due for a minute
    (fresh_home / "network.json").write_text(json.dumps(document))
    home = fresh_home / "inner"
    path = home / "history.sqlite"
    with Peer(build(document, "test")) as peer:
        process = up(home)
        eventually(path.exists, PASSES_S)
        peer.hear("data", lambda m: m["source"] == "LA", PASSES_S)
        for n in range(1, 101):
            peer.publish("T1", "f", struct.pack("<f", n), n)
        peer.drain("data")
        peer.hear("data", lambda m: m["source"] == "LA", PASSES_S)
        shutil.rmtree(home)
        eventually(path.exists, PASSES_S)
        eventually(lambda: "home directory, was deleted" in (fresh_home / "err").read_text())
        for n in range(101, 201):
            peer.publish("T1", "f", struct.pack("<f", n), n)
        peer.drain("data")
        for _ in range(2):
            peer.hear("data", lambda m: m["source"] == "LA", PASSES_S)
        process.kill()
        process.wait(30)
        process = up(home)
        eventually(lambda: sequences(path) == set(range(1, 201)), PASSES_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize("damage", ["first page", "all pages"])
def test_of_readings_that_come_while_the_file_is_damaged_none_is_lost(
    document, up, fresh_home, damage
):
    """What was in damaged pages is gone; what came later, or was in the log, is there."""
    path = fresh_home / "history.sqlite"
    with Peer(build(document, "test")) as peer:
        process = up()
        peer.hear("data", lambda m: m["source"] == "LA", PASSES_S)
        sent = 0

        def publish(n):
            nonlocal sent
            for _ in range(n):
                sent += 1
                peer.publish("T1", "f", struct.pack("<f", sent), sent)
                if sent % 20 == 0:
                    time.sleep(0.02)

        publish(1500)
        eventually(lambda: len(sequences(path)) > 1000, PASSES_S)
        gone = sequences(path)
        with path.open("r+b") as file:
            file.write(os.urandom(4096 if damage == "first page" else path.stat().st_size))
        publish(3000)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    started = start(fresh_home, "run", "HW", "-u", str(fresh_home / "network.json"))
    eventually(lambda: "started" in (fresh_home / "err").read_text(), PASSES_S)
    time.sleep(1)
    started.send_signal(signal.SIGTERM)
    assert started.wait(30) == 0
    result = jph(fresh_home, "history", "repair", "-u", str(fresh_home / "network.json"))
    assert result.returncode == 0, result.stderr
    assert set(range(1, sent + 1)) - gone <= sequences(path)


def sequences(path):
    """Return the sequence numbers of T1 in a history."""
    there = f"{path.as_uri()}?mode=ro"
    with suppress(sqlite3.Error), closing(sqlite3.connect(there, uri=True)) as connection:
        rows = connection.execute("SELECT sequence FROM measurement WHERE codifier = 'T1'")
        return {sequence for (sequence,) in rows}
    return set()
