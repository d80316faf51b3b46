"""What people do every day, in a browser, on the network as it is shipped."""

import json
import subprocess
import sys

import pytest

from tests.jobs import JOBS
from tests.tools.program import TOP

MOST_CLICKS = 3


@pytest.mark.slow
def test_each_takes_at_most_three_clicks(tmp_path, chromium):
    run = subprocess.run(
        [
            "unshare",
            "--map-root-user",
            "--net",
            sys.executable,
            "-m",
            "tests.jobs",
            tmp_path,
            chromium,
        ],
        cwd=TOP,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    done = json.loads(run.stdout)
    assert [words for words, _, wrong in done if wrong] == [], json.dumps(done, indent=1)
    assert [(words, clicks) for words, clicks, _ in done if clicks > MOST_CLICKS] == []
    assert len(done) == len(JOBS) + 1
