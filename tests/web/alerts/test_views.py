"""What programs and pages ask of alerts, on a real network."""

import json

import pytest

from jph.alerts.telling import Order, Verb
from jph.clock import time_now_ms
from tests.helpers import eventually
from tests.web.bus import component, reading
from tests.web.client import Client
from web.history import events, losses

WARM = {"Name": "Too warm", "Kind": "above", "Limit": 30, "Sensors": ["A1"]}


class Asker:
    """A client that sends JSON as the page's script does."""

    def __init__(self, client):
        self.client, self.token = client, client.token("/")

    def post(self, path, **body):
        headers = {"Content-Type": "application/json", "X-CSRF-Token": self.token}
        return self.client.ask("POST", path, json.dumps(body), headers)

    def now(self):
        return self.client.get("/alerts/now").json


@pytest.fixture
def warm(start, signed_in):
    """Return a network in which one rule fires, and who asks it."""
    network = start(rules=[WARM])
    network.sensors.values.update(A1=40.0, A2=1.0)
    asker = Asker(signed_in(network))
    eventually(lambda: asker.now()["firing"] == 1)
    return network, asker


def test_alerts_of_now_have_names_units_and_times(warm):
    _, asker = warm
    (alert,) = asker.now()["alerts"]
    assert (alert["subject"], alert["name"], alert["unit"]) == ("A1", "Boiler", "°C")
    assert (alert["state"], alert["rule"], alert["number"]) == ("firing", "Too warm", 40.0)
    assert asker.client.get("/alerts/now?of=A1").json["alerts"] == [alert]
    assert asker.client.get("/alerts/now?of=A2").json["alerts"] == []
    assert asker.client.get("/alerts/count").json["worst"] == "warning"


def test_acknowledge_ends_in_what_happened_and_is_in_the_audit_list_and_the_events(warm):
    network, asker = warm
    (alert,) = asker.now()["alerts"]
    given = {"component": "AL", "id": alert["id"]}
    answer = asker.post("/alerts/attend", action="acknowledge", **given)
    assert answer.json["done"] is True
    assert asker.now()["alerts"][0]["state"] == "acknowledged"
    answer = asker.post("/alerts/attend", action="snooze", seconds=600, **given)
    assert answer.json["done"] is True and asker.now()["alerts"][0]["state"] == "snoozed"
    texts = eventually(
        lambda: [it for it in events.between(network.home, 0, 1 << 60, ["A1"]) if it.who]
    )
    assert [(it.kind, it.who) for it in texts] == [("alert", "owner"), ("alert", "owner")]


def test_the_beginning_and_the_end_are_events(warm):
    network, _ = warm
    network.sensors.values["A1"] = 1.0

    def texts():
        found = events.between(network.home, 0, 1 << 60, ["A1"])
        return [it.text for it in found if it.kind == "alert"]

    expected = ["Boiler is above 30 °C", "Over: Boiler is above 30 °C"]
    eventually(lambda: texts() == expected)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("attend", {"component": "AL", "id": 999, "action": "acknowledge"}, 404),
        ("attend", {"component": "A1", "id": 1, "action": "acknowledge"}, 404),
        ("attend", {"component": "AL", "id": "1", "action": "acknowledge"}, 400),
        ("attend", {"component": "AL", "id": 0, "action": "snooze", "seconds": 9}, 400),
        ("attend", {"component": "AL", "id": 1, "action": "snooze", "seconds": 0}, 400),
        ("attend", {"component": "AL", "id": 1, "action": "snooze", "seconds": 1 << 30}, 400),
        ("maintenance", {"component": "AL", "of": "planet", "name": "x", "seconds": 1}, 400),
        ("maintenance", {"component": "AL", "of": "host", "name": "x", "seconds": 1}, 404),
        ("maintenance", {"component": "AL", "of": "host", "name": 5, "seconds": 1}, 400),
        ("test", {"component": "AL", "contact": "nobody"}, 404),
        ("trial", {"component": "AL", "rule": WARM, "days": "x"}, 400),
        ("trial", {"component": "AL", "rule": [], "days": 1}, 400),
        ("rules/remove", {"component": "AL", "name": "nothing"}, 404),
        ("component", {}, 409),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(warm, path, body, status):
    answer = warm[1].post(f"/alerts/{path}", **body)
    assert answer.status == status
    assert answer.json["error"]


def test_strangers_may_look_and_change_nothing(warm):
    network, _ = warm
    client = Client(int(network.address.rstrip("/").rpartition(":")[2]))
    assert client.get("/alerts").status == 200
    assert client.get("/alerts/now").json["firing"] == 1
    for path in (
        "attend",
        "maintenance",
        "test",
        "trial",
        "rules",
        "contacts",
        "component",
        "push",
    ):
        headers = {"Content-Type": "application/json"}
        assert client.ask("POST", f"/alerts/{path}", "{}", headers).status in (400, 401, 403)
    assert client.get("/alerts/push").json == {"key": ""}


def test_the_past_comes_from_the_history(warm):
    network, asker = warm
    network.sensors.values["A1"] = 1.0
    eventually(lambda: asker.now()["firing"] == 0)

    def past():
        return asker.client.get("/alerts/past?days=1").json["alerts"]

    (alert,) = eventually(lambda: [it for it in past() if it["ended"]])
    assert (alert["name"], alert["rule"]) == ("Boiler", "Too warm")
    assert alert["ended"] > alert["fired"]


def test_alerts_on_redis_and_postgresql(start, signed_in, redis_server, postgres_url):
    network = start(rules=[WARM], history=postgres_url, state=redis_server.url)
    network.sensors.values.update(A1=20.0, A2=1.0)
    asker = Asker(signed_in(network))
    for value in (40.0, 20.0):
        network.sensors.values["A1"] = value
        eventually(lambda wanted=value > 30: asker.now()["firing"] == wanted)

    def past():
        return asker.client.get("/alerts/past?days=1").json["alerts"]

    assert eventually(lambda: [it for it in past() if it["ended"]])[0]["name"] == "Boiler"

    def tried():
        return asker.post("/alerts/trial", component="AL", rule=WARM, days=1).json["words"]

    eventually(lambda: "fired once" in tried())


def test_a_trial_of_many_sensors_says_how_often(warm):
    _, asker = warm
    rule = {"Kind": "above", "Limit": 0.5}

    def tried(**given):
        return asker.post("/alerts/trial", component="AL", rule={**rule, **given}, days=1).json

    found = eventually(lambda: next((it for it in [tried()] if "twice" in it["words"]), None))
    assert {it["codifier"] for it in found["sensors"]} >= {"A1", "A2"}
    assert "not have fired" in tried(Limit=1000)["words"]
    assert tried(Limit=None)["mistakes"] == {"Limit": "is required by Kind above"}


def test_a_trial_of_losses_goes_by_what_the_pages_counted(warm):
    network, asker = warm
    minute = time_now_ms() // 60_000 * 60_000 - 3_600_000
    losses.add(network.home, [(minute, "A2", 3), (minute + 60_000, "A2", 4)])
    losses.add(network.home, [(minute + 60_000, "A2", 5), (minute, "A1", 50)])

    def tried(days=0.5, **given):
        rule = {"Kind": "losses", "Limit": 10, "Within": 300, "Sensors": ["A2"], **given}
        return asker.post("/alerts/trial", component="AL", rule=rule, days=days).json

    found = tried()
    assert "fired once" in found["words"] and "for 4 min" in found["words"]
    assert "pages were running" in found["note"]
    (sensor,) = found["sensors"]
    assert sensor["firings"] == [[minute + 60_000, minute + 300_001]]
    assert "not have fired" in tried(Limit=12)["words"]
    assert "not have fired" in tried(Within=50, Limit=9)["words"]
    # This home is new: nothing was noted before.
    assert time_now_ms() - 600_000 < found["noted"] <= time_now_ms()
    assert found["from"] < found["noted"]
    assert tried(Kind="above", Limit=1, Within=None)["noted"] is None


def test_what_does_not_arrive_is_counted_for_the_trial(warm):
    network, asker = warm
    rule = {"Kind": "losses", "Limit": 3, "Within": 3600, "Sensors": ["A1"]}

    def tried():
        network.sensors.lost = 5
        return asker.post("/alerts/trial", component="AL", rule=rule, days=1).json["words"]

    eventually(lambda: "fired once" in tried())


def test_a_trial_of_failures_goes_by_what_the_pages_noted(warm):
    network, asker = warm
    now_ms = time_now_ms()
    ago = ((40, "active"), (30, "failing"), (20, "active"), (15, "failing"), (14, "active"))
    noted = [events.Event(now_ms - it * 60_000, "A2", kind) for it, kind in ago]
    events.add(network.home, noted)

    def tried(**given):
        rule = {"Kind": "failing", "Sensors": ["A2"], **given}
        return asker.post("/alerts/trial", component="AL", rule=rule, days=1).json

    assert "twice" in tried()["words"]
    assert "pages were running" in tried()["note"]
    assert tried()["from"] < tried()["noted"] <= time_now_ms()
    (sensor,) = tried(For=300)["sensors"]
    assert sensor["firings"] == [[now_ms - 25 * 60_000, now_ms - 20 * 60_000]]
    assert "not have fired" in tried(Sensors=["A1"])["words"]


def test_a_failure_from_before_the_span_has_held_since_it_began(warm):
    network, asker = warm
    now_ms = time_now_ms()
    day_ms = 86_400_000
    ago = ((day_ms + 3_600_000, "failing"), (day_ms - 60_000, "active"))
    events.add(network.home, [events.Event(now_ms - it, "A2", kind) for it, kind in ago])
    rule = {"Kind": "failing", "Sensors": ["A2"], "For": 600}
    tried = asker.post("/alerts/trial", component="AL", rule=rule, days=1).json
    (begin_ms, end_ms), *_ = tried["sensors"][0]["firings"]
    assert (begin_ms, end_ms) == (tried["from"], now_ms - day_ms + 60_000)


def test_a_network_without_alerts_gets_them_by_one_request(start, signed_in, bus):
    content = bus.document(
        {"Codifier": "AL", "Type": "External"},
        {"Codifier": "W1", "Type": "Web", "Sensor": {"Port": 0}},
    )
    network = start(content)
    client = signed_in(network)
    assert "No alerts yet" in client.get("/alerts").text
    answer = Asker(client).post("/alerts/component")
    assert answer.json["done"] is True
    added = json.loads(network.path.read_text())["Sensors"][-1]
    assert (added["Type"], added["Codifier"]) == ("Alerts", "AA")
    eventually(lambda: "AA" in network.node.runners, 60)
    eventually(lambda: "Nothing needs you" in client.get("/alerts").text)


def test_the_pages_learn_all_alerts_again_after_their_own_restart(warm):
    """The Alerts component goes on; only the pages are built again."""
    network, asker = warm
    runner = network.node.runners["W1"]
    site = runner.callbacks.close.__self__._site
    site.board._alerts.clear()
    site.board._asked_s.clear()
    site.board.reconfigure(site.config)
    eventually(lambda: asker.now()["firing"] == 1)


def test_a_command_that_nobody_hears_says_so(make_web):
    web = make_web(
        component("A1", name="Load"),
        component("AL", type="Alerts", control_enabled=True, sensor_interval_s=60.0),
        component("W1", type="Web", sensor_interval_s=None),
    )
    client = Client(web.bound_port)
    client.follow_link(web.sign_in_url())
    told = {"id": 3, "rule": "r", "subject": "A1", "state": "firing", "severity": "info"}
    told |= {"since": 1000, "at": 1000, "until": 0, "text": "Load is odd", "number": None}
    web.on_batch([reading("AL", {"value": 1, "alert": told})])
    asker = Asker(client)
    answer = asker.post("/alerts/attend", component="AL", id=3, action="acknowledge")
    assert answer.json == {
        "done": False,
        "outcome": "AL, which runs the alerts, did not answer",
    }
    assert ("A", "AL", Order(Verb.ATTEND, 3).number()) in web.channel.told
    assert "firing" in client.get("/alerts").text


def test_names_of_strangers_stay_text_in_the_page(start, signed_in):
    name = '</script><b id="evil">'
    rule = {"Name": name, "Kind": "above", "Limit": 1, "Text": name}
    contact = {"Name": name, "Kind": "ntfy", "Topic": "x", "URL": "http://127.0.0.1:9/"}
    network = start(rules=[rule], contacts=[contact])
    text = signed_in(network).get("/alerts").text
    assert '<b id="evil">' not in text and "&lt;b id=" in text
