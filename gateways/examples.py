"""A program of example devices beside a gateway: started, watched, started again, and ended."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence

from jph import child
from jph.errors import StoreError
from jph.faults import Fault
from jph.threads import component_thread

log = logging.getLogger(__name__)

PAUSE_S = 2.0
STOP_S = 5.0


class Program:
    """Runs a module as a program until `close`; it begins at once.

    Args:
        arguments: of the module, after its name.
        said: what it gets as its input first; the input ends when we do, and so does the program.
        prepare: called before each start.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        said: bytes = b"",
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        self._arguments = arguments
        self._said = said
        self._prepare = prepare
        self._process: subprocess.Popen[bytes] | None = None
        self._closing = threading.Event()
        self.fault = Fault(log)
        self._thread = component_thread("examples", self._run)
        self._thread.start()

    @property
    def works(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End it."""
        self._closing.set()
        self._thread.join(STOP_S + PAUSE_S)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._prepare()
                self.fault.end("the examples are ready")
                self._watch()
            except (OSError, StoreError) as error:
                self.fault.note(str(error))
            self._closing.wait(PAUSE_S)

    def _watch(self) -> None:
        """Run the program until it ends or we do."""
        with subprocess.Popen(
            [sys.executable, "-P", "-m", *self._arguments],
            stdin=subprocess.PIPE,
            env=child.environment(),
            start_new_session=True,
        ) as process:
            self._process = process
            assert process.stdin is not None
            process.stdin.write(self._said)
            process.stdin.flush()
            while process.poll() is None and not self._closing.wait(0.2):
                pass
            child.end(process, STOP_S)
