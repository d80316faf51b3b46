"""The environment of Tenta's and hermes' servers, and the files in deploy/tenta that have it."""

import re
from pathlib import Path

import pytest
import yaml

from gateways.tenta.environment import environment_of, read_file
from jph.errors import ConfigError

DEPLOY = Path(__file__).parents[3] / "deploy" / "tenta"
HERMES = {
    "HERMES_POSTGRESQL_PASSWORD": "store secret",
    "HERMES_POSTGRESQL_URL": "127.0.0.1",
    "HERMES_POSTGRESQL_PORT": "5433",
    "HERMES_POSTGRESQL_USERNAME": "postgres",
    "HERMES_POSTGRESQL_DATABASE": "database",
    "HERMES_MQTT_PASSWORD": "broker secret",
    "HERMES_MQTT_URL": "192.0.2.1",
    "HERMES_MQTT_PORT": "1884",
    "HERMES_MQTT_IDENTIFIER": "hermes_server",
    "HERMES_MQTT_USERNAME": "server",
    "HERMES_MQTT_BASE_TOPIC": "sensortopic/",
}
SETTINGS = {
    "Broker": "mqtt://server@192.0.2.1:1884",
    "Store": "postgresql://postgres@127.0.0.1:5433/database",
    "BaseTopic": "sensortopic/",
    "Flavour": "hermes",
}


def plain(values: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix("HERMES_"): value for name, value in values.items()}


def test_the_names_of_both_are_understood() -> None:
    hermes, tenta = environment_of(HERMES), environment_of(plain(HERMES))

    assert hermes.settings == SETTINGS
    assert tenta.settings == {**SETTINGS, "Flavour": "tenta"}
    assert (hermes.mqtt_password, hermes.store_password) == ("broker secret", "store secret")
    assert "secret" not in repr(hermes)


def test_what_is_missing_has_the_usual_value() -> None:
    settings = environment_of({"MQTT_URL": "broker", "POSTGRESQL_URL": "db"}).settings

    assert settings["Broker"] == "mqtt://broker:1883"
    assert settings["Store"] == "postgresql://postgres@db:5432/database"


def test_port_8883_means_tls_and_signs_in_names_are_quoted() -> None:
    more = {"MQTT_PORT": "8883", "MQTT_USERNAME": "a@b/c", "POSTGRESQL_DATABASE": "a/b?c"}
    settings = environment_of({**plain(HERMES), **more}).settings

    assert settings["Broker"] == "mqtts://a%40b%2Fc@192.0.2.1:8883"
    assert str(settings["Store"]).endswith("/a%2Fb%3Fc")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"HERMES_MQTT_PASSWRD": "x"}, "HERMES_MQTT_PASSWRD is unknown; known are MQTT_BASE_TOPIC"),
        ({"POSTGRESQL_NAME": "x"}, "POSTGRESQL_NAME is unknown"),
        ({"MQTT_URL": "192.0.2.2"}, "HERMES_MQTT_URL and MQTT_URL differ"),
        ({"HERMES_MQTT_URL": ""}, "MQTT_URL is missing"),
        ({"HERMES_MQTT_URL": "mqtt://host"}, "give only the host"),
        ({"HERMES_MQTT_PORT": "0"}, "MQTT_PORT: '0' is no port"),
        ({"HERMES_POSTGRESQL_PORT": "٣"}, "is no port"),
        ({"HERMES_MQTT_BASE_TOPIC": "sensortopic"}, "must end with /"),
    ],
)
def test_mistakes_are_named(more: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        environment_of({**HERMES, **more})


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        environment_of({"MQTT_PORT": "x", "HERMES_OTHER": ""})

    assert len(error.value.mistakes) == 4


def test_names_of_other_programs_are_none_of_ours() -> None:
    assert environment_of({**HERMES, "PATH": "/bin", "COMMIT_SHA": "1"}).settings == SETTINGS


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.env has no names, or is not there"):
        read_file(tmp_path / "none.env")


def test_quotes_and_comments_are_those_of_the_shell(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# a comment\nexport MQTT_URL='a b'  # more\nMQTT_PASSWORD=\"x#y\"\n")

    assert read_file(file) == {"MQTT_URL": "a b", "MQTT_PASSWORD": "x#y"}


def test_the_example_is_understood_and_has_no_password() -> None:
    example = read_file(DEPLOY / ".env.example")

    found = environment_of(example)

    assert found.settings["BaseTopic"] == "sensortopic/"
    assert found.mqtt_password is found.store_password is None


def test_compose_needs_only_what_the_example_has_and_no_password_has_a_default() -> None:
    text = (DEPLOY / "docker-compose.yml").read_text()
    services = yaml.safe_load(text)["services"]
    used = re.findall(r"\$\{(\w+)(:\?)?", text)

    assert services.keys() == {"database", "broker", "jph"}
    assert {name for name, _ in used} <= read_file(DEPLOY / ".env.example").keys()
    assert all(required for _, required in used)
    build = services["jph"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")
