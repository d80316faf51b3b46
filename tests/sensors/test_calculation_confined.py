"""Confined calculations: what their files cannot do, and what that costs.

They run with the confinement of this machine's kernel, and fail where it has none.
"""

import pytest

from jph.errors import SensorError
from jph.workers import confinement
from sensors.calculation.component import Python
from sensors.calculation.process import CONFINED_QUICK, CONFINED_SLOW, QUICK
from tests.sensors.bus_stub import StubChannel
from tests.sensors.test_calculation import SENSORS, SOON_S


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a function that makes a confined calculation of a text."""
    monkeypatch.setattr("sensors.calculation.component.MOST_QUICK_S", SOON_S)
    channel, made = StubChannel(tmp_path, *SENSORS), []

    def make(text: str, **settings: object) -> Python:
        file = tmp_path / f"calc{len(made)}.py"
        file.write_text(text)
        given = {"timeout_s": SOON_S, "sandbox": "confine", **settings}
        made.append(Python(channel, str(file), **given))
        return made[-1]

    yield make
    for python in made:
        python.close()
    assert CONFINED_QUICK.pid is None and CONFINED_SLOW.pid is None


REFUSED = {
    "a fork": "os.fork()",
    "a program": "os.execv('/bin/sh', ['sh', '-c', 'touch {file}'])",
    "a subprocess": "import subprocess; subprocess.run(['/bin/true'])",
    "a thread": "import threading; threading.Thread(target=print).start()",
    "the end of the node": "os.kill(os.getppid(), 9)",
    "a signal to the node by a pipe": "import fcntl; fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
    "a socket": "import socket; socket.socket()",
    "passwords": "open('/etc/passwd')",
    "its own file": "open('{calculation}')",
    "another file": "open('{file}', 'w')",
    "the environment of the node": "open(f'/proc/{{os.getppid()}}/environ')",
    "more memory": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "memory without a limit": "os.memfd_create('x')",
}


@pytest.mark.parametrize("what", REFUSED)
def test_the_file_cannot_have(make, tmp_path, what):
    other = make("sendData(os.getpid())")
    before = other.read()
    text = REFUSED[what].format(file=tmp_path / "there", calculation=tmp_path / "calc1.py")
    with pytest.raises(SensorError, match=r"calc1\.py line 1: .*(Error|start new thread)"):
        make(text).read()
    assert not (tmp_path / "there").exists()
    assert other.read() == before  # the process has not even noticed


def test_it_sees_no_environment(make, monkeypatch):
    monkeypatch.setenv("JPH_SECRET", "secret")
    assert make("sendData('JPH_SECRET' in os.environ)").read() == {"C1": False}


def test_what_python_brings_and_what_is_installed_can_be_imported(make):
    text = (
        "import decimal, sqlite3, zoneinfo, click\n"
        "sendData(str(zoneinfo.ZoneInfo('Europe/Berlin')) + str(decimal.Decimal(1)))"
    )
    assert make(text).read() == {"C1": "Europe/Berlin1"}


def test_it_has_a_process_beside_the_one_without_confinement(make):
    confined, plain = make("sendData(os.getpid())"), make("sendData(os.getpid())")
    plain.close()
    plain.sandbox = "limits-only"
    plain.__post_init__()
    assert confined.read() == {"C1": CONFINED_QUICK.pid}
    assert plain.read() == {"C1": QUICK.pid}
    assert CONFINED_QUICK.pid != QUICK.pid


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("while True:\n    pass", r"line [12]: not done within 2 s"),
        ("import ctypes\nctypes.string_at(0)", "line 2: .*SIGSEGV"),
        ("x = bytearray(3 << 30)", "line 1: needs more than 256 MB"),
        ("x = []\nwhile True: x.append({})", "line 2: needs more than 256 MB"),
        ("import signal\nos.kill(os.getpid(), signal.SIGSTOP)\n", "PermissionError"),
    ],
)
def test_it_costs_one_reading(make, text, reason):
    make("sendData(1)").read()  # the process is there, the time is for the file alone
    hostile = make(text, timeout_s=2.0 if "pass" in text else SOON_S)
    other = make("sendData(1)")
    for _ in range(2):
        with pytest.raises(SensorError, match=reason):
            hostile.read()
        assert other.read() == {"C1": 1}


def test_the_memory_of_the_process_is_the_most_that_one_of_them_may_have(make):
    text = "x = bytearray(100 << 20)\nsendData(os.getpid())"
    with pytest.raises(SensorError, match="more than 128 MB"):
        make(text, memory_mb=128).read()
    small, large = make("sendData(os.getpid())", memory_mb=128), make(text, memory_mb=256)
    first = small.read()
    second = large.read()
    assert first != second == small.read()


def test_without_it_the_file_is_refused_with_what_to_do(make, monkeypatch):
    monkeypatch.setattr(confinement, "_landlock_version", lambda: -1)
    python = make("sendData(os.getpid())")
    with pytest.raises(SensorError, match=r"Landlock.*limits-only"):
        python.read()
