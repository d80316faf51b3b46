"""Threads of components."""

import threading
from collections.abc import Callable
from contextvars import copy_context


def component_thread(name: str, run: Callable[[], object]) -> threading.Thread:
    """Return a thread whose messages in the log are of the component that makes it."""
    return threading.Thread(target=copy_context().run, args=(run,), name=name, daemon=True)
