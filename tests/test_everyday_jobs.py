"""What people do every day, in a browser, on the network as it is shipped."""

import json

import pytest

from tests.jobs import JOBS
from tests.tools.program import run_apart

MOST_CLICKS = 3


@pytest.mark.slow
def test_each_takes_at_most_three_clicks(tmp_path, chromium):
    done = json.loads(run_apart("tests.jobs", tmp_path, chromium, timeout_s=600).stdout)
    assert [words for words, _, wrong in done if wrong] == [], json.dumps(done, indent=1)
    assert [(words, clicks) for words, clicks, _ in done if clicks > MOST_CLICKS] == []
    assert len(done) == len(JOBS) + 1
