"""Callbacks beside the loop: a mailbox for each component, a few threads for all of them.

The jobs of one mailbox are done in order and never overlap; jobs of different mailboxes never wait
for each other: a thread is added when a job has waited for 10 ms and no thread is free.
"""

import contextlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from queue import Empty, SimpleQueue

log = logging.getLogger(__name__)

_PATIENCE_S = 0.01  # a ready mailbox waits this long before a thread is added
_SLICE_S = 0.05  # then a mailbox with more jobs goes to the back of the queue
_IDLE_S = 30.0  # a thread beyond the first that has nothing to do for this long ends

Job = Callable[[], None]


class Waker:
    """Wakes a thread that polls file descriptors."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    def fileno(self) -> int:
        return self._reader

    def wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it wakes anyway; closed: nobody sleeps
            os.write(self._writer, b"\0")

    def drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)

    def close(self) -> None:
        reader, self._reader = self._reader, -1  # the numbers may be another file's from now on
        writer, self._writer = self._writer, -1
        os.close(reader)
        os.close(writer)


class Mailbox:
    """Jobs of one component, done in order.

    Args:
        ready: called when there is a job and nobody works on this mailbox.
    """

    def __init__(self, ready: Callable[["Mailbox"], None]) -> None:
        self.context = copy_context()  # of its jobs
        self._ready = ready
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()
        self._taken = False

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def post(self, job: Job) -> None:
        """Add a job; any thread may call this."""
        with self._lock:
            self._jobs.append(job)
            if self._taken:
                return
            self._taken = True
        self._ready(self)

    def work(self) -> None:
        """Do the waiting jobs; only the thread that `ready` was called for may call this."""
        until_s = time.monotonic() + _SLICE_S
        while True:
            with self._lock:
                if not self._jobs:
                    self._taken = False
                    return
                job = self._jobs.popleft()
            self.context.run(job)
            if time.monotonic() > until_s:
                self._ready(self)
                return


class Pool:
    """Threads that work on the mailboxes which have something to do."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ready: SimpleQueue[Mailbox | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads: set[threading.Thread] = set()
        self._started = 0
        self._idle = 0
        self._taken_s = 0.0  # when a thread last took something, or the queue was empty
        self._closed = False

    def mailbox(self) -> Mailbox:
        return Mailbox(self._enqueue)

    def crowded(self) -> bool:
        """Return whether a mailbox waits; `relieve` is to be called every 10 ms then."""
        return not self._ready.empty()

    def relieve(self) -> None:
        """Add threads if mailboxes have waited too long."""
        waiting = self._ready.qsize()
        with self._lock:
            waited_s = time.monotonic() - self._taken_s
            if waiting and not self._idle and waited_s > _PATIENCE_S:
                for _ in range(min(waiting, max(1, len(self._threads)))):
                    self._add_thread()
                self._taken_s = time.monotonic()

    def close(self, timeout_s: float) -> list[str]:
        """End the threads after the jobs that are waiting; return the names of stuck ones."""
        until_s = time.monotonic() + timeout_s
        with self._lock:
            self._closed = True
            threads = list(self._threads)
        self._ready.put(None)
        for thread in threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        return [thread.name for thread in threads if thread.is_alive()]

    def _enqueue(self, mailbox: Mailbox) -> None:
        if self._ready.empty():
            self._taken_s = time.monotonic()
        self._ready.put(mailbox)
        if not self._threads:
            with self._lock:
                if not self._threads and not self._closed:
                    self._add_thread()

    def _add_thread(self) -> None:
        self._started += 1
        # A daemon, so that a device which never answers cannot keep the process from ending.
        thread = threading.Thread(
            target=self._work, name=f"{self._name}-{self._started}", daemon=True
        )
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            try:
                mailbox = self._ready.get(timeout=_IDLE_S)
            except Empty:
                mailbox = None
                if len(self._threads) == 1 and not self._closed:
                    with self._lock:
                        self._idle -= 1
                    continue
            with self._lock:
                self._idle -= 1
                self._taken_s = time.monotonic()
                if mailbox is None and self._ready.empty():
                    self._threads.discard(threading.current_thread())
                    if self._closed:
                        self._ready.put(None)  # for the next thread
                    return
            if mailbox is not None:
                mailbox.work()
            elif self._closed:  # a mailbox was put back in the middle of its jobs: after that
                self._ready.put(None)
