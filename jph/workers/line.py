"""A child's end of the pipes to the node that started it.

Messages are JSON objects, each behind its length, 4 bytes, little-endian. The child ends when the
node does. Only the standard library is imported, so that a child stays small and starts quickly.
"""

import faulthandler
import json
import os
import select
import signal
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO, cast

_NICE = 5  # behind the node, which keeps the bus going
_OOM_SCORE = b"500"  # ended before the node where memory is short
_SMALL_STACK = 256 << 10  # bytes; the usual 8 MB would count as memory of what runs here
_LENGTH = struct.Struct("<I")
_trace: BinaryIO  # open as long as this runs

Message = dict[str, Any]


class Ended(BaseException):
    """The node is gone."""


class Line:
    """The connection to the node.

    Args:
        plain: makes what JSON has of what it has not; raises TypeError.
    """

    def __init__(
        self, reader: BinaryIO, writer: BinaryIO, plain: Callable[[object], object] | None = None
    ) -> None:
        self._reader, self._writer = reader, writer
        self._plain = plain
        self.lock = threading.RLock()  # held from a question to its answer
        self._pid = os.getpid()

    def receive(self) -> Message:
        """Return the next message of the node."""
        head = self._reader.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise Ended
        return json.loads(self._reader.read(_LENGTH.unpack(head)[0]))  # type: ignore[no-any-return]

    def is_ours(self) -> bool:
        """Tell whether this is the worker, and no child that the file forked."""
        return os.getpid() == self._pid

    def send(self, message: Message) -> None:
        """Send a message to the node."""
        if not self.is_ours():  # the answer might reach the other process
            raise RuntimeError("a process that the file forked cannot use this")
        self.send_bytes(json.dumps(message, default=self._plain).encode())

    def send_bytes(self, content: bytes) -> None:
        """Send a message that is JSON already."""
        self._writer.write(_LENGTH.pack(len(content)) + content)
        self._writer.flush()

    def ask(self, **message: object) -> Any:
        """Send a message and return the answer; ValueError if the node refuses."""
        with self.lock:
            self.send(message)
            answer = self.receive()
        if "refused" in answer:
            raise ValueError(answer["refused"])
        return answer["answer"]


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Return reader and writer; what runs here gets /dev/null instead.

    Where it crashes, and where it is when SIGUSR1 arrives, is written for the node.
    """
    global _trace
    reader = cast(BinaryIO, os.fdopen(os.dup(0), "rb"))
    writer, _trace = (cast(BinaryIO, os.fdopen(os.dup(number), "wb")) for number in (1, 2))
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
    faulthandler.enable(file=_trace)
    faulthandler.register(signal.SIGUSR1, file=_trace, all_threads=False)
    return reader, writer


def step_back() -> None:
    """Let the node have the processor and the memory first."""
    with suppress(OSError):
        os.nice(_NICE)
        with open("/proc/self/oom_score_adj", "wb") as score:
            score.write(_OOM_SCORE)


def end_with_node(reader: BinaryIO) -> None:
    """End this process as soon as the node is gone, whatever runs here then."""
    threading.stack_size(_SMALL_STACK)
    threading.Thread(target=_watch, args=(reader.fileno(),), daemon=True).start()
    threading.stack_size(0)  # the usual size, for threads of what runs here


def end() -> None:
    """End this process, all its threads, and every process that it started."""
    with suppress(OSError):
        os.killpg(0, signal.SIGKILL)  # its own group, see process.py
    os._exit(0)  # where the confinement lets it not send signals


def _watch(fileno: int) -> None:
    poll = select.poll()
    poll.register(fileno, 0)  # only the closing of the other end, which poll always reports
    poll.poll()
    end()
