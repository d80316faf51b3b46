"""What Linux tells of the place of a process at the processor."""

from pathlib import Path


def session_niceness(pid: int) -> int | None:
    """Return the niceness of the session of a process; None: the kernel has no such thing."""
    try:
        return int(Path(f"/proc/{pid}/autogroup").read_text().rpartition(" ")[2])
    except (OSError, ValueError):
        return None
