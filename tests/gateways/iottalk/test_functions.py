"""Functions in their confined processes, through graphs: what one does costs no other."""

import os
from pathlib import Path

import pytest

from gateways.iottalk.dataflow.engine import Engine
from gateways.iottalk.dataflow.model import Feature, Graph, Link, Use, digest_of
from gateways.iottalk.functions import Workers
from jph.workers import confinement
from jph.workers.priority import LOWEST
from tests.gateways.iottalk.local import confined
from tests.helpers import eventually
from tests.jph.workers.places import session_niceness

pytestmark = confined

DEVICE = "7b1c5ac5-6f39-4a5b-8c1e-1df2ba6c3c11"
GOOD = "def run(x): return x + 1"

# What costs the process, and what the kernel refuses: source, and what is said of it.
ENDS = {
    "an endless loop": ("    while x: pass", "not done within 1 s"),
    "a crash": ("    import os\n    os.abort()", "SIGABRT"),
    "an end": ("    import os\n    os._exit(3)", "status 3"),
    "3 GB": ("    return len(bytearray(3 << 30))", "more than 64 MB"),
}
RAISES = {
    "a fork bomb": (
        "    import os\n    while True: os.fork()",
        "Operation not permitted",
    ),
    "a process": (
        "    import subprocess\n    return subprocess.run(['/bin/true']).returncode",
        "Error",
    ),
    "a fork": ("    import os\n    return os.fork()", "Operation not permitted"),
    "a thread bomb": (
        "    import threading\n    e = threading.Event()\n"
        "    for _ in range(1000): threading.Thread(target=e.wait, daemon=True).start()",
        "",
    ),
    "a program": ("    import os\n    os.execv('/bin/sh', ['sh'])", "PermissionError"),
    "a signal to its parent": ("    import os\n    os.kill(os.getppid(), 9)", "not permitted"),
    "passwords": ("    return open('/etc/passwd').read()", "PermissionError"),
    "a file": ("    return open('/tmp/jph-escape', 'w').write('x')", "PermissionError"),
    "a socket": ("    import socket\n    return str(socket.socket())", "not permitted"),
    "a long result": ("    return 'x' * (65 << 10)", "65536"),
    "NaN": ("    return float('nan')", ""),
    "no JSON": ("    return object()", ""),
    "an exception": ("    return 1 / 0", "division by zero"),
    "no function": ("    pass\nrun = 5", ""),
    "an exit": ("    raise SystemExit(1)", ""),
    "a mistake": ("    return (", "never closed"),
}


class Graphs:
    """An engine with real processes, a good graph, and one with a function to be tried."""

    def __init__(self) -> None:
        self.outputs = {"good": [], "bad": []}
        self.errors = []
        self.engine = Engine(
            Workers(),
            lambda device, feature, values: self.outputs[feature].append(values[0]),
            lambda key, message: self.errors.append((key, message["data"]["msg"])),
        )
        self.put("good", GOOD)

    def put(self, key, source):
        graph = Graph(key).add_functions([source], [digest_of(source)])
        graph = graph.add_link(Link(Feature(DEVICE, key, "idf")))
        graph = graph.add_link(Link(Feature(DEVICE, key, "odf")))
        self.engine.put(graph.set_join(None, Use(digest_of(source))))

    def push(self, key, value):
        self.engine.push(DEVICE, key, value)

    def good(self, value):
        """Bring a value through the good graph."""
        self.push("good", value)
        eventually(lambda: self.outputs["good"] and self.outputs["good"][-1] == value + 1)


@pytest.fixture
def graphs():
    it = Graphs()
    it.good(0)
    yield it
    it.engine.close()


def source_of(body):
    return f"def run(x):\n{body}\n"


@pytest.mark.parametrize("what", ENDS)
def test_what_ends_its_process_costs_its_turn_and_is_off_after_three(graphs, what):
    body, said = ENDS[what]
    graphs.put("bad", source_of(body))
    for value in range(1, 4):
        graphs.push("bad", value)
        graphs.good(value)
    eventually(lambda: graphs.engine.status("bad")["off"], 60)
    eventually(lambda: "switched off after 3 failures" in graphs.errors[-1][1])
    assert any(said in text for key, text in graphs.errors if key == "bad"), graphs.errors
    assert graphs.engine.status("bad")["worker"] == "own"
    graphs.good(10)
    assert graphs.outputs["bad"] == []
    assert graphs.outputs["good"] == sorted(graphs.outputs["good"])
    assert not [key for key, _ in graphs.errors if key == "good"]


@pytest.mark.parametrize("what", RAISES)
def test_what_the_kernel_or_python_refuses_costs_its_turn(graphs, what):
    body, said = RAISES[what]
    graphs.put("bad", source_of(body))
    graphs.push("bad", 1)
    eventually(lambda: [it for it in graphs.errors if it[0] == "bad"], 60)
    assert said.lower() in graphs.errors[0][1].lower()
    graphs.good(1)
    assert graphs.outputs["bad"] == []
    assert not Path("/tmp/jph-escape").exists()
    assert not [key for key, _ in graphs.errors if key == "good"]
    graphs.put("bad", GOOD)  # its place is as good as before
    graphs.push("bad", 5)
    eventually(lambda: graphs.outputs["bad"] == [6], 60)


def test_the_environment_is_empty_and_nothing_of_this_home_is_read(graphs, monkeypatch):
    monkeypatch.setenv("JPH_SECRET", "a secret")
    graphs.put("bad", source_of("    import os\n    return [[*os.environ], os.getcwd()]"))
    graphs.push("bad", 1)
    eventually(lambda: graphs.outputs["bad"] or graphs.errors)
    assert graphs.errors == []
    assert "JPH_SECRET" not in graphs.outputs["bad"][0]
    graphs.put("bad", source_of(f"    return open({str(Path(__file__))!r}).read()[:10]"))
    graphs.push("bad", 1)
    eventually(lambda: graphs.errors)
    assert "PermissionError" in graphs.errors[0][1]


def test_functions_call_each_other_by_their_names(graphs):
    square, run = "def run(x): return x * x", "def run(x): return square(x) + helper(x)"
    helper = "FACTOR = 100\ndef helper(x): return FACTOR * x"
    sources = [square, helper, run]
    graph = Graph("bad").add_functions(sources, map(digest_of, sources))
    graph = graph.add_link(Link(Feature(DEVICE, "bad", "idf")))
    graph = graph.add_link(Link(Feature(DEVICE, "bad", "odf")))
    depends = {"square": digest_of(square), "helper": digest_of(helper)}
    graphs.engine.put(graph.set_join(None, Use.of(digest_of(run), depends)))
    graphs.push("bad", 3)
    eventually(lambda: graphs.outputs["bad"] or graphs.errors)
    assert (graphs.outputs["bad"], graphs.errors) == ([309], [])


def test_a_function_keeps_what_it_has_between_values(graphs):
    graphs.put("bad", "count = 0\ndef run(x):\n    global count\n    count += x\n    return count")
    for _ in range(200):
        graphs.push("bad", 1)
    eventually(lambda: len(graphs.outputs["bad"]) == 200)
    assert graphs.outputs["bad"] == list(range(1, 201))


def test_a_process_that_is_killed_is_replaced(graphs):
    lanes = graphs.engine._lanes
    workers = [lane.runner._worker for lane in (lanes._shared, lanes._spare, *lanes._own)]
    processes = [worker._process for worker in workers if worker.pid]
    for process in processes:
        os.kill(process.pid, 9)
    eventually(lambda: not any(process.is_running for process in processes))
    graphs.good(1)
    graphs.good(2)


def test_fifty_graphs_some_of_them_slow_need_few_processes(graphs):
    graphs.outputs |= {f"g{number}": [] for number in range(50)}
    slow = "import time\ndef run(x):\n    time.sleep(0.2)\n    return x"
    for number in range(50):
        graphs.put(f"g{number}", slow if number < 10 else f"def run(x): return x  # {number}")
    lanes = graphs.engine._lanes
    for number in range(50):
        graphs.push(f"g{number}", number)
    eventually(lambda: all(graphs.outputs[f"g{number}"] for number in range(50)), 60)
    assert 0 < len(lanes._own) <= 6
    graphs.good(1)


def test_who_takes_the_processor_leaves_it_to_others_and_who_waits_does_not(graphs):
    graphs.outputs |= {"works": [], "waits": []}
    graphs.put("works", "def run(x):\n    while x: pass")
    graphs.put("waits", "import time\ndef run(x):\n    time.sleep(0.3)\n    return x")
    lanes = graphs.engine._lanes

    def places(key):
        """Return the niceness of the process of a graph, and of its session."""
        running = graphs.engine._graphs[key]
        lane = lanes._homes.get(running)
        if lane is None or lane.present is not running or (pid := lane.runner._worker.pid) is None:
            return set()
        try:
            return {os.getpriority(os.PRIO_PROCESS, pid), session_niceness(pid)} - {None}
        except ProcessLookupError:  # it has just ended
            return set()

    graphs.push("waits", 1)
    eventually(lambda: graphs.outputs["waits"], 60)
    graphs.push("waits", 2)
    for value in (1, 2, 3):  # each loops for a second
        graphs.push("works", value)
    eventually(lambda: places("works") == {LOWEST}, 60, "it steps back, within 3 s of looping")
    graphs.push("waits", 3)
    eventually(lambda: len(graphs.outputs["waits"]) == 3, 60)
    (waiting,) = [lane for lane in lanes._own if graphs.engine._graphs["waits"] in lane.graphs]
    assert os.getpriority(os.PRIO_PROCESS, waiting.runner._worker.pid) < LOWEST
    graphs.good(1)


def test_where_nothing_confines_functions_run_only_if_the_owner_says_so(monkeypatch):
    monkeypatch.setattr(confinement, "why_not", lambda: "an old kernel")
    for sandbox, expected in (("confine", []), ("limits-only", [2])):
        outputs, errors = [], []
        workers = Workers(sandbox)
        engine = Engine(
            workers,
            lambda device, feature, values, to=outputs: to.append(values[0]),
            lambda key, message, to=errors: to.append(message["data"]["msg"]),
        )
        try:
            graph = Graph("g").add_functions([GOOD], [digest_of(GOOD)])
            graph = graph.add_link(Link(Feature(DEVICE, "i", "idf"), Use(digest_of(GOOD))))
            engine.put(graph.add_link(Link(Feature(DEVICE, "o", "odf"))))
            engine.push(DEVICE, "i", 1)
            eventually(lambda done=(outputs, errors): any(done))
            assert outputs == expected
            assert bool(workers.fault) == bool(errors) == (not expected)
        finally:
            engine.close()
