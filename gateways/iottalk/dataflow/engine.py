"""The engine: takes values of input features, and gives those of output features."""

import threading

from gateways.iottalk.dataflow.lanes import Lanes
from gateways.iottalk.dataflow.model import Feature, Graph
from gateways.iottalk.dataflow.runner import Runners
from gateways.iottalk.dataflow.running import Output, Report, Running


class Engine:
    """Runs graphs, which may change at any time; any thread may call.

    Values of one feature stay in order. Those of a graph that is too slow for them wait, up to a
    thousand, and then the oldest are dropped and counted; the other graphs do not wait for it.

    Args:
        runners: run the functions.
        output: called as output(device, feature, values) for each value that goes out.
        report: called as report(key, message) with what belongs on a graph's monitor topic:
            errors always, and while it is watched, what became of each message.
    """

    def __init__(self, runners: Runners, output: Output, report: Report) -> None:
        self._output = output
        self._report = report
        self._lock = threading.Lock()
        self._graphs: dict[str, Running] = {}
        self._inputs: dict[tuple[str, str], list[tuple[Running, Feature]]] = {}
        self._lanes = Lanes(runners)

    def put(self, graph: Graph) -> None:
        """Take a graph, or the new state of one."""
        with self._lock:
            running = self._graphs.get(graph.key)
            if running is None:
                running = self._graphs[graph.key] = Running(graph, self._output, self._report)
            else:
                is_other = set(graph.uses) != set(running.graph.uses)
                running.change(graph)
                if is_other:  # what was slow or failed may be out
                    self._lanes.remove(running)
            self._find_inputs()
        if running.graph.uses:
            self._lanes.start()

    def remove(self, key: str) -> None:
        """Forget a graph, and the values that wait for it."""
        with self._lock:
            running = self._graphs.pop(key, None)
            self._find_inputs()
        if running is not None:
            running.change(Graph(key))
            self._lanes.remove(running)

    def push(self, device: str, feature: str, value: object, size: int = 0) -> bool:
        """Give a value of an input feature to the graphs that have it; tell whether one has.

        Args:
            value: a list; anything else counts as a list of one.
            size: about how many bytes it takes while it waits.
        """
        found = self._inputs.get((device, feature))
        if not found:
            return False
        for running, of_link in found:
            running.add(of_link, value, size)
            self._lanes.ready(running)
        return True

    def watch(self, key: str, on: bool) -> None:
        """Report, or no longer report, what becomes of each message of a graph."""
        running = self._graphs.get(key)
        if running is not None:
            running.is_watched = on

    def resume(self, key: str, digest: str) -> bool:
        """Switch a function on again that failed too often; tell whether it was off."""
        running = self._graphs.get(key)
        return running is not None and running.resume(digest)

    def status(self, key: str) -> dict[str, object] | None:
        """Return what is known of a graph: values of each stage, errors, messages dropped."""
        running = self._graphs.get(key)
        if running is None:
            return None
        worker = self._lanes.where(running) if running.graph.uses else "none"
        return {**running.status(), "worker": worker}

    def close(self) -> None:
        """End all processes and threads; values that wait are lost."""
        self._lanes.close()

    def _find_inputs(self) -> None:
        inputs: dict[tuple[str, str], list[tuple[Running, Feature]]] = {}
        for running in self._graphs.values():
            for link in running.graph.inputs:
                feature = link.feature
                inputs.setdefault((feature.device, feature.name), []).append((running, feature))
        self._inputs = inputs
