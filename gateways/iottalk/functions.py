"""Functions of graphs in confined processes of `jph.workers`."""

import logging
from collections.abc import Sequence
from contextlib import suppress

from gateways.iottalk.dataflow.runner import Function, Lost, Refused, Runner
from jph.faults import Fault
from jph.workers import confinement
from jph.workers.functions import Sandbox, Worker
from jph.workers.priority import LOWEST, cpu_s, step_behind
from jph.workers.process import StartError

__all__ = ["Sandbox", "Workers"]

log = logging.getLogger(__name__)

HOG_S = 0.03  # of the processor in one call; then its process leaves it to others
TIMEOUT_S = 1.0  # of one call, or of several in a row


class Workers:
    """Makes the processes in which functions run, unless nothing confines them here.

    Args:
        sandbox: `limits-only`: they run with limits alone where the kernel cannot confine them.
    """

    def __init__(self, sandbox: Sandbox = "confine") -> None:
        self._why_not = confinement.why_not() if sandbox == "confine" else ""
        # Where the kernel can, it does, whatever may be allowed.
        self._sandbox: Sandbox = "limits-only" if confinement.why_not() else "confine"
        self._start = Fault(log, logging.ERROR, every_s=600.0)
        self._is_told = False

    @property
    def fault(self) -> str:
        """Why no function runs; empty if they do, or if none was called yet."""
        return self._why_not if self._is_told else self._start.text

    def new(self) -> Runner:
        """Return a process that is not started yet."""
        return _Process(self, Worker(self._sandbox))

    def check(self) -> None:
        """Return if functions may run.

        Raises:
            Refused: they may not, here.
        """
        if self._why_not:
            text = (
                f"functions do not run, since this machine cannot confine them ({self._why_not});"
                " with Sandbox: limits-only they run with limits alone"
            )
            if not self._is_told:
                self._is_told = True
                log.error("%s", text)
            raise Refused(text)

    def note_start(self, error: StartError | None) -> None:
        """Note that a process started, or did not."""
        if error is not None:
            self._start.note(str(error), f"a process for functions does not start: {error}")
        elif self._start:
            self._start.end("processes for functions start again")


class _Process:
    """One process; see `Runner`."""

    def __init__(self, workers: Workers, worker: Worker) -> None:
        self._workers = workers
        self._worker = worker
        self._is_behind = False
        self._cpu_s = 0.0  # what it had of the processor when the last call began
        self._pid: int | None = None  # of the process whose priority was lowered

    def start(self) -> None:
        with suppress(Refused):
            self._begin()

    def call(self, function: Function, arguments: Sequence[list[object]]) -> list[object]:
        self._begin()
        self._cpu_s = self._used_s()
        try:
            return self._worker.call_many(function, arguments, TIMEOUT_S)
        except Lost:
            self._is_behind = True
            raise

    def step_back(self) -> None:
        # On a busy machine a call may take long that needs little.
        self._is_behind = self._is_behind or self._used_s() - self._cpu_s > HOG_S
        self._set_priority()

    def _used_s(self) -> float:
        pid = self._worker.pid
        return 0.0 if pid is None else cpu_s(pid)

    def _set_priority(self) -> None:
        pid = self._worker.pid
        if not self._is_behind or pid is None or pid == self._pid:
            return
        if step_behind(pid, LOWEST):
            self._pid = pid

    def stop(self) -> None:
        self._worker.close()

    def end(self) -> None:
        self._worker.end()

    def _begin(self) -> None:
        self._workers.check()
        try:
            self._worker.start()
        except StartError as error:
            self._workers.note_start(error)
            raise Refused(f"the process for functions does not start: {error}") from None
        self._set_priority()
        self._workers.note_start(None)
