"""Whether this machine's clock can be right, and what happens to readings while it cannot.

A Raspberry Pi has no clock that runs while it is off: it shows the past until a time server has
answered. The rule:

- The clock cannot be right while it shows a time before 2025 or before the last one noted in the
  home directory; nor while systemd-timesyncd runs and has not reached a server since the machine
  started, unless a hardware clock set the time.
- Until then readings are held back in memory, the last 10,000 of a process. When the clock has been
  set, they go out in order, each timestamp moved by as much as the clock was moved meanwhile.
- After 10 minutes they go out as they are, so that a network without a time server works, too.
  Readings that still wait when the process ends are lost; the log has their number.

Everything else goes on: intervals, signs of life and pings follow the monotonic clock. A clock that
is set back later holds nothing back; the readings then have the time that it shows.
"""

import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from jph.bus.sender import Sender
from jph.clock import time_now_ms

log = logging.getLogger(__name__)

EARLIEST_MS = 1_735_689_600_000  # 2025-01-01: no clock that is right shows an earlier time
LONGEST_S = 600.0
NOTE_EVERY_S = 3600.0  # an SD card does not mind
_NOTE = "clock"  # file in the home directory; its time of change is the time that was noted


class ClockGuard:
    """Tells whether the clock can be right, and by how much it was moved.

    Args:
        home: folder with the last time that was noted.
        run: where systemd-timesyncd tells its state.
        rtc: where the kernel lists hardware clocks.
    """

    def __init__(
        self,
        home: Path,
        *,
        now_ms: Callable[[], int] = time_now_ms,
        run: Path = Path("/run/systemd/timesync"),
        rtc: Path = Path("/sys/class/rtc"),
    ) -> None:
        self._now_ms = now_ms
        self._note = home / _NOTE
        self._run = run
        self._rtc = rtc
        self._began_s = time.monotonic()
        self._noted_ms = self._noted()
        self._began_ms = self._at_zero_ms()

    def doubt(self) -> str:
        """Return why the clock cannot be right now, "" if nothing speaks against it."""
        if time.monotonic() - self._began_s > LONGEST_S:
            return ""
        now_ms = self._now_ms()
        if now_ms < EARLIEST_MS:
            return f"it shows {_text(now_ms)}"
        if now_ms < self._noted_ms:
            return f"it shows {_text(now_ms)}, but it was {_text(self._noted_ms)} already"
        if self._awaits_server():
            return "it was not set since the machine started"
        return ""

    def moved_ms(self) -> int:
        """Return by how much the clock was set since this object was made, in ms."""
        return self._at_zero_ms() - self._began_ms

    def hold(self, sender: Sender) -> bool:
        """Hold back the readings of a sender, and return True, if the clock cannot be right."""
        reason = self.doubt()
        if reason:
            log.warning(
                "the clock cannot be right: %s; readings wait for it, %.0f minutes at most",
                reason,
                LONGEST_S / 60,
            )
            sender.hold(self._at_zero_ms)
        return bool(reason)

    def ends(self, sender: Sender) -> int | None:
        """Log that readings may go now, if nothing speaks against the clock any more.

        Returns:
            By how much the clock was set meanwhile, in ms; None if it is still to be waited for.
        """
        if self.doubt():
            return None
        moved_ms = self.moved_ms()
        waiting, lost = sender.waiting()
        log.warning(
            "the clock %s; %d readings that waited are sent%s",
            f"was moved by {moved_ms / 1000:+.1f} s" if moved_ms else "was not set in time",
            waiting,
            f", {lost} older ones were too many" if lost else "",
        )
        return moved_ms

    def note(self) -> None:
        """Note the time, which the clock must not show an earlier one than after the next start."""
        with contextlib.suppress(OSError):  # a full or read-only disk: the older note stays
            self._note.parent.mkdir(parents=True, exist_ok=True)
            self._note.touch()
            os.utime(self._note, (self._now_ms() / 1000,) * 2)

    def _noted(self) -> int:
        try:
            return int(self._note.stat().st_mtime * 1000)
        except OSError:
            return 0

    def _at_zero_ms(self) -> int:
        """Return the wall clock's time, by its present setting, at zero of the monotonic clock."""
        return self._now_ms() - time.monotonic_ns() // 1_000_000

    def _awaits_server(self) -> bool:
        return (
            self._run.is_dir()
            and not (self._run / "synchronized").exists()
            and not any(map(_set_the_time, self._rtc.glob("*/hctosys")))
            and time.clock_gettime(time.CLOCK_BOOTTIME) < LONGEST_S
        )


def _set_the_time(flag: Path) -> bool:
    try:
        return flag.read_text().strip() == "1"
    except OSError:
        return False


def _text(time_ms: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(time_ms / 1000))
