"""A graph while values flow: its waiting values, its slots, and what went wrong where."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from gateways.iottalk.dataflow.model import Feature, Graph, Link, Use
from gateways.iottalk.dataflow.runner import (
    Failure,
    Function,
    Lost,
    Refused,
    Runner,
    function_of,
)
from gateways.iottalk.dataflow.values import as_list, checked, difference, fitted, flat

log = logging.getLogger(__name__)

MOST_WAITING = 1_000  # messages of one graph; the oldest beyond are dropped
MOST_WAITING_BYTES = 4 << 20
MOST_AT_ONCE = 64  # messages of one turn
TURN_S = 0.02  # what a turn may take, by what the calls before took
MOST_FAILURES = 3  # that cost a process; then the function is off
AGAIN_S = 1.0  # between two reports of the same place
FORGOTTEN_S = 3600.0  # failures before that do not count
MOST_TRIALS = 64  # calls of a graph in which a function is new

Place = Feature | Literal["join"]  # of a graph, where something goes wrong
Output = Callable[[str, str, list[object]], object]
Report = Callable[[str, dict[str, object]], object]


@dataclass(slots=True)
class Trouble:
    """What went wrong at one place of a graph, by its last occurrence."""

    where: Place
    digest: str | None
    text: str
    count: int
    time_ms: int
    reported_s: float

    def shown(self, off: bool) -> dict[str, object]:
        """Return it as the pages get it."""
        return {
            "where": str(self.where),
            **_named(self.where),
            "digest": self.digest,
            "text": self.text,
            "count": self.count,
            "time_ms": self.time_ms,
            "off": off,
        }


def _named(place: Place) -> dict[str, object]:
    if place == "join":
        return {}
    return {"da_id": place.device, "kind": place.kind, "feature": place.name}


class Running:
    """One graph; `add` and the rest may be called by any thread, `turn` by one at a time.

    Args:
        output: gets each value that goes to an output feature.
        report: gets errors, and while the graph is watched, what each message became.
    """

    def __init__(self, graph: Graph, output: Output, report: Report) -> None:
        self.graph = graph
        self.is_watched = False
        self.dropped = 0
        self.last_failure_s = float("-inf")
        self._output = output
        self._report = report
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Feature, object, int]] = deque()
        self._waiting_bytes = 0
        self._troubles: dict[tuple[Place, str | None], Trouble] = {}
        self._failures: dict[str, list[float]] = {}  # by digest: when it cost a process
        self._off: dict[str, str] = {}  # by digest: why
        self._last: dict[Feature, dict[str, object]] = {}
        self._joined: object = None
        # Only turns use what follows.
        self._known = graph  # by the turn before
        self._slots: dict[Feature, list[object]] = {}
        self._before: dict[Feature, list[object]] = {}
        self._most = MOST_AT_ONCE
        self._used = frozenset(self.graph.uses)
        self._first_calls: dict[Use, _FirstCalls] = {}
        self._trials = 0

    @property
    def is_new(self) -> bool:
        """Whether one of its functions was not called yet, so that nobody knows what it does."""
        return not self._used <= self._first_calls.keys() and self._trials < MOST_TRIALS

    def add(self, feature: Feature, value: object, size: int = 0) -> None:
        """Let a value of an input, of so many bytes, wait for its turn."""
        waiting = self._waiting
        with self._lock:
            waiting.append((feature, value, size))
            self._waiting_bytes += size
            while len(waiting) > MOST_WAITING or self._waiting_bytes > MOST_WAITING_BYTES:
                self._waiting_bytes -= waiting.popleft()[2]
                self.dropped += 1

    @property
    def waiting(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    def change(self, graph: Graph) -> None:
        """Take a new state of the graph; a function that is used no more may begin anew later."""
        with self._lock:
            self.graph = graph
            self._used = frozenset(self.graph.uses)
            used = {digest for use in self._used for digest in use.digests()}
            for digest in self._off.keys() | self._failures.keys():
                if digest not in used:
                    self._forget(digest)
            features = {link.feature for link in graph.links}
            self._last = {it: last for it, last in self._last.items() if it in features}
            places = {"join", *features}
            self._troubles = {
                key: it
                for key, it in self._troubles.items()
                if it.where in places and it.digest in {None, *used}
            }

    def resume(self, digest: str) -> bool:
        """Switch a function on again; tell whether it was off."""
        with self._lock:
            return self._forget(digest)

    def _forget(self, digest: str) -> bool:
        self._failures.pop(digest, None)
        self._troubles = {key: it for key, it in self._troubles.items() if key[1] != digest}
        return self._off.pop(digest, None) is not None

    def status(self) -> dict[str, object]:
        """Return what the pages show of it."""
        with self._lock:
            last = dict(self._last)
            troubles = [it.shown(it.digest in self._off) for it in self._troubles.values()]
            off = dict(self._off)
        return {
            "waiting": self.waiting,
            "dropped": self.dropped,
            "last": {
                "idf": [it for feature, it in last.items() if feature.kind == "idf"],
                "join": self._joined,
                "odf": [it for feature, it in last.items() if feature.kind == "odf"],
            },
            "errors": troubles,
            "off": off,
        }

    # A turn

    def turn(self, runner: Runner, on_lost: Callable[[], object]) -> None:
        """Bring some of the waiting messages through the graph.

        Args:
            on_lost: called as soon as the process of the runner is lost.
        """
        graph = self.graph
        if graph is not self._known:
            self._take(graph)
        with self._lock:
            count = min(1 if self.is_new else self._most, len(self._waiting))
            batch = [self._waiting.popleft() for _ in range(count)]
            self._waiting_bytes -= sum(size for _, _, size in batch)
        if not count:
            return
        began_s = time.perf_counter()
        calls = _Calls(self, graph, runner, on_lost)
        messages = self._arrived(graph, batch)
        self._fill_slots(messages, calls)
        complete = self._join(graph, messages, calls)
        self._bring(graph, complete, calls)
        if self.is_watched:
            for message in messages:
                self._report(graph.key, {"op": "monitor_info", "data": message.shown()})
        each_s = (time.perf_counter() - began_s) / count
        self._most = max(1, min(MOST_AT_ONCE, int(TURN_S / max(each_s, 1e-6)), 2 * self._most))

    def _take(self, graph: Graph) -> None:
        inputs = {link.feature: link for link in graph.inputs}
        before = {link.feature: link.input_type for link in self._known.inputs}
        self._slots = {it: slot for it, slot in self._slots.items() if it in inputs}
        self._before = {
            it: values
            for it, values in self._before.items()
            if it in inputs and inputs[it].input_type == before.get(it)
        }
        used = set(graph.uses)
        self._first_calls = {use: it for use, it in self._first_calls.items() if use in used}
        self._trials = 0
        self._known = graph

    def _arrived(
        self, graph: Graph, batch: Sequence[tuple[Feature, object, int]]
    ) -> "list[_Message]":
        links = {link.feature: link for link in graph.inputs}
        messages = []
        for feature, value, _ in batch:
            link = links.get(feature)
            if link is None:
                continue  # it left the graph meanwhile
            try:
                values = checked(as_list(value), link.length)
                if link.input_type == "variant":
                    before = self._before.get(feature)
                    self._before[feature] = values
                    if before is None:
                        continue  # the first one differs from nothing
                    values = difference(values, before, link.param_no)
            except ValueError as error:
                self.note(feature, None, str(error))
                continue
            messages.append(_Message(link, values))
        return messages

    def _fill_slots(self, messages: "Sequence[_Message]", calls: "_Calls") -> None:
        by_link: dict[Link, list[_Message]] = {}
        for message in messages:
            by_link.setdefault(message.link, []).append(message)
        for link, of_link in by_link.items():
            results = calls.call(link.feature, link.use, [it.values for it in of_link])
            for message, slot in zip(of_link, results, strict=True):
                message.slot = slot
            self._last[link.feature] = of_link[-1].shown_input()

    def _join(
        self, graph: Graph, messages: "Sequence[_Message]", calls: "_Calls"
    ) -> "list[_Message]":
        """Join the slots after each message, once all of them have had a value."""
        features = [link.feature for link in graph.inputs]
        slots = self._slots
        complete: list[_Message] = []
        arguments: list[list[object]] = []
        for message in messages:
            if message.slot is None:
                continue
            slots[message.link.feature] = message.slot
            if len(slots) == len(features):
                complete.append(message)
                arguments.append([flat(slots[feature]) for feature in features])
        if not complete:
            return []
        if graph.join is None and len(features) == 1:
            joined: Sequence[list[object] | None] = [message.slot for message in complete]
        else:
            joined = calls.call("join", graph.join, arguments)
        for message, values in zip(complete, joined, strict=True):
            message.joined = values
        complete = [message for message in complete if message.joined is not None]
        if complete:
            self._joined = complete[-1].joined
        return complete

    def _bring(self, graph: Graph, complete: "Sequence[_Message]", calls: "_Calls") -> None:
        arguments = [message.joined or [] for message in complete]
        for link in graph.outputs if complete else ():
            feature = link.feature
            results = calls.call(feature, link.use, arguments)
            for message, result in zip(complete, results, strict=True):
                if result is None:
                    continue
                values = fitted(result, link.length)
                self._output(feature.device, feature.name, values)
                shown: dict[str, object] = {
                    "da_id": feature.device,
                    "feature": feature.name,
                    "values": values,
                }
                message.outputs.append(shown)
                self._last[feature] = shown

    def called(
        self, use: Use, function: Function, runner: Runner, arguments: Sequence[list[object]]
    ) -> list[object]:
        """Call a function; where it goes on elsewhere than it was tried, with what it has by then.

        It is called there again with what it was tried with, and the results are left: so its
        global variables are as if it had been there from the start.
        """
        first = self._first_calls.get(use)
        again: list[list[object]] = []
        if first is None:
            first = _FirstCalls(runner, [])
        elif first.runner is not runner:
            again, first = first.arguments, _FirstCalls(runner, [])
        try:
            results = runner.call(function, [*again, *arguments])
        except Lost:
            self._first_calls[use] = _FirstCalls(runner, [])
            raise
        is_trial = self.is_new
        self._first_calls[use] = first
        if is_trial:
            self._trials += len(arguments)
            first.arguments += arguments
        else:
            first.arguments = []
        return results[len(again) :]

    # What goes wrong

    def is_off(self, digest: str) -> bool:
        """Tell whether a function is switched off."""
        return digest in self._off

    def failed(self, where: Place, digest: str, lost: Lost) -> None:
        """Count a call that cost a process; with the last of them the function is off."""
        now_s = self.last_failure_s = time.monotonic()
        with self._lock:
            times = self._failures.get(digest, [])
            times = [it for it in times if it > now_s - FORGOTTEN_S] + [now_s]
            self._failures[digest] = times
            if len(times) >= MOST_FAILURES:
                self._off[digest] = str(lost)
        text = str(lost)
        if digest in self._off:
            text = f"switched off after {MOST_FAILURES} failures, the last: {lost}"
        self.note(where, digest, text, at_once=True)

    def note(self, where: Place, digest: str | None, text: str, at_once: bool = False) -> None:
        """Keep what went wrong at a place, and report it, unless the same was just reported."""
        now_s = time.monotonic()
        with self._lock:
            key = where, digest
            trouble = self._troubles.get(key)
            if trouble is None:
                trouble = self._troubles[key] = Trouble(where, digest, "", 0, 0, float("-inf"))
            trouble.text, trouble.time_ms = text, time.time_ns() // 1_000_000
            trouble.count += 1
            if not at_once and now_s < trouble.reported_s + AGAIN_S:
                return
            trouble.reported_s = now_s
            count = trouble.count
        log.debug("graph %s, %s: %s (%d)", self.graph.key, where, text, count)
        data = {"msg": text, "src": str(where), "digest": digest, "count": count}
        self._report(self.graph.key, {"op": "esm_error", "data": data})


@dataclass(slots=True)
class _FirstCalls:
    """Where a function was called last, and with what while the graph was new."""

    runner: Runner
    arguments: list[list[object]]


class _Message:
    """A message of an input on its way."""

    __slots__ = ("joined", "link", "outputs", "slot", "values")

    def __init__(self, link: Link, values: list[object]) -> None:
        self.link = link
        self.values = values
        self.slot: list[object] | None = None
        self.joined: list[object] | None = None
        self.outputs: list[dict[str, object]] = []

    def shown_input(self) -> dict[str, object]:
        feature = self.link.feature
        return {
            "da_id": feature.device,
            "feature": feature.name,
            "values": self.values,
            "slot": self.slot,
        }

    def shown(self) -> dict[str, object]:
        return {"idf": self.shown_input(), "join": self.joined, "odf": self.outputs}


class _Calls:
    """Calls the functions of one turn; what fails yields None, and is noted."""

    def __init__(
        self, running: Running, graph: Graph, runner: Runner, on_lost: Callable[[], object]
    ) -> None:
        self._running = running
        self._graph = graph
        self._runner = runner
        self._on_lost = on_lost

    def call(
        self, where: Place, use: Use | None, arguments: Sequence[list[object]]
    ) -> Sequence[list[object] | None]:
        """Return a list of values for each of the arguments, None where nothing goes on."""
        if use is None:
            return arguments
        running, nothing = self._running, [None] * len(arguments)
        if running.is_off(use.digest):
            return nothing
        try:
            function = function_of(use, self._graph)
            results: Sequence[object] = running.called(use, function, self._runner, arguments)
        except Refused as refused:
            running.note(where, use.digest, str(refused))
            return nothing
        except Lost as lost:
            self._on_lost()
            if len(arguments) > 1:  # which of them it was, tells one after the other
                each = [self.call(where, use, [it]) for it in arguments]
                return [it for (it,) in each]
            running.failed(where, use.digest, lost)
            return nothing
        values: list[list[object] | None] = []
        for result in results:
            if isinstance(result, Failure):
                running.note(where, use.digest, result.text)
                result = None
            values.append(None if result is None else as_list(result))
        return values
