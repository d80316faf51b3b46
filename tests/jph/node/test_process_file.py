"""What a process tells the pages of the same home about itself."""

import os
import signal
import subprocess
import sys
import time

import pytest

from jph import owned
from jph.clock import time_now_ms
from jph.node import process_file
from jph.node.process import StandbyStatus
from jph.node.process_file import EVERY_S, ProcessFile, processes
from tests.helpers import eventually


class Process:
    """A process with some components."""

    def __init__(self, home, codifiers):
        self.home, self.codifiers, self.waits = home, codifiers, {}

    def components(self):
        return dict.fromkeys(self.codifiers)

    def standby(self):
        return self.waits


@pytest.fixture
def home(tmp_path, monkeypatch):
    """Return a home whose folder in memory is one of the test."""
    folder = tmp_path / "memory"
    monkeypatch.setattr(owned, "memory_folder", lambda home: owned.private_folder(folder))
    return tmp_path / "home"


def test_it_tells_what_it_runs_until_it_ends(home, tmp_path):
    process = Process(home, ["B1", "A1"])
    file = ProcessFile(process)
    file.look()
    (told,) = processes(home)
    assert (told.pid, told.codifiers, told.standby) == (os.getpid(), ["A1", "B1"], [])
    assert told.written_per_day is None and told.watched_s < 60
    assert abs(time_now_ms() - told.began_ms) < 60_000
    process.codifiers = ["A1"]
    process.waits = {"B1": StandbyStatus(("192.0.2.7", 5000), time.monotonic() - 60)}
    file.look()
    (told,) = processes(home)
    assert told.codifiers == ["A1"]
    (waits,) = told.standby
    assert (waits.codifier, waits.address) == ("B1", "192.0.2.7")
    assert 59_000 <= time_now_ms() - waits.since_ms < 120_000
    file.close()
    assert processes(home) == []


def test_it_is_written_again_only_when_it_is_due_or_gone(home, monkeypatch):
    written = []
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda *given: (written.append(given[1]), real(*given))[1])
    file = ProcessFile(Process(home, ["A1"]))
    now_s = 1000.0
    for later_s in (0, 5, EVERY_S - 1, EVERY_S + 1, EVERY_S + 2):
        file.look(lambda moment=now_s + later_s: moment)
    assert len(written) == 2
    (path,) = (home.parent / "memory").iterdir()
    path.unlink()
    file.look(lambda: now_s + EVERY_S + 3)
    assert len(processes(home)) == 1
    file.close()


def test_that_of_a_killed_process_is_removed_by_who_looks(home, tmp_path):
    program = f"""
import sys, time
from pathlib import Path
from jph import owned
folder = Path({str(tmp_path / "memory")!r})
owned.memory_folder = lambda home: owned.private_folder(folder)
from tests.jph.node.test_process_file import Process
from jph.node.process_file import ProcessFile
file = ProcessFile(Process(Path({str(home)!r}), ["Q1"]))
file.look()
print("there", flush=True)
time.sleep(120)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "there\n"
        assert [it.codifiers for it in processes(home)] == [["Q1"]]
        child.send_signal(signal.SIGKILL)
        child.wait()
    eventually(lambda: processes(home) == [])
    assert [*tmp_path.glob("memory/*.status")] == []


def test_what_is_no_report_is_left_out(home, tmp_path):
    file = ProcessFile(Process(home, ["A1"]))
    file.look()
    (path,) = (tmp_path / "memory").iterdir()
    for content in (b"", b'{"pid": 1', b"[]", b'{"pid": 1, "standby": []}', b"\xff"):
        path.write_bytes(content)
        assert processes(home) == []
    file.close()


def test_without_a_folder_in_memory_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(process_file.owned, "memory_folder", lambda home: None)
    file = ProcessFile(Process(tmp_path, ["A1"]))
    file.look()
    assert processes(tmp_path) is None
    file.close()
