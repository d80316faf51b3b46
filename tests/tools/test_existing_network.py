"""A configuration in the older style on a Redis and a PostgreSQL: from generateSQL to graphs."""

import contextlib
import json
import re
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote
from urllib.request import urlopen

import bcrypt
import pytest

from jph.config.model import build
from tests.helpers import LOOPBACK, eventually, free_tcp_port, new_bus
from tests.network import Peer
from tests.tools.program import jph, start
from tests.web.client import Client

DATABASE, ROLE, MAKER = "heizung", "heizung", "dba of it"
PASSWORD = "o'pen \\sesame"
HOUR_MS = 3_600_000
PATIENCE_S = 40.0  # for messages of a process that has just started


class HeatPump(BaseHTTPRequestHandler):
    """A device that answers with almost JSON."""

    def do_GET(self):
        body = b'{"power": 812.5, "supply": {"temperature": 35.25, "pressure": inf,},}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def device():
    """Return the URL of a device."""
    with ThreadingHTTPServer((LOOPBACK, 0), HeatPump) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        yield f"http://{LOOPBACK}:{server.server_port}/status.json"
        server.shutdown()
        serving.join()


@pytest.fixture
def network(tmp_path, redis_server, postgres_server, device):
    """Return the document of a network, which is written to a file, and its web port."""
    (tmp_path / "password").write_text(PASSWORD + "\n")
    (tmp_path / "temperature").write_text("45750\n")
    block = {"Database": DATABASE, "User": ROLE, "Password": str(tmp_path / "password")}
    block |= {"Host": LOOPBACK, "Port": postgres_server.port, "__comment": "of the old network"}
    common = {"KeepAliveInterval": 5, "SensorInterval": 1, "TimeoutWarning": 60, "Active": True}
    port = free_tcp_port()
    sensors = [
        {"Codifier": "A1", "ShortName": "CPU", "Name": "Processor", "Symbol": "°C",
         "Type": "TempLinux", "Sensor": {"Pipe": str(tmp_path / "temperature")}},
        {"Codifier": "D1", "Name": "Heat pump, power", "Symbol": "W", "Type": "failsafeReader",
         "Sensor": {"URL": device, "Field": "power",
                    "Proxy": [{"Codifier": "D2", "Field": "supply.temperature"}]}},
        {"Codifier": "D2", "Name": "Heat pump, supply", "Symbol": "°C", "Type": "Proxy"},
        {"Codifier": "E1", "Name": "Of an old node", "Type": "External", "DataType": "float"},
        {"Codifier": "J1", "Name": "Of another", "Type": "External", "DataType": "json"},
        {"Codifier": "S1", "Name": "Switch of it", "Type": "External", "DataType": "bool"},
        {"Codifier": "R1", "Type": "jphRedis", "Sensor": {"URL": redis_server.url}},
        {"Codifier": "P1", "Type": "jphPostgreSQL", "Sensor": {"SQL": block}},
        {"Codifier": "P2", "Type": "jphCalcHistory", "Sensor": {"SQL": block}},
        {"Codifier": "W1", "Type": "Flask", "Sensor": {"Port": port}},
    ]  # fmt: skip
    document = new_bus().document(*({**common, **sensor} for sensor in sensors))
    (tmp_path / "config.json").write_text(json.dumps(document))
    yield document, port
    postgres_server.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    postgres_server.execute(f"DROP ROLE IF EXISTS {ROLE}")
    postgres_server.execute(f'DROP ROLE IF EXISTS "{MAKER}"')


def provision(server, home):
    """Make the database as somebody who is no superuser; its role needs the password."""
    server.execute(f'CREATE ROLE "{MAKER}" LOGIN CREATEDB CREATEROLE')
    printed = jph(home, "generateSQL", "-d", "-u", str(home / "config.json"))
    assert (printed.returncode, printed.stderr) == (0, "")
    ended = server.psql(printed.stdout, user=MAKER)
    assert (ended.returncode, ended.stderr) == (0, "")
    if not server.execute("SELECT 1 FROM pg_roles WHERE rolname = 'needs_password'"):
        server.execute("CREATE ROLE needs_password NOLOGIN")
    server.execute(f"GRANT needs_password TO {ROLE}")


@contextlib.contextmanager
def up(home):
    """Run `jph up`; it ends well."""
    process = start(home, "up", "-u", str(home / "config.json"))
    try:
        eventually(lambda: "Sign in once" in (home / "out").read_text(), PATIENCE_S)
        yield
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(30)


def feed(document, start_ms):
    """Send as old nodes do after some hours away: a reading for each 10 s of an hour."""
    with Peer(build(document)) as peer:
        for n in range(1, 361):
            payload = struct.pack("<f", 20.0 + n % 3)
            peer.publish("E1", "f", payload, 1000 + n, start_ms + n * 10_000)
        text = b'{"value":-5}'
        peer.publish("J1", "j", len(text).to_bytes(4, "little") + text, 7, start_ms + 1)
        for n in (0, 1):
            peer.publish("S1", "i", struct.pack("<I", n), 7 + n, start_ms + 1 + n)


def test_a_network_of_the_older_style_runs_on_its_servers(
    network, tmp_path, redis_server, postgres_server
):
    document, port = network
    provision(postgres_server, tmp_path)

    def rows(query):
        return postgres_server.execute(query, DATABASE)

    start_ms = (int(time.time() * 1000) // HOUR_MS - 3) * HOUR_MS
    with up(tmp_path), redis_server.client() as client:
        feed(document, start_ms)
        for view, value in (("Sensor_A1", 45.75), ("Sensor_D1", 812.5), ("Sensor_D2", 35.25)):
            latest = f"SELECT Value FROM {view} ORDER BY Timestamp DESC LIMIT 1"
            eventually(lambda q=latest, v=value: rows(q) == [(v,)], PATIENCE_S, view)
        for codifier, value in (("A1", "45.75"), ("D1", "812.5"), ("D2", "35.25"), ("J1", None)):
            state = eventually(lambda c=codifier: client.hgetall(c), PATIENCE_S, codifier)
            assert state["Codifier"] == codifier
            assert state["DPacketsLost"] == "0"
            assert value in (None, state["Value"])
        for codifier in ("A1", "R1", "P1", "P2", "W1"):
            eventually(lambda c=codifier: client.hget(c, "IsActive") == "True", PATIENCE_S)
        eventually(lambda: rows("SELECT count(*) FROM Sensor_E1") == [(360,)], PATIENCE_S)
        assert rows("SELECT Timestamp, Value FROM Sensor_J1") == [(start_ms + 1, -5.0)]

        tens = "SELECT Timestamp, Mean, Median, Max, Min, Mode FROM Sensor_E1_10min ORDER BY 1"
        expected = [(start_ms + n * 600_000, 21.0, 21.0, 22.0, 20.0, None) for n in range(1, 7)]
        eventually(lambda: rows(tens) == expected, PATIENCE_S, "statistics of 10 minutes")
        ((mean, stdev),) = rows("SELECT Mean, Stdev FROM Sensor_E1_hour")
        assert (mean, stdev) == (21.0, pytest.approx((2 / 3) ** 0.5))

        def ask(**item):
            query = quote(json.dumps([{"key": 3, "time": start_ms, **item}]))
            with urlopen(f"http://{LOOPBACK}:{port}/sensorts/{query}", timeout=10) as answer:
                return json.load(answer)

        points = ask(codifier="E1", field="Value")
        assert len(points) == 360
        assert points[0] == {"0": 3, "t": start_ms + 10_000, "v": 21.0}
        means = ask(codifier="E1", field="mean-10min")
        assert [(point["t"], point["v"]) for point in means] == [row[:2] for row in expected]
        assert ask(codifier="D1", field="value")[-1]["v"] == 812.5

        # A switch: booleans for programs that ask the view, a number for graphs.
        switch = "SELECT Timestamp FROM Sensor_S1 WHERE Value"
        eventually(lambda: rows(switch) == [(start_ms + 2,)], PATIENCE_S, "the switch")
        assert [point["v"] for point in ask(codifier="S1", field="value")] == [0.0, 1.0]

        # Somebody of the old network, and somebody who is added as it was done there.
        old = bcrypt.hashpw(b"old one", bcrypt.gensalt(4)).decode()
        rows(f"INSERT INTO Users VALUES ('ben@example.org', '{old}')")
        printed = jph(tmp_path, "generateSQL", "--url", str(tmp_path / "config.json"),
                      "--user", "anna:a new password")  # fmt: skip
        assert postgres_server.psql(printed.stdout).returncode == 0, printed.stderr
        for name, password, status in (
            ("ben@example.org", "old one", 303),
            ("anna", "a new password", 303),
            ("anna", "old one", 403),
        ):
            assert Client(port).sign_in(name, password).status == status
    log = (tmp_path / "err").read_text()
    assert "Traceback" not in log
    assert not re.search("ERROR|sesame", log), log


def test_a_wrong_password_is_logged_and_the_readings_are_stored_once_it_is_right(
    network, tmp_path, postgres_server
):
    document, _ = network
    provision(postgres_server, tmp_path)
    (tmp_path / "password").write_text("wrong\n")
    with up(tmp_path):
        feed(document, (int(time.time() * 1000) // HOUR_MS - 3) * HOUR_MS)
        eventually(lambda: "password file" in (tmp_path / "err").read_text(), PATIENCE_S)
        (tmp_path / "password").write_text(PASSWORD + "\n")
        query = "SELECT count(*) FROM Sensor_E1"
        eventually(lambda: postgres_server.execute(query, DATABASE) == [(360,)], PATIENCE_S)
