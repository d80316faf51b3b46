"""`iotctl` and its ini file; tests/gateways/iottalk/walk.py starts and stops servers by it."""

import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from jph.config import loading
from jph.errors import ConfigError
from tests.helpers import eventually
from tools.iotctl import ini, pid_file
from tools.iotctl.command import main


@pytest.fixture
def iotctl(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    return lambda *arguments: CliRunner().invoke(main, list(map(str, arguments)))


def read(tmp_path, text):
    path = tmp_path / "iottalk.ini"
    path.write_text(text)
    return ini.read(path)


def test_the_sample_says_the_usual_values_with_and_without_comments(tmp_path):
    usual, _ = ini.read(None)
    assert read(tmp_path, ini.sample()) == (usual, [])
    lines = ini.sample().splitlines()
    active = [line.removeprefix(";") for line in lines if not line.startswith("; ")]
    assert read(tmp_path, "\n".join(active)) == (usual, [])
    assert usual.core["Broker"] == "mqtt://localhost:1883"
    assert usual.core["Port"] == 9992


def test_an_ini_file_of_iottalk_itself(tmp_path):
    """As the projects around it write them; most of its sections mean nothing here."""
    text = """
[core]
userdir = /iottalk/data

[core-mqtt]
scheme = mqtt
host = example.org
port = 1884

[core-ws]
scheme = wss
host = ${core-mqtt:host}
port = 8884

[gui]
userdir = ${core:userdir}
flask-secret-key = a$b
"""
    settings, ignored = read(tmp_path, text)
    assert settings.core["Broker"] == "mqtt://example.org:1884"
    assert str(settings.userdir) == "/iottalk/data"
    assert settings.core["WebSocket"] == "wss://example.org:8884"
    assert ignored == [
        "[core-ws] host",
        *("[gui] userdir", "[gui] flask-secret-key"),
    ]


def test_user_and_password_of_the_broker(tmp_path):
    mqtt = "[core-mqtt]\nscheme = mqtts\nport = 8883\nusername = a b\npassword = s3$$cret\n"
    settings, _ = read(tmp_path, mqtt)
    assert settings.core["Broker"] == "mqtts://a%20b@localhost:8883"
    assert settings.password == "s3$cret"


def test_every_mistake_is_told(tmp_path):
    text = "[core]\nport = 99999\nsandbox = no\n[core-mqtt]\nscheme = ws\nport = x\n"
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    told = "\n".join(caught.value.mistakes)
    for key in ("[core] port", "[core] sandbox", "[core-mqtt] scheme", "[core-mqtt] port"):
        assert key in told
    with pytest.raises(ConfigError):
        read(tmp_path, "no section\n")
    with pytest.raises(ConfigError):
        read(tmp_path, "[core]\nuserdir = ${nowhere:else}\n")
    with pytest.raises(ConfigError):
        ini.read(tmp_path / "none.ini")


def test_genconf_overwrites_nothing(iotctl, tmp_path):
    assert iotctl("genconf", tmp_path).exit_code == 0
    assert (tmp_path / "iottalk.ini").read_text() == ini.sample()
    again = iotctl("genconf", tmp_path / "iottalk.ini")
    assert again.exit_code == 1
    assert "exists" in again.stderr


def test_the_tables_are_made_in_the_home_of_the_user(iotctl, tmp_path):
    for arguments in (["initdb"], ["initdb", "ccm"]):
        made = iotctl(*arguments)
        assert made.exit_code == 0, made.stderr
        assert str(tmp_path / ".iottalk") in made.stdout


def test_the_shell_has_the_database(iotctl):
    text = "from sqlalchemy import text\nprint(connection.scalar(text('select 6 * 7')))\n"
    answer = CliRunner().invoke(main, ["shell"], input=text)
    assert answer.exit_code == 0
    assert "42" in answer.output


def test_what_does_not_run_is_neither_stopped_nor_there(iotctl):
    assert iotctl("status", "csm").exit_code == 3
    assert iotctl("stop", "csm").output == "csm does not run\n"
    assert iotctl("start", "nothing").exit_code == 2


HOLD = """
import sys, time
from pathlib import Path
from tools.iotctl import pid_file
with pid_file.held(Path(sys.argv[1])) as is_ours:
    time.sleep(600 if is_ours else 0)
"""


def test_a_pid_file_is_held_by_one_process_until_its_end(tmp_path):
    path = tmp_path / "csm.pid"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command) as first:
        try:
            eventually(lambda: pid_file.holder(path) == first.pid, 60)
            assert subprocess.run(command, timeout=60, check=True)
            with pid_file.held(path) as is_ours:
                assert not is_ours
            assert pid_file.end_holder(path, 60) == first.pid
        finally:
            first.kill()
    assert pid_file.holder(path) is None
    with subprocess.Popen(command) as killed:
        eventually(lambda: pid_file.holder(path) == killed.pid, 60)
        killed.kill()
        killed.wait()
    assert (
        path.read_text() and pid_file.holder(path) is None
    )  # what a killed one left means nothing
    with pid_file.held(path) as is_ours:
        assert is_ours and pid_file.holder(path) == os.getpid()


def test_a_start_brings_its_network_in_line_with_the_ini_file(iotctl, tmp_path, monkeypatch):
    started = []

    def run(**given):
        started.append(loading.load(given["source"], given["home"]))

    monkeypatch.setattr("tools.up.run", run)
    path = tmp_path / "iottalk.ini"
    path.write_text(f"[core]\nuserdir = {tmp_path}/data\n[core-mqtt]\npassword = secret\n")
    assert iotctl("-c", path, "start", "csm").exit_code == 0
    own = tmp_path / "data" / "config.json"
    document = json.loads(own.read_text())
    document["Sensors"][0]["Name"] = "of mine"
    own.write_text(json.dumps(document))
    path.write_text(path.read_text() + "host = 192.0.2.1\n")
    assert iotctl("-c", path, "restart", "gui").exit_code == 0
    first, second = (config.components["IT"] for config in started)
    assert first.settings["Broker"] == "mqtt://localhost:1883"
    assert second.settings["Broker"] == "mqtt://192.0.2.1:1883"
    assert second.name == "of mine"
    file = tmp_path / "data" / "iottalk-mqtt-password"
    assert second.settings["PasswordFile"] == str(file)
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("secret", 0o600)
