"""What boards may say, each rule with messages that keep and that break it."""

import pytest

from gateways.esp32.protocol import (
    FROM_BOARDS,
    Join,
    Leave,
    Refused,
    Report,
    Start,
    assignment,
    parse,
    reason_against,
    session_of,
    time_of,
)

SESSION = "1743946777.603371"


@pytest.mark.parametrize(
    ("topic", "payload", "said"),
    [
        ("state/join", "61:EC:ED:3B:25:B1", Join("61:EC:ED:3B:25:B1")),
        ("state/join", f"capteur02;{SESSION}", Start("capteur02", SESSION)),
        ("state/leave", f"capteur01;{SESSION}", Leave("capteur01", SESSION)),
        ("led/status", f"capteur02;{SESSION};0", Report("led", "capteur02", SESSION, 0)),
        ("button/status", f"optimus;{SESSION};1", Report("button", "optimus", SESSION, 1)),
        (
            "photoresistor/status",
            f"capteur01;{SESSION};58",
            Report("photoresistor", "capteur01", SESSION, 58),
        ),
        ("photoresistor/status", f"é;{SESSION};100", Report("photoresistor", "é", SESSION, 100)),
    ],
)
def test_what_the_description_shows_is_understood(topic, payload, said):
    assert parse(topic, payload.encode()) == said


WRONG = [
    ("state/join", "61:EC:ED:3B:25", "invalid MAC address"),
    ("state/join", "61-EC-ED-3B-25-B1", "invalid MAC address"),
    ("state/join", "61:EC:ED:3B:25:B1\0", "invalid MAC address"),
    ("state/join", "٦1:EC:ED:3B:25:B1", "invalid MAC address"),
    ("state/join", f"a;{SESSION};1", "wrong number of parts"),
    ("state/join", f"{'a' * 30};{SESSION}", "invalid name"),
    ("state/join", f"a\n;{SESSION}", "invalid name"),
    ("state/join", f";{SESSION}", "invalid name"),
    ("state/join", "a;", "invalid session"),
    ("state/join", "a;1743946777", "invalid session"),
    ("state/leave", "61:EC:ED:3B:25:B1", "wrong number of parts"),
    ("state/leave", "a;-1743946777.603371", "invalid session"),
    ("led/status", f"a;{SESSION}", "wrong number of parts"),
    ("led/status", f"a;{SESSION};1;1", "wrong number of parts"),
    ("led/status", f"a;{SESSION};2", "value out of range"),
    ("led/status", f"a;{SESSION};01", "invalid value"),
    ("led/status", f"a;{SESSION};on", "invalid value"),
    ("button/status", f"a;{SESSION};", "invalid value"),
    ("button/status", f"a;{SESSION};-1", "invalid value"),
    ("photoresistor/status", f"a;{SESSION};101", "value out of range"),
    ("photoresistor/status", f"a;{SESSION};1e1", "invalid value"),
    ("photoresistor/status", f"a;{SESSION}; 5", "invalid value"),
    ("photoresistor/status", f"a;{SESSION};\N{ARABIC-INDIC DIGIT FIVE}", "invalid value"),
    ("photoresistor/status", f"a;{SESSION};5.0", "invalid value"),
    ("", f"a;{SESSION}", "unknown topic"),
    ("led/command", f"a;{SESSION}", "unknown topic"),
]


@pytest.mark.parametrize(("topic", "payload", "reason"), WRONG)
def test_what_breaks_a_rule_is_refused_by_its_reason(topic, payload, reason):
    with pytest.raises(Refused) as refused:
        parse(topic, payload.encode())
    assert refused.value.reason == reason


@pytest.mark.parametrize("topic", FROM_BOARDS)
@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b"\xff;\xfe", "not UTF-8"),
        (b"a" * 201, "too long"),
        (b";" * 200, "wrong number of parts"),
    ],
)
def test_rules_of_all_topics(topic, payload, reason):
    with pytest.raises(Refused) as refused:
        parse(topic, payload)
    assert refused.value.reason == reason


def test_a_retained_message_is_none_of_this_moment():
    with pytest.raises(Refused) as refused:
        parse("state/join", b"61:EC:ED:3B:25:B1", retained=True)
    assert refused.value.reason == "retained"


def test_an_answer_names_the_board_as_it_named_itself():
    sent = parse("state/join", b"61:ec:ed:3b:25:b1")
    assert sent.mac == "61:EC:ED:3B:25:B1"
    said = assignment(sent.sent, "capteur01", SESSION)
    assert said == b"61:ec:ed:3b:25:b1;capteur01;1743946777.603371"


def test_sessions_are_times_with_six_decimals_in_17_characters():
    assert session_of(1_743_946_777_000_001) == "1743946777.000001"
    assert time_of("1743946777.000001") == 1_743_946_777_000_001
    assert len(session_of(9_999_999_999_999_999)) == 17


@pytest.mark.parametrize(
    ("name", "is_good"),
    [
        ("LeBron", True),
        ("54", True),
        ("Küche am Fenster", True),
        ("a" * 29, True),
        ("é" * 14, True),
        ("é" * 15, False),
        ("a;b", False),
        ("a/b", False),
        ("", False),
        (" a", False),
        ("a\x07", False),
        ("61:EC:ED:3B:25:B1", False),
    ],
)
def test_names_fit_the_memory_of_a_board_and_its_messages(name, is_good):
    assert (reason_against(name) == "") is is_good
