"""The states that a store kept from before this process was started, read once."""

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from jph.backoff import Backoff
from jph.errors import ConfigError, StoreError
from jph.faults import Fault
from jph.state import LastStates
from jph.stores import open_state

log = logging.getLogger(__name__)

_FIRST_RETRY_S = 2.0
_LONGEST_RETRY_S = 60.0


class Recall:
    """Reads a state store on a thread of its own, and tries until the store answers."""

    def __init__(
        self, states: LastStates, url: str, home: Path, password_file: Path | None
    ) -> None:
        self._states = states
        self._store = url, home, password_file
        self._answered = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._actions: list[Callable[[], object]] = []
        self._thread = threading.Thread(target=self._ask_on, name="recall", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the answer, at most so long; return whether it is there."""
        return self._answered.wait(timeout_s)

    def then(self, action: Callable[[], object]) -> None:
        """Call an action when the answer is there, on the thread that reads; now if it is there."""
        with self._lock:
            if not self._answered.is_set():
                self._actions.append(action)
                return
        action()

    def close(self) -> None:
        """Stop trying."""
        self._stopping.set()

    def _ask_on(self) -> None:
        backoff = Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S)
        fault = Fault(log)
        try:
            with closing(open_state(*self._store, self._states)) as store:
                while not self._stopping.is_set():
                    try:
                        self._states.recall(store.recall())
                    except StoreError as error:
                        fault.note(f"waiting for the last states from before the start: {error}")
                        self._stopping.wait(backoff.next_s())
                    else:
                        fault.end("read the last states from before the start")
                        self._answer()
                        return
        except ConfigError as error:
            log.warning("last states from before the start cannot be read: %s", error)

    def _answer(self) -> None:
        with self._lock:
            self._answered.set()
        for action in self._actions:
            action()
