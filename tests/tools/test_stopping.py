"""A signal ends the wait of a program, wherever the kernel delivers it."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from tools.stopping import Stop

PROGRAM = """
import signal, threading, time
from tools.stopping import Stop

stop = Stop()
stop.on_signals()

def later():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), signal.{name})
    time.sleep(60)

threading.Thread(target=later, daemon=True).start()
print(stop.wait(), flush=True)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_that_another_thread_got_ends_the_wait(name):
    program = PROGRAM.format(name=name)
    # An ordinary Event sleeps on for ever here.
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=30)
    assert (run.returncode, run.stdout) == (0, b"True\n"), run.stderr


def test_it_is_an_event():
    stop = Stop()
    began_s = time.monotonic()
    assert stop.wait(0.05) is False
    assert time.monotonic() - began_s >= 0.05
    threading.Timer(0.05, stop.set).start()
    assert stop.wait() is True
    assert stop.is_set()
    for _ in range(100_000):  # more than the pipe holds
        stop.set()
    assert stop.wait(0) is True


def test_a_handler_may_set_it_in_the_middle_of_a_wait():
    stop = Stop()
    before = signal.signal(signal.SIGUSR1, lambda number, frame: stop.set())
    try:
        to_us = threading.get_ident(), signal.SIGUSR1
        sender = threading.Timer(0.05, signal.pthread_kill, to_us)
        sender.start()
        assert stop.wait(20) is True
        sender.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
