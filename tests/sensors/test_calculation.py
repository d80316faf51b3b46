"""Files of Python that compute from other components' last values, in a process of their own."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from jph import registry
from jph.errors import ConfigError, NoReading, SensorError
from jph.settings import arguments
from sensors.calculation import process as calculation_process
from sensors.calculation.component import Python
from sensors.calculation.process import CONFINED_QUICK, CONFINED_SLOW, QUICK, SLOW
from tests.helpers import eventually, logged, naming
from tests.sensors.bus_stub import StubChannel

SENSORS = (
    {"Codifier": "C1", "Type": "Python", "Sensor": {"Proxy": [{"Codifier": "P1"}]}},
    {"Codifier": "P1", "Type": "Proxy", "DataType": "integer"},
    {"Codifier": "P2", "Type": "Proxy", "Sensor": {"Server": "C1"}},
    {"Codifier": "P3", "Type": "Proxy", "Sensor": {"Server": "A4"}},
    {"Codifier": "A4", "TimeoutWarning": 20, "Symbol": "°C"},
    {"Codifier": "A5", "TimeoutWarning": 20},
    {"Codifier": "FJ", "Type": "SetPoint", "Sensor": {"Default": 37}},
)
SOON_S = 60.0  # for what a loaded machine does at its leisure


@pytest.fixture
def channel(tmp_path):
    return StubChannel(tmp_path, *SENSORS)


in_both = pytest.mark.parametrize("sandbox", ["limits-only", "confine"])


@pytest.fixture
def sandbox():
    return "limits-only"


@pytest.fixture
def make(channel, tmp_path, monkeypatch, sandbox):
    """Return a function that makes a calculation of a file's text; all are closed at the end."""
    monkeypatch.setattr("sensors.calculation.component.MOST_QUICK_S", SOON_S)
    made = []

    def make(text: str | bytes = "", name: str = "calc.py", **settings: object) -> Python:
        (tmp_path / name).write_bytes(text.encode() if isinstance(text, str) else text)
        usual = {"timeout_s": SOON_S, "sandbox": sandbox}
        python = Python(channel, str(tmp_path / name), **{**usual, **settings})
        made.append(python)
        return python

    yield make
    for python in made:
        python.close()
    assert all(it.pid is None for it in (QUICK, SLOW, CONFINED_QUICK, CONFINED_SLOW))


@pytest.fixture
def run(make):
    return lambda text, **settings: make(text, **settings).read()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sendData({{ A4 }})", -3.0),
        ("sendData({{ A4|Value }} + {{ A4|redis|Value }})", -6.0),
        ("sendData({{ A4 }} ** 2)", 9.0),
        ("sendData({{ A4 + 1 }})", -2.0),
        ("sendData({{ J1 }} + {{ J1|object|voltage }})", 2.5),
        ("sendData({{ FJ|config|Sensor }}['Default'])", 37),
        ("sendData({{ (FJ|config).Sensor.Default }})", 37),
        ("sendData({{ A4|config|Symbol }})", "°C"),
        ("sendData({{ A5|default(20) }})", 20),
        ("sendData(value('A5', 21) + value('A4'))", 18.0),
        ("sendData({{ '#1'|Value }})", 11),
        ("sendData(float('0{{ T1 }}'))", 20.0),
        ("sendData('{{ T1 }}' + {{ T1 }} + f'{ {{ T1 }} }')", "202020"),
        ("sendData({{ A4|age }} < 20 and not {{ A4|stale }} and {{ A4|known }})", True),
        ("sendData({{ A5|age }} == inf and {{ A5|stale }} and not {{ A5|known }})", True),
        ("sendData((stale('O1', 30), stale('O1', 900), stale('A5')) == (1, 0, 1))", True),
        ("sendData(jph.timeNow() - {{ O1|DTimestamp }} > 250000)", True),
        ("sendData({{ A5|DTimestamp }} is None and {{ A5 }} == None)", True),
        ("if min([{{ A4|DTimestamp }}, {{ A5|DTimestamp }}]) == None:\n  sendData(min([3, 2]))", 2),
        ("# {{ }} and {{ Codifier | Location | Field }}\nsendData(1)  # {{ or %}", 1),
        ("{# … #}{% for c in ['A4', 'J1'] %}\nx = {{ c|Value }}\n{% endfor %}\nsendData(x)", 1.5),
        ("sendData(log(100) / log(10) + math.pi - pi + pow(2, 3))", 10.0),
        ("sendData(Codifier + channel.getMySensor()['Type'] + channel.codifier)", "C1PythonC1"),
        ("sendData(len(channel.getMySensorElement('Proxy')) + len(channel.getAllSensors()))", 8),
        ("sendData(channel.getSensor('ZZ') is None and len(channel.getConfig()) > 1)", True),
        ("class Loop(object):\n  heat = 2\nsendData(Loop().heat)", 2),
        ("from fractions import Fraction\nsendData(Fraction(1, 4))", 0.25),
        ("channel.sendData(data='5', Codifier='', isJson=True)", {"value": 5}),
        ("sendData('{\"value\": 1, \"v\": 2}', isJson=True)", {"value": 1, "v": 2}),
        ("sendData(1)\nraise SystemExit", 1),
    ],
)  # fmt: skip
@in_both
def test_what_stands_in_braces_and_what_the_code_may_use(channel, run, text, value):
    channel.put("A4", -3.0)
    channel.put("J1", {"value": 1.5, "voltage": 1.0})
    channel.put("#1", 11)
    channel.put("T1", "20")
    channel.put("O1", 1.0, age_s=300)
    assert run(text) == {"C1": pytest.approx(value)}


@in_both
def test_a_file_as_existing_networks_have_them(channel, run):
    text = """
#
# heat over the loop, {{ }} as everywhere
#
n=jph.timeNow()
fan=100
times = [{{ A4|DTimestamp }}, {{ A5|DTimestamp }}]
l=min(times)
if (l!=None):
    if (n-l < 60000):
        fan={{ A4 }} - {{ A5 }} + {{ FJ|config|Sensor }}['Default']
        channel.sendData(data=fan, Codifier="P2")
channel.sendCtrl(to="FK", flag="A", timeComponent=fan)
"""
    preset = arguments(Python, registry.preset("PythonNinja"), "")
    first = run(text, **preset)
    assert first.keys() == {"C1"} and first["C1"] > 0  # how long it took, ms
    channel.put("A4", 7.0)
    channel.put("A5", 5.0)
    assert run(text, **preset)["P2"] == 39.0
    assert channel.control == [("A", "FK", 100.0), ("A", "FK", 39.0)]


def test_missing_without_value_and_stale_are_told_apart(channel, make):
    python = make("\nsendData({{ A4 }} + 1)", max_age_s=30)
    with pytest.raises(NoReading, match=naming("calc.py line 2", "A4", "never heard")):
        python.read()
    channel.put_sign("A4")
    with pytest.raises(NoReading, match=naming("line 2", "A4", "no value yet")):
        python.read()
    channel.put("A4", {"value": None})
    with pytest.raises(NoReading, match=naming("line 2", "A4", "null")):
        python.read()
    channel.put("A4", 1.0, age_s=300)
    with pytest.raises(NoReading, match=naming("line 2", "A4", "stale", "300 s", "30 s")):
        python.read()
    channel.put("A4", 2.0)
    assert python.read() == {"C1": 3.0}
    with pytest.raises(NoReading, match=naming("line 2", "A5", "never heard")):
        make("\nsendData({{ A5|object|voltage }})").read()
    with pytest.raises(NoReading, match=naming("A5", "never heard")):
        make("sendData({{ A5 }})").read()
    assert make("sendData({{ O1|default(9) }})").read() == {"C1": 9}


def test_a_codifier_that_nobody_configured_is_said_once(make, caplog):
    python = make("x = {{ A9 }}")
    assert python.read() == python.read() == {}
    assert logged(caplog, "C1", "A9", "not in the configuration") == 1


HOSTILE = [
    "1 + __import__('os').system('touch PWNED')",
    '" + __import__("os").system("touch PWNED") + "',
    "' + __import__('os').system('touch PWNED') + '",
    "'''\n__import__('os').system('touch PWNED')\n'''",
    "\n__import__('os').system('touch PWNED')\n",
    "{{ ''.__class__ }} {% raw %} \0007\0 _jph_0_",
    "\\",
    "# \u2028 \r\n",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_from_the_bus_never_becomes_code(channel, run, text, tmp_path):
    hostile = text.replace("PWNED", str(tmp_path / "pwned"))
    channel.put("A4", hostile)
    places = "{{ A4 }}, '{{ A4 }}', \"{{ A4 }}\", '''{{ A4 }}''', f'{{ A4 }}', {{ A4|object }}"
    code = f"# {{{{ A4 }}}}\nsendData(len(set([{places}])))\nsendData({{{{ A4 }}}}, Codifier='P2')"
    assert run(code) == {"C1": 1, "P2": hostile}
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n1/0", " line 2: ZeroDivisionError: division by zero"),
        ("\ndef f():\n  return {}['x']\n\nf()", " line 3: KeyError: 'x'"),
        ("import json\n\njson.loads('{')", " line 3: JSONDecodeError: "),
        ("x = (\n", " line 1: SyntaxError: '\\(' was never closed"),
        ("\n\n  {{ A4 }}\n", " line 3: IndentationError: unexpected indent"),
        ("{% for i in range(3) %}\n{{ i }}\n{% endfor %}\n\n1/0", " line 5: ZeroDivisionError"),
        ("\n{{\nA4\n|age }}\n1/0", " line 5: ZeroDivisionError"),
        ("\n{{ A4 | }}", " line 2: expected token"),
        ("\n{{ }}", " line 2: Expected an expression"),
        ("\n{{ A4|DTimestmp }}", ' line 2: .*"DTimestmp".*DTimestamp'),
        ("\n{{ FJ|config|Senor }}", ' line 2: .*"Senor"'),
        ("\n{{ ZZ|config|Sensor }}", " line 2: .*ZZ "),
        ("\n{{ A4|object|voltage }}", ' line 2: .*"voltage".*1\\.0'),
        ("\n{{ T1|object|voltage }}", " line 2: .*\"voltage\".*'A4'"),
        ("\n{{ litre }}", " line 2: .*litre"),
        ("\n{{ A4 }} = 2", " line 2: SyntaxError: {{ }} "),
        ("\nx_{{ A4 }} = 2", " line 2: SyntaxError: {{ }} "),
        ("\nx = b'{{ A4 }}'", " line 2: SyntaxError: .*bytes"),
        ("\nage(3)", ' line 2: TypeError: age.*age\\("A4"\\)'),
        ("\nsendData(float('nan'))", " line 2: ValueError: .*nan"),
        ("\nsendData([1])", " line 2: TypeError: .*list"),
        ("\nsendData({'a': 1})", " line 2: ValueError: "),
        ("\nsendData('x' * 2000)", " line 2: ValueError: .*2000 bytes"),
        ("\nsendData(None)", " line 2: TypeError: "),
        ("\nsendData(1, Codifier='A4')", " line 2: ValueError: .*A4"),
        ("\nsendData(1, Codifier='P3')", " line 2: ValueError: .*P3"),
        ("\nsendCtrl('Q')", " line 2: ValueError: .*Q"),
        ("\nimport sys\nsys.exit('enough')", " line 3: SystemExit: enough"),
        ("def f():\n  f()\nf()", " line 2: RecursionError"),
        ("\n\nx = bytearray(10**9)", " line 3: .*256 MB"),
        ("\nx = 1\0", " line 2: SyntaxError: .*NUL"),
        (b"\nx = '\xff\xfe'", " line 2: SyntaxError: .*0xff.*UTF-8"),
        (b"\xef\xbb\xbf\r\n# \xb0C", " line 2: SyntaxError: .*0xb0.*UTF-8"),
        ("#" * (1 << 20) + "\n", ": .*1048576 bytes"),
        ("\nos._exit(3)", ": .*status 3"),
        ("import signal\n\nsignal.raise_signal(11)", " line 3: .*SIGSEGV"),
        (
            "sys.setrecursionlimit(9999)\nx = 0\nfor _ in range(5000): x = [x]\n"
            "sendData({'value': x})",
            ": .*RecursionError",
        ),
        ("while True: sendData('x' * 1000)", ": .*1048576 bytes"),
    ],
)  # fmt: skip
@in_both
def test_an_error_names_file_and_line(channel, make, text, reason):
    channel.put("A4", 1.0)
    channel.put("T1", "A4")
    python = make(text)
    with pytest.raises(SensorError, match="calc\\.py" + reason) as caught:
        python.read()
    assert not isinstance(caught.value, NoReading)
    Path(python.filename).write_text("sendData(1)")
    assert python.read() == {"C1": 1}  # whatever it was


def test_what_was_sent_before_the_error_is_sent(channel, run):
    with pytest.raises(SensorError, match="line 3"):
        run("sendData(1)\nsendCtrl(flag='A', to='FK', timeComponent=2)\n1/0")
    assert channel.data == [("C1", 1, None)]
    assert channel.control == [("A", "FK", 2.0)]


def test_values_with_a_time_are_sent_at_once_and_of_the_others_the_last(channel, run):
    assert run("sendData(1, 1234)\nsendData(2)\nsendData(3)\nsendData(4, Codifier='P1')") == {
        "C1": 3,
        "P1": 4,
    }
    assert channel.data == [("C1", 1, 1234)]


def test_values_with_a_time_are_what_their_data_type_says(channel, run):
    text = "sendData('21.5', 1234)\nsendData('unavailable', 1235)"
    with pytest.raises(SensorError, match=naming("line 2", "unavailable", "DataType")):
        run(text)
    assert channel.data == [("C1", 21.5, 1234)]


def test_a_time_with_a_fraction_counts_as_its_millisecond(channel, run):
    text = "sendData(1, 1234.9)\nsendCtrl('A', 1234.9, 'FK', 2)\nsendData(3, 'soon')"
    with pytest.raises(SensorError, match="line 3: ValueError: invalid literal"):
        run(text)
    assert channel.data == [("C1", 1, 1234)]
    assert channel.control == [("A", "FK", 2.0)]


def test_a_command_reaches_the_next_run_only(make):
    python = make("sendData(f'{command} {number}')")
    python.command("A", 21.5)
    assert python.read() == {"C1": "A 21.5"}
    assert python.read() == {"C1": " None"}


@in_both
def test_self_stays_from_run_to_run_and_a_change_of_the_file_counts(make):
    text = "self.n = getattr(self, 'n', 0) + 1\nsendData(self.n)"
    python = make(text)
    assert [python.read()["C1"] for _ in range(3)] == [1, 2, 3]
    Path(python.filename).write_text(text + "\nsendData(-self.n, Codifier='P2')")
    assert python.read() == {"C1": 4, "P2": -4}


@in_both
def test_where_the_file_is_looked_for(make, channel, monkeypatch, tmp_path):
    python = make("sendData(1)")
    python.filename = "calc.py"
    with pytest.raises(SensorError, match=naming(f"{os.getcwd()}/calc.py")):
        python.read()
    monkeypatch.chdir(tmp_path)
    assert python.read() == {"C1": 1}
    python.filename = ""
    with pytest.raises(SensorError, match="Filename"):
        python.read()
    python.filename = str(tmp_path)
    with pytest.raises(SensorError, match=naming(str(tmp_path), "Is a directory")):
        python.read()


@in_both
def test_what_it_prints_goes_to_the_log_and_is_bounded(make, caplog):
    caplog.set_level(logging.INFO)
    text = "print('warm', {{ A4 }})\nchannel.logger.warning('%d too many', 3)\nprint('end', end='')"
    assert make(text).read() == {}
    assert [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"] == [
        "C1: warm None", "C1: 3 too many", "C1: end",
    ]  # fmt: skip
    caplog.clear()
    assert make("while len(str(self)) < 20000: self.x = str(self); print('y' * 1000)").read() == {}
    assert sum(len(record.getMessage()) for record in caplog.records) < 5000
    caplog.clear()
    assert make("for n in range(30000): print()\nsendData(1)").read() == {"C1": 1}
    assert len(caplog.records) < 5000


@pytest.mark.slow
def test_an_endless_loop_costs_one_reading_and_all_that_it_started(make, tmp_path):
    child = tmp_path / "child"
    endless = (
        "import subprocess\n"
        f"open({str(child)!r}, 'w').write(str(subprocess.Popen(['sleep', '600']).pid))\n"
        "while True:\n    pass\n"
    )
    python = make(endless, timeout_s=4.0)
    with pytest.raises(SensorError, match=r"calc\.py line [234].* 4 s"):
        python.read()
    eventually(lambda: not is_alive(int(child.read_text())), SOON_S)
    Path(python.filename).write_text("sendData(1)")
    python.timeout_s = SOON_S
    assert python.read() == {"C1": 1}


def test_a_child_that_the_file_forks_does_not_speak_to_the_node(make, tmp_path):
    child = tmp_path / "child"
    forking = f"""
pid = os.fork()
if not pid:
    print("a child")
    open({str(child)!r}, "w").write(str(os.getpid()))
    sendData(-1)
else:
    os.waitpid(pid, 0)
sendData(1)
"""
    python, other = make(forking), make("sendData(2)", "other.py")
    for _ in range(3):
        assert (python.read(), other.read()) == ({"C1": 1}, {"C1": 2})
    assert not is_alive(int(child.read_text()))


@pytest.mark.slow
def test_threads_that_a_file_leaves_disturb_no_other(make):
    text = """
import threading
def send():
    try:
        while True: sendData(1, 5)
    except RuntimeError:
        pass
for _ in range(3): threading.Thread(target=send).start()
time.sleep(0.01)
"""
    python, other = make(text), make("self.n = getattr(self, 'n', 0) + 1\nsendData(self.n)", "2.py")
    for n in range(1, 150):
        assert (python.read(), other.read()) == ({}, {"C1": n})


def test_a_limit_of_the_system_stays(make):
    limit = "import resource\nlimits = resource.getrlimit(resource.RLIMIT_AS)\n"
    make(limit + "resource.setrlimit(resource.RLIMIT_AS, (200 << 20,) * 2)").read()
    python = make(limit + "sendData({'value': limits})", "2.py")
    assert python.read() == {"C1": {"value": [200 << 20] * 2}}
    python.memory_mb = 100
    assert python.read() == {"C1": {"value": [100 << 20, 200 << 20]}}


@in_both
def test_what_a_file_keeps_until_the_memory_is_full_costs_one_reading(make):
    python = make("self.x = getattr(self, 'x', []) + [bytearray(90 << 20)]\nsendData(len(self.x))")
    for _ in range(3):
        assert [python.read()["C1"] for _ in range(2)] == [1, 2]
        with pytest.raises(SensorError, match=naming("calc.py", "256 MB")):
            python.read()


def test_a_slow_calculation_delays_no_other(make, tmp_path):
    hold = tmp_path / "hold"
    hold.touch()
    slow = make(f"while os.path.exists({str(hold)!r}): time.sleep(0.01)\nsendData(1)", "slow.py")
    quick = make("sendData(os.getpid())", "quick.py")
    other = make("sendData(os.getpid())", "other.py")
    pids = quick.read(), other.read()
    assert pids[0] == pids[1] == {"C1": QUICK.pid}
    slow._move()  # as after a first run that was slow
    found = []
    thread = threading.Thread(target=lambda: found.append(slow.read()))
    thread.start()
    try:
        assert (quick.read(), other.read()) == pids
        assert not found
    finally:
        hold.unlink()
        thread.join()
    assert found == [{"C1": 1}]


def test_what_may_take_long_is_in_the_second_process_from_the_start(make):
    slow, quick = make(timeout_s=SOON_S + 1), make("sendData(os.getpid())", "quick.py")
    assert slow._process is SLOW
    assert quick.read() == {"C1": QUICK.pid}
    assert slow.read() == {}
    assert SLOW.pid not in (None, QUICK.pid)


def test_what_is_slow_or_crashes_goes_to_the_second_process(make, monkeypatch):
    slow = make("sendData(os.getpid())", "slow.py")
    with monkeypatch.context() as patch:
        patch.setattr("sensors.calculation.component.SLOW_S", 0.0)
        first, second = slow.read()["C1"], slow.read()["C1"]
    crashing = make("os._exit(1)", "crash.py")
    with pytest.raises(SensorError):
        crashing.read()
    assert second == SLOW.pid != first
    assert crashing._process is slow._process is SLOW


def test_a_process_that_was_killed_between_readings_is_started_anew(make):
    python = make("sendData(os.getpid())")
    pid = python.read()["C1"]
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert python.read()["C1"] != pid


def test_the_process_has_no_descriptor_of_the_node(make):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node, open(os.devnull) as file:
        os.set_inheritable(node.fileno(), True)
        os.set_inheritable(file.fileno(), True)
        links = "[os.readlink('/proc/self/fd/' + fd) for fd in os.listdir('/proc/self/fd')[:-1]]"
        python = make(f"sendData(', '.join(sorted({links})))")
        found = python.read()["C1"].split(", ")
    kinds = sorted(link.partition(":")[0] for link in found)
    assert kinds == ["/dev/null"] * 3 + ["/memfd", "pipe", "pipe"]


@pytest.mark.parametrize("rest", ["sendData(1)", "while True: time.sleep(1)", "while True: pass"])
def test_the_process_ends_with_a_node_that_is_killed(tmp_path, rest):
    file, pids = tmp_path / "calc.py", tmp_path / "pids"
    start = "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
    tell = f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}} ')\n"
    file.write_text(start + tell + rest)
    program = f"""
import time
from pathlib import Path
from sensors.calculation.component import Python
from tests.sensors.bus_stub import StubChannel
python = Python(StubChannel(Path({str(tmp_path)!r}), {SENSORS[0]!r}), {str(file)!r}, timeout_s=600)
python.read()
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", program]) as node:
        try:
            eventually(lambda: pids.exists() and pids.read_text().endswith(" "), SOON_S)
            worker, child = map(int, pids.read_text().split())
            assert is_alive(worker) and is_alive(child)
        finally:
            node.kill()
    eventually(lambda: not is_alive(worker) and not is_alive(child), SOON_S)


def test_a_process_that_cannot_start_says_why(make, monkeypatch):
    monkeypatch.setattr(calculation_process, "_PROGRAM", "raise SystemExit('no jinja2 here')")
    with pytest.raises(SensorError, match="no jinja2 here"):
        make("sendData(1)").read()


def test_without_jinja2_the_registry_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    monkeypatch.delitem(sys.modules, "sensors.calculation.component")
    with pytest.raises(ConfigError, match=naming("jinja2", "pip install 'jph[python]'")):
        registry.find("PythonNinja")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
