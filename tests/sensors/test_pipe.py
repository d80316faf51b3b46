"""Numbers from files and commands."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jph import SensorError, registry
from jph.config import checks
from jph.settings import arguments
from sensors.pipe import Pipe
from tests.helpers import naming, new_bus


def value(text: str, tmp_path, **settings) -> float:
    path = tmp_path / "value"
    path.write_text(text)
    return Pipe("A1", str(path), **settings).read()["A1"]


@pytest.mark.parametrize(
    "text, number",
    [
        ("42137\n", 42137.0),
        ("0.52 0.58 0.59 1/467 12345", 0.52),
        ("-3.5e2", -350.0),
        ("temp=47.2'C", 47.2),
        ("MemTotal:       16384 kB", 16384.0),
        ("  +.5", 0.5),
        ("sda1 7", 7.0),
    ],
)
def test_the_first_number_of_a_file(text, number, tmp_path):
    assert value(text, tmp_path) == number


def test_scale_and_offset(tmp_path):
    assert value("42137", tmp_path, scale=0.001, offset=-273.15) == pytest.approx(-231.013)


def test_the_number_behind_a_text(tmp_path):
    text = "MemTotal: 100 kB\nMemAvailable: 60 kB\n"
    assert value(text, tmp_path, match="MemAvailable:") == 60.0


def test_a_later_number(tmp_path):
    assert value("1 2 3", tmp_path, number=2) == 3.0


def test_a_rate_is_the_growth_per_second(tmp_path):
    path = tmp_path / "counter"
    path.write_text("1000")
    pipe = Pipe("A1", str(path), rate=True)
    assert pipe.read() == {}
    time.sleep(0.1)
    path.write_text("1500")
    assert 0 < pipe.read()["A1"] <= 5000
    path.write_text("3")  # the counter began again
    assert pipe.read() == {}


def test_a_command_is_an_argument_list_and_no_shell():
    printed = Pipe("A1", (sys.executable, "-c", "import sys; print(len(sys.argv[1]))", "$HOME;x"))
    assert printed.read() == {"A1": 7.0}


@pytest.mark.parametrize(
    "pipe, reason",
    [
        ("/nowhere/at/all", "No such file"),
        ("/", "Is a directory"),
        (("/nowhere/program",), "No such file"),
        ((sys.executable, "-c", "raise SystemExit(3)"), "status 3"),
        ((sys.executable, "-c", "print('nothing')"), "no number"),
    ],
)
def test_no_number_is_an_error_that_names_the_source(pipe, reason):
    with pytest.raises(SensorError, match=reason) as caught:
        Pipe("A1", pipe).read()
    assert (pipe if isinstance(pipe, str) else pipe[0]) in str(caught.value)


def test_an_empty_file_or_missing_text_is_an_error(tmp_path):
    with pytest.raises(SensorError, match="no number"):
        value("", tmp_path)
    with pytest.raises(SensorError, match=naming("Total:")):
        value("5", tmp_path, match="Total:")


@pytest.mark.parametrize("then", ["wait", "exit 0"])
def test_a_command_that_takes_too_long_is_ended_with_all_it_started(tmp_path, then):
    pid_file = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {pid_file}; {then}"
    began_s = time.monotonic()
    with pytest.raises(SensorError, match=naming("/bin/sh", "0.3 s")):
        Pipe("A1", ("/bin/sh", "-c", script), timeout_s=0.3).read()
    assert time.monotonic() - began_s < 3
    child = int(pid_file.read_text())
    until_s = time.monotonic() + 3
    while time.monotonic() < until_s and _is_alive(child):
        time.sleep(0.01)
    assert not _is_alive(child)


def test_a_fifo_that_nobody_writes_to_is_given_up_and_read_when_somebody_does(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(Pipe("A1", str(path), timeout_s=0.2).read)
        try:
            with pytest.raises(SensorError, match=naming("fifo", "0.2 s")):
                reading.result(5)
        finally:
            os.close(os.open(path, os.O_RDWR))  # lets go who waits for a writer
        reading = pool.submit(Pipe("A1", str(path), timeout_s=10).read)
        path.write_text("42\n")
        assert reading.result(20) == {"A1": 42.0}


def test_a_device_without_end_costs_no_memory():
    with pytest.raises(SensorError, match="no number"):
        Pipe("A1", "/dev/zero").read()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_in_another_encoding_is_not_mistaken_for_another_number(tmp_path, encoding):
    path = tmp_path / "value"
    path.write_text("42137\n", encoding=encoding)
    for pipe in (str(path), ("/bin/cat", str(path))):
        with pytest.raises(SensorError, match=naming("UTF-16", "UTF-8")):
            Pipe("A1", pipe).read()


def test_single_characters_of_another_encoding_are_let_pass(tmp_path):
    path = tmp_path / "value"
    path.write_bytes("Außen: 21.5 °C\n\0".encode("latin-1"))
    assert Pipe("A1", str(path)).read() == {"A1": 21.5}


@pytest.mark.parametrize(("text", "scale"), [("1e999", 1.0), ("9" * 400, 1.0), ("1e300", 1e300)])
def test_a_number_that_is_too_large_is_a_failure(tmp_path, text, scale):
    with pytest.raises(SensorError, match=naming("value", "too large")):
        value(text, tmp_path, scale=scale)


def test_an_endless_output_costs_no_memory_and_is_ended():
    assert Pipe("A1", ("/usr/bin/yes", "17"), timeout_s=5).read() == {"A1": 17.0}


def test_the_older_type_reads_thousandths(tmp_path):
    path = tmp_path / "temp"
    path.write_text("48312\n")
    settings = {"Pipe": str(path), **registry.preset("TempLinux")}
    pipe = registry.find("TempLinux")(
        codifier="T1", **arguments(Pipe, settings, "Sensors[0].Sensor")
    )
    assert pipe.read() == {"T1": 48.312}


def test_an_empty_pipe_is_a_mistake():
    with pytest.raises(ValueError, match="is empty"):
        Pipe("A1", "")
    for empty in ("", []):
        entry = {"Codifier": "A1", "Type": "Pipe", "SensorInterval": 5, "Sensor": {"Pipe": empty}}
        mistakes, _ = checks.check(new_bus().document(entry))
        assert mistakes == ["Sensors[0].Sensor.Pipe: is empty; give a path or a command"]


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_descriptor_is_left_open():
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        Pipe("A1", ("/bin/echo", "5")).read()
        with pytest.raises(SensorError):
            Pipe("A1", ("/bin/sleep", "9"), timeout_s=0.05).read()
    assert len(os.listdir("/proc/self/fd")) == before
