"""Functions of other people: what they may do, and what a misbehaving one costs.

The escapes run with the confinement of this machine's kernel. Where it has none these tests fail,
since nothing else would tell whether it holds.
"""

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from jph.workers import confinement
from jph.workers.functions import Failure, Function, Lost, Worker
from jph.workers.system_calls import X86_64

ADD_ONE = Function("add", "def run(x):\n    return x + 1\n")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.end()


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give calls more time than usual, since a busy machine may take long."""
    monkeypatch.setattr(Worker.call_many, "__defaults__", (20.0,))


def call(worker: Worker, source: str, *arguments: object, **more: float) -> object:
    function = Function(sha256(source.encode()).hexdigest(), source)
    (result,) = worker.call_many(function, [arguments], **more)
    return result


def test_this_kernel_can_confine() -> None:
    assert confinement.why_not() == ""


def test_results_come_in_the_order_of_the_arguments(worker: Worker) -> None:
    arguments = [[number] for number in range(500)]

    assert worker.call_many(ADD_ONE, arguments) == list(range(1, 501))


def test_what_a_call_raises_costs_only_that_value(worker: Worker) -> None:
    first, second, third = worker.call_many(ADD_ONE, [[1], ["one"], [3]])

    assert (first, third) == (2, 4)
    assert isinstance(second, Failure)
    assert second.text.startswith("line 2: TypeError: ")


def test_globals_last_from_call_to_call(worker: Worker) -> None:
    source = "count = 0\ndef run():\n    global count\n    count += 1\n    return count\n"

    assert [call(worker, source) for _ in range(3)] == [1, 2, 3]


def test_a_function_calls_others_by_their_aliases(worker: Worker) -> None:
    depends = (
        ("twice", "t", "def run(x):\n    return 2 * x\n"),
        ("thrice", "u", "def thrice(x):\n    return 3 * x\n"),
    )
    function = Function("both", "def run(x):\n    return twice(x) + thrice(x)\n", depends)

    assert worker.call_many(function, [[1], [2]]) == [5, 10]


def test_the_library_of_python_is_at_hand(worker: Worker) -> None:
    source = """
import datetime, decimal, hashlib, random, sqlite3, statistics
def run():
    random.random()
    text = hashlib.sha256(b"").hexdigest()[:4]
    return [statistics.mean([1, 2]), text, datetime.date.today().year > 2000]
"""
    assert call(worker, source) == [1.5, "e3b0", True]


REFUSED = {
    "fork": ("import os\ndef run():\n    while True:\n        os.fork()\n", "PermissionError"),
    "a program": ("import os\ndef run():\n    os.execv('/bin/sh', ['sh'])\n", "PermissionError"),
    "a subprocess": (
        "import subprocess\ndef run():\n    subprocess.run(['true'])\n",
        "PermissionError",
    ),
    "a thread": (
        "import threading\ndef run():\n    threading.Thread(target=print).start()\n",
        "can't start new thread",
    ),
    "a signal to the node": (
        "import os\ndef run():\n    os.kill(os.getppid(), 9)\n",
        "PermissionError",
    ),
    "a socket": ("import socket\ndef run():\n    socket.socket()\n", "PermissionError"),
    "a socket of a file": (
        "import socket\ndef run():\n    socket.socket(socket.AF_UNIX)\n",
        "PermissionError",
    ),
    "passwords": ("def run():\n    return open('/etc/passwd').read()\n", "PermissionError"),
    "memory of the process": (
        "def run():\n    return open('/proc/self/mem', 'wb')\n",
        "PermissionError",
    ),
    "another's environment": (
        "import os\ndef run():\n    return open(f'/proc/{os.getppid()}/environ').read()\n",
        "PermissionError",
    ),
    "a list of files": ("import os\ndef run():\n    return os.listdir('/')\n", "PermissionError"),
    "a new file": ("def run():\n    open('/tmp/jph-escape', 'w')\n", "PermissionError"),
    "files below a folder that it may name": (
        "import os\ndef run():\n    root = os.open('/', os.O_PATH)\n"
        "    os.open('etc/passwd', os.O_RDONLY, dir_fd=root)\n",
        "PermissionError",
    ),
    "a better place at the processor": ("import os\ndef run():\n    os.nice(-1)\n", "Permission"),
    "an emptied file": (  # Landlock would say that there is none
        "import os\ndef run():\n    os.open('/nowhere', os.O_RDONLY | os.O_TRUNC)\n",
        "PermissionError",
    ),
    "a file of memory": ("import os\ndef run():\n    os.memfd_create('x')\n", "PermissionError"),
    "more memory": (
        "import resource\ndef run():\n    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))\n",
        "maximum limit",
    ),
    "the bus": ("import jph\ndef run():\n    pass\n", "ModuleNotFoundError"),
    "not a number": ("def run():\n    return float('nan')\n", "ValueError"),
    "what is no JSON": ("def run():\n    return {1, 2}\n", "TypeError"),
    "a large result": ("def run():\n    return 'x' * 65536\n", "65536 are allowed"),
    "no end of calls": ("def run(n=0):\n    return run(n + 1)\n", "RecursionError"),
    "an exit": ("import sys\ndef run():\n    sys.exit()\n", "SystemExit"),
    "no function": ("run = 1\n", "defines no function"),
    "no Python": ("def run(:\n", "line 1: "),
}


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused(worker: Worker, what: str) -> None:
    source, why = REFUSED[what]
    before = worker.call_many(ADD_ONE, [[1]]), worker.pid

    result = call(worker, source)

    assert isinstance(result, Failure)
    assert why in result.text
    assert (worker.call_many(ADD_ONE, [[1]]), worker.pid) == before


# The numbers of system calls that this processor has; ctypes goes round Python's own checks.
SYSCALL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def run(number, *arguments):
    result = libc.syscall(number, *arguments)
    return [result, ctypes.get_errno()]
"""
CALLS = {
    "socket": (41, 2, 1, 0),
    "socketpair": (53, 1, 1, 0, 0),
    "fork": (57,),
    "vfork": (58,),
    "clone of a process": (56, 17, 0, 0, 0, 0),
    "clone of a thread": (56, 0x10F00, 0, 0, 0, 0),
    "kill": (62, 1, 0),
    "ptrace": (101, 0, 0, 0, 0),
    "prctl": (157, 38, 0, 0, 0, 0),
    "mount": (165, 0, 0, 0, 0, 0),
    "tkill": (200, 1, 0),
    "unshare": (272, 0x10000000),
    "perf_event_open": (298, 0, 0, 0, 0, 0),
    "process_vm_writev": (311, 1, 0, 0, 0, 0, 0),
    "bpf": (321, 0, 0, 0),
    "execveat": (322, -100, 0, 0, 0, 0),
    "userfaultfd": (323, 0),
    "owner of a file, who gets signals": (72, 0, 8, 1),
    "a limit": (302, 0, 9, 1, 0),
    "pidfd_send_signal": (424, 0, 0, 0, 0),
    "io_uring_setup": (425, 1, 0),
    "clone3": (435, 0, 0),
    "pidfd_open": (434, 1, 0),
    "socket, by a number of x32": (0x40000000 + 41, 2, 1, 0),
}


@pytest.mark.parametrize("what", CALLS)
def test_the_kernel_refuses(worker: Worker, what: str) -> None:
    assert os.uname().machine == "x86_64", "the numbers are those of this processor"

    result = call(worker, SYSCALL, *CALLS[what])

    assert isinstance(result, list), result
    assert result[0] == -1
    assert result[1] in (1, 38), os.strerror(result[1])  # EPERM, or ENOSYS


# Numbers that no filter sees: of breakpoints that the kernel itself has set, useless elsewhere.
UNFILTERED = {335, 336}
SWEEP = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def run(number):
    result = libc.syscall(number, -1, 0, 0, 0, 0, 0)
    return [result, ctypes.get_errno()]
"""


def test_the_kernel_refuses_every_call_that_is_not_in_the_list(worker: Worker) -> None:
    assert os.uname().machine == "x86_64", "the numbers are those of this processor"
    numbers = sorted({*range(600)} - {*X86_64.calls.values()} - UNFILTERED)
    function = Function("sweep", SWEEP)

    answers = worker.call_many(function, [[number] for number in numbers], timeout_s=30)

    refused = ([-1, errno.EPERM], [-1, errno.ENOSYS])
    assert [n for n, it in zip(numbers, answers, strict=True) if it not in refused] == []


LOST = {
    "an endless loop": ("def run():\n    while True:\n        pass\n", "time", ", in line"),
    "a long sleep": ("import time\ndef run():\n    time.sleep(60)\n", "time", "line 3"),
    "3 GB": ("def run():\n    return len(bytearray(3 << 30))\n", "memory", "64 MB"),
    "a hoard": (
        "kept = []\ndef run():\n    kept.append(bytearray(40 << 20))\n",
        "memory",
        "keeps half",
    ),
    "a crash": (
        "import ctypes\ndef run():\n    ctypes.string_at(0)\n",
        "crash",
        "SIGSEGV, in line 3",
    ),
    "an end": ("import os\ndef run():\n    os._exit(3)\n", "crash", "status 3"),
    "a call as a 32-bit program makes it": (
        "import ctypes, mmap\ndef run():\n    code = mmap.mmap(-1, 4096, prot=7)\n"
        "    code.write(bytes.fromhex('b814000000cd80c3'))  # getpid by int 0x80\n"
        "    at = ctypes.addressof(ctypes.c_char.from_buffer(code))\n"
        "    return ctypes.CFUNCTYPE(ctypes.c_int)(at)()\n",
        "crash",
        "SIGS",  # SYS of the filter, or SEGV of a kernel without such programs
    ),
    "a stop": ("import signal\ndef run():\n    signal.raise_signal(19)\n", "time", "within 1 s"),
    "an abort": ("import os\ndef run():\n    os.abort()\n", "crash", "SIGABRT"),
    "garbage in the pipes": (
        "import os\ndef run():\n    for number in range(3, 64):\n        try:\n"
        "            os.write(number, b'garbage!')\n        except OSError:\n            pass\n",
        "flood",
        "too large",
    ),
    "another answer": (
        "import json\ndef run():\n    json.dumps = lambda *_, **__: 'NaN'\n",
        "crash",
        "broke the connection",
    ),
}


@pytest.mark.parametrize("what", LOST)
def test_it_costs_the_function_its_process(worker: Worker, what: str) -> None:
    source, kind, why = LOST[what]
    worker.start()
    pid = worker.pid

    with pytest.raises(Lost) as lost:
        call(worker, source, timeout_s=1.0 if kind == "time" else 20.0)

    assert lost.value.kind == kind
    assert why in str(lost.value)
    assert worker.call_many(ADD_ONE, [[1]]) == [2]
    assert worker.pid != pid


def test_a_function_has_no_environment_and_prints_to_nobody(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("JPH_SECRET", "secret")
    source = """
import os
def run():
    for number in range(10_000):
        print(number)
    return dict(os.environ)
"""
    environment = call(worker, source)

    assert isinstance(environment, dict)
    assert environment.keys() <= {"LC_CTYPE", "MALLOC_ARENA_MAX"}
    assert capfd.readouterr() == ("", "")


def test_without_confinement_the_limits_hold() -> None:
    worker = Worker("limits-only")
    try:
        assert isinstance(call(worker, "def run():\n    return open('/etc/passwd').read()\n"), str)
        with pytest.raises(Lost, match="64 MB"):
            call(worker, "def run():\n    return len(bytearray(3 << 30))\n")
        with pytest.raises(Lost, match="within 1 s"):
            call(worker, "def run():\n    while True:\n        pass\n", timeout_s=1.0)
    finally:
        worker.end()


def test_another_thread_ends_it() -> None:
    worker = Worker()
    worker.start()
    threading.Timer(0.2, worker.close).start()

    with pytest.raises(Lost, match="SIGKILL"):
        worker.call_many(
            Function("sleep", "import time\ndef run():\n    time.sleep(60)\n"), [[]], timeout_s=60
        )


def test_how_it_ended_is_told_though_it_never_heard_the_call() -> None:
    worker = Worker()
    worker.close()
    with pytest.raises(Lost, match="SIGKILL"):
        worker.call_many(ADD_ONE, [[1]])


def test_it_ends_with_the_node(tmp_path: Path) -> None:
    """A function that runs when the node dies does not go on for ever."""
    listener = socket.create_server(("127.0.0.1", 0))
    node = os.fork()
    if not node:
        try:
            worker = Worker()
            worker.start()
            (tmp_path / "pid.new").write_text(str(worker.pid))
            (tmp_path / "pid.new").rename(tmp_path / "pid")
            source = "import time\ndef run():\n    time.sleep(600)\n"
            worker.call_many(Function("sleep", source), [[]], timeout_s=600)
        finally:
            os._exit(0)
    listener.close()
    try:
        until_s = time.monotonic() + 60
        while not (tmp_path / "pid").exists() and time.monotonic() < until_s:
            time.sleep(0.02)
        child = int((tmp_path / "pid").read_text())
    finally:
        os.kill(node, 9)
        os.waitpid(node, 0)
    while _is_alive(child) and time.monotonic() < until_s:
        time.sleep(0.02)
    assert not _is_alive(child)


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
