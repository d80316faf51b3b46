"""Processes of their own: the `jph` command as a person starts it, and scenarios of tests."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
JPH = [sys.executable, "-m", "tools.main"]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment with this home and these variables, and no others of JPH."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("JPH_")}
    # No records beside those of the user who runs the tests.
    here = {"PYTHONPATH": str(TOP), "JPH_HOME": str(home), "XDG_STATE_HOME": str(home / ".state")}
    return {**kept, **here, **more}


def jph(
    home: Path, *arguments: str, command: Sequence[str] = JPH, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run `jph` to its end."""
    return subprocess.run(
        [*command, *arguments],
        env=environment(home, **more),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=60,
    )


def start(
    home: Path, *arguments: str, command: Sequence[str] = JPH, **more: str
) -> subprocess.Popen[str]:
    """Start `jph`; its output goes to files `out` and `err` in the home."""
    with open(home / "out", "w") as out, open(home / "err", "w") as err:
        return subprocess.Popen(
            [*command, *arguments], env=environment(home, **more), cwd=home, stdout=out, stderr=err
        )


def run_apart(
    module: str, *arguments: str | Path, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run a module to its good end in a network namespace that holds nothing but loopback."""
    run = subprocess.run(
        ["unshare", "--map-root-user", "--net", sys.executable, "-m", module, *arguments],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert run.returncode == 0, run.stderr
    return run
