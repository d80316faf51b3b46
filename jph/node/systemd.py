"""Messages to systemd about this process: datagrams to its socket, as in sd_notify(3).

Nothing here raises or blocks: the bus must not wait for the service manager. Without the variable
NOTIFY_SOCKET, nothing is sent.
"""

import os
import socket
import time
from array import array
from collections.abc import Mapping, Sequence

_FIRST_KEPT = 3  # the number of the first file descriptor that the service manager passes
_NEW_LINES = str.maketrans("\r\n", "  ")  # a line of a datagram is a variable of its own


class Notifier:
    """The service manager of this process, or nobody.

    Args:
        address: path of a datagram socket; "@" and a name for an abstract one; None: nobody.
        watchdog_s: the process is ended when it gives no sign of life for this long; None: never.
        kept: the file descriptors that it kept for this process, by name.
    """

    def __init__(
        self,
        address: str | None = None,
        watchdog_s: float | None = None,
        kept: Mapping[str, int] | None = None,
    ) -> None:
        self.watchdog_s = watchdog_s
        self.kept = kept or {}
        self._address: str | None = None
        self._socket: socket.socket | None = None
        if address is not None and address[:1] in ("/", "@"):
            try:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            except OSError:
                return
            self._address = "\0" + address[1:] if address[0] == "@" else address

    @property
    def is_heard(self) -> bool:
        """Whether there is anybody to tell."""
        return self._socket is not None

    def ready(self, status: str = "") -> bool:
        """Report that the start, or a reload, is complete."""
        return self._send("READY=1", _status(status))

    def reloading(self) -> bool:
        """Report that a reload begins; `ready` ends it."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        return self._send("RELOADING=1", f"MONOTONIC_USEC={now_us}")

    def stopping(self) -> bool:
        """Report that the stop begins."""
        return self._send("STOPPING=1", _status("stopping"))

    def alive(self) -> bool:
        """Give a sign of life to the watchdog."""
        return self._send("WATCHDOG=1")

    def status(self, text: str) -> bool:
        """Report the state of the process in one line."""
        return self._send(_status(text))

    def keep(self, name: str, fileno: int) -> bool:
        """Have a file descriptor kept for the next process, in place of another of this name."""
        self._send("FDSTOREREMOVE=1", f"FDNAME={name}")
        # Without FDPOLL=0 it would be given up if it had an error to report.
        return self._send("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0", filenos=(fileno,))

    def close(self) -> None:
        """Send nothing any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str, filenos: Sequence[int] = ()) -> bool:
        """Send one datagram; return False if it was not taken."""
        if self._socket is None or self._address is None:
            return False
        text = "\n".join(filter(None, lines)).encode(errors="replace")
        try:
            flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
            given = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", filenos))] if filenos else []
            self._socket.sendmsg([text], given, flags, self._address)
        except (OSError, ValueError):  # ValueError: a path with a NUL
            return False
        return True


def from_environment() -> Notifier:
    """Return the service manager that the environment names, and take it out of the environment.

    So the programs that this process starts cannot speak in its name.
    """
    address = os.environ.pop("NOTIFY_SOCKET", None)
    interval_us = os.environ.pop("WATCHDOG_USEC", "")
    watched = os.environ.pop("WATCHDOG_PID", "")
    watchdog_s = None
    if interval_us.isascii() and interval_us.isdigit() and watched in ("", str(os.getpid())):
        watchdog_s = int(interval_us) / 1e6 or None
    return Notifier(address, watchdog_s, _kept())


def _kept() -> dict[str, int]:
    """Return the file descriptors that were kept for this process, as in sd_listen_fds(3)."""
    asked = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if asked != str(os.getpid()) or not (count.isascii() and count.isdigit()):
        return {}
    filenos = range(_FIRST_KEPT, _FIRST_KEPT + int(count))
    for fileno in filenos:
        os.set_inheritable(fileno, False)
    return dict(zip(names, filenos, strict=False))


def _status(text: str) -> str:
    return f"STATUS={text.translate(_NEW_LINES)}" if text else ""
