"""A thermostat behind a local server that answers as Google's two services do."""

import json
import re
from urllib.parse import parse_qs

import pytest

from jph import SensorError, registry
from jph.settings import arguments
from sensors.nest import Nest
from tests.helpers import free_tcp_port, logged, naming
from tests.http_server import endless, says, trickles

PROJECT, DEVICE = "32c4c2bc-fe0d-461b", "AVPHwEuBfnPOnTqzVFT4IONX"
DEVICES = f"/v1/enterprises/{PROJECT}/devices"
SECRETS = {"client_id": "me", "client_secret": "s3cret&=", "refresh_token": "1//refresh"}
TRAITS = {
    "sdm.devices.traits.Info": {"customName": ""},
    "sdm.devices.traits.Humidity": {"ambientHumidityPercent": 41},
    "sdm.devices.traits.Connectivity": {"status": "ONLINE"},
    "sdm.devices.traits.Fan": {"timerMode": "OFF"},
    "sdm.devices.traits.ThermostatMode": {
        "mode": "HEAT",
        "availableModes": ["HEAT", "COOL", "HEATCOOL", "OFF"],
    },
    "sdm.devices.traits.ThermostatEco": {
        "availableModes": ["OFF", "MANUAL_ECO"],
        "mode": "OFF",
        "heatCelsius": 15.5,
        "coolCelsius": 27.5,
    },
    "sdm.devices.traits.ThermostatHvac": {"status": "HEATING"},
    "sdm.devices.traits.Settings": {"temperatureScale": "CELSIUS"},
    "sdm.devices.traits.ThermostatTemperatureSetpoint": {"heatCelsius": 20.25},
    "sdm.devices.traits.Temperature": {"ambientTemperatureCelsius": 19.73},
}
THERMOSTAT = {
    "name": f"enterprises/{PROJECT}/devices/{DEVICE}",
    "type": "sdm.devices.types.THERMOSTAT",
    "assignee": f"enterprises/{PROJECT}/structures/s/rooms/r",
    "traits": TRAITS,
    "parentRelations": [{"parent": "s/rooms/r", "displayName": "Living room"}],
}


class Google:
    """What both services know: who may sign in, which token is good, what the devices are."""

    def __init__(self, server) -> None:
        self.server = server
        self.given = 0  # tokens
        self.good = ""
        self.life_s = 3599
        server.answers["/token"] = self.token
        server.answers["*"] = self.api
        self.answers = {
            DEVICES: {"devices": [{"type": "sdm.devices.types.CAMERA"}, THERMOSTAT]},
            f"{DEVICES}/{DEVICE}": THERMOSTAT,
        }

    def token(self, handler) -> None:
        asked = {key: value for key, [value] in parse_qs(self.server.asked[-1][3].decode()).items()}
        if asked != {**SECRETS, "grant_type": "refresh_token"}:
            tell(handler, {"error": "invalid_grant", "error_description": "Bad Request"}, 400)
            return
        self.given += 1
        self.good = f"ya29.{self.given}"
        tell(
            handler,
            {"access_token": self.good, "expires_in": self.life_s, "token_type": "Bearer"},
        )

    def api(self, handler) -> None:
        if handler.headers["Authorization"] != f"Bearer {self.good}":
            error = {"code": 401, "message": "Request had invalid …", "status": "UNAUTHENTICATED"}
            tell(handler, {"error": error}, 401)
        elif handler.path in self.answers:
            tell(handler, self.answers[handler.path])
        else:
            error = {"code": 404, "message": f"Device {handler.path} not found."}
            tell(handler, {"error": error}, 404)

    def asked(self) -> list[str]:
        return [f"{method} {path}" for method, path, *_ in self.server.asked]


def tell(handler, content, status: int = 200) -> None:
    says(json.dumps(content).encode(), status, content_type="application/json")(handler)


@pytest.fixture
def google(server):
    return Google(server)


@pytest.fixture
def secrets(tmp_path):
    path = tmp_path / "nest.json"
    path.write_text(json.dumps(SECRETS))
    path.chmod(0o600)
    return path


@pytest.fixture
def nest(google, secrets, tmp_path):
    def make(**settings) -> Nest:
        given = {
            "Project": PROJECT,
            "URL": google.server.url + "/v1",
            "TokenURL": google.server.url + "/token",
            "Timeout": 20,
            **settings,
        }
        cls = registry.find("NestReader")
        assert cls is Nest
        return cls(codifier="N1", home=tmp_path, **arguments(cls, given, "Sensors[0].Sensor"))

    return make


def failure(sensor: Nest) -> str:
    with pytest.raises(SensorError) as caught:
        sensor.read()
    said = str(caught.value)
    for secret in (*SECRETS.values(), "ya29"):
        assert secret == "me" or secret not in said
    assert "\n" not in said
    return said


def proxies(*fields: str) -> list[dict]:
    return [{"Codifier": f"N{i}", "Field": field} for i, field in enumerate(fields, 2)]


def test_the_temperature_and_what_the_proxies_want(nest, google):
    fields = ("humidity", "target", "eco", "mode", "hvac", "Fan.timerMode", "heat")
    sensor = nest(Device=DEVICE, Proxy=proxies(*fields))
    assert sensor.read() == {
        "N1": 19.73,
        "N2": 41,
        "N3": 20.25,
        "N4": 0,
        "N5": "HEAT",
        "N6": "HEATING",
        "N7": "OFF",
        "N8": 20.25,
    }
    assert google.asked() == ["POST /token", f"GET {DEVICES}/{DEVICE}"]


def test_names_of_earlier_interfaces(nest):
    fields = ("nestTemp", "nestHumidity", "nestTarget", "ambient_temperature_c", "nestTempOutside")
    values = nest(Field="nestAway", Proxy=proxies(*fields)).read()
    assert values == {"N1": 0, "N2": 19.73, "N3": 41, "N4": 20.25, "N5": 19.73}


def test_the_set_points_in_force(nest, google):
    traits = dict(TRAITS)
    google.answers[f"{DEVICES}/{DEVICE}"] = {**THERMOSTAT, "traits": traits}
    sensor = nest(Device=DEVICE, Field="target", Proxy=proxies("heat", "cool", "eco"))
    set_point = "sdm.devices.traits.ThermostatTemperatureSetpoint"
    traits[set_point] = {"coolCelsius": 25}
    assert sensor.read() == {"N1": 25, "N3": 25, "N4": 0}
    traits[set_point] = {"heatCelsius": 20, "coolCelsius": 25}
    assert sensor.read() == {"N1": 20, "N2": 20, "N3": 25, "N4": 0}
    traits[set_point] = {}
    eco = "sdm.devices.traits.ThermostatEco"
    traits[eco] = {**TRAITS[eco], "mode": "MANUAL_ECO"}
    assert sensor.read() == {"N1": 15.5, "N2": 15.5, "N3": 27.5, "N4": 1}


def test_without_a_device_the_only_thermostat(nest, google):
    assert nest().read() == {"N1": 19.73}
    google.answers[DEVICES] = {"devices": [THERMOSTAT, {**THERMOSTAT, "name": "a/devices/two"}]}
    assert failure(nest()) == (f"there are several thermostats; name one in Device: {DEVICE}, two")
    many = [{**THERMOSTAT, "name": f"devices/a\x1b[2J\n{n}" + "x" * 1000} for n in range(100)]
    google.answers[DEVICES] = {"devices": many}
    said = failure(nest())
    assert len(said) < 2000 and said.isprintable()
    google.answers[DEVICES] = {}
    assert failure(nest()) == "the project has no thermostat; grant it access to one"


def test_a_token_is_used_until_shortly_before_its_end(nest, google):
    sensor = nest(Device=DEVICE)
    for _ in range(3):
        sensor.read()
    assert google.given == 1
    google.life_s = 0
    again = nest(Device=DEVICE)
    for _ in range(3):
        again.read()
    assert google.given == 4


@pytest.mark.parametrize("life_s", [None, "3599", 10**400, float("inf"), [], {"value": []}])
def test_a_life_that_is_no_number_is_a_short_one(nest, google, life_s):
    google.life_s = life_s
    sensor = nest()
    for _ in range(3):
        assert sensor.read() == {"N1": 19.73}
    assert google.given == 1


def test_a_token_that_is_refused_is_replaced_once(nest, google):
    sensor = nest(Device=DEVICE)
    sensor.read()
    google.good = "another"
    assert sensor.read() == {"N1": 19.73}
    assert google.given == 2
    google.server.answers["*"] = says(b"", 401)
    assert failure(sensor).endswith(": access is refused, even with a new token")
    assert google.given == 3
    google.server.answers["*"] = google.api
    assert sensor.read() == {"N1": 19.73}


def test_a_thermostat_that_is_offline_has_no_reading(nest, google):
    traits = {**TRAITS, "sdm.devices.traits.Connectivity": {"status": "OFFLINE"}}
    google.answers[f"{DEVICES}/{DEVICE}"] = {**THERMOSTAT, "traits": traits}
    sensor = nest(Device=DEVICE)
    assert failure(sensor) == "the thermostat is offline"
    google.answers[f"{DEVICES}/{DEVICE}"] = THERMOSTAT
    assert sensor.read() == {"N1": 19.73}


def test_fields_that_are_none(nest, caplog):
    said = failure(nest(Field="temprature"))
    assert re.search(naming("temprature", "temperature, humidity, "), said)
    assert "Fan.speed" in failure(nest(Field="Fan.speed"))
    assert failure(nest(Field="Info")) == said.replace("temprature", "Info")
    assert nest(Proxy=proxies("nestHumiOutside")).read() == {"N1": 19.73}
    assert logged(caplog, "N1", "N2", "nestHumiOutside") == len(caplog.records) == 1


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        (says(b"", 403), ["access", "grant"]),
        (says(b"", 429), ["SensorInterval"]),
        (says(b"oh", 500), ["500 Internal Server Error"]),
        (says(b"oh", 503), ["503 Service Unavailable"]),
        (says(b"<html>"), ["JSON"]),
        (says(b"\xff"), ["no JSON"]),
        (says(b"[]"), ["object"]),
        (says(b'{"traits": 5}'), ["traits"]),
        (says(b'{"traits": {', length=99), ["87 bytes"]),
        (endless(b"HTTP/1.1 200 OK\r\n\r\n"), ["1048576 bytes"]),
    ],
)
def test_a_bad_answer_of_the_api_is_one_line(nest, google, answer, facts):
    google.server.answers["*"] = answer
    sensor = nest(Device=DEVICE)
    assert re.search(naming(google.server.url, *facts), failure(sensor))
    google.server.answers["*"] = google.api
    assert sensor.read() == {"N1": 19.73}


@pytest.mark.parametrize(
    "temperature", [None, "warm", float("nan"), float("inf"), {"value": 5}, [19]]
)
def test_a_value_of_another_kind(nest, google, temperature):
    traits = {"sdm.devices.traits.Temperature": {"ambientTemperatureCelsius": temperature}}
    google.answers[f"{DEVICES}/{DEVICE}"] = {**THERMOSTAT, "traits": traits}
    sensor = nest(Device=DEVICE)
    if temperature == "warm":  # text is a value like another
        assert sensor.read() == {"N1": "warm"}
    else:
        assert "temperature" in failure(sensor)


def test_no_such_thermostat(nest):
    assert re.search(naming("/devices/other", "Project", "Device"), failure(nest(Device="other")))
    assert re.search(naming("Project", "not set"), failure(nest(Project="")))


@pytest.mark.parametrize(
    ("answer", "facts"),
    [
        (says(b'{"error": "invalid_grant"}', 400), ["refresh token", "sign in again"]),
        (says(b'{"error": "invalid_client"}', 401), ["client_id", "client_secret"]),
        (says(b'{"error": "other"}', 400), ["400 other"]),
        (says(b"<html>", 400), ["400"]),
        (says(b"", 503), ["503 Service Unavailable"]),
        (says(b"<html>"), ["JSON"]),
        (says(b"{}"), ["access_token"]),
        (says(b'{"access_token": "a\\nb"}'), ["access_token"]),
        (says(b'{"access_token": 5}'), ["access_token"]),
        (endless(b"HTTP/1.1 200 OK\r\n\r\n"), ["65536 bytes"]),
    ],
)
def test_a_bad_answer_of_what_gives_tokens_is_one_line(nest, google, answer, facts):
    google.server.answers["/token"] = answer
    sensor = nest(Device=DEVICE)
    assert re.search(naming(f"{google.server.url}/token", *facts), failure(sensor))
    google.server.answers["/token"] = google.token
    assert sensor.read() == {"N1": 19.73}


def test_slow_services_end_with_the_timeout(nest, google):
    google.server.answers["*"] = trickles(b"HTTP/1.1 200 OK\r\nX: ")
    sensor = nest(Device=DEVICE, Timeout=1)
    assert re.search(naming(google.server.url, "1 s"), failure(sensor))
    google.server.answers["/token"] = trickles(b"")
    assert re.search(naming("/token", "0.3 s"), failure(nest(Timeout=0.3)))


def test_nobody_there_is_one_line(nest):
    nobody = f"http://127.0.0.1:{free_tcp_port()}"
    assert re.search(naming(f"{nobody}/t", "refused"), failure(nest(TokenURL=nobody + "/t")))
    assert re.search(naming(nobody, "refused"), failure(nest(URL=nobody)))


@pytest.mark.parametrize(
    ("content", "facts"),
    [
        ("someone@example.org\ns3cret&=", ["JSON", "client_id", "client_secret"]),
        ("[]", ["JSON"]),
        ("", ["JSON"]),
        ('"s3cret&=', ["JSON"]),
        ('{"client_id": "me", "client_secret": ""}', ["client_secret", "refresh_token"]),
        (json.dumps({**SECRETS, "client_id": 5}), ["client_id"]),
        ("[" * 100_000, ["JSON"]),
    ],
)
def test_a_file_that_holds_something_else(nest, secrets, content, facts):
    secrets.write_text(content)
    sensor = nest()
    assert re.search(naming(str(secrets), *facts), failure(sensor))
    secrets.write_text(json.dumps(SECRETS))
    assert sensor.read() == {"N1": 19.73}


def test_a_file_that_is_missing_or_elsewhere(nest, secrets, tmp_path, monkeypatch):
    said = failure(nest(Password="none.json"))
    assert re.search(naming(f"{tmp_path}/none.json", "No such file"), said)
    monkeypatch.setenv("HOME", str(tmp_path))
    secrets.rename(tmp_path / ".nestpassword")
    assert nest(Password="~/.nestpassword").read() == {"N1": 19.73}


def test_the_home_of_nobody_is_one_line(nest):
    said = failure(nest(Password="~no-such-user/nest.json"))
    assert re.search(naming("/~no-such-user/nest.json", "No such file"), said)


def test_a_file_that_everybody_can_read_is_told_once(nest, secrets, google, caplog):
    secrets.chmod(0o644)
    google.life_s = 0
    sensor = nest()
    for _ in range(3):
        assert sensor.read() == {"N1": 19.73}
    assert logged(caplog, str(secrets), "everybody", "chmod o=") == len(caplog.records) == 1


@pytest.mark.parametrize("key", ["URL", "TokenURL"])
def test_secrets_go_to_https_or_to_this_machine_only(nest, key):
    with pytest.raises(ValueError, match=naming(f"{key}: ", "https://")):
        nest(**{key: "http://192.0.2.1/"})
