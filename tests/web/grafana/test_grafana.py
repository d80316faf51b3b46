"""The JSON data source, asked as Grafana's plug-ins ask; the requests are of our own making."""

import json
from datetime import UTC, datetime

import pytest

from tests.web.api_v1.program import stores, token_of
from tests.web.bus import component
from tests.web.client import Client
from web.history import events
from web.people.access import Role

START = 1_795_000_000_000


def iso(time_ms):
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03d}Z"


SPAN = {
    "from": iso(START),
    "to": iso(START + 3_600_000),
    "raw": {"from": "now-1h", "to": "now"},
}


@pytest.fixture
def web(make_web):
    return make_web(
        component("A1", name="Bath", area="House/North", labels=("wet",), data_type="double"),
        component("A2", name="Cellar", area="House"),
        component("T1", name="Boiler", data_type="string"),
        component("H1", type="HistoryWriter", sensor_interval_s=None),
        anonymous_read=False,
    )


@pytest.fixture
def ask(web):
    """Return what sends one request as Grafana's server does, with a token in a custom header."""
    token = token_of(web, Role.VIEWER)

    def ask_(path, body=None, method="POST"):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        return Client(web.bound_port).ask(method, f"/grafana{path}", data, headers)

    return ask_


def query(*targets, **more):
    """Return a question as the query editor sends it."""
    return {
        "app": "dashboard",
        "requestId": "Q100",
        "panelId": 2,
        "timezone": "browser",
        "range": SPAN,
        "rangeRaw": SPAN["raw"],
        "interval": "5s",
        "intervalMs": 5000,
        "maxDataPoints": 700,
        "scopedVars": {"__interval": {"text": "5s", "value": "5s"}},
        "targets": list(targets),
        "adhocFilters": [],
        **more,
    }


def test_the_connection_is_tested(ask):
    assert ask("", method="GET").status == 200
    assert ask("/", method="GET").status == 200


def test_metrics_are_the_components_with_a_choice_of_fields(ask):
    first, *_ = ask("/metrics", {}).json
    assert (first["value"], first["label"]) == ("A1", "A1 Bath")
    (payload,) = first["payloads"]
    assert (payload["name"], payload["type"]) == ("field", "select")
    assert {"value", "max-hour"} <= {option["value"] for option in payload["options"]}
    assert ask("/metric-payload-options", {"metric": "A1", "name": "field"}).json == []


def test_the_older_search(ask):
    assert ask("/search", {"target": "bath"}).json == [{"text": "A1 Bath", "value": "A1"}]
    assert len(ask("/search", {"target": ""}).json) == 4


def test_points_of_a_graph(web, ask):
    stores(web)(*(("A1", START + n * 1000, float(n % 5)) for n in range(100)))
    answer = ask(
        "/query",
        query(
            {"target": "A1", "refId": "A", "payload": {"field": "max"}, "datasource": {"uid": "x"}},
            {"target": "A1", "refId": "B", "payload": ""},
            {"refId": "C"},
            {"target": "A2", "refId": "D", "hide": True},
        ),
    )
    assert answer.status == 200, answer.text
    highest, plain = answer.json
    assert (plain["target"], plain["refId"]) == ("Bath", "B")
    assert plain["datapoints"] == [[float(n % 5), START + n * 1000] for n in range(100)]
    assert highest["refId"] == "A"
    few = ask("/query", query({"target": "A1", "refId": "A"}, maxDataPoints=10)).json
    assert len(few[0]["datapoints"]) <= 10


def test_texts_are_a_table(web, ask):
    stores(web)(("T1", START + 5, "heating"), ("T1", START + 9, "off"))
    (table,) = ask("/query", query({"target": "T1", "refId": "A"})).json
    assert table["type"] == "table"
    assert [column["type"] for column in table["columns"]] == ["time", "string"]
    assert table["rows"] == [[START + 5, "heating"], [START + 9, "off"]]


@pytest.mark.parametrize("operator, found", [("=", ["Bath"]), ("!=", ["Cellar"])])
def test_filters_above_a_dashboard(ask, operator, found):
    filters = [{"key": "area", "operator": operator, "value": "House/North"}]
    targets = [{"target": code, "refId": code} for code in ("A1", "A2")]
    answer = ask("/query", query(*targets, adhocFilters=filters))
    assert [one["target"] for one in answer.json] == found
    assert {"type": "string", "text": "area"} in ask("/tag-keys", {}).json
    values = [one["text"] for one in ask("/tag-values", {"key": "area"}).json]
    assert values == ["House", "House/North"]
    assert ask("/tag-values", {"key": "area", "extra": 1}).status == 200
    assert ask("/tag-values", {"key": "__class__"}).json == []


def test_variables(ask):
    def variable(target):
        return ask("/variable", {"payload": {"target": target}, "range": SPAN}).json

    assert variable("label") == [{"__text": "wet", "__value": "wet"}]
    assert [one["__value"] for one in variable("codifier")] == ["A1", "A2", "T1", "H1"]
    assert variable("cellar") == [{"__text": "A2 Cellar", "__value": "A2"}]


def test_events_are_annotations(web, ask):
    events.add(
        web.home,
        [
            events.Event(START + 1, "A1", "silent", "no reading"),
            events.Event(START + 2, "A2", "note", "<b>pump</b>", "anna"),
            events.Event(START - 1, "A1", "active"),
        ],
    )
    asked = {"name": "Events", "enable": True, "query": "A1"}
    answer = ask("/annotations", {"range": SPAN, "annotation": asked})
    (one,) = answer.json
    assert (one["time"], one["title"], one["text"]) == (START + 1, "Bath silent", "no reading")
    assert (one["tags"], one["annotation"]) == (["silent", "A1"], asked)
    everything = ask("/annotations", {"range": SPAN, "annotation": {}}).json
    assert [one["text"] for one in everything] == ["no reading", "<b>pump</b>"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"range": {"from": "yesterday", "to": "today"}},
        query({"target": "A1", "payload": {"field": "height"}}),
        query(*[{"target": "A1"}] * 51),
        [],
    ],
)
def test_a_question_that_cannot_be_is_refused(ask, body):
    answer = ask("/query", body)
    assert answer.status == 400
    assert answer.json["error"]


def test_a_stranger_gets_nothing(web):
    headers = {"Content-Type": "application/json"}
    for path in ("/query", "/metrics", "/annotations"):
        answer = Client(web.bound_port).ask("POST", f"/grafana{path}", "{}", headers)
        assert answer.status == 401
    assert Client(web.bound_port).get("/grafana/").status == 401
