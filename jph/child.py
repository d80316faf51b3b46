"""Python in processes of its own, such as what takes much memory to load."""

import json
import os
import subprocess
import sys


def environment() -> dict[str, str]:
    """Return the environment in which a new Python imports what this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}


def run_module(name: str, given: object, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    """Run a module that reads an object as JSON, and return how it ended, with its output.

    Raises:
        OSError, subprocess.TimeoutExpired: it has not ended by itself.
    """
    return subprocess.run(
        [sys.executable, "-P", "-m", name],
        input=json.dumps(given).encode(),
        capture_output=True,
        timeout=timeout_s,
        env=environment(),
    )


def end(process: "subprocess.Popen[bytes]", patience_s: float) -> None:
    """Ask a child to end, and kill it if it does not in time."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
