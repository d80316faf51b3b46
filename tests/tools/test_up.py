"""`jph up` as a whole: the shipped network on a bus of its own, an outsider, ways to fail."""

import json
import re
import signal
import socket
import sqlite3
import struct
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from jph.config.model import build
from tests.helpers import eventually, free_tcp_port, naming
from tests.network import Peer
from tests.tools.program import TOP, jph, start

STOP_S = 20.0  # its steps have 5 s in all, and a busy machine takes longer


@pytest.fixture
def document(bus):
    """Return the shipped network on a bus and a port of its own, with one more component."""
    document = json.loads((TOP / "static" / "config.json").read_text())
    document["Multicast"] = bus.multicast()
    for entry in document["Sensors"]:
        if entry["Type"] == "Web":
            entry["Sensor"]["Port"] = free_tcp_port()
    document["Sensors"].append(
        {"Codifier": "X1", "Name": "From outside", "Type": "External", "TimeoutWarning": 60}
    )
    return document


@pytest.fixture
def path(document, fresh_home):
    place = fresh_home / "network.json"
    place.write_text(json.dumps(document))
    return place


class Up:
    """`jph up` for the length of a test."""

    def __init__(self, home, path, *arguments):
        self.home = home
        self.process = start(home, "up", "-u", str(path), *arguments)

    def __enter__(self):
        eventually(lambda: "Sign in once with" in self.out or self.process.poll() is not None, 20)
        assert self.process.poll() is None, self.err
        self.address = re.search(r"http://[\d.:]+", self.out).group()
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)

    @property
    def out(self):
        return (self.home / "out").read_text()

    @property
    def err(self):
        return (self.home / "err").read_text()

    def get(self, path):
        with urllib.request.urlopen(self.address + path, timeout=10) as answer:
            return json.load(answer)

    def stop(self, number=signal.SIGTERM):
        began_s = time.monotonic()
        self.process.send_signal(number)
        status = self.process.wait(2 * STOP_S)
        return status, time.monotonic() - began_s


def stored(home, codifier):
    with sqlite3.connect(home / "history.sqlite") as database:
        query = "SELECT timestamp, sequence, value FROM measurement WHERE codifier = ?"
        rows = database.execute(query, (codifier,)).fetchall()
    database.close()
    return rows


@pytest.mark.slow
def test_the_shipped_network_has_real_readings_and_stops_with_the_last_batch(path, fresh_home):
    with Up(fresh_home, path) as up:
        (load,) = eventually(lambda: [s for s in up.get("/sensor/LA") if s["Value"] is not None])
        assert load["Codifier"] == "LA"
        assert abs(load["Value"] - float(Path("/proc/loadavg").read_text().split()[0])) < 5
        for codifier in ("MA", "DF", "UP", "NR", "CU", "BM", "PM", "PT"):
            eventually(lambda c=codifier: up.get(f"/sensor/{c}")[0]["Value"] is not None, 20)
        assert up.get("/sensor/PM")[0]["Value"] > 5
        health = up.get("/healthz")
        assert health["status"] == "ok"
        time.sleep(0.1)
        last = up.get("/sensor/LA")[0]["DTimestamp"]
        status, took_s = up.stop()
        assert status == 0
        assert took_s < STOP_S
        assert last in [timestamp for timestamp, _, _ in stored(fresh_home, "LA")]
        assert "stopped" in up.err
        assert "Traceback" not in up.err


@pytest.mark.slow
def test_an_outsider_with_nothing_but_a_socket(path, document, fresh_home):
    """It pings, halts and starts, sees I, N, T and data, and publishes as another Codifier."""
    config = build(document)
    with Peer(config, "CP") as peer, Up(fresh_home, path) as up:
        seen = peer.hear("control", lambda m: m["flag"] == "N" and m["source"] == "LA")
        assert seen["to"] == "@@"
        start_message = peer.hear("data", lambda m: m["source"] == "LA")
        assert start_message["flag"] == "n"
        reading = peer.hear("data", lambda m: m["source"] == "LA")
        assert reading["flag"] == "f"
        assert reading["sequence"] == start_message["sequence"] + 1
        peer.command("P", "LA", 4.5)
        answer = peer.hear("control", lambda m: m["flag"] == "T")
        assert (answer["source"], answer["to"], answer["number"]) == ("LA", "CP", 4.5)
        peer.command("H", "LA")
        halted = peer.hear("control", lambda m: m["flag"] == "I" and m["source"] == "LA")
        assert halted["active"] is False
        eventually(lambda: up.get("/sensor/LA")[0]["IsActive"] is False)
        peer.drain("data")
        assert peer.quiet("data", lambda m: m["source"] == "LA", 2.5)
        peer.command("S", "LA")
        started = peer.hear("control", lambda m: m["flag"] == "I" and m["source"] == "LA")
        assert started["active"] is True
        peer.hear("data", lambda m: m["source"] == "LA")

        now_ms = int(time.time() * 1000)
        peer.publish("X1", "n", struct.pack("<I", 500), 500)
        peer.publish("X1", "f", struct.pack("<f", 12.25), 501, time_ms=now_ms)
        eventually(lambda: up.get("/sensor/X1")[0]["Value"] == 12.25)
        state = up.get("/sensor/X1")[0]
        assert state["DTimestamp"] == now_ms
        span = f"/history/X1?from={now_ms - 1000}&to={now_ms + 1000}"
        assert "12.25" in json.dumps(up.get(span))
        up.stop()
    assert (now_ms, 501, 12.25) in stored(fresh_home, "X1")


@pytest.mark.parametrize("is_any", [False, True])
def test_sigint_stops_it_too_and_the_port_of_the_command_line_counts(path, fresh_home, is_any):
    port = 0 if is_any else free_tcp_port()
    with Up(fresh_home, path, "--port", str(port)) as up:
        assert is_any or up.address.endswith(f":{port}")
        eventually(lambda: up.get("/sensor/BM")[0]["Value"] is not None, 20)  # reads /healthz there
        status, took_s = up.stop(signal.SIGINT)
    assert status == 0
    assert took_s < STOP_S


@pytest.mark.parametrize("more", [[signal.SIGTERM] * 5, [signal.SIGINT, signal.SIGTERM]])
def test_further_signals_do_not_cut_the_last_batch_short(document, path, fresh_home, more):
    with Up(fresh_home, path) as up, Peer(build(document)) as peer:
        peer.publish("X1", "n", struct.pack("<I", 1000), 1000)
        for number in range(1, 101):
            peer.publish("X1", "f", struct.pack("<f", number), 1000 + number)
        eventually(lambda: up.get("/sensor/X1")[0]["Value"] == 100.0)
        up.process.send_signal(signal.SIGTERM)
        for number in more:
            up.process.send_signal(number)
            time.sleep(0.01)  # else the kernel makes one of two
        status, took_s = up.stop()
        assert (status, took_s < STOP_S) == (0, True)
        assert "stopped" in up.err
    assert [value for _, _, value in sorted(stored(fresh_home, "X1"))] == list(range(1, 101))


def test_the_second_start_reads_as_the_first_one(path, fresh_home):
    for _ in range(2):
        with Up(fresh_home, path) as up:
            eventually(lambda u=up: "LA" in str(_live(u)))
            up.stop()


def _live(up):
    try:
        return [s["Codifier"] for s in up.get("/sensor/LA") if s["Value"] is not None]
    except urllib.error.URLError:
        return []


def test_a_taken_port_is_one_clear_line_and_replaces_no_component(path, document, fresh_home):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        Peer(build(document)) as peer,
    ):
        port = taken.getsockname()[1]
        run = jph(fresh_home, "up", "-u", str(path), "--port", str(port))
        components = {entry["Codifier"] for entry in document["Sensors"]} - {"CP"}
        assert peer.quiet("control", lambda m: m["source"] in components, 0.2)  # nobody is replaced
    assert run.returncode == 1
    lines = [line for line in run.stderr.splitlines() if not line.startswith(("INFO", "WARN"))]
    assert len(lines) == 1
    assert re.search(naming(str(port), "127.0.0.1", "taken"), lines[0])


@pytest.mark.parametrize(
    "change, text",
    [
        (
            lambda d: d["Sensors"][0].update(SensorInterval=0),
            "Sensors[0].SensorInterval: must be > 0",
        ),
        (lambda d: d["Sensors"][0].update(Type="Pip"), 'Sensors[0].Type: unknown Type "Pip"'),
        (lambda d: d.pop("Multicast"), "Multicast"),
        (lambda d: d["Sensors"][0]["Sensor"].pop("Pipe"), "Sensors[0].Sensor.Pipe: is required"),
    ],
)
def test_a_wrong_configuration_names_the_place(path, document, fresh_home, change, text):
    change(document)
    path.write_text(json.dumps(document))
    run = jph(fresh_home, "up", "-u", str(path))
    assert run.returncode == 78
    assert text in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    "arguments, status, text",
    [
        (["up", "-u", "/nowhere.json"], 78, "/nowhere.json"),
        (["run", "Q9"], 78, "Q9"),
        (["run", "PM"], 78, "PM"),
        (["run"], 2, "Missing argument"),
        (["up", "--port", "99999"], 2, "99999"),
        (["fly"], 2, "No such command"),
    ],
)
def test_mistakes_on_the_command_line(path, fresh_home, arguments, status, text):
    if arguments[0] == "run":
        arguments = [*arguments, "-u", str(path)]
    run = jph(fresh_home, *arguments)
    assert run.returncode == status
    assert text in run.stderr
    assert "Traceback" not in run.stderr


def test_only_the_components_of_this_host_run(path, document, fresh_home):
    for entry in document["Sensors"]:
        entry["Host"] = "elsewhere"
    path.write_text(json.dumps(document))
    run = jph(fresh_home, "up", "-u", str(path), JPH_HOST="here")
    assert run.returncode == 78
    assert re.search(naming("machine", "here"), run.stderr)


def test_some_components_in_one_process(path, document, fresh_home):
    with Peer(build(document)) as peer:
        process = start(fresh_home, "run", "LA", "UP", "-u", str(path))
        try:
            began = {peer.hear("control", lambda m: m["flag"] == "N", 15)["source"] for _ in "123"}
            assert began == {"CP", "LA", "UP"}  # CP, the control program, asks for the others
            peer.hear("data", lambda m: m["source"] == "UP" and m["flag"] == "f")
            assert peer.quiet("control", lambda m: m["flag"] == "N", 0.3)
            loaded = {
                line.rpartition("/")[2].strip()
                for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines()
                if ".so" in line
            }
            assert not any("pydantic" in name for name in loaded)
        finally:
            process.terminate()
            assert process.wait(30) == 0


def test_a_configuration_from_a_url_survives_its_server(path, document, fresh_home):
    """A web server serves the configuration; when it is down, a start uses the last good copy."""
    with Up(fresh_home, path) as up:
        url = f"{up.address}/static/config.json"
        other = fresh_home / "other"
        other.mkdir()
        with Peer(build(document)) as peer:
            process = start(other, "run", "UP", "-u", url, "--take-over")
            peer.hear("control", lambda m: m["flag"] == "N" and m["source"] == "UP", 15)
            process.terminate()
            process.wait(30)
        up.stop()
    with Peer(build(document)) as peer:
        process = start(other, "run", "UP", "-u", url)
        try:
            peer.hear("control", lambda m: m["flag"] == "N" and m["source"] == "UP", 20)
            assert "last good copy" in (other / "err").read_text()
        finally:
            process.terminate()
            process.wait(30)
