"""Functions that run in the process of the test."""

from collections.abc import Callable, Sequence
from typing import Any

from gateways.iottalk.dataflow.runner import Failure, Function, Lost


class Local:
    """Runs functions in this process; `names` are in their globals."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._known: dict[str, Callable[..., object]] = {}

    def new(self) -> "Local":
        return Local(self._names)

    def start(self) -> None:
        pass

    def step_back(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def end(self) -> None:
        pass

    def call(self, function: Function, arguments: Sequence[list[object]]) -> list[object]:
        run = self._known.get(function.digest)
        if run is None:
            names = dict(self._names)
            exec(function.source, names)
            run = self._known[function.digest] = names["run"]
        results: list[object] = []
        for each in arguments:
            try:
                results.append(run(*each))
            except Lost:
                raise
            except Exception as error:
                results.append(Failure(f"{type(error).__name__}: {error}"))
        return results
