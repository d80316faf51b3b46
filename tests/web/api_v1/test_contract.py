"""What the API does is what its OpenAPI document says, tried by schemathesis on a real server."""

import subprocess
import sys

from tests.web.api_v1.program import Program, give_file, stores
from tests.web.bus import obey, reading

# Most documents that are JSON objects are no configuration, which no schema can say in full.
SETTINGS = """
[[operations]]
include-name = "PUT /configuration"
checks.positive_data_acceptance.expected-statuses = ["2xx", "409", "422"]

[[operations]]
include-name = "PUT /alerts/rules"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]
"""


def test_schemathesis_finds_nothing(make_web, tmp_path):
    web = make_web(anonymous_read=False)
    give_file(web, tmp_path / "network.json")
    obey(web)
    web.on_batch([reading("A1", 0.5), reading("A3", "warm", sequence=2)])
    stores(web)(("A1", 1_000, 1.5), ("A1", 2_000, 2.5), ("A3", 1_500, "cold"))
    program = Program(web)
    assert program.get("/configuration").json["revision"]["number"] == 1
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run"),
        *("--checks=all", "--max-examples=10", "--seed=7", "--no-shrink", "--warnings=off"),
        *("--request-timeout=20", "--suppress-health-check=all", "--no-color"),
        *("--header", f"Authorization: Bearer {program.token}"),
        f"{web.address}api/v1/openapi.json",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Operations:       22 selected / 22 total" in ended.stdout
