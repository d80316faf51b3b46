"""What Tenta's API does is what its OpenAPI document says, tried by schemathesis."""

import subprocess
import sys
from uuid import uuid4

from gateways.tenta.writing import Batch, write

# Networks, sensors and users that the tool makes up exist already now and then, or are not allowed
# to be made at the moment; what no store can keep is no configuration, which a schema cannot say.
# Identifiers are those of a sensor that has measurements, logs and a configuration.
SETTINGS = """
[parameters]
"path.network_identifier" = "{network}"
"path.sensor_identifier" = "{sensor}"
"path.user_identifier" = "{nobody}"

[[operations]]
include-name = "POST /users"
checks.positive_data_acceptance.expected-statuses = ["2xx", "409", "429"]

[[operations]]
include-name = "POST /authentication"
checks.positive_data_acceptance.expected-statuses = ["2xx", "401", "404", "429"]

[[operations]]
include-method = ["POST", "GET", "PUT", "DELETE"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "404", "409"]
"""


def test_schemathesis_finds_nothing(mine, store, tmp_path):
    text = SETTINGS.format(network=mine.network, sensor=mine.sensor, nobody=uuid4())
    (tmp_path / "schemathesis.toml").write_text(text)
    mine.post(f"{mine.path}/configurations", {"interval": 5})
    with store.writing() as connection:
        batch = Batch(
            measurements=[(mine.sensor, 1_000_000, 0, 0, {"t": 1.5, "h": 2.0})],
            logs=[(mine.sensor, 1_000_000, None, 0, "error", "hot", None, None)],
        )
        write(connection, batch)
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run"),
        *("--checks=all", "--max-examples=10", "--seed=7", "--no-shrink", "--warnings=off"),
        *("--request-timeout=30", "--suppress-health-check=all", "--no-color"),
        *("--header", f"Authorization: Bearer {mine.token}"),
        f"http://127.0.0.1:{mine.port}/openapi.json",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Operations:       18 selected / 18 total" in ended.stdout
