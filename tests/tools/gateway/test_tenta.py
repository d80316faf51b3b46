import sys
from contextlib import closing
from uuid import UUID

import pytest
from click.testing import CliRunner

from gateways.store import Store
from gateways.tenta import readings, tables
from jph.config.model import build
from jph.errors import ConfigError
from tests.gateways.tenta.originals import SENSOR, TENTA
from tests.tools.program import jph
from tools.gateway.tenta import target_in, tenta
from tools.gateway.tenta_component import store_of


def run(home, *arguments):
    return CliRunner().invoke(tenta, [*arguments, "--home", str(home), "--config", "none.json"])


def test_the_command_brings_everything_and_says_so(postgres_server, postgres_url, tmp_path):
    database = postgres_url.rpartition("/")[2]
    assert postgres_server.psql(TENTA, database).returncode == 0
    to = ["--to", "sqlite:///gateways.sqlite"]
    ended = jph(tmp_path, "gateway", "tenta", "import", postgres_url, *to)
    assert ended.returncode == 0, ended.stderr
    assert "1 users, 1 networks, 2 sensors" in ended.stdout
    assert "27 data points, 3 lines of logs" in ended.stdout
    assert "1 values are no finite numbers" in ended.stdout
    assert "data points: 100 %, 28 of 28 rows" in ended.stderr
    url = "sqlite:///gateways.sqlite"
    store = Store.open(url, tmp_path, steps=tables.STEPS)
    with closing(store), store.reading() as connection:
        assert len(readings.measurements(connection, UUID(SENSOR))) == 12
    again = run(tmp_path, "import", postgres_url, *to)
    assert again.exit_code == 0 and "nothing new" in again.output


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://host", "names no database"),
        ("postgresql://jph@127.0.0.1:1/none", "check that the server runs"),
    ],
)
def test_what_cannot_be_read_is_told(url, said, tmp_path):
    ended = run(tmp_path, "import", url, "--to", "sqlite:///gateways.sqlite")
    assert ended.exit_code == 1 and said in ended.output


def test_a_database_of_another_program_is_told(postgres_url, tmp_path):
    ended = run(tmp_path, "import", postgres_url, "--to", "sqlite:///gateways.sqlite")
    assert ended.exit_code == 1 and "as Tenta or hermes make it" in ended.output


def test_the_store_is_that_of_the_component():
    sensors = [
        {"Codifier": "T1", "Type": "Tenta", "Sensor": {}},
        {"Codifier": "T2", "Type": "Tenta", "Sensor": {"Store": "postgresql://u@h/d"}},
    ]
    channel = {"Interface": "127.0.0.1", "TTL": 0}
    multicast = {
        "Control-Channel": {"Address": "239.76.1.1", "Port": 5000, **channel},
        "Data-Channel": {"Address": "239.76.1.2", "Port": 5001, **channel},
    }
    config = build({"Multicast": multicast, "Sensors": sensors})
    assert store_of(target_in(config, None)) == ("sqlite:///gateways.sqlite", None)
    assert store_of(target_in(config, "T2")) == ("postgresql://u@h/d", None)
    with pytest.raises(ConfigError, match="no component T3 of type Tenta"):
        target_in(config, "T3")


def test_without_its_packages_it_tells_which(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gateways.tenta.originals", None)
    ended = run(tmp_path, "import", "postgresql://jph@127.0.0.1/x", "--to", "sqlite:///x.sqlite")
    assert ended.exit_code == 1 and "pip install 'jph[gateways,postgres]'" in ended.output
