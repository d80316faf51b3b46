"""The history writer of an existing network beside ours, and the import of what it wrote."""

import json
import random
import shlex
import socket
import struct
import threading
from contextlib import closing

import pytest
from click.testing import CliRunner

from jph.clock import time_now_ms
from jph.config.loading import load
from jph.node.building import build
from jph.stores import open_history
from tests.helpers import LOOPBACK, eventually, new_bus
from tests.network import Peer, node_of, running
from tools.history.command import history

TIME_MS = time_now_ms() - 3_600_000  # recent: what is absurdly old is kept apart
TYPES = {"A4": "float", "B2": "integer", "C3": "bool", "J1": "json"}
COLUMNS = {"float": "float", "integer": "integer", "bool": "bool", "json": "float"}


def short(value):
    """Return a value as the older writer put it into its SQL: floats with 12 digits."""
    return format(value, ".12g") if isinstance(value, float) else str(value)


class OlderWriter:
    """Listens to the data channel with sockets alone, and inserts each reading by a statement."""

    def __init__(self, group, execute):
        self._execute = execute
        self._ended = threading.Event()
        self.heard = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.settimeout(0.1)
        self._socket.bind((group.address, group.port))
        member = socket.inet_aton(group.address) + socket.inet_aton(LOOPBACK)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _run(self):
        while not self._ended.is_set():
            try:
                datagram = self._socket.recv(1500)
            except TimeoutError:
                continue
            _, time_ms, flag, source, _, _ = struct.unpack("<I4xQ1s2s2s3xI", datagram[:28])
            payload = datagram[28:]
            codifier = source.decode()
            if flag == b"n" or codifier not in TYPES:
                continue
            if flag == b"j":
                value = json.loads(payload[4:])["value"]
            else:
                [value] = struct.unpack({b"f": "<f", b"i": "<I"}[flag], payload)
            text = str(bool(value)).upper() if TYPES[codifier] == "bool" else short(value)
            self._execute(f"INSERT INTO sensor_{codifier} VALUES ({time_ms}, {text})")
            self.heard += 1


@pytest.fixture
def network(tmp_path, postgres_url):
    sensors = [
        {"Codifier": code, "Type": "External", "DataType": kind} for code, kind in TYPES.items()
    ]
    writer = {"Codifier": "Q1", "Type": "jphPostgreSQL", "Sensor": {"URL": postgres_url}}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(new_bus().document(writer, *sensors)))
    return path


@pytest.fixture
def old_tables(database, postgres_url, tmp_path):
    """Make the tables as they were made for the older writer, beside those of ours."""
    with closing(open_history(postgres_url, tmp_path)) as store:
        store.append([(TIME_MS, "Q1", 1, 1.0, None)])
    for codifier, kind in TYPES.items():
        database(
            f"CREATE TABLE Sensor_{codifier} (Timestamp bigint PRIMARY KEY,"
            f" Value {COLUMNS[kind]} NOT NULL)"
        )


def bring_in(network, tmp_path, *options):
    arguments = ["import", *options, "-u", str(network), "--home", str(tmp_path)]
    return CliRunner().invoke(history, arguments)


def test_readings_that_both_writers_stored_are_imported_once(
    network, tmp_path, postgres_url, database, old_tables
):
    config = load(network, tmp_path)
    node = node_of(config, tmp_path)
    node.add(config.components["Q1"], build)
    chance = random.Random(4)
    floats = [
        *(chance.uniform(-60, 60) for _ in range(60)),
        *(chance.uniform(0, 1) * 10.0 ** chance.randint(-30, 30) for _ in range(60)),
        *(0.0, -0.0, 21.5, 0.1, 1e-7, 123456792.0, 1234567954432.0),
    ]
    sent = 0
    with (
        OlderWriter(config.multicast.data, database) as older,
        running(node),
        Peer(config) as peer,
        closing(open_history(postgres_url, tmp_path)) as store,
    ):
        for at, value in enumerate(floats):
            document = json.dumps({"value": value, "voltage": 3.1}).encode()
            messages = [
                ("A4", "f", struct.pack("<f", value)),
                ("B2", "i", struct.pack("<I", at * 16_000_000)),
                ("C3", "i", struct.pack("<I", at % 2)),
                ("J1", "j", len(document).to_bytes(4, "little") + document),
            ]
            for codifier, flag, payload in messages:
                peer.publish(codifier, flag, payload, 1000 + at, TIME_MS + at)
            sent += len(messages)
            eventually(lambda n=sent: older.heard == n, what="the older writer")
        eventually(
            lambda: sum(len(store.last(code, 1000)) for code in TYPES) == sent, what="our writer"
        )
        before = {code: store.last(code, 1000) for code in TYPES}
        result = bring_in(network, tmp_path, "--all")
        assert result.exit_code == 0, result.output
        for codifier in TYPES:
            line = f"sensor_{codifier.lower()}: {codifier}: {len(floats)} rows, 0 new"
            assert line in result.stdout
        assert {code: store.last(code, 1000) for code in TYPES} == before


def test_what_only_the_older_writer_has_is_stored_as_it_was_on_the_bus(
    network, tmp_path, postgres_url, database, old_tables
):
    [on_the_bus] = struct.unpack("<f", struct.pack("<f", 21.3))
    double = 0.1234567890123456
    for at, value in enumerate((on_the_bus, double, 21.3, 1e300)):
        database(f"INSERT INTO sensor_A4 VALUES ({TIME_MS + at}, {short(value)})")
    result = bring_in(network, tmp_path, "--codifier", "A4")
    assert result.exit_code == 0, result.output
    with closing(open_history(postgres_url, tmp_path)) as store:
        found = [row[3] for row in store.last("A4", 9)]
    assert found == [on_the_bus, float(short(double)), 21.3, 1e300]


@pytest.fixture
def restricted(network, postgres_server, postgres_url, old_tables, database):
    """Make the network use a role that is no superuser; all old tables belong to another."""
    role = f"writer{postgres_server.port}"
    name = postgres_url.rpartition("/")[2]
    postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    database("CREATE TABLE sensor_a4_10min (timestamp bigint PRIMARY KEY, mean float)")
    database(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
    database("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    document = json.loads(network.read_text())
    url = f"postgresql://{role}@{LOOPBACK}:{postgres_server.port}/{name}"
    document["Sensors"][0]["Sensor"]["URL"] = url
    network.write_text(json.dumps(document))
    yield role
    database(f"DROP OWNED BY {role}")
    postgres_server.execute(f"DROP ROLE {role}")


def run_as_said(output, postgres_server):
    """Run the only command in an output, by psql, as a person would."""
    [line] = [line for line in output.splitlines() if line.startswith("    sudo ")]
    *command, port, d, name, c, statements = shlex.split(line)
    assert (*command, port, d, c) == (
        *("sudo", "-u", "postgres", "psql", "-p"), str(postgres_server.port), "-d", "-c"
    )  # fmt: skip
    ended = postgres_server.psql(statements, name)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_tables_of_another_role_are_renamed_after_the_one_command_that_is_said(
    network, tmp_path, postgres_server, restricted, database
):
    database("INSERT INTO sensor_a4 VALUES (5, 21.5)")
    result = bring_in(network, tmp_path, "--all", "--rename")
    assert result.exit_code == 1
    assert f"the role {restricted} may not rename all of these tables" in result.stderr
    run_as_said(result.stderr, postgres_server)
    owner = "SELECT current_user, has_table_privilege('jph', 'sensor_a4', 'INSERT')"
    assert database(owner) == [("jph", True)]  # who had it may still write
    result = bring_in(network, tmp_path, "--all", "--rename")
    assert result.exit_code == 0, result.output
    for name in ("sensor_a4_old", "sensor_a4_10min_old", "sensor_c3_old"):
        assert f"renamed to {name}" in result.stdout


def test_a_table_that_the_role_may_not_read_comes_with_the_command_too(
    network, tmp_path, postgres_server, restricted, database
):
    database("INSERT INTO sensor_a4 VALUES (5, 21.5)")
    database(f"REVOKE ALL ON sensor_a4 FROM {restricted}")
    result = bring_in(network, tmp_path, "--codifier", "A4")
    assert result.exit_code == 1
    assert f"the role {restricted} may not read" in result.stderr
    run_as_said(result.stderr, postgres_server)
    result = bring_in(network, tmp_path, "--codifier", "A4")
    assert "sensor_a4: A4: 1 rows, 1 new" in result.stdout
