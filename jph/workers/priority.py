"""How much of the processor a process gets beside others."""

import os
import time
from contextlib import suppress
from pathlib import Path

LOWEST = 19  # niceness; a process with it gets 1.5 % where one with 0 wants all


def step_behind(pid: int, niceness: int) -> bool:
    """Let a process have the processor after others; it leads a session of its own.

    Its niceness counts only within its session where Linux shares the processor between sessions
    first, as Debian's does: so the session gets it, too. See "The autogroup feature" in sched(7).

    Returns:
        whether it is done; the kernel takes ten such orders a second, of all processes together.
    """
    with suppress(OSError):  # it has ended, or has this niceness already
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))
    except BlockingIOError:
        return False
    except OSError:  # there are no such groups, or the process has ended
        return True
    return True


def cpu_s(pid: int) -> float:
    """Return how long a process has had a processor; 0 if it has ended."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid(3) makes it
    except OSError:
        return 0.0
