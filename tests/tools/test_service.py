"""`jph up` and `jph run` under systemd: the datagrams to its socket, and how they end."""

import json
import os
import re
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from contextlib import closing

import pytest

from jph.config.model import build
from tests.helpers import bare_sender, eventually, naming
from tests.network import Peer
from tests.tools.program import JPH, environment, jph

PATIENCE_S = 30.0


def entry(codifier, **more):
    return {
        "Codifier": codifier,
        "Type": "Pipe",
        "SensorInterval": 0.2,
        "Sensor": {"Pipe": "/proc/loadavg"},
        **more,
    }


class Service:
    """A process started as systemd starts it, and its datagrams (`sent`) since then."""

    def __init__(self, home, *arguments, watchdog_s=1.0, **more):
        self.home = home
        self.sent = []
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(home / "notify"))
        # WATCHDOG_PID is left out: it can be known only in the process itself.
        manager = {
            "NOTIFY_SOCKET": str(home / "notify"),
            "WATCHDOG_USEC": f"{watchdog_s * 1e6:.0f}",
        }
        with open(home / "out", "w") as out, open(home / "err", "w") as err:
            self.process = subprocess.Popen(
                [*JPH, *arguments],
                env=environment(home, **manager, **more),
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        self._manager.close()

    @property
    def err(self):
        return (self.home / "err").read_text()

    def hear(self, wanted, timeout_s=PATIENCE_S):
        """Return the next datagram with a match, and the ones before it; fail if none comes."""
        before = []
        until_s = time.monotonic() + timeout_s
        while (left_s := until_s - time.monotonic()) > 0:
            self._manager.settimeout(left_s)
            try:
                before.append(self._manager.recv(4096).decode())
            except TimeoutError:
                break
            self.sent.append(before[-1])
            if re.search(wanted, before[-1]):
                return before
        raise AssertionError(f"no {wanted} in {before}\n{self.err}")

    def stop(self):
        self.process.terminate()
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def document(bus):
    return bus.document(entry("LA"), entry("LB"))


@pytest.fixture
def path(document, fresh_home):
    place = fresh_home / "network.json"
    place.write_text(json.dumps(document))
    return place


@pytest.mark.parametrize("arguments", [["up"], ["run", "LA", "LB"]])
def test_from_the_start_to_the_stop(path, document, fresh_home, arguments):
    with Peer(build(document)) as peer, Service(fresh_home, *arguments, "-u", str(path)) as service:
        before = service.hear("^READY=1$")
        assert any(line.startswith("STATUS=") and str(path) in line for line in before)
        peer.hear("control", lambda m: m["flag"] == "N", 5)
        [*_, status] = service.hear("^STATUS=")
        assert re.search(naming("127.0.0.1", "2 components", "none lost"), status)
        for _ in range(5):
            service.hear("^WATCHDOG=1$")
        assert service.stop() == 0
        service.hear("^STOPPING=1\nSTATUS=")
        assert [text for text in service.sent if text.startswith("READY")] == ["READY=1"]


@pytest.mark.slow
def test_the_status_tells_rates_failures_and_losses(path, document, fresh_home):
    document["Sensors"] += [
        entry("LC", Sensor={"Pipe": "/nowhere"}),
        {"Codifier": "SC", "Type": "StateCache"},
    ]
    path.write_text(json.dumps(document))
    with Peer(build(document)) as peer, Service(fresh_home, "up", "-u", str(path)) as service:
        service.hear("^STATUS=on")
        peer.publish("X1", "n", bytes(4), 10)
        for sequence in (11, 12, 14):
            peer.publish("X1", "f", bytes(4), sequence)
        wanted = r"on 127.0.0.1; 4 components, failing: LC; (\S+) sent, (\S+) heard; 1 lost"
        for _ in range(3):  # a busy machine may have lost nothing yet when it tells
            [*_, status] = service.hear("^STATUS=on")
            if found := re.fullmatch(f"STATUS={wanted}", status):
                break
        assert found, status
        for rate in found.groups():  # 10 readings per second, and signs of life
            number, _, unit = rate.partition("/")
            assert float(number) / {"s": 1, "min": 60}[unit] > 1
        service.stop()


@pytest.mark.slow
def test_it_waits_for_the_network_and_is_ready_when_it_has_joined(path, document, fresh_home):
    for channel in document["Multicast"].values():
        channel["Interface"] = "jph-none0"
    path.write_text(json.dumps(document))
    with Service(fresh_home, "up", "-u", str(path)) as service:
        service.hear("STATUS=.*control and data channel.* jph-none0")
        for _ in range(8):
            service.hear("^WATCHDOG=1$")
        assert "READY=1" not in service.sent
        for channel in document["Multicast"].values():
            channel["Interface"] = "127.0.0.1"
        path.write_text(json.dumps(document))
        service.process.send_signal(signal.SIGHUP)
        before = service.hear("^READY=1$")
        assert not [text for text in before if text.startswith("RELOADING")]
        service.stop()


@pytest.mark.parametrize("way", ["SIGHUP", "C to all", "C to one"])
def test_a_reload_is_reported_from_its_begin_to_its_end(path, document, fresh_home, way):
    with Peer(build(document)) as peer, Service(fresh_home, "up", "-u", str(path)) as service:
        service.hear("^READY=1$")
        document["Sensors"].append(entry("LD"))
        path.write_text(json.dumps(document))
        peer.drain("control")
        if way == "SIGHUP":
            service.process.send_signal(signal.SIGHUP)
        else:
            peer.command("C", "@@" if way == "C to all" else "LA")
        [*_, reloading] = service.hear("^RELOADING=1\nMONOTONIC_USEC=")
        clock_s = int(reloading.rpartition("=")[2]) / 1e6
        assert abs(time.monotonic() - clock_s) < PATIENCE_S
        service.hear("^READY=1$")
        if way != "C to one":
            peer.hear("control", lambda m: (m["flag"], m["source"]) == ("N", "LD"), PATIENCE_S)
        service.hear("^WATCHDOG=1$")
        assert service.stop() == 0


def test_a_reload_with_a_mistake_ends_with_ready_and_the_readings_go_on(path, document, fresh_home):
    with Peer(build(document)) as peer, Service(fresh_home, "up", "-u", str(path)) as service:
        service.hear("^READY=1$")
        path.write_text("{")
        service.process.send_signal(signal.SIGHUP)
        service.hear("^RELOADING=1")
        service.hear("^READY=1$")
        assert "stays as it was" in service.err
        peer.drain("data")
        peer.hear("data", lambda m: m["source"] == "LA", PATIENCE_S)
        assert service.stop() == 0


@pytest.mark.slow
def test_a_slow_sensor_does_not_delay_the_watchdog(path, document, fresh_home):
    document["Sensors"][0]["Sensor"] = {"Pipe": ["sleep", "60"], "Timeout": 60}
    path.write_text(json.dumps(document))
    with Service(fresh_home, "up", "-u", str(path)) as service:
        service.hear("^READY=1$")
        for _ in range(5):
            service.hear("^WATCHDOG=1$", 10)
        assert service.stop() == 0


def test_a_process_that_the_watchdog_ends_logs_where_it_was(path, fresh_home):
    with Service(fresh_home, "up", "-u", str(path)) as service:
        service.hear("^READY=1$")
        service.process.send_signal(signal.SIGABRT)
        # Python reads the frames of threads that run, and may fall over one of them.
        assert service.process.wait(PATIENCE_S) in (-signal.SIGABRT, -signal.SIGSEGV)
        assert re.search(r"/jph/[\w/]+\.py\", line", service.err)  # of the loop


def test_commands_of_a_sensor_do_not_inherit_the_socket_of_the_manager(path, document, fresh_home):
    document["Sensors"][0]["Sensor"] = {"Pipe": ["sh", "-c", "env >seen; echo 1"]}
    path.write_text(json.dumps(document))
    with Service(fresh_home, "up", "-u", str(path)) as service:
        seen = fresh_home / "seen"
        eventually(lambda: seen.exists() and "JPH_HOME" in seen.read_text(), PATIENCE_S)
        assert not re.search("NOTIFY_SOCKET|WATCHDOG", seen.read_text())
        service.stop()


def test_it_waits_for_the_server_of_the_configuration_and_stops_while_it_waits(
    fresh_home, free_tcp_port
):
    url = f"http://127.0.0.1:{free_tcp_port}/config.json"
    with Service(fresh_home, "up", "-u", url) as service:
        service.hear(f"STATUS=.*{url}")
        eventually(lambda: url in service.err, PATIENCE_S)
        assert service.stop() == 0
        assert "Traceback" not in service.err


def test_a_wrong_configuration_ends_with_78_so_that_systemd_does_not_try_again(path, fresh_home):
    path.write_text('{"Sensors": []}')
    with Service(fresh_home, "up", "-u", str(path)) as service:
        assert service.process.wait(PATIENCE_S) == 78
        assert "Multicast" in service.err


def test_a_fault_that_may_pass_ends_with_1_so_that_systemd_tries_again(path, document, fresh_home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        web = {"Host": "127.0.0.1", "Port": taken.getsockname()[1]}
        document["Sensors"].append({"Codifier": "WB", "Type": "Web", "Sensor": web})
        path.write_text(json.dumps(document))
        with Service(fresh_home, "up", "-u", str(path)) as service:
            assert service.process.wait(PATIENCE_S) == 1
            assert "READY=1" not in service.sent


def test_a_missing_manager_does_no_harm(path, document, fresh_home):
    with Peer(build(document)) as peer, Service(fresh_home, "up", "-u", str(path)) as service:
        service.hear("^READY=1$")
        (fresh_home / "notify").unlink()
        peer.drain("data")
        for _ in range(3):
            peer.hear("data", lambda m: m["source"] == "LA", PATIENCE_S)
        assert service.stop() == 0
        assert "Traceback" not in service.err


def test_a_terminal_that_closes_stops_it(path, fresh_home):
    """A shell sends SIGHUP to its programs when its window closes; elsewhere it reloads."""
    ours, theirs = os.openpty()
    with open(fresh_home / "err", "w") as err:
        process = subprocess.Popen(
            [*JPH, "up", "-u", str(path)],
            env=environment(fresh_home),
            stdin=theirs,
            stderr=err,
        )
    os.close(theirs)
    try:
        eventually(lambda: "started" in (fresh_home / "err").read_text(), PATIENCE_S)
        process.send_signal(signal.SIGHUP)
        assert process.wait(PATIENCE_S) == 0
        assert "stopped" in (fresh_home / "err").read_text()
    finally:
        process.kill()
        process.wait(30)
        os.close(ours)


@pytest.mark.parametrize("codifier", ["-A", "$A", ";-", "%i", "--"])
def test_odd_codifiers_can_be_named_behind_two_dashes(path, fresh_home, codifier):
    ended = jph(fresh_home, "run", "-u", str(path), "--", codifier)
    assert f'"{codifier}"' in ended.stderr
    assert ended.returncode == 78


def test_the_socket_of_the_data_channel_outlives_the_process(bus, tmp_path):
    """The test plays systemd's file descriptor store."""
    home = tmp_path / "home"
    home.mkdir()
    path = home / "config.json"
    path.write_text(json.dumps(bus.document({"Codifier": "HW", "Type": "HistoryWriter"})))
    command = [*JPH, "up", "-u", str(path)]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, bare_sender() as sender:
        manager.bind(str(home / "notify"))
        manager.settimeout(PATIENCE_S)

        def send(sequences):
            for n in sequences:
                head = struct.pack(
                    "<I4xQ1s2s2s3xIf", n, time.time_ns() // 1_000_000, b"f", b"C1", b"@@", 4, n
                )
                sender.sendto(head, bus.data)

        def start(more, **options):
            environ = environment(home, NOTIFY_SOCKET=str(home / "notify"), **more)
            return subprocess.Popen(*options.pop("args"), env=environ, cwd=home, **options)

        def kept():
            """Return the socket that the process asks to keep, when it is ready."""
            found = None
            while True:
                text, filenos, _, _ = socket.recv_fds(manager, 4096, 4)
                if b"FDSTORE=1\nFDNAME=jph-data" in text:
                    (found,) = filenos
                if b"READY=1" in text:
                    return found

        with start({}, args=[command]) as process:
            fileno = kept()
            assert fileno is not None
            send(range(1, 11))
            process.kill()
        send(range(11, 31))  # nobody runs
        script = (
            f"import os, sys; os.dup2({fileno}, 3); os.environ['LISTEN_PID'] = str(os.getpid());"
            " os.execv(sys.argv[1], sys.argv[1:])"
        )
        again = [sys.executable, "-c", script, *command]
        names = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "jph-data"}
        with start(names, args=[again], pass_fds=[fileno]) as process:
            os.close(fileno)
            os.close(kept())
            send(range(31, 36))
            time.sleep(0.1)
            process.terminate()
            assert process.wait(PATIENCE_S) == 0
    with closing(sqlite3.connect(home / "history.sqlite")) as connection:
        rows = connection.execute("SELECT sequence FROM measurement WHERE codifier = 'C1'")
        assert sorted(n for (n,) in rows) == list(range(1, 36))
