"""Commands find the network that is meant, and say which one that is."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jph import paths
from tests.helpers import eventually
from tests.tools.program import JPH, TOP, environment
from tools import places

PATIENCE_S = 30


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return the user's own folder of JPH, empty; nothing is installed for the whole system."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("JPH_HOME", raising=False)
    monkeypatch.delenv("JPH_CONFIG", raising=False)
    return tmp_path / "state" / "jph"


@pytest.fixture
def elsewhere(monkeypatch):
    """Have the environment be of no checkout."""
    monkeypatch.setattr(sys, "prefix", "/opt/jph")


def find(tmp_path, source=None, home=None):
    place = places.find(source, home, tmp_path / "etc")
    return place.source, place.home


def shipped():
    return str(paths.shipped_config())


def test_what_is_told_is_taken_as_it_is(own, tmp_path):
    assert places.find("x.json", Path("there")) == places.Place("x.json", Path("there"), "")


def test_a_checkout_has_its_own_folder(own, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(TOP / ".venv"))
    assert find(tmp_path) == (shipped(), TOP / "var")
    assert find(tmp_path, source="x.json") == ("x.json", TOP / "var")


def test_without_a_checkout_it_is_the_users_folder(own, elsewhere, tmp_path):
    assert find(tmp_path) == (shipped(), own)


def test_the_units_of_this_system_are_found(own, elsewhere, tmp_path):
    etc = tmp_path / "etc"
    etc.mkdir()
    assert find(tmp_path) == (shipped(), own)
    (etc / "config.json").write_text("{}")
    assert find(tmp_path) == (str(etc / "config.json"), Path("/var/lib/jph"))
    (etc / "jph.env").write_text('# mine\nJPH_HOST=pi1\nJPH_CONFIG="http://pc:8080/c.json"\n')
    assert find(tmp_path) == ("http://pc:8080/c.json", Path("/var/lib/jph"))
    assert find(tmp_path, home=tmp_path) == (shipped(), tmp_path)
    assert find(tmp_path, home=Path("/var/lib/jph"))[0] == "http://pc:8080/c.json"


def test_a_running_node_is_found_by_its_record(own, elsewhere, tmp_path):
    home, other = tmp_path / "home", tmp_path / "other"
    with places.recorded("a.json", home):
        running = os.path.abspath("a.json"), home
        assert find(tmp_path) == running
        assert find(tmp_path, home=home) == running
        assert find(tmp_path, source="a.json") == ("a.json", home)
        assert find(tmp_path, home=other) == (shipped(), other)
        assert find(tmp_path, source="b.json") == ("b.json", own)
    assert find(tmp_path) == (shipped(), own)
    assert not list(own.glob("running/*"))


def test_a_node_of_this_environment_comes_before_the_checkout_and_that_before_others(
    own, elsewhere, tmp_path, monkeypatch
):
    with places.recorded("a.json", tmp_path):
        monkeypatch.setattr(sys, "prefix", str(TOP / ".venv"))
        assert find(tmp_path) == (shipped(), TOP / "var")
        with places.recorded("http://b/", tmp_path / "b"):
            assert find(tmp_path) == ("http://b/", tmp_path / "b")


def test_records_that_cannot_be_written_or_read_are_no_harm(own, elsewhere, tmp_path):
    own.parent.write_text("")  # a file where the folder would be
    with places.recorded("a.json", tmp_path):
        assert find(tmp_path) == (shipped(), own)
    own.parent.unlink()
    with places.recorded("a.json", tmp_path):
        (own / "running" / "0-0.json").write_text("{")
        assert find(tmp_path)[1] == tmp_path


def test_commands_find_a_node_until_it_ends_however_it_ends(bus, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    entry = {"Codifier": "A1", "Type": "Pipe", "SensorInterval": 1, "Sensor": {"Pipe": "/dev/zero"}}
    (tmp_path / "net.json").write_text(json.dumps(bus.document(entry)))
    variables = environment(tmp_path)
    del variables["JPH_HOME"]
    up = [*JPH, "up", "-u", "net.json", "--home", "home"]
    program = subprocess.Popen(up, cwd=tmp_path, env=variables, stderr=subprocess.DEVNULL)

    def ping():
        command = [*JPH, "control", "ping"]
        return subprocess.run(
            command, cwd="/", env=variables, capture_output=True, text=True, timeout=PATIENCE_S
        )

    try:
        eventually(lambda: ping().returncode == 0, PATIENCE_S)
        file = tmp_path / "net.json"
        found = f"that of process {program.pid}"
        said = f"jph: configuration {file}, home {home} ({found})"
        assert ping().stderr == f"{said}\n"
        users = subprocess.run(
            [*JPH, "user", "list"], env=variables, capture_output=True, text=True, cwd="/"
        )
        assert users.stderr == f"jph: home {home} (that of process {program.pid})\n"
    finally:
        program.kill()
        program.wait()
    assert str(tmp_path) not in places_said(variables)


def places_said(variables):
    """Return what a command says of the network that it found."""
    check = subprocess.run(
        [*JPH, "config", "check"], env=variables, capture_output=True, text=True, cwd="/"
    )
    return check.stdout + check.stderr
