"""One thread that waits for sockets, timers and tasks, and handles them."""

import queue
import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

from jph.node.mailboxes import Waker
from jph.node.timers import Timers

_EMPTY_S = 0.5  # at most, for the last datagrams of a socket that is given up


def receive_rest(fileno: int, receive: Callable[[], object]) -> None:
    """Receive the datagrams that a socket still holds, for half a second at most."""
    poll = select.poll()
    poll.register(fileno, select.POLLIN)
    until_s = time.monotonic() + _EMPTY_S
    while time.monotonic() < until_s and poll.poll(0):
        receive()


class SocketUser(Protocol):
    """Receives from one socket after the other."""

    def fileno(self) -> int:
        """Return the number of the present socket, -1 if there is none."""

    def use(self, receiver: socket.socket) -> None:
        """Receive from this socket from now on; close the one before."""


class Loop:
    """Calls handlers when there is something to receive, and actions when they are due.

    Args:
        name: of its thread.
        turn: called after each wake with the monotonic time, in seconds; returns when it wants to
            be called again at the latest.
    """

    def __init__(self, name: str, turn: Callable[[float], float]) -> None:
        self.timers = Timers()
        self._turn = turn
        self._waker = Waker()
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.watch(self._waker.fileno(), self._run_tasks)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present turn; do nothing if the loop did not start."""
        self._stopping = True
        self.wake()
        if self._thread.ident is not None:
            self._thread.join()

    def close(self) -> None:
        """Close its own file descriptors; the sockets belong to their receivers."""
        self._waker.close()

    def wake(self) -> None:
        """Have a turn now; any thread may call this."""
        self._waker.wake()

    def soon(self, task: Callable[[], None]) -> None:
        """Have the loop do something; any thread may call this."""
        self._tasks.put(task)
        self._waker.wake()

    def watch(self, fileno: int, handler: Callable[[], None]) -> None:
        """Call a handler whenever there is something to read; -1 is no file."""
        if fileno >= 0:
            self._handlers[fileno] = handler
            self._poll.register(fileno, select.POLLIN)

    def give_up(self, fileno: int, receive: Callable[[], None]) -> None:
        """Receive the datagrams that a socket still holds, and watch it no more."""
        if self._handlers.pop(fileno, None) is None:
            return
        self._poll.unregister(fileno)
        receive_rest(fileno, receive)

    def move(self, receiver: "SocketUser", new: socket.socket, handler: Callable[[], None]) -> None:
        """Have a receiver go on with a new socket, after it has emptied the old one."""
        self.give_up(receiver.fileno(), handler)
        receiver.use(new)
        self.watch(new.fileno(), handler)

    def _run(self) -> None:
        next_s = 0.0
        while not self._stopping:
            wait_s = min(next_s, self.timers.due_s) - time.monotonic()
            for fileno, _ in self._poll.poll(max(0.0, wait_s) * 1000):
                handler = self._handlers.get(fileno)
                if handler is not None:
                    handler()
            now_s = time.monotonic()
            self.timers.run(now_s)
            next_s = self._turn(now_s)

    def _run_tasks(self) -> None:
        self._waker.drain()
        while not self._tasks.empty():
            self._tasks.get()()
