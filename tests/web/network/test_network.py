"""What the server tells of the network as a whole."""

import time
from dataclasses import replace

import pytest

from jph.node.process import StandbyStatus
from tests.web.bus import SENDER, component, control, group_status, let_pass, reading, source
from web.network.pings import PingAnswer, Pings, best, round_trip_ms


@pytest.fixture
def web(make_web):
    """Serve a network of two machines that have just been heard."""
    web = make_web(
        component("A1", host="pi1", name="Air"),
        component("A2", host="pi1", settings={"Proxy": [{"Codifier": "P1"}]}),
        component("P1", type="Proxy"),
        component("B1", host="pi2", name="Bed"),
        component("H1", type="HistoryWriter", name="History", sensor_interval_s=None),
        component("W1", type="Web", sensor_interval_s=None),
    )
    web.channel.process.bus.control = web.channel.process.bus.data = group_status()
    for code in ("A1", "A2", "P1", "B1"):
        web.on_batch([reading(code, 1.0)])
    for code, port in (("A1", 5001), ("A2", 5001), ("B1", 5002), ("H1", 7601), ("W1", 7601)):
        web.on_control(control("I", code), ("127.0.0.1", port))
    return web


def state(client):
    answer = client.get("/network/state")
    assert answer.status == 200
    return answer.json


def nodes(shown):
    return {node["name"]: node for node in shown["nodes"]}


def test_all_is_well_in_one_sentence(web, client):
    shown = state(client)
    assert shown["is_well"]
    assert shown["sentence"] == "All is well: 3 nodes with 6 components."
    assert ">All is well: 3 nodes with 6 components.<" in client.get("/network").text


def test_each_process_is_pinged_once_in_a_while_whoever_looks(web, client):
    state(client)
    state(client)
    assert sorted(sent[:2] for sent in web.channel.sent) == [
        ("P", "A1"),
        ("P", "B1"),
        ("P", "H1"),
    ]
    (number,) = (sent[2] for sent in web.channel.sent if sent[1] == "A1")
    web.on_control(control("T", "A1", "W1", number=number), ("127.0.0.1", 5001))
    node = nodes(state(client))["pi1"]
    assert 0 <= node["round_trip_ms"] < 2000
    assert abs(node["offset_ms"]) <= node["offset_error_ms"]
    assert nodes(state(client))["pi2"]["round_trip_ms"] is None
    assert [process["address"] for process in node["processes"]] == ["127.0.0.1:5001"]


def test_losses_duplicates_and_restarts_are_those_of_all_components_of_a_node(web, client):
    web.channel.data_sources |= {
        "A1": source("A1", received=900, lost=3, lost_before=2, restarts=1),
        "P1": source("P1", received=50, duplicates=4),
        "B1": source("B1", received=500),
    }
    web.channel.control_sources["A2"] = source("A2", received=50, lost=5)
    node = nodes(state(client))["pi1"]
    counts = {name: node[name] for name in ("received", "lost", "duplicates", "restarts")}
    assert counts == {"received": 1000, "lost": 10, "duplicates": 4, "restarts": 1}
    assert state(client)["is_well"], "so few are no reason for concern"
    web.channel.data_sources["A1"].lost = 30
    assert state(client)["sentence"] == "3.6% of the messages of pi1 are lost on the way here."


def test_a_dead_node_is_one_thing(web, client):
    let_pass(web._site.records, 300)
    for code in ("B1", "H1", "W1"):
        web.on_batch([reading("B1", 2.0, sequence=5)])
        web.on_control(control("I", code), SENDER)
    shown = state(client)
    assert shown["sentence"] == "pi1 is dead."
    assert shown["complaints"] == ["pi1 is dead."]
    assert nodes(shown)["pi1"]["state"] == "silent"
    assert abs(time.time() * 1000 - 300_000 - nodes(shown)["pi1"]["since"]) < 30_000
    assert nodes(shown)["pi2"]["state"] == "active"


def test_what_waits_and_since_when_a_store_is_away(web, client):
    web.on_batch(
        [
            reading(
                "H1",
                {
                    "value": 60.0,
                    "waiting": 5,
                    "spooled": 1200,
                    "dropped": 0,
                    "power_cut_s": 60.0,
                    "fault": "connection refused",
                },
            )
        ]
    )
    shown = state(client)
    (store,) = shown["stores"]
    assert store["spooled"] == 1200
    assert store["waiting"] == 5
    assert store["fault"] == "connection refused"
    assert store["since"] <= shown["now"]
    assert shown["complaints"] == [
        "History is not being stored. connection refused",
        "1200 readings wait in the spool of History.",
    ]


def test_who_is_on_standby(web, client):
    web.channel.process.standby = lambda: {
        "A1": StandbyStatus(("192.0.2.7", 5000), time.monotonic() - 60)
    }
    (waits,) = state(client)["standby"]
    assert (waits["codifier"], waits["name"], waits["address"]) == ("A1", "Air", "192.0.2.7")
    assert 59_000 <= state(client)["now"] - waits["since"] < 70_000


def test_a_clock_that_is_off_is_told(web, client):
    state(client)
    (number,) = (sent[2] for sent in web.channel.sent if sent[1] == "B1")
    message = control("T", "B1", "W1", number=number)
    late = replace(message, timestamp_ms=message.timestamp_ms - 90_000)
    web.on_control(late, ("127.0.0.1", 5002))
    assert state(client)["sentence"] == "The clock of pi2 is 90.0 s behind ours."


def test_strangers_are_listed_with_what_they_send(web, client, owner):
    web.on_batch([reading("Z1", "=1+1", sequence=n) for n in range(3)])
    web.on_control(control("I", "Z2"), ("192.0.2.9", 5000))
    one, two = state(client)["strangers"]
    assert (one["codifier"], one["kind"], one["text"], one["readings"]) == (
        "Z1",
        "string",
        "=1+1",
        3,
    )
    assert (two["codifier"], two["kind"], two["ip"]) == ("Z2", None, "192.0.2.9")
    assert "accept" not in one, "who does not administer cannot add it"
    accepted = state(owner)["strangers"][0]["accept"]
    assert accepted.endswith("/settings/accept/Z1")


def test_operators_ping_all(web, client, owner):
    def answer(flag, to, number):
        if flag == "P" and to != "B1":
            web.on_control(control("T", to, "W1", number=number), SENDER)

    web.channel.on_sent = answer
    refused = client.ask("POST", "/network/ping", "{}", {"Content-Type": "application/json"})
    assert refused.status in (400, 401, 403)
    headers = {"Content-Type": "application/json", "X-CSRF-Token": owner.token("/")}
    given = owner.ask("POST", "/network/ping", "{}", headers)
    assert given.json == {"outcome": "3 of 4 answered", "silent": ["B1"]}


def test_an_answer_counts_once_and_only_with_its_number(web):
    pings = Pings(web.channel)
    assert pings.ask(["A1", "B1"]) == ["A1", "B1"]
    assert pings.ask(["A1"], older_s=60) == []
    number = web.channel.sent[-2][2]
    pings.hear(control("T", "A1", number=number + 7))
    assert pings.unanswered(["A1", "B1"]) == ["A1", "B1"]
    for _ in range(2):
        pings.hear(control("T", "A1", number=number))
    pings.hear(control("I", "A1", number=number))
    assert len(pings.answers(["A1", "B1"])) == 1
    assert pings.unanswered(["A1", "B1"]) == ["B1"]


def test_the_shortest_round_trip_tells_most_about_a_clock():
    answers = [
        PingAnswer(0, trip, offset, trip / 2) for trip, offset in ((8, 3), (2, -1), (40, 20))
    ]
    assert best(answers).offset_ms == -1
    assert round_trip_ms(answers) == 8
    assert round_trip_ms([]) is best([]) is None


def test_being_off_the_bus_is_the_first_thing_told(web, client):
    web._site.records.bus_fault = lambda: "no such interface: eth7"
    web._site.records._refreshed_s = 0.0
    shown = state(client)
    assert shown["sentence"].startswith("This server is off the bus")
    assert "eth7" in shown["sentence"]
