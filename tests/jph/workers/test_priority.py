"""The place of a process at the processor, within its session and among the sessions."""

import os
import subprocess
import sys

from jph.workers.priority import LOWEST, cpu_s, step_behind
from tests.helpers import eventually
from tests.jph.workers.places import session_niceness


def test_process_and_session_step_behind() -> None:
    waits = [sys.executable, "-c", "input()"]
    with subprocess.Popen(waits, stdin=subprocess.PIPE, start_new_session=True) as process:
        try:
            eventually(lambda: step_behind(process.pid, LOWEST), what="the kernel takes it")
            assert os.getpriority(os.PRIO_PROCESS, process.pid) == LOWEST
            assert session_niceness(process.pid) in (LOWEST, None)
        finally:
            process.kill()


def test_a_process_that_has_ended_breaks_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert step_behind(process.pid, LOWEST)


def test_the_time_on_a_processor_is_that_of_the_process() -> None:
    works = "import time\nwhile time.process_time() < 0.3: pass\ninput()"
    with subprocess.Popen([sys.executable, "-c", works], stdin=subprocess.PIPE) as process:
        try:
            eventually(lambda: cpu_s(process.pid) >= 0.3, 60, "it has worked")
        finally:
            process.kill()
    assert cpu_s(process.pid) == 0.0
