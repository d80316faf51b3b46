"""What a killed process leaves for the next start of its home."""

import subprocess
import sys

import pytest

from jph import owned
from tests.tools.program import TOP
from tools import crash


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """In memory or not: what the machine that runs the tests has is of no matter here."""
    monkeypatch.setattr(
        owned, "memory_folder", lambda home: owned.private_folder(tmp_path / home.name)
    )
    return tmp_path


def killed(folder, codifiers):
    program = f"""
import os, signal
from pathlib import Path
from jph import owned
from tools import crash
owned.memory_folder = lambda home: owned.private_folder(Path({str(folder)!r}) / home.name)
with crash.recorded(Path("home"), {codifiers!r}):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], cwd=TOP, timeout=60).returncode == -9


def test_the_components_of_killed_processes_are_told_once(place):
    killed(place, ["LA", "LB"])
    killed(place, ["LC"])
    assert not crash.components_of_killed(place / "other")
    assert crash.components_of_killed(place / "home") == {"LA", "LB", "LC"}
    assert crash.components_of_killed(place / "home") == set()


def test_a_process_that_lives_or_ended_by_itself_leaves_nothing(place):
    home = place / "home"
    with crash.recorded(home, ["LA"]):
        killed(place, ["LB"])
        assert crash.components_of_killed(home) == {"LB"}
    assert crash.components_of_killed(home) == set()
    assert not home.exists()  # no empty folders


def test_a_record_that_was_moved_with_those_of_its_home_tells_nothing_of_a_clean_end(place):
    home, other = place / "home", place / "made-anew"
    with crash.recorded(home, ["LA"]):
        home.rename(other)
    assert crash.components_of_killed(other) == set()
    assert not other.exists()


def test_a_damaged_record_is_as_none(place):
    killed(place, ["LA"])
    [record] = (place / "home").iterdir()
    record.write_bytes(b"\xff{[")
    assert crash.components_of_killed(place / "home") == set()


def test_without_a_place_in_memory_nothing_is_recorded(place, monkeypatch):
    monkeypatch.setattr(owned, "memory_folder", lambda home: None)
    with crash.recorded(place / "home", ["LA"]):
        assert crash.components_of_killed(place / "home") == set()
