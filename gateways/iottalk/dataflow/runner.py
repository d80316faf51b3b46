"""What the engine needs to run functions: a runner has one process, or what does for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateways.iottalk.dataflow.model import Graph, Use


@dataclass(frozen=True, slots=True)
class Function:
    """A function with its source, and the ones that it calls: (alias, digest, source)."""

    digest: str
    source: str
    depends: tuple[tuple[str, str, str], ...] = ()

    @classmethod
    def of(cls, use: Use, graph: Graph) -> "Function":
        """Return the function of a graph that a use names."""
        known = graph.functions
        depends = tuple((alias, digest, known[digest]) for alias, digest in use.depends)
        return cls(use.digest, known[use.digest], depends)


@dataclass(frozen=True, slots=True)
class Failure:
    """A call that raised an exception; only this value is lost."""

    text: str


class Lost(Exception):
    """The process had to be ended, or ended itself: the call took too long, or too much."""

    def __init__(self, kind: Literal["time", "memory", "crash", "flood"], text: str) -> None:
        super().__init__(text)
        self.kind = kind


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

    def close(self) -> None:
        """End it, also while another thread is in `call`."""


class Runners(Protocol):
    """Makes runners."""

    def new(self) -> Runner:
        """Return one that is not started yet."""
