"""The end of a program by signals, or because it has nothing more to do."""

import math
import os
import select
import signal
import threading
import time
from contextlib import suppress

_IMPATIENT_S = 1.0  # from the first signal to a Ctrl-C that ends the process at once
_LOOK_S = 5.0  # longest sleep of a wait, should a signal's byte be read by another


class Stop(threading.Event):
    """An event that a signal handler may set, and whose wait every signal ends.

    An ordinary one has a lock, which the interrupted thread may hold. And its wait sleeps on when
    the kernel delivers a signal to another thread than the main one, whose handler then never runs.
    Here a byte in a pipe wakes the wait, which the interpreter writes at each signal, whatever the
    thread (`signal.set_wakeup_fd`).
    """

    def __init__(self) -> None:
        super().__init__()
        self._is_over = False
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        self._poll = select.poll()
        self._poll.register(self._reader, select.POLLIN)

    def on_signals(self) -> None:
        """Be set by SIGINT and SIGTERM, and by SIGHUP of a terminal, which has then closed.

        Further ones change nothing, since a stop takes 5 s at most and has readings to store: a
        service manager, or a script, may send two. Only who presses Ctrl-C again after a second
        means it.
        """
        first_s = math.inf  # when the first came, monotonic

        def on_signal(number: int, frame: object) -> None:
            nonlocal first_s
            now_s = time.monotonic()
            if number == signal.SIGINT and now_s > first_s + _IMPATIENT_S:
                os._exit(128 + number)
            first_s = min(first_s, now_s)
            self.set()

        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, on_signal)
        signal.signal(signal.SIGTERM, on_signal)
        if os.isatty(0):
            signal.signal(signal.SIGHUP, on_signal)

    def is_set(self) -> bool:
        """Tell whether it is set."""
        return self._is_over

    def set(self) -> None:
        """Set it; any thread and any signal handler may do so."""
        self._is_over = True
        with suppress(BlockingIOError):  # full: it wakes anyway
            os.write(self._writer, b"\0")

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for a time; return whether it is."""
        until_s = math.inf if timeout is None else time.monotonic() + timeout
        while not self._is_over and (left_s := until_s - time.monotonic()) > 0:
            if self._poll.poll(min(left_s, _LOOK_S) * 1000) and not self._is_over:
                with suppress(BlockingIOError):
                    os.read(self._reader, 4096)  # of signals that did not set it
        return self._is_over
