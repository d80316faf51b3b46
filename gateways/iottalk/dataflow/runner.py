"""What the engine needs to run functions: a runner has one process, or what does for it."""

from collections.abc import Sequence
from typing import Protocol

from gateways.iottalk.dataflow.model import Graph, Use
from jph.workers.functions import Failure, Function, Lost

__all__ = ["Failure", "Function", "Lost", "Refused", "Runner", "Runners", "function_of"]


def function_of(use: Use, graph: Graph) -> Function:
    """Return the function of a graph that a use names."""
    known = graph.functions
    depends = tuple((alias, digest, known[digest]) for alias, digest in use.depends)
    return Function(use.digest, known[use.digest], depends)


class Refused(Exception):
    """No function runs here now; the text says why, and what to do."""


class Runner(Protocol):
    """Runs functions, one call at a time; they keep what they have between calls."""

    def start(self) -> None:
        """Get ready, so that the first call does not wait; never raises."""

    def call(self, function: Function, arguments: Sequence[list[object]]) -> list[object]:
        """Call a function with each of the arguments, in order.

        Returns:
            For each the result, as JSON has it, or a Failure.

        Raises:
            Lost: some of the calls may have been made; the next call starts anew.
            Refused: none was made.
        """

    def step_back(self) -> None:
        """Leave the processor to others from now on, if calls take much of it; never waits.

        For any thread, and to be called now and then: the system may take no such order at this
        moment, and a call may have begun just now.
        """

    def stop(self) -> None:
        """Let a call under way fail; for any thread."""

    def end(self) -> None:
        """Free what it has; for the thread that calls."""


class Runners(Protocol):
    """Makes runners."""

    def new(self) -> Runner:
        """Return one that is not started yet."""
