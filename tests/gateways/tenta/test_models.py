"""The rules of payloads: text to rows, or to the reason for which it is refused."""

import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateways.tenta.models import (
    KINDS,
    MOST_BYTES,
    Acknowledgment,
    Log,
    Measurement,
    Refused,
    kind_and_sensor,
    parse,
    subscriptions,
)

NAME = "81bf7042-e20f-4a97-ac44-c15853e3618f"
SENSOR = UUID(NAME)
VALUE = '"value":{"a":1}'


def rows(topic, payload, base_topic=""):
    payload = payload if isinstance(payload, bytes) else payload.encode()
    sensor, *kinds = parse(f"{base_topic}{topic}/{NAME}", payload, base_topic)
    assert sensor == SENSOR
    return [row for kind in kinds for row in kind]


TAKEN = [
    (
        "measurements",
        '[{"revision":0,"timestamp":1683645000.0,"value":{"temperature":23.1,"humidity":0.62}}]',
        [Measurement(0, 1_683_645_000_000_000, {"temperature": 23.1, "humidity": 0.62})],
    ),
    (
        "measurements",
        ' [{"timestamp":0.123456,"value":{"a_1":-1}},'
        ' {"timestamp":1,"revision":null,"value":{"0":0}}]',
        [Measurement(None, 123_456, {"a_1": -1.0}), Measurement(None, 1_000_000, {"0": 0.0})],
    ),
    (
        "measurements",
        '{"measurements":[{"revision":2147483647,"timestamp":2147483647.5,"value":{"a":1e30}}]}',
        [Measurement(2**31 - 1, 2_147_483_647_500_000, {"a": 1e30})],
    ),
    ("measurements", f'[{{"timestamp":1,{VALUE}}}]', [Measurement(None, 1_000_000, {"a": 1.0})]),
    (
        "acknowledgments",
        '[{"revision":0,"timestamp":1683645000.0,"success":true}]',
        [Acknowledgment(0, 1_683_645_000_000_000, True)],
    ),
    (
        "heartbeats",
        '{"heartbeats":[{"revision":7,"timestamp":1,"success":false}]}',
        [Acknowledgment(7, 1_000_000, False)],
    ),
    (
        "logs",
        '[{"severity":"error","revision":3,"timestamp":1,"message":"The CPU is burning"}]',
        [Log("error", 3, 1_000_000, "The CPU is burning", None, None)],
    ),
    (
        "logs",
        '[{"severity":"info","timestamp":1,"message":""}]',
        [Log("info", None, 1_000_000, "", None, None)],
    ),
    (
        "log-messages",
        '{"log_messages":[{"severity":"warning","timestamp":1,"subject":"Hot","details":"90 °C"}]}',
        [Log("warning", None, 1_000_000, "Hot; 90 °C", "Hot", "90 °C")],
    ),
    (
        "logs",
        '{"logs":[{"severity":"info","timestamp":1,"subject":"Hot","details":null}]}',
        [Log("info", None, 1_000_000, "Hot", "Hot", None)],
    ),
]


@pytest.mark.parametrize("base_topic", ["", "sensortopic/"])
@pytest.mark.parametrize(("topic", "payload", "expected"), TAKEN)
def test_a_message_becomes_rows(topic, payload, expected, base_topic):
    assert rows(topic, payload, base_topic) == expected


def test_long_texts_are_cut_and_not_refused():
    (cut,) = rows(
        "logs", json.dumps([{"severity": "info", "timestamp": 1, "message": "ä" * 20_000}])
    )
    assert cut.message == "ä" * 16_384
    entry = {"severity": "info", "timestamp": 1, "subject": "s" * 300, "details": "d" * 20_000}
    (cut,) = rows("log-messages", json.dumps({"log_messages": [entry]}))
    assert (len(cut.subject), len(cut.details), len(cut.message)) == (256, 16_384, 16_384)


def measurement(value="1", timestamp="1", more="", key="a"):
    return f'[{{"timestamp":{timestamp},"value":{{"{key}":{value}}}{more}}}]'


NOT_A_NUMBER = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "9" * 400,
    "true",
    '"1"',
    "null",
    "[]",
    "{}",
]
NOT_A_REVISION = ["-1", "2147483648", "9" * 400, "1.0", "true", '"1"', "[]"]
NOT_A_KEY = ["", "A", "_a", "a_", "a__b", "a-b", "a b", "a.b", "ä", "a\\n", "a\\u0000", "x" * 65]
REFUSED = [
    *[
        ("measurements", measurement(value), "invalid value", "[0].value.a")
        for value in NOT_A_NUMBER
    ],
    *[
        ("measurements", measurement(timestamp=value), "invalid timestamp", "[0].timestamp")
        for value in [*NOT_A_NUMBER, "-1", "2147483648"]
    ],
    *[
        (
            "measurements",
            measurement(more=f',"revision":{value}'),
            "invalid revision",
            "[0].revision",
        )
        for value in NOT_A_REVISION
    ],
    *[("measurements", measurement(key=key), "invalid attribute", None) for key in NOT_A_KEY],
    ("measurements", b"", "empty", ""),
    ("measurements", b" \n", "empty", ""),
    ("measurements", b"\xff\xfe", "not UTF-8", "byte 0"),
    ("measurements", measurement().encode("utf-16"), "not UTF-8", "byte 0"),
    ("measurements", b'[{"timestamp":1,"value":{"\xff":1}}]', "not UTF-8", "byte 26"),
    ("measurements", "\ufeff" + measurement(), "not JSON", None),
    ("measurements", "[{", "not JSON", None),
    ("measurements", measurement() + "x", "not JSON", None),
    ("measurements", measurement("9" * 5000), "not JSON", None),
    ("measurements", "[" * 10_000, "too deep", None),
    ("measurements", "[" * 10_000 + "]" * 10_000, "too deep", None),
    ("measurements", '{"measurements":' * 10_000 + "1" + "}" * 10_000, "too deep", None),
    ("measurements", b"[" + b" " * MOST_BYTES, "too long", ""),
    ("measurements", "[]", "nothing in it", ""),
    ("measurements", '{"measurements":[]}', "nothing in it", "measurements"),
    ("measurements", '[{"timestamp":1,"value":{}}]', "nothing in it", "[0].value"),
    ("measurements", "null", "not a list", ""),
    ("measurements", '"x"', "not a list", ""),
    ("measurements", '{"measurements":1}', "not a list", "measurements"),
    ("measurements", "[1]", "not an object", "[0]"),
    ("measurements", f'[{{"timestamp":1,{VALUE}}},[]]', "not an object", "[1]"),
    ("measurements", '[{"timestamp":1,"value":1}]', "not an object", "[0].value"),
    ("measurements", "{}", "missing key", "measurements"),
    (
        "measurements",
        f'{{"heartbeats":[{{"timestamp":1,{VALUE}}}]}}',
        "missing key",
        "measurements",
    ),
    ("measurements", '[{"timestamp":1}]', "missing key", "[0].value"),
    ("measurements", f"[{{{VALUE}}}]", "missing key", "[0].timestamp"),
    ("measurements", measurement(more=',"unit":"K"'), "unknown key", "[0].unit"),
    ("measurements", f'{{"measurements":{measurement()},"x":1}}', "unknown key", "x"),
    ("acknowledgments", measurement(), "missing key", "[0].revision"),
    (
        "acknowledgments",
        '[{"revision":0,"timestamp":0,"success":1}]',
        "invalid success",
        "[0].success",
    ),
    (
        "heartbeats",
        '{"heartbeats":[{"revision":null,"timestamp":0,"success":true}]}',
        "invalid revision",
        "heartbeats[0].revision",
    ),
    (
        "logs",
        '[{"severity":"system","timestamp":1,"message":""}]',
        "invalid severity",
        "[0].severity",
    ),
    (
        "logs",
        '[{"severity":"info","timestamp":1,"message":null}]',
        "invalid message",
        "[0].message",
    ),
    ("logs", '[{"severity":"info","timestamp":1}]', "missing key", "[0].message"),
    (
        "logs",
        '[{"severity":"info","timestamp":1,"message":"","details":null}]',
        "unknown key",
        "[0].details",
    ),
    (
        "logs",
        '[{"severity":"info","timestamp":1,"message":"","subject":""}]',
        "unknown key",
        "[0].subject",
    ),
    (
        "log-messages",
        '{"log_messages":[{"severity":"info","timestamp":1,"subject":1}]}',
        "invalid subject",
        "log_messages[0].subject",
    ),
    ("logs", '[{"severity":"info","timestamp":1,"message":"\\ud800"}]', "not JSON", None),
]


@pytest.mark.parametrize(("topic", "payload", "reason", "where"), REFUSED)
def test_a_message_is_refused(topic, payload, reason, where):
    with pytest.raises(Refused) as raised:
        rows(topic, payload)
    assert raised.value.reason == reason
    assert where is None or raised.value.where == where


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("", "unknown topic"),
        ("measurements", "unknown topic"),
        (f"configurations/{NAME}", "unknown topic"),
        (f"/measurements/{NAME}", "unknown topic"),
        ("measurements/", "invalid identifier"),
        ("measurements/x", "invalid identifier"),
        (f"measurements/{NAME}/", "invalid identifier"),
        (f"measurements/{NAME.replace('-', '')}", "invalid identifier"),
        (f"measurements/{{{NAME}}}", "invalid identifier"),
        (f"measurements/urn:uuid:{NAME}", "invalid identifier"),
    ],
)
def test_a_topic_is_refused(topic, reason):
    with pytest.raises(Refused) as raised:
        parse(topic, measurement().encode())
    assert raised.value.reason == reason


def test_a_topic_without_the_base_topic_is_refused():
    with pytest.raises(Refused, match="unknown topic"):
        parse(f"measurements/{NAME}", measurement().encode(), "sensortopic/")
    assert kind_and_sensor(f"sensortopic/logs/{NAME.upper()}", "sensortopic/") == ("logs", SENSOR)


def test_all_topics_of_sensors_are_subscribed():
    assert subscriptions("b/") == [
        *("b/acknowledgments/+", "b/heartbeats/+"),
        *("b/measurements/+", "b/logs/+", "b/log-messages/+"),
    ]


REASONS = {
    *("empty", "not UTF-8", "not JSON", "too deep", "too long"),
    *("not a list", "not an object", "nothing in it", "missing key", "unknown key"),
    *("invalid attribute", "invalid value", "invalid timestamp", "invalid revision"),
    *("invalid severity", "invalid success", "invalid message", "invalid subject"),
    "invalid details",
}
KEYS = [
    *("timestamp", "value", "revision", "severity", "message", "subject", "details", "success"),
    *("measurements", "heartbeats", "log_messages", "logs"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS) | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.sampled_from(sorted(KINDS)), st.binary(max_size=300) | JSON.map(json.dumps))
def test_any_payload_is_taken_or_refused_for_a_known_reason(topic, payload):
    try:
        assert rows(topic, payload)
    except Refused as refused:
        assert refused.reason in REASONS
        assert len(refused.where) <= 256


@given(st.text(max_size=100))
def test_any_topic_is_taken_or_refused(topic):
    try:
        kind_and_sensor(topic)
    except Refused as refused:
        assert refused.reason in {"unknown topic", "invalid identifier"}


@given(
    st.lists(
        st.tuples(
            st.floats(0, 2**31, exclude_max=True),
            st.dictionaries(
                st.from_regex(r"\A[a-z0-9](_?[a-z0-9])*\Z").filter(lambda key: len(key) <= 64),
                st.floats(allow_nan=False, allow_infinity=False),
                min_size=1,
                max_size=4,
            ),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_measurements_come_out_as_they_went_in(measurements):
    payload = json.dumps([{"timestamp": time, "value": value} for time, value in measurements])
    for row, (time, value) in zip(rows("measurements", payload), measurements, strict=True):
        assert row.values == value
        assert abs(row.time_us - time * 1e6) <= 1
