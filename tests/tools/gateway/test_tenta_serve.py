"""`jph gateway tenta serve` beside the broker of deploy/tenta and a real PostgreSQL."""

import json
import stat
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateways.tenta.environment import read_file
from jph.paths import static_dir
from tests import brokers, helpers
from tests.gateways.tenta.client import Client
from tests.tools.program import TOP, jph, start
from tools.gateway.tenta_serve import NETWORK

DEPLOY = TOP / "deploy" / "tenta"
PASSWORD = "of the broker # with 'signs'"
TENTA = ("gateway", "tenta")
FIRST = (*TENTA, "serve", "--env-file", ".env")


class Deployed(brokers.Mosquitto):
    """The broker of deploy/tenta; only port, paths and user are those of the test."""

    def _plain(self) -> list[str]:
        passwords = self.folder / "passwords"
        if not passwords.exists():
            command = ["mosquitto_passwd", "-b", "-c", str(passwords), "server", PASSWORD]
            subprocess.run(command, check=True, timeout=60)
        text = (DEPLOY / "mosquitto.conf").read_text()
        text = text.replace("listener 1883", f"listener {self.port} 127.0.0.1")
        text = text.replace("/mosquitto/config/passwords", str(passwords))
        return [*text.replace("/mosquitto/data", str(self.folder)).splitlines(), "user root"]


def write_env(home: Path, broker_port: int, database_url: str, **more: str) -> None:
    """Write a .env as the example is, filled in."""
    database = urlsplit(database_url)
    values = read_file(DEPLOY / ".env.example") | {
        "HERMES_POSTGRESQL_PASSWORD": "of the database",
        "HERMES_POSTGRESQL_PORT": str(database.port),
        "HERMES_POSTGRESQL_USERNAME": str(database.username),
        "HERMES_POSTGRESQL_DATABASE": database.path.strip("/"),
        "HERMES_MQTT_PASSWORD": PASSWORD,
        "HERMES_MQTT_PORT": str(broker_port),
        **more,
    }
    (home / ".env").write_text("".join(f'{name}="{value}"\n' for name, value in values.items()))


@contextmanager
def served(home: Path, api_port: int):
    process = start(home, *FIRST, "--api-port", str(api_port))
    try:
        helpers.eventually(lambda: answers(api_port) or process.poll() is not None, 60)
        assert process.poll() is None, (home / "err").read_text()
        yield
    finally:
        process.terminate()
        assert process.wait(60) == 0


def answers(port: int) -> bool:
    try:
        with closing(Client(port)) as client:
            return client.ask("GET", "/status").status == 200
    except OSError:
        return False


@pytest.mark.postgres
def test_a_sensor_of_hermes_goes_on_as_before(tmp_path: Path, postgres_url: str) -> None:
    own = json.loads(json.dumps(NETWORK)) | {"Multicast": helpers.new_bus().multicast()}
    own["Sensors"][-1]["Sensor"]["Port"] = 0
    own["Sensors"][-1]["Area"] = "mine"
    (tmp_path / "config.json").write_text(json.dumps(own))
    api_port = helpers.free_tcp_port()
    with (
        brokers._running(Deployed) as broker,
        served_with(tmp_path, broker, postgres_url, api_port),
        closing(Client(api_port)) as client,
    ):
        account = {"user_name": "anna", "password": "password1"}
        user = client.ask("POST", "/users", account)
        assert user.status == 201, user
        client.token = user.json["access_token"]
        network = client.ask("POST", "/networks", {"network_name": "greenhouse"}).json
        path = f"/networks/{network['network_identifier']}/sensors"
        sensor = client.ask("POST", path, {"sensor_name": "bed-1"}).json["sensor_identifier"]
        with broker.client("sensor", "server", PASSWORD) as sender:
            point = {"timestamp": time.time(), "value": {"temperature": 21.5}}
            topic = f"sensortopic/measurements/{sensor}"
            sender.publish(topic, json.dumps([point]), qos=1).wait_for_publish(20)

        def measured():
            return client.ask("GET", f"{path}/{sensor}/measurements").json

        (found,) = helpers.eventually(measured, what="the measurement is stored")
        assert found["value"] == {"temperature": 21.5}
    written = json.loads((tmp_path / "config.json").read_text())
    settings = written["Sensors"][0]["Sensor"]
    assert settings["BaseTopic"] == "sensortopic/" and settings["Flavour"] == "hermes"
    assert written["Sensors"][-1]["Area"] == "mine"
    secret = Path(settings["PasswordFile"])
    assert secret.read_text() == PASSWORD
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    said = (tmp_path / "config.json").read_text() + (tmp_path / "err").read_text()
    assert PASSWORD not in said and "of the database" not in said


@contextmanager
def served_with(home: Path, broker: brokers.Broker, database_url: str, api_port: int):
    write_env(home, broker.port, database_url)
    with served(home, api_port):
        yield


def test_mistakes_in_the_file_are_named_and_nothing_starts(tmp_path: Path) -> None:
    write_env(tmp_path, 0, "postgresql://jph@127.0.0.1:1/none", HERMES_MQTT_HOST="127.0.0.1")

    ended = jph(tmp_path, *FIRST)

    assert ended.returncode == 78
    assert "jph: .env: HERMES_MQTT_HOST is unknown; known are " in ended.stderr
    assert "jph: .env: MQTT_PORT: '0' is no port" in ended.stderr
    assert not (tmp_path / "config.json").exists()


def test_a_configuration_of_another_network_is_kept(tmp_path: Path) -> None:
    write_env(tmp_path, 1, "postgresql://jph@127.0.0.1:1/none")
    (tmp_path / "config.json").write_text('{"Sensors": []}')

    ended = jph(tmp_path, *FIRST)

    assert ended.returncode == 78
    assert "has no component of type Tenta" in ended.stderr
    assert (tmp_path / "config.json").read_text() == '{"Sensors": []}'


def test_the_first_network_is_on_the_bus_of_the_shipped_one() -> None:
    shipped = json.loads((static_dir() / "config.json").read_text())

    assert NETWORK["Multicast"] == shipped["Multicast"]


@pytest.mark.postgres
def test_the_database_is_initialized_by_the_same_file(tmp_path: Path, postgres_url: str) -> None:
    write_env(tmp_path, 1883, postgres_url)

    made = jph(tmp_path, *TENTA, "initialize", "--env-file", ".env", "--populate")

    assert made.returncode == 0, made.stderr
    assert "has the tables of Tenta\n12 new example sensors\n" in made.stdout
    assert "user of the API: example, password: " in made.stdout
    assert "of the database" not in (tmp_path / "config.json").read_text() + made.stdout
    users = jph(tmp_path, *TENTA, "user", "list", "--config", "config.json")
    assert users.stdout == "example  has greenhouse, roof\n", users.stderr
