from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.alerts.book import Book
from collectors.alerts.messages import Writer, combined
from jph.alerts.rules import NODE_RULE, SILENT_RULE, Rule
from jph.alerts.telling import LONGEST_S, Order, Told, Verb, argument_of, fitting
from jph.alerts.watch import Transition
from jph.bus.wire import choose
from jph.config.model import Component, with_servers

NOON_MS = 1_780_056_000_000  # 2026-05-29 12:00 UTC
HOUR_MS = 3_600_000
WARM = Rule(name="warm", kind="above", limit=30, severity="critical", text="Open a window.")
MILD = Rule(name="mild", kind="above", limit=20)


def utc(time_ms):
    return datetime.fromtimestamp(time_ms / 1000, UTC)


COMPONENTS = with_servers(
    {
        it.codifier: it
        for it in (
            Component(
                codifier="A1",
                type="Pipe",
                name="Boiler",
                symbol="°C",
                area="House/Cellar",
                host="pi1",
            ),
            Component(codifier="A2", type="Pipe", area="House", host="pi1"),
            Component(codifier="A3", type="Pipe", host="pi2.example.org"),
        )
    }
)


def book(*rules, quiet=None):
    return Book(rules or (WARM, MILD), COMPONENTS, utc, quiet)


def fire(made, rule=WARM, subject="A1", at_ms=NOON_MS, **given):
    made.take(Transition(rule, subject, "firing", at_ms, at_ms, 31.5, **given))
    return made.alerts()[-1]


def end(made, rule=WARM, subject="A1", at_ms=NOON_MS + 60_000):
    made.take(Transition(rule, subject, "well", NOON_MS, at_ms))


def due(made, at_ms=NOON_MS):
    return [(it.event, it.alert.rule, it.alert.subject) for it in made.due(at_ms)]


def test_one_message_when_it_begins_and_one_when_it_ends():
    made = book()
    fire(made)
    assert due(made) == [("begins", "warm", "A1")]
    assert due(made) == []
    end(made)
    assert due(made) == [("ends", "warm", "A1")]
    assert due(made) == []
    assert [it.state for it in made.news(NOON_MS)] == ["ended"]
    assert made.news(NOON_MS) == [] and made.alerts() == []


def test_what_is_pending_is_told_on_the_bus_only():
    made = book()
    made.take(Transition(WARM, "A1", "pending", NOON_MS, NOON_MS))
    assert due(made) == [] and made.firing(NOON_MS) == 0
    assert [it.state for it in made.news(NOON_MS)] == ["pending"]
    end(made)
    assert due(made) == []


def test_acknowledged_it_fires_no_more_and_its_end_is_said():
    made = book()
    alert = fire(made)
    made.due(NOON_MS)
    assert made.firing(NOON_MS) == 1
    assert made.obey(Order(Verb.ATTEND, alert.id), NOON_MS)
    assert made.firing(NOON_MS) == 0 and made.state(alert, NOON_MS) == "acknowledged"
    end(made)
    assert due(made) == [("ends", "warm", "A1")]


def test_reopened_it_fires_again():
    made = book()
    alert = fire(made)
    made.obey(Order(Verb.ATTEND, alert.id), NOON_MS)
    assert made.obey(Order(Verb.REOPEN, alert.id), NOON_MS)
    assert made.state(alert, NOON_MS) == "firing"


def test_all_that_fire_are_acknowledged_at_once():
    made = book()
    for codifier in COMPONENTS:
        fire(made, subject=codifier)
    made.take(Transition(MILD, "A1", "pending", NOON_MS, NOON_MS))
    assert made.obey(Order(Verb.ATTEND), NOON_MS)
    states = [made.state(it, NOON_MS) for it in made.alerts()]
    assert states == ["acknowledged"] * 3 + ["pending"]
    assert made.obey(Order(Verb.REOPEN), NOON_MS) and made.firing(NOON_MS) == 3
    assert not book().obey(Order(Verb.ATTEND), NOON_MS)


def test_a_snooze_ends_and_nothing_is_said_twice():
    made = book()
    alert = fire(made)
    made.obey(Order(Verb.ATTEND, alert.id, 600), NOON_MS)
    assert due(made) == [] and made.state(alert, NOON_MS) == "snoozed"
    assert due(made, NOON_MS + 601_000) == [("begins", "warm", "A1")]


def test_an_alert_that_begins_and_ends_in_a_snooze_says_nothing():
    made = book()
    alert = fire(made)
    made.obey(Order(Verb.ATTEND, alert.id, 600), NOON_MS)
    end(made)
    assert due(made, NOON_MS + 601_000) == []


@pytest.mark.parametrize(
    ("of", "name", "covered"),
    [
        ("codifier", "A1", "A1"),
        ("host", "pi1", "A1 A2"),
        ("area", "House", "A1 A2"),
        ("area", "House/Cellar", "A1"),
        ("all", "", "A1 A2 A3"),
    ],
)
def test_maintenance_of_a_component_a_host_an_area_or_all(of, name, covered):
    made = book()
    for codifier in COMPONENTS:
        fire(made, subject=codifier)
    order = Order(
        {
            "codifier": Verb.MAINTAIN_CODIFIER,
            "host": Verb.MAINTAIN_HOST,
            "area": Verb.MAINTAIN_AREA,
            "all": Verb.MAINTAIN_ALL,
        }[of],
        argument_of(of, name),
        3600,
    )
    assert made.obey(order, NOON_MS)
    states = {it.subject: made.state(it, NOON_MS) for it in made.alerts()}
    assert [code for code, state in states.items() if state == "maintained"] == covered.split()
    assert made.end_maintenance(NOON_MS) == []
    assert [it.of for it in made.end_maintenance(NOON_MS + HOUR_MS)] == [of]
    assert len(due(made, NOON_MS + HOUR_MS)) == 3


def test_maintenance_can_be_ended_early():
    made = book()
    number = argument_of("codifier", "A1")
    made.obey(Order(Verb.MAINTAIN_CODIFIER, number, 3600), NOON_MS)
    made.obey(Order(Verb.MAINTAIN_CODIFIER, number, 0), NOON_MS + 1)
    assert [it.name for it in made.end_maintenance(NOON_MS + 1)] == ["A1"]
    assert made.maintenance == []


def test_maintenance_of_a_host_covers_the_node_of_that_name():
    made = book()
    alert = fire(made, NODE_RULE, "pi1", members=("A1", "A2"))
    made.obey(Order(Verb.MAINTAIN_HOST, argument_of("host", "pi1"), 3600), NOON_MS)
    assert made.state(alert, NOON_MS) == "maintained"


def test_in_quiet_hours_messages_wait():
    made = book(Rule(name="warm", kind="above", limit=30, quiet="22:00-07:00"))
    rule = made.rules["warm"]
    night_ms = NOON_MS + 11 * HOUR_MS
    fire(made, rule, at_ms=night_ms)
    assert due(made, night_ms) == []
    assert due(made, night_ms + 8 * HOUR_MS) == [("begins", "warm", "A1")]
    end(made, rule)
    assert due(made, night_ms) == []
    assert due(made, night_ms + 8 * HOUR_MS) == [("ends", "warm", "A1")]


def test_the_quiet_hours_of_all_spare_what_is_critical():
    made = book(quiet="11:00-13:00")
    fire(made, WARM)
    fire(made, MILD)
    assert due(made) == [("begins", "warm", "A1")]


def test_a_rule_that_is_gone_ends_its_alert_without_a_message():
    made = book()
    fire(made)
    made.due(NOON_MS)
    again = book()
    again.recall(made.memory(), NOON_MS, lambda alert: False)
    assert due(again) == []
    assert [it.state for it in again.news(NOON_MS)] == ["ended"]


@given(st.data())
def test_each_alert_has_at_most_one_message_of_each_kind_over_restarts(data):
    made, said, ended = book(), [], 0
    now_ms = NOON_MS
    for _ in range(data.draw(st.integers(1, 25))):
        now_ms += data.draw(st.sampled_from([1000, 60_000, HOUR_MS]))
        action = data.draw(st.sampled_from(["fire", "end", "ack", "snooze", "restart", "maintain"]))
        alerts = made.alerts()
        if action == "fire":
            made.take(Transition(WARM, "A1", "firing", now_ms, now_ms, 31.0))
        elif action == "end":
            ended += bool(alerts)
            made.take(Transition(WARM, "A1", "well", now_ms, now_ms))
        elif action == "restart":
            memory, made = made.memory(), book()
            made.recall(memory, now_ms, lambda alert: True)
        elif action == "maintain":
            made.obey(Order(Verb.MAINTAIN_ALL, 0, 600), now_ms)
        elif alerts:
            made.obey(Order(Verb.ATTEND, alerts[0].id, 0 if action == "ack" else 600), now_ms)
        said += [(it.alert.id, it.event) for it in made.due(now_ms)]
        made.news(now_ms)
    assert len(said) == len({*said})
    begun = {number for number, event in said if event == "begins"}
    assert {number for number, event in said if event == "ends"} <= begun
    assert len([event for _, event in said if event == "ends"]) <= ended


# Messages


def write(made, event_ms=NOON_MS, url="https://home.example.org/jph/"):
    writer = Writer(COMPONENTS, utc, url, "AL")
    return [writer.write(it, event_ms) for it in made.due(event_ms)]


def test_a_message_says_what_where_with_which_value_since_when_and_what_to_do():
    made = book()
    fire(made)
    (begins,) = write(made)
    assert begins.title == "Boiler is above 30 °C: 31.5 °C"
    for fact in (
        "Codifier A1",
        "House/Cellar",
        "on pi1",
        "2026-05-29 12:00:00 UTC",
        "Open a window.",
    ):
        assert fact in begins.body
    assert begins.url == "https://home.example.org/jph/component/A1"
    assert begins.body.endswith(begins.url)
    end(made)
    (ends,) = write(made)
    assert ends.title == "Over: Boiler is above 30 °C"
    assert "60 s" in ends.body or "1 min" in ends.body
    assert ends.key != begins.key


def test_a_message_about_a_node_names_its_components():
    made = book()
    fire(made, NODE_RULE, "pi1", members=("A1", "A2"))
    (message,) = write(made)
    assert message.title.startswith("The node pi1 is silent, with 2 components")
    assert "A1, A2" in message.body and message.url.endswith("/alerts")


def test_without_an_address_of_the_pages_there_is_no_link():
    made = book()
    fire(made, SILENT_RULE)
    (message,) = write(made, url="")
    assert message.url == "" and "http" not in message.body


def test_many_messages_become_one():
    made = book()
    for codifier in COMPONENTS:
        fire(made, subject=codifier)
    one = combined(write(made))
    assert "3 alerts began" in one.title and one.severity == "critical"
    assert one.body.count("is above 30") == 3


# On the bus


@given(st.sampled_from(Verb), st.integers(0, (1 << 28) - 1), st.integers(0, LONGEST_S))
def test_a_command_survives_the_number_that_carries_it(verb, argument, seconds):
    order = Order(verb, argument, seconds)
    assert Order.of(order.number()) == order


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_other_numbers_are_no_commands_or_what_they_say(number):
    order = Order.of(number)
    assert order is None or order.number() == number


def test_a_command_without_room_is_refused():
    with pytest.raises(ValueError, match="no room"):
        Order(Verb.ATTEND, 1, LONGEST_S + 1).number()


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=900), st.integers(0, 200))
def test_what_is_told_fits_a_datagram_whatever_the_names(text, subjects):
    told = Told(7, text, "A1", "firing", "warning", NOON_MS, NOON_MS, 0, text * 2, 1.5)
    content = fitting({"value": 1, "fault": text, "subjects": ["A1"] * subjects}, alert=told)
    flag, value = choose(content, "json")
    assert flag == "j"
    from jph.bus.wire import Data, encode_data

    assert len(encode_data(Data(1, 1, flag, "AL", value))) <= 1472
    assert Told.of(content["alert"]).id == 7


@pytest.mark.parametrize("content", [None, 1, {}, {"id": True}, {"id": 1, "rule": 2}])
def test_anything_else_is_no_alert(content):
    assert Told.of(content) is None
