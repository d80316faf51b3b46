"""/metrics, read by the parsers of Prometheus' own client."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

from tests.web.bus import SENDER, component, control, group_status, reading, source
from tests.web.client import Client

OPEN = "application/openmetrics-text; version=1.0.0"


def samples(text, parse=plain):
    """Return sample name -> its labels without those of the name, -> value, by Codifier."""
    found = {}
    for family in parse(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            found.setdefault(sample.name, []).append((labels, sample.value))
    return found


def value(found, name, /, **labels):
    """Return the one value of a sample with these labels."""
    (number,) = [n for has, n in found[name] if labels.items() <= has.items()]
    return number


@pytest.fixture
def web(make_web):
    return make_web(
        component(
            "A1", name='Tank "B"\nüber', symbol="°C", area="Green\\house", data_type="double"
        ),
        component("A2", name="Half \ud83d a pair"),
        component("A3", data_type="string"),
        component("H1", type="HistoryWriter", sensor_interval_s=None),
        component("W1", type="Web", sensor_interval_s=None),
    )


@pytest.mark.parametrize("accept, parse", [("text/plain", plain), (OPEN, open_metrics)])
def test_both_formats_are_understood(web, client, accept, parse):
    web.channel.data_sources["A1"] = source("A1", lost=4)
    web.on_batch([reading("A1", -7.25), reading("A3", "warm")])
    web.on_batch([reading("H1", {"value": 60, "waiting": 12, "fault": "disk full"})])
    answer = client.get("/metrics", Accept=accept)
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith(accept.partition(";")[0])
    found = samples(answer.text, parse)
    who = {"codifier": "A1", "name": 'Tank "B"\nüber', "area": "Green\\house"}
    assert value(found, "jph_sensor_value", **who, unit="°C") == -7.25
    assert 0 <= value(found, "jph_sensor_value_age_seconds", **who) < 60
    assert value(found, "jph_component_readings_lost_total", **who) == 4
    assert value(found, "jph_component_up", codifier="A1") == 1
    assert value(found, "jph_component_up", codifier="A2") == 0
    assert value(found, "jph_component_status", codifier="A2", status="unseen") == 1
    assert value(found, "jph_component_status", codifier="A1", status="unseen") == 0
    assert value(found, "jph_sensor_field", codifier="H1", field="waiting") == 12
    assert value(found, "jph_fault", codifier="H1") == 1
    assert value(found, "jph_bus_kernel_drops_total", channel="data") == 2
    assert value(found, "jph_bus_messages_refused_total", channel="data") == 3
    assert value(found, "jph_readings_total") == 3
    assert value(found, "process_resident_memory_bytes") > 1e7


def test_what_is_no_number_has_no_value(web, client):
    web.on_batch([reading("A1", float("nan")), reading("A3", "12 eggs")])
    web.on_batch([reading("A2", {"value": True, "odd": 10**400, "rest": [1], "deep": {"n": 1}})])
    found = samples(client.get("/metrics").text)
    assert [labels["codifier"] for labels, _ in found.get("jph_sensor_value", [])] == ["A2"]
    assert "jph_sensor_field" not in found


def test_the_state_of_the_bus_and_a_round_trip(web, client):
    web.channel.process.bus.data = group_status(joined=False)
    web.on_control(control("P", "W1", "A1", number=5.0), SENDER)
    web.on_control(control("T", "A1", "W1", number=5.0), SENDER)
    found = samples(client.get("/metrics").text)
    assert value(found, "jph_bus_joined", channel="data") == 0
    assert value(found, "jph_bus_joined", channel="control") == 1
    assert 0 <= value(found, "jph_component_round_trip_seconds", codifier="A1") < 60


def test_prometheus_client_is_loaded_when_it_is_asked_for(web):
    program = (
        "import sys; import web.app, web.programs.metrics;"
        "sys.exit(any(name in sys.modules for name in ('prometheus_client', 'pydantic')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_ready_while_on_the_bus_with_a_database(web):
    client = Client(web.bound_port)
    assert (client.get("/readyz").status, client.get("/readyz").json["status"]) == (200, "ready")
    web.channel.process.bus.control = group_status(joined=False)
    answer = client.get("/readyz")
    assert (answer.status, answer.json["reasons"]) == (503, {"bus": "not joined"})
    web.channel.process.bus.control = group_status()
    with closing(sqlite3.connect(web.home / "web.sqlite")) as database:
        database.execute("PRAGMA user_version = 999")  # of a newer JPH
    answer = client.get("/readyz")
    assert (answer.status, list(answer.json["reasons"])) == (503, ["accounts"])
