"""Functions that run in the process of the test."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from gateways.iottalk.dataflow.runner import Failure, Function, Lost
from jph.workers import confinement

# Functions are refused where the kernel cannot confine; CI fails then, as nothing else would tell.
confined = pytest.mark.skipif(
    bool(confinement.why_not()) and "CI" not in os.environ,
    reason=f"functions are refused here: {confinement.why_not()}",
)


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
