"""A fault of one thing: logged when it begins and when it ends, and not at each failure."""

import logging
import math
import threading
import time
from collections.abc import Callable

MOST_TEXT = 300  # characters of a reason: it travels on the bus, in one datagram with other values


class Fault:
    """The present fault of one thing, true while it lasts; any thread may call.

    Args:
        level: of its beginning: ERROR where a person must act, WARNING where it mends itself. Its
            end is logged one level below.
        every_s: while it lasts, it is logged again after so long.
        on_change: called when it begins and when it ends.
    """

    def __init__(
        self,
        log: logging.Logger,
        level: int = logging.WARNING,
        *,
        every_s: float = math.inf,
        on_change: Callable[[], object] = lambda: None,
    ) -> None:
        self.text = ""  # why, by the last failure; empty while there is no fault
        self.count = 0  # failures in a row
        self._log = log
        self._level = level
        self._every_s = every_s
        self._on_change = on_change
        self._lock = threading.Lock()
        self._began_s = 0.0
        self._said_s = 0.0

    def __bool__(self) -> bool:
        return bool(self.text)

    def note(
        self,
        text: str,
        said: str = "",
        *,
        after: int = 1,
        again: bool = False,
        error: BaseException | None = None,
    ) -> None:
        """Count a failure, and log it if the fault begins with it.

        Args:
            text: the reason; empty: the message says all.
            said: the message, with what to do next; empty: the reason says all.
            after: the fault begins when there are so many failures in a row.
            again: log it though the fault lasts, since it became another one.
            error: whose traceback is logged.
        """
        now_s = time.monotonic()
        with self._lock:
            self.count += 1
            if self.count == 1:
                self._began_s = now_s
            begins = not self.text
            if begins and self.count < after:
                return
            self.text = (text or said)[:MOST_TEXT]
            if not begins and not again and now_s < self._said_s + self._every_s:
                return
            self._said_s = now_s
            so_far = "" if begins else f" ({self.count} times so far)"
        self._log.log(self._level, "%s%s", said or text, so_far, exc_info=error)
        if begins:
            self._on_change()

    def end(self, said: str, counted: str = "failure") -> bool:
        """End the fault and log its count, if there was one; return whether there was.

        Args:
            counted: the name of what was counted, in the singular.
        """
        if not self.count:
            return False
        with self._lock:
            count, self.count = self.count, 0
            text, self.text = self.text, ""
            lasted_s = time.monotonic() - self._began_s
        if not text:
            return False
        plural = "s" * (count != 1)
        total = f"{count} {counted}{plural} in {lasted_s:.0f} s"
        self._log.log(max(self._level - 10, logging.INFO), "%s (%s)", said, total)
        self._on_change()
        return True
