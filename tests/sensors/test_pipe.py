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
from tests.helpers import eventually, naming, new_bus


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


@pytest.mark.parametrize("text", ["23,5", "1,234.5", "1.2.3", "N/A", "", "nothing", "\u20135 °C"])
def test_what_is_no_certain_number_is_refused_and_names_the_file(text, tmp_path):
    with pytest.raises(SensorError, match=naming(str(tmp_path / "value"), "number")):
        value(text, tmp_path)


@pytest.mark.parametrize("number", [None, 0])
def test_a_list_goes_by_its_place_and_a_single_comma_only_so(number, tmp_path):
    assert value("21,55,1013", tmp_path, number=number) == 21.0
    assert value("23;5", tmp_path, number=number) == 23.0
    assert value("0x50005", tmp_path, number=number, match="") == 327685.0
    assert value("23,5", tmp_path, number=1) == 5.0


SENSORS = """\
temp3:            N/A  (crit = +100.0°C)
temp4:        +47.0°C
temp5:          FAULT  (crit = +90.0°C)
temp6:
temp7:        error 3
fan errors: 5
"""


@pytest.mark.parametrize("match", ["temp3:", "temp3", "temp5:", "temp5", "temp7:"])
def test_a_word_for_no_value_is_not_passed_over(match, tmp_path):
    with pytest.raises(SensorError, match=r"N/A|FAULT|error"):
        value(SENSORS, tmp_path, match=match)


def test_a_label_is_passed_over(tmp_path):
    assert value(SENSORS, tmp_path, match="temp4:") == 47.0
    assert value(SENSORS, tmp_path, match="fan") == 5.0
    assert value("unavailable: 3\n", tmp_path) == 3.0
    assert value("Temp\n-----\n45\n", tmp_path, match="Temp") == 45.0


def test_the_next_word_is_the_number_or_there_is_none(tmp_path):
    assert value(SENSORS, tmp_path, match="temp4", next_word=True) == 47.0
    for match in ("temp3:", "temp5:", "temp6:", "temp7:"):
        with pytest.raises(SensorError, match=r"number"):
            value(SENSORS, tmp_path, match=match, next_word=True)


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ({"Pipe": "/x", "NextWord": True, "Number": 1}, "Number: cannot be with NextWord"),
        ({"Pipe": ["/x"], "Beside": {"name": "nvme"}}, "Beside: is for a path"),
    ],
)
def test_settings_that_contradict_each_other_are_a_mistake(settings, mistake):
    entry = {"Codifier": "A1", "Type": "Pipe", "SensorInterval": 5, "Sensor": settings}
    [found], _ = checks.check(new_bus().document(entry))
    assert found.startswith(f"Sensors[0].Sensor.{mistake}")
    with pytest.raises(ValueError, match=mistake):
        Pipe("A1", **arguments(Pipe, settings, ""))


@pytest.mark.parametrize(
    ("text", "match", "number"),
    [
        ("  veth0:  111 1\n   eth0:  999 9\n", "eth0:", 999.0),
        ("eth10 5\neth1 7\n", "eth1", 7.0),
        ("temps 5\ntemp 7\n", "temp", 7.0),
        ("MemAvailable: 60 kB", "MemAvail", 60.0),  # only a part of a word is there
        ("CPUtemp=40", "temp=", 40.0),
        ("Außentemperatur: 5\nAußen: 7\n", "Außen", 7.0),
        ("a.b: 5", ".b:", 5.0),
    ],
)
def test_a_whole_word_goes_before_a_part_of_one(text, match, number, tmp_path):
    assert value(text, tmp_path, match=match) == number


def test_text_that_is_required(tmp_path):
    assert value("72 01 : YES\nt=23125", tmp_path, match="t=", require="YES") == 23125.0
    with pytest.raises(SensorError, match=naming("YES", "value")):
        value("72 01 : NO\nt=23125", tmp_path, match="t=", require="YES")


@pytest.mark.parametrize("refuse", [85, 85.0, (85.0,), (-127.0, 85.0)])
def test_values_that_are_refused(refuse, tmp_path):
    with pytest.raises(SensorError, match=naming("value", "85")):
        value("85000", tmp_path, scale=0.001, refuse=refuse)
    assert value("85062", tmp_path, scale=0.001, refuse=refuse) == pytest.approx(85.062)


def test_one_refused_value_or_a_list_of_them_is_in_order():
    for refuse in (85, [85, -127]):
        entry = {"Codifier": "A1", "Type": "Pipe", "SensorInterval": 5}
        entry["Sensor"] = {"Pipe": "/x", "Refuse": refuse, "GoodStatus": [0, 1]}
        assert checks.check(new_bus().document(entry)) == ([], [])


W1 = "{0} : crc={1:02x} {2}\n{0} t={3}\n"


def test_a_wrong_checksum_is_refused_though_nobody_asked(tmp_path):
    wrong = W1.format("ff " * 8 + "ff", 0xC9, "NO", -62)
    with pytest.raises(SensorError, match="checksum"):
        value(wrong, tmp_path, match="t=", scale=0.001)
    good = W1.format("72 01 4b 46 7f ff 0e 10 57", 0x57, "YES", 23125)
    assert value(good, tmp_path, match="t=", scale=0.001) == 23.125


def test_a_whole_number_that_no_double_holds_stays_whole(tmp_path):
    assert value("18446744073709551615", tmp_path) == 18446744073709551615
    assert type(value("42137", tmp_path)) is float


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


@pytest.mark.parametrize("variable", ["LC_ALL", "LC_NUMERIC", "LANG", "LANGUAGE"])
def test_a_command_prints_a_decimal_point_whatever_the_locale_of_who_started_it(
    variable, monkeypatch
):
    for name in ("LC_ALL", "LC_NUMERIC", "LANG", "LANGUAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "de_DE.UTF-8")
    script = (
        'case "$LANGUAGE${LC_ALL:-${LC_NUMERIC:-$LANG}}" in de_*) echo 45,7 ;; *) echo 45.7; esac'
    )
    command = ("/bin/sh", "-c", script)
    assert Pipe("A1", command).read() == {"A1": 45.7}
    with pytest.raises(SensorError, match="45,7"):
        Pipe("A1", command, locale="de_DE.UTF-8").read()
    with pytest.raises(SensorError, match="45,7"):
        Pipe("A1", command, locale="").read()


def test_an_exit_status_may_be_good():
    command = ("/bin/sh", "-c", "echo 5; exit 3")
    assert Pipe("A1", command, good_status=(0, 3)).read() == {"A1": 5.0}
    with pytest.raises(SensorError, match="status 3"):
        Pipe("A1", command).read()
    with pytest.raises(SensorError, match="status 0"):
        Pipe("A1", ("/bin/echo", "5"), good_status=(3,)).read()
    with pytest.raises(SensorError, match="status -9"):
        Pipe("A1", ("/bin/sh", "-c", "echo 5; kill -9 $$")).read()


@pytest.mark.parametrize("then", ["wait", "exit 0"])
def test_a_command_that_takes_too_long_is_ended_with_all_it_started(tmp_path, then):
    pid_file = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {pid_file}; {then}"
    began_s = time.monotonic()
    with pytest.raises(SensorError, match=naming("/bin/sh", "1 s")):
        Pipe("A1", ("/bin/sh", "-c", script), timeout_s=1).read()
    assert time.monotonic() - began_s < 20
    child = int(pid_file.read_text())
    eventually(lambda: not _is_alive(child))


def test_a_fifo_that_nobody_writes_to_is_given_up_and_read_when_somebody_does(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(Pipe("A1", str(path), timeout_s=0.2).read)
        try:
            with pytest.raises(SensorError, match=naming("fifo", "0.2 s")):
                reading.result(20)
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
    assert len(os.listdir("/proc/self/fd")) <= before
