"""What the API does is what its OpenAPI document says, tried by schemathesis on a real server."""

import subprocess
import sys

from tests.web.api_v1.program import stores, token_of
from tests.web.bus import obey, reading


def test_schemathesis_finds_nothing(make_web):
    web = make_web(anonymous_read=False)
    store = stores(web)
    obey(web)
    web.on_batch([reading("A1", 0.5), reading("A3", "warm", sequence=2)])
    store(("A1", 1_000, 1.5), ("A1", 2_000, 2.5), ("A3", 1_500, "cold"))
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run"),
        *("--checks=all", "--max-examples=15", "--seed=7", "--no-shrink", "--warnings=off"),
        *("--request-timeout=20", "--suppress-health-check=all", "--no-color"),
        *("--header", f"Authorization: Bearer {token_of(web)}"),
        f"{web.address}api/v1/openapi.json",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=web.home)
    assert ended.returncode == 0, ended.stdout + ended.stderr
