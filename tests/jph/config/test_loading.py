import json
import logging
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from jph.bus.group import Group
from jph.config import checks, document, loading
from jph.config.host import this_host
from jph.config.model import Component, build
from jph.errors import ConfigError

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "static" / "config.json"
EXISTING = ROOT / "tests" / "data" / "existing-config.json"


def network(*entries):
    return {
        "Multicast": {
            "Control-Channel": {"Address": "239.1.1.1", "Port": 5001},
            "Data-Channel": {"Address": "239.1.1.2", "Port": 5002, "Interface": "eth0", "TTL": 3},
        },
        "Sensors": list(entries),
    }


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        body = b"" if self.server.refusals else self.server.body
        self.send_response(503 if self.server.refusals else 200)
        self.server.refusals = max(0, self.server.refusals - 1)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class Site(ThreadingHTTPServer):
    """Hands out `body`, after that many refusals."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.body = json.dumps(network({"Codifier": "A1", "Type": "Router"})).encode()
        self.refusals = 0
        self.asked = 0
        self.url = f"http://127.0.0.1:{self.server_port}/config.json"


@pytest.fixture
def site():
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Wait milliseconds instead of seconds."""
    monkeypatch.setattr(loading, "RETRY_FIRST_S", 0.002)
    monkeypatch.setattr(loading, "RETRY_CAP_S", 0.01)


def test_the_shipped_network_loads(tmp_path):
    found = loading.load(SHIPPED, tmp_path)
    assert found.warnings == ()
    assert found.source == str(SHIPPED)
    assert found.stale is False
    assert (found.multicast.control.address, found.multicast.control.port) == ("239.76.80.1", 7601)
    assert (found.multicast.data.address, found.multicast.data.port) == ("239.76.80.2", 7602)
    assert {
        (g.interface, g.ttl, g.loop) for g in (found.multicast.control, found.multicast.data)
    } == {("127.0.0.1", 0, True)}
    types = {component.type for component in found.components.values()}
    assert {"Pipe", "JSON", "Proxy", "StateCache", "HistoryWriter", "Web"} <= types
    assert found.document == json.loads(SHIPPED.read_bytes())
    for component in found.components.values():
        assert component.name != component.codifier
        if component.type in ("Pipe", "JSON"):
            assert 2 <= component.sensor_interval_s <= 10
            assert component.timeout_warning_s > component.sensor_interval_s


def test_a_network_in_the_older_style_loads_unchanged(tmp_path):
    found = loading.load(EXISTING, tmp_path)
    assert len(found.components) == 26
    first = found.components["A1"]
    assert (first.type, first.type_name) == ("Pipe", "TempLinux")
    assert first.settings == {"Scale": 0.001, "Pipe": "/sys/class/thermal/thermal_zone0/temp"}
    assert (first.keep_alive_interval_s, first.timeout_warning_s, first.host) == (30, 60, "pi1")
    assert found.components["I1"].control_enabled
    assert not first.control_enabled
    assert found.components["C3"].symbol == ""
    assert found.components["R1"].short_name == "R1"
    assert found.components["P1"].settings["SQL"]["Password"] == "~/.sqlpassword"
    assert found.components["Z1"].active is False
    assert found.first("Web").codifier == "W1"
    assert found.components["C1"].serves == ("C2", "C3")
    assert found.logging["version"] == 1
    for codifier, component in found.components.items():
        assert component.entry == found.document["Sensors"][component.index]
        assert component.entry["Codifier"] == codifier


def test_absent_keys_have_their_defaults():
    found = build(network({"Codifier": "A1", "Type": "Pipe", "TimeoutWarning": 0}))
    component = found.components["A1"]
    assert component == Component(
        codifier="A1", type="Pipe", entry={"Codifier": "A1", "Type": "Pipe", "TimeoutWarning": 0}
    )
    assert (component.short_name, component.name, component.symbol) == ("A1", "A1", "")
    assert (component.data_type, component.active, component.keep_alive_interval_s) == (
        "float",
        True,
        60.0,
    )
    assert component.sensor_interval_s is None
    assert component.timeout_warning_s is None
    assert found.multicast.control == Group("239.1.1.1", 5001, None, 1, True, 4 << 20)
    assert found.multicast.data == Group("239.1.1.2", 5002, "eth0", 3)
    assert found.first("Web") is None


def test_a_configuration_cannot_be_changed():
    found = build(network({"Codifier": "A1", "Type": "Pipe"}))
    with pytest.raises(AttributeError):
        found.components["A1"].name = "x"
    with pytest.raises(TypeError):
        found.components["A2"] = found.components["A1"]


def test_components_keep_the_order_of_the_document():
    entries = [{"Codifier": codifier, "Type": "Pipe"} for codifier in ("Z1", "A1", "M1")]
    assert list(build(network(*entries)).components) == ["Z1", "A1", "M1"]


@pytest.mark.parametrize(
    ("host", "here", "runs"),
    [
        (None, "pi1", True),
        ("", "pi1", True),
        ("pi1", "pi1", True),
        ("PI1", "pi1.example.org", True),
        ("pi1.example.org", "pi1", True),
        ("pi1.example.org", "pi1.example.com", False),
        ("pi1", "pi2", False),
        ("pi1", "pi10", False),
    ],
)
def test_a_component_runs_on_its_host(host, here, runs):
    assert Component(codifier="A1", type="Pipe", host=host).runs_on(here) is runs


def test_this_host_is_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("JPH_HOST", "pi9")
    assert this_host() == "pi9"
    monkeypatch.delenv("JPH_HOST")
    assert this_host() == os.uname().nodename


def test_the_port_of_the_first_web_component_can_be_overridden(tmp_path):
    file = tmp_path / "config.json"
    entries = [{"Codifier": "W1", "Type": "Flask"}, {"Codifier": "W2", "Type": "Web"}]
    file.write_text(json.dumps(network(*entries)))
    found = loading.load(file, tmp_path, port=9999)
    assert found.components["W1"].settings == {"Port": 9999}
    assert found.components["W1"].entry["Sensor"] == {"Port": 9999}
    assert found.document["Sensors"][0]["Sensor"] == {"Port": 9999}
    assert found.components["W2"].settings == {}


def test_an_overridden_port_is_that_of_the_component_which_is_run(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(network(*({"Codifier": it, "Type": "Web"} for it in ("W1", "W2")))))
    found = loading.load(file, tmp_path, port=9999, runs=lambda it: it["Codifier"] == "W2")
    assert found.components["W2"].settings == {"Port": 9999}
    assert found.components["W1"].settings == {}
    # With the override they are on two ports, so both may run.
    loading.load(file, tmp_path, port=9999, runs=checks.runs_here)


def test_a_port_without_web_component_is_said(tmp_path, caplog):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(network()))
    loading.load(file, tmp_path, port=9999)
    assert "no Web component" in caplog.text


def test_every_mistake_is_named_with_the_file(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps(network({"Codifier": "A1", "Type": "Pipee", "SensorInterval": 0})))
    with pytest.raises(ConfigError) as caught:
        loading.load(str(file), tmp_path, runs=checks.runs_here)
    assert caught.value.mistakes == [
        "Sensors[0].SensorInterval: must be > 0",
        'Sensors[0].Type: unknown Type "Pipee"; did you mean Pipe?',
    ]
    assert caught.value.source == str(file)


def test_the_structure_of_the_whole_document_is_checked_and_settings_of_what_is_run(tmp_path):
    file = tmp_path / "config.json"
    entries = [
        {"Codifier": "A1", "Type": "Pipe", "SensorInterval": 0, "Host": "elsewhere"},
        {"Codifier": "A2", "Type": "Pipe", "Sensor": {"Pipe": 7}},
        {"Codifier": "A3", "Type": "Pipe", "Host": "elsewhere"},
        {"Codifier": "A2", "Type": "Unknown", "Host": "elsewhere"},
        7,
    ]
    file.write_text(json.dumps(network(*entries)))
    with pytest.raises(ConfigError) as caught:
        loading.load(file, tmp_path, runs=checks.runs_here)
    places = [line.partition(":")[0] for line in caught.value.mistakes]
    assert places == [
        "Sensors[0].SensorInterval",
        "Sensors[1].Sensor.Pipe",
        "Sensors[3].Codifier",
        "Sensors[4]",
    ]
    with pytest.raises(ConfigError) as caught:
        loading.load(file, tmp_path)
    assert [line.partition(":")[0] for line in caught.value.mistakes] == [
        place for place in places if ".Sensor." not in place
    ]


def test_a_mistake_in_settings_of_another_host_stops_nobody_here(tmp_path):
    file = tmp_path / "config.json"
    there = {"Codifier": "A3", "Type": "Pipe", "Host": "elsewhere", "Sensor": {}}
    file.write_text(json.dumps(network(there)))
    assert list(loading.load(file, tmp_path, runs=checks.runs_here).components) == ["A3"]
    assert checks.check(network(there))[0] == ["Sensors[0].Sensor.Pipe: is required"]


def test_a_url_is_loaded_and_kept(site, tmp_path):
    found = loading.load(site.url, tmp_path)
    assert list(found.components) == ["A1"]
    assert (found.source, found.stale) == (site.url, False)
    assert document.copy_of(site.url, tmp_path).read_bytes() == site.body


def test_a_url_that_fails_is_replaced_by_its_last_good_copy(site, tmp_path, caplog):
    loading.load(site.url, tmp_path)
    os.utime(document.copy_of(site.url, tmp_path), (time.time() - 7300,) * 2)
    site.refusals = 100
    for wait in (False, True):
        caplog.clear()
        found = loading.load(site.url, tmp_path, wait=wait, port=None)
        assert list(found.components) == ["A1"]
        assert (found.source, found.stale) == (site.url, True)
        (record,) = caplog.records
        assert record.levelno == logging.WARNING
        assert record.getMessage() == (
            f"{site.url}: answers 503 Service Unavailable;"
            " using its last good copy, fetched 2 hours ago"
        )
    assert site.asked == 3


def test_a_document_with_mistakes_never_becomes_the_good_copy(site, tmp_path):
    loading.load(site.url, tmp_path)
    good, site.body = site.body, b'{"Sensors": []}'
    with pytest.raises(ConfigError, match="Multicast: is required"):
        loading.load(site.url, tmp_path)
    assert document.copy_of(site.url, tmp_path).read_bytes() == good


def test_without_copy_a_failing_url_is_a_mistake(site, tmp_path):
    site.refusals = 100
    with pytest.raises(ConfigError) as caught:
        loading.load(site.url, tmp_path)
    assert caught.value.mistakes == ["answers 503 Service Unavailable"]
    assert str(caught.value) == f"{site.url}: answers 503 Service Unavailable"


def test_without_copy_a_failing_url_is_tried_until_it_answers(site, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    site.refusals = 5
    found = loading.load(site.url, tmp_path, wait=True)
    assert list(found.components) == ["A1"]
    assert site.asked == 6
    levels = [record.levelname for record in caplog.records]
    assert levels == ["WARNING", "INFO"]  # when it began, and when it ended


def test_waiting_for_a_url_can_be_stopped(site, tmp_path):
    stop = threading.Event()
    stop.set()
    site.refusals = 100
    with pytest.raises(ConfigError):
        loading.load(site.url, tmp_path, wait=True, stop=stop)


def test_a_damaged_copy_is_no_copy(site, tmp_path, caplog):
    copy = document.copy_of(site.url, tmp_path)
    document.write(copy, b"{")
    site.refusals = 1
    found = loading.load(site.url, tmp_path, wait=True)
    assert found.stale is False
    assert "cannot be used" in caplog.text
    assert copy.read_bytes() == site.body


def test_a_home_that_cannot_be_written_costs_the_copy_only(site, tmp_path, caplog):
    home = tmp_path / "file"
    home.write_text("")
    assert list(loading.load(site.url, home).components) == ["A1"]
    assert "no copy" in caplog.text


def test_a_password_in_the_url_is_refused_and_not_repeated(tmp_path):
    with pytest.raises(ConfigError) as caught:
        loading.load("http://me:secret@127.0.0.1:9/", tmp_path)
    assert "secret" not in str(caught.value)


def test_a_document_loads_without_the_heavy_modules_and_classes_of_components(tmp_path):
    script = (
        "import sys; from pathlib import Path; from jph.config import loading\n"
        f"loading.load({str(SHIPPED)!r}, Path({str(tmp_path)!r}))\n"
        "heavy = {'urllib3', 'importlib.metadata', 'flask', 'sqlalchemy', 'sensors', 'hashlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert answer.stdout == "[]\n"


def test_the_network_of_the_home_is_read_in_the_place_of_the_shipped_one(tmp_path):
    source = str(SHIPPED)
    assert loading.in_force(source, tmp_path) == source
    document = json.loads(SHIPPED.read_text())
    document["Sensors"][0]["Name"] = "Changed"
    (tmp_path / "config.json").write_text(json.dumps(document))
    config = loading.load(source, tmp_path)
    assert config.components["LA"].name == "Changed"
    assert config.source == str((tmp_path / "config.json").resolve())
    other = tmp_path / "copy.json"
    other.write_bytes(SHIPPED.read_bytes())
    assert loading.load(other, tmp_path).components["LA"].name != "Changed"
