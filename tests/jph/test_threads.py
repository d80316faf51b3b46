"""Threads take memory from pools that they share."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from jph.threads import share_pools
if sys.argv[1] == "shared":
    share_pools()
library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
together = threading.Barrier(7)
def work():
    library.malloc(100)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
together.wait()
library.fopen.restype = ctypes.c_void_p
file = ctypes.c_void_p(library.fopen(b"/dev/stdout", b"w"))
library.malloc_info(0, file)
library.fclose(file)
"""


def pools(how):
    command = [sys.executable, "-c", PROGRAM, how]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "malloc_info" in ended.stderr:
        pytest.skip("another C library than that of GNU")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.count("<heap nr=")


def test_threads_share_two_pools():
    assert pools("shared") <= 2 < pools("not shared")
