"""The page on the API: its examples are typed as they stand there, to a running server."""

import json
import os
import subprocess
from pathlib import Path

from tests.docs.blocks import commands
from tests.web.api_v1.program import give_file, stores, token_of
from tests.web.bus import component, obey, reading

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text()
EXPORT, *EXAMPLES = commands(PAGE)


def test_every_example_works(make_web, tmp_path):
    web = make_web(
        component("A1", name="Bath", area="House", labels=("cooling",)),
        component("A2"),
        component("SP", type="SetPoint", control_enabled=True),
        component("H1", type="HistoryWriter", sensor_interval_s=None),
        anonymous_read=False,
    )
    obey(web)
    give_file(web, tmp_path / "network.json")
    stores(web)(("A1", 1_000, 1.5), ("A1", 2_000, 2.5))
    web.on_batch([reading("A1", 21.5)])
    environment = {**os.environ, "TOKEN": token_of(web)}
    export = EXPORT.replace("http://127.0.0.1:8080", web.address.rstrip("/"))
    assert len(EXAMPLES) > 10
    for example in EXAMPLES:
        script = f"set -eu\n{export}\n{example}\n"
        ended = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, env=environment, cwd=tmp_path
        )
        assert (ended.returncode, ended.stderr) in ((0, ""), (0, _stopped(ended.stderr))), example
        text = (tmp_path / "A1.csv").read_text() if ">A1.csv" in example else ended.stdout
        assert text, example
        if "/live" in example:
            assert "event: snapshot" in text
        elif "csv" in example:
            assert text.splitlines()[1].endswith(",1.5")
        elif "ndjson" not in example:
            answer = json.loads(text)
            assert "status" not in answer or answer.get("detail") is None, (example, answer)
            assert answer.get("done", True) is True, (example, answer)


def _stopped(text: str) -> str:
    """Return what curl says when its time is over, which ends a live stream."""
    return text if "timed out" in text else ""
