"""The engine with functions that run in this process; their processes have tests of their own."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateways.iottalk.dataflow.engine import Engine
from gateways.iottalk.dataflow.model import Feature, Graph, Link, Use, digest_of
from gateways.iottalk.dataflow.runner import Lost, function_of
from gateways.iottalk.dataflow.running import (
    MOST_TRIALS,
    MOST_WAITING,
    MOST_WAITING_BYTES,
    Running,
)
from tests.gateways.iottalk.local import Local

DEVICE = "7b1c5ac5-6f39-4a5b-8c1e-1df2ba6c3c11"
OUT = Feature(DEVICE, "out", "odf")


class Heard:
    """What an engine gave."""

    def __init__(self) -> None:
        self.outputs: list[tuple[str, list[object]]] = []
        self.reports: list[tuple[str, dict[str, Any]]] = []
        self.names: dict[str, Any] = {"Lost": Lost}
        self.engine = Engine(
            Local(self.names),
            lambda device, feature, values: self.outputs.append((feature, values)),
            lambda key, message: self.reports.append((key, message)),
        )

    def of(self, feature: str = "out") -> list[list[object]]:
        return [values for name, values in list(self.outputs) if name == feature]

    def errors(self) -> list[dict[str, Any]]:
        return [it["data"] for _, it in list(self.reports) if it["op"] == "esm_error"]

    def count(self, key: str = "g") -> int:
        """Return how many errors of a graph are counted."""
        status: Any = self.engine.status(key)
        return sum(it["count"] for it in status["errors"])

    def wait(self, is_so: Callable[[], object]) -> None:
        until_s = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < until_s, (self.outputs[-5:], self.reports[-5:])
            time.sleep(0.002)


@pytest.fixture
def heard() -> Iterator[Heard]:
    it = Heard()
    yield it
    it.engine.close()


def graph(
    *inputs: str, join: str | None = None, key: str = "g", out: Feature = OUT, **functions: str
) -> Graph:
    """Return a graph from inputs to one output; functions by the name of their feature, or out."""
    sources = [it for it in (join, *functions.values()) if it]
    made = Graph(key).add_functions(sources, map(digest_of, sources))
    for name in inputs:
        source = functions.get(name)
        made = made.add_link(Link(Feature(DEVICE, name, "idf"), source and Use(digest_of(source))))
    out_source = functions.get("out")
    made = made.add_link(Link(out, out_source and Use(digest_of(out_source))))
    return made.set_join(None, Use(digest_of(join))) if join else made


def test_the_cat_of_the_description_meows_squared(heard: Heard) -> None:
    heard.engine.put(
        graph("meow", join="def run(x): return x ** 2\n", meow="def run(x): return int(x)\n")
    )
    assert heard.engine.push(DEVICE, "meow", 12.7)
    assert heard.engine.push(DEVICE, "meow", [3])
    assert not heard.engine.push(DEVICE, "purr", 1)
    heard.wait(lambda: len(heard.outputs) == 2)
    assert heard.of() == [[144], [9]]


def test_a_join_waits_for_all_inputs_and_gets_them_in_order_of_their_links(heard: Heard) -> None:
    heard.engine.put(graph("a", "b", join="def run(a, b): return [b, a]"))
    for feature, value in (("b", 1), ("b", [2]), ("a", [7, 8]), ("b", "text")):
        heard.engine.push(DEVICE, feature, value)
    heard.wait(lambda: len(heard.outputs) == 2)
    assert heard.of() == [[2, [7, 8]], ["text", [7, 8]]]


def test_without_functions_values_pass_one_or_a_list_of_slots(heard: Heard) -> None:
    heard.engine.put(graph("one", key="1"))
    heard.engine.put(graph("a", "b", key="2", out=Feature(DEVICE, "both", "odf")))
    for feature, value in (("one", [1, 2]), ("a", 3), ("b", [4, 5])):
        heard.engine.push(DEVICE, feature, value)
    heard.wait(lambda: len(heard.outputs) == 2)
    assert (heard.of(), heard.of("both")) == ([[1, 2]], [[3, [4, 5]]])


def test_none_goes_no_further(heard: Heard) -> None:
    heard.engine.put(graph("a", join="def run(x): return x if x > 2 else None"))
    for value in (1, 3, 2, 4):
        heard.engine.push(DEVICE, "a", value)
    heard.wait(lambda: len(heard.outputs) == 2)
    assert heard.of() == [[3], [4]]


def test_a_variant_is_the_difference_and_tags_stay(heard: Heard) -> None:
    feature = Feature(DEVICE, "a", "idf")
    changed = Graph("g").add_link(Link(feature, None, "variant", 1, 1)).add_link(Link(OUT))
    heard.engine.put(changed)
    for value in ([10, "x"], [12, "y"], [11.5, "z"], [1], ["no", "number"], [0, "back"]):
        heard.engine.push(DEVICE, "a", value)
    heard.wait(lambda: heard.errors() and len(heard.outputs) == 2)
    heard.wait(lambda: heard.count() == 3)
    assert heard.of() == [[2, "y"], [-0.5, "z"]]
    assert "1 values came, 2 are expected" in heard.errors()[0]["msg"]


@pytest.mark.parametrize(("length", "expected"), [(1, [1]), (2, [1, 2]), (4, [1, 2, None, None])])
def test_an_output_has_the_length_of_its_feature(
    heard: Heard, length: int, expected: list[object]
) -> None:
    source = Link(Feature(DEVICE, "a", "idf"))
    heard.engine.put(
        Graph("g").add_link(source).add_link(Link(OUT, param_no=length - 1, tag_param_no=1))
    )
    heard.engine.push(DEVICE, "a", [1, 2])
    heard.wait(lambda: heard.outputs)
    assert heard.of() == [expected]


def test_a_function_calls_another_by_its_alias_only_in_processes(heard: Heard) -> None:
    square, run = "def run(x): return x * x", "def run(x): return square(x) + 1"
    made = Graph("g").add_functions([square, run], [digest_of(square), digest_of(run)])
    made = made.set_join(None, Use.of(digest_of(run), {"square": digest_of(square)}))
    function = function_of(made.join, made)  # type: ignore[arg-type]
    assert function.depends == (("square", digest_of(square), square),)


def test_an_error_costs_one_value_and_is_kept_and_reported(heard: Heard) -> None:
    heard.engine.put(graph("a", join="def run(x): return 1 / x"))
    for value in (1, 0, 2):
        heard.engine.push(DEVICE, "a", value)
    heard.wait(lambda: len(heard.outputs) == 2)
    assert heard.of() == [[1], [0.5]]
    (error,) = heard.errors()
    assert error["src"] == "join"
    assert error["msg"] == "ZeroDivisionError: division by zero"
    (kept,) = heard.engine.status("g")["errors"]
    assert (kept["where"], kept["count"], kept["off"]) == ("join", 1, False)
    heard.engine.put(graph("a", join="def run(x): return x"))
    assert heard.engine.status("g")["errors"] == []  # that function is out
    heard.engine.push(DEVICE, "a", 5)
    heard.wait(lambda: heard.of()[-1] == [5])


def test_reports_of_one_place_are_bounded(heard: Heard) -> None:
    heard.engine.put(graph("a", join="def run(x): raise KeyError(x)"))
    for value in range(500):
        heard.engine.push(DEVICE, "a", value)
    heard.wait(lambda: heard.count() == 500)
    assert len(heard.errors()) < 100


def test_what_becomes_of_a_message_is_told_only_while_it_is_watched(heard: Heard) -> None:
    heard.engine.put(graph("a", join="def run(x): return [x, x]", a="def run(x): return x + 1"))
    heard.engine.push(DEVICE, "a", 1)
    heard.wait(lambda: heard.of() == [[2, 2]])
    heard.engine.watch("g", True)
    heard.engine.push(DEVICE, "a", 2)
    heard.wait(lambda: heard.reports)
    heard.engine.watch("g", False)
    heard.engine.push(DEVICE, "a", 3)
    heard.wait(lambda: len(heard.outputs) == 3)
    ((key, message),) = heard.reports
    assert (key, message["op"]) == ("g", "monitor_info")
    assert message["data"] == {
        "idf": {"da_id": DEVICE, "feature": "a", "values": [2], "slot": [3]},
        "join": [3, 3],
        "odf": [{"da_id": DEVICE, "feature": "out", "values": [3, 3]}],
    }
    last: Any = heard.engine.status("g")["last"]
    assert (last["idf"][0]["slot"], last["join"], last["odf"][0]["values"]) == ([4], [4, 4], [4, 4])


def test_a_graph_that_hangs_keeps_nobody_waiting_and_drops_its_oldest(heard: Heard) -> None:
    go_on = threading.Event()
    heard.names["go_on"] = go_on
    slow_out = Feature(DEVICE, "slow", "odf")
    slow = "def run(x): go_on.wait(60); return x"
    heard.engine.put(graph("a", join=slow, key="slow", out=slow_out))
    heard.engine.put(graph("b", join="def run(x): return x"))
    for value in range(MOST_WAITING + 300):
        heard.engine.push(DEVICE, "a", value)
        heard.engine.push(DEVICE, "b", value)
        if value % 100 == 0:
            time.sleep(0.001)
    total = MOST_WAITING + 300
    heard.wait(lambda: len(heard.of()) + heard.engine.status("g")["dropped"] == total)
    assert heard.of("slow") == []
    assert heard.engine.status("slow")["worker"] == "own"
    assert heard.engine.status("g")["worker"] == "shared"
    go_on.set()
    dropped = heard.engine.status("slow")["dropped"]
    assert 0 < dropped <= 300
    heard.wait(lambda: len(heard.of("slow")) == total - dropped)
    assert heard.of("slow") == sorted(heard.of("slow"))


def test_a_new_function_that_hangs_keeps_only_new_graphs_waiting(heard: Heard) -> None:
    go_on = threading.Event()
    heard.names["go_on"] = go_on
    heard.engine.put(graph("a", join="def run(x): return x"))
    for value in range(3):
        heard.engine.push(DEVICE, "a", value)
    heard.wait(lambda: len(heard.of()) == 3)
    place = heard.engine._lanes._shared
    slow = "def run(x): go_on.wait(60); return x"
    heard.engine.put(graph("b", join=slow, key="slow", out=Feature(DEVICE, "slow", "odf")))
    other = Feature(DEVICE, "new", "odf")
    heard.engine.put(graph("c", join="def run(x): return -x", key="new", out=other))
    for feature in "bca":
        heard.engine.push(DEVICE, feature, 7)
    heard.wait(lambda: heard.of("new") == [[-7]] and heard.of()[-1] == [7])
    lanes = heard.engine._lanes
    heard.wait(lambda: heard.engine.status("slow")["worker"] == "own")
    assert place in (lanes._shared, *lanes._own)  # own: this machine was slow
    assert place.present is None
    go_on.set()
    heard.wait(lambda: heard.of("slow") == [[7]])


def test_a_graph_that_was_mended_is_among_the_others_again(heard: Heard) -> None:
    go_on = threading.Event()
    heard.names["go_on"] = go_on
    heard.engine.put(graph("a", join="def run(x): go_on.wait(60); return x"))
    heard.engine.push(DEVICE, "a", 1)
    heard.wait(lambda: heard.engine.status("g")["worker"] == "own")
    lane = heard.engine._lanes._own[0]
    heard.engine.put(graph("a", join="def run(x): return -x"))
    assert heard.engine.status("g")["worker"] == "shared"
    go_on.set()
    for value in (2, 3):
        heard.engine.push(DEVICE, "a", value)
    heard.wait(lambda: heard.of() == [[1], [-2], [-3]])
    heard.wait(lambda: lane.thread is not None and not lane.thread.is_alive())


def test_a_function_keeps_what_it_has_when_it_was_tried_elsewhere() -> None:
    total = "total = 0\ndef run(x):\n    global total\n    total += x\n    return total"
    count = "n = 0\ndef run(a, b):\n    global n\n    n += 1\n    return [a, b, n]"
    heard: list[object] = []
    running = Running(
        graph("a", "b", join=count, a=total),
        lambda device, feature, values: heard.append(values),
        lambda key, message: None,
    )
    trial, shared = Local({}), Local({})

    def take(feature: str, value: int) -> None:
        running.add(Feature(DEVICE, feature, "idf"), value)
        running.turn(trial if running.is_new else shared, lambda: None)

    for value in (1, 2, 3):
        take("a", value)
    assert running.is_new  # the join was not called yet
    take("b", 0)
    assert not running.is_new
    for value in (4, 5):
        take("a", value)
    assert heard == [[6, 0, 1], [10, 0, 2], [15, 0, 3]]


def test_a_graph_is_new_for_some_values_at_most() -> None:
    running = Running(
        graph("a", "b", join="def run(a, b): pass", a="def run(x): return x"),
        lambda device, feature, values: None,
        lambda key, message: None,
    )
    for value in range(MOST_TRIALS):
        assert running.is_new
        running.add(Feature(DEVICE, "a", "idf"), value)
        running.turn(Local({}), lambda: None)
    assert not running.is_new


def test_large_messages_wait_in_bounded_memory(heard: Heard) -> None:
    go_on = threading.Event()
    heard.names["go_on"] = go_on
    heard.engine.put(graph("a", join="def run(x): go_on.wait(60); return x"))
    status: Any = lambda: heard.engine.status("g")  # noqa: E731
    heard.engine.push(DEVICE, "a", -1)
    heard.wait(lambda: status()["waiting"] == 0)  # it hangs with this one alone
    for value in range(200):
        heard.engine.push(DEVICE, "a", value, 64 << 10)
    fit = MOST_WAITING_BYTES // (64 << 10)
    assert (status()["waiting"], status()["dropped"]) == (fit, 200 - fit)
    go_on.set()
    heard.wait(lambda: heard.of() and heard.of()[-1] == [199])


def test_many_slow_graphs_share_few_lanes_and_all_go_on(heard: Heard) -> None:
    for index in range(12):
        out = Feature(DEVICE, f"out{index}", "odf")
        heard.names["sleep"] = time.sleep
        source = "def run(x): sleep(0.12); return x"
        heard.engine.put(graph(f"in{index}", join=source, key=str(index), out=out))
    threads = threading.active_count()
    for value in range(2):
        for index in range(12):
            heard.engine.push(DEVICE, f"in{index}", value)
    heard.wait(lambda: len(heard.outputs) == 24)
    assert all(heard.of(f"out{index}") == [[0], [1]] for index in range(12))
    assert threading.active_count() <= threads + 6


def test_three_failures_switch_a_function_off_until_it_is_resumed(heard: Heard) -> None:
    source = "def run(x):\n    if x < 0: raise Lost('crash', 'ended its process')\n    return x"
    heard.engine.put(graph("a", join=source))
    heard.engine.put(graph("a", key="other", out=Feature(DEVICE, "other", "odf")))
    for value in (1, -1, 2, -1, 3, -1, 4):
        heard.engine.push(DEVICE, "a", value)
    heard.wait(lambda: len(heard.of("other")) == 7)
    heard.wait(lambda: heard.engine.status("g")["off"])
    assert heard.of() == [[1], [2], [3]]
    last = "switched off after 3 failures, the last: ended its process"
    heard.wait(lambda: heard.errors()[-1]["msg"] == last)
    digest = digest_of(source)
    assert heard.engine.status("g")["errors"][0]["off"] is True
    assert heard.engine.resume("g", digest)
    assert not heard.engine.resume("g", digest)
    heard.engine.push(DEVICE, "a", 5)
    heard.wait(lambda: heard.of()[-1] == [5])


def test_a_function_that_was_taken_out_and_put_in_again_is_on(heard: Heard) -> None:
    source = "def run(x): raise Lost('time', 'not done within 1 s')"
    heard.engine.put(graph("a", join=source))
    for value in range(3):
        heard.engine.push(DEVICE, "a", value)
    heard.wait(lambda: heard.engine.status("g")["off"])
    heard.engine.put(graph("a"))
    heard.engine.put(graph("a", join=source))
    assert not heard.engine.status("g")["off"]


def test_a_graph_changes_while_values_flow(heard: Heard) -> None:
    joins = [f"def run(x): return [x, {which}]" for which in range(2)]
    heard.engine.put(graph("a", join=joins[0]))
    done = threading.Event()

    def change() -> None:
        turn = 0
        while not done.is_set():
            turn += 1
            heard.engine.put(graph("a", join=joins[turn % 2]))

    changing = threading.Thread(target=change)
    changing.start()
    count, until_s = 0, time.monotonic() + 30
    while count < 3000 or len({values[1] for values in heard.of()}) < 2:
        assert time.monotonic() < until_s
        heard.engine.push(DEVICE, "a", count)
        count += 1
        heard.wait(lambda most=count - 500: len(heard.outputs) > most)
    heard.wait(lambda: len(heard.outputs) == count)
    done.set()
    changing.join()
    assert [values[0] for values in heard.of()] == list(range(count))


def test_a_removed_graph_is_silent_and_an_input_that_left_is_not_needed(heard: Heard) -> None:
    heard.engine.put(graph("a", "b"))
    heard.engine.push(DEVICE, "a", 1)
    heard.engine.put(graph("a"))
    heard.engine.push(DEVICE, "a", 2)
    heard.wait(lambda: [2] in heard.of())
    heard.engine.remove("g")
    assert not heard.engine.push(DEVICE, "a", 3)
    assert heard.engine.status("g") is None


PUSHES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(-3, 3)), max_size=60)


@settings(max_examples=40, deadline=None)
@given(PUSHES)
def test_outputs_are_those_of_values_that_go_through_one_by_one(pushes: Any) -> None:
    count = "def run(x):\n    if x == 0: raise ValueError\n    return None if x == 1 else [x, x]"
    heard = Heard()
    try:
        heard.engine.put(graph("a", "b", "c", join="def run(*slots): return list(slots)", a=count))
        slots: dict[str, object] = {}
        expected = []
        for feature, value in pushes:
            heard.engine.push(DEVICE, feature, value)
            if feature == "a" and value in (0, 1):
                continue
            slots[feature] = [value, value] if feature == "a" else value
            if len(slots) == 3:
                expected.append([slots[it] for it in "abc"])
        heard.wait(lambda: len(heard.outputs) >= len(expected))
        zeros = Counter(pushes)["a", 0]
        errors: Any = heard.engine.status("g")["errors"]
        heard.wait(lambda: heard.count() == zeros)
        assert heard.of() == expected, errors
    finally:
        heard.engine.close()
