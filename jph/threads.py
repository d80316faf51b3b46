"""Threads of components."""

import contextlib
import ctypes
import threading
from collections.abc import Callable
from contextvars import copy_context


def component_thread(name: str, run: Callable[[], object]) -> threading.Thread:
    """Return a thread whose messages in the log are of the component that makes it."""
    return threading.Thread(target=copy_context().run, args=(run,), name=name, daemon=True)


_M_ARENA_MAX = -8  # malloc.h of glibc
MOST_POOLS = 2


def share_pools() -> None:
    """Let the threads of this process share two pools of memory; to be called before they start.

    glibc gives each thread one of its own, and what is freed there serves no other. Threads of
    Python, which take turns anyway, gain nothing by that.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, MOST_POOLS)
