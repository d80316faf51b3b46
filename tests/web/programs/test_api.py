from jph.clock import time_now_ms
from jph.state import FIELDS, OBJECT
from jph.stores import open_history, row_of
from tests.web.bus import SENDER, component, control, group_status, reading


def store(web, readings):
    history = open_history("sqlite:///history.sqlite", web.home)
    history.append([row_of(one) for one in readings])
    history.close()


def test_all_last_states_are_a_list_in_the_order_of_the_configuration(web, client):
    web.on_batch([reading("A1", 0.5, timestamp_ms=1234)])
    web.on_control(control("N", "A1", number=99.0), SENDER)
    answer = client.get("/sensor/")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert [state["Codifier"] for state in answer.json] == ["A1", "A2", "A3", "H1", "W1"]
    assert list(answer.json[0]) == [*FIELDS, OBJECT]
    assert answer.json[0]["Value"] == 0.5
    assert answer.json[0]["DTimestamp"] == 1234
    assert answer.json[0]["IsActive"] is True
    assert answer.json[0]["LoadedTime"] == 99


def test_one_last_state_is_a_list_of_one(web, client):
    web.on_batch([reading("A3", "heating")])
    answer = client.get("/sensor/A3")
    assert [state["Value"] for state in answer.json] == ["heating"]


def test_an_object_stands_beside_its_number(web, client):
    web.on_batch([reading("A1", {"value": -5, "voltage": 3.1}), reading("A2", 7)])
    (state,) = client.get("/sensor/A1").json
    assert (state["Value"], state["Object"]) == (-5, {"value": -5, "voltage": 3.1})
    (state,) = client.get("/sensor/A2").json
    assert (state["Value"], state["Object"]) == (7, None)


def test_a_component_that_was_never_heard_has_null_fields(client):
    (state,) = client.get("/sensor/A2").json
    assert state == {**dict.fromkeys([*FIELDS, OBJECT]), "Codifier": "A2"}


def test_an_unknown_codifier_is_a_404_in_json(client):
    for path in ("/sensor/zz", "/history/zz", "/sensor/toolong"):
        answer = client.get(path)
        assert answer.status == 404
        assert "error" in answer.json


def test_a_codifier_may_be_any_two_visible_characters(make_web):
    from tests.web.client import Client

    names = ["a/", "/a", "?#", "%2", '"<', "\\'"]
    web = make_web(*(component(name) for name in names))
    client = Client(web.bound_port)
    for name in names:
        quoted = "".join(f"%{ord(letter):02X}" for letter in name)
        assert client.get(f"/sensor/{quoted}").json[0]["Codifier"] == name
        assert client.get(f"/component/{quoted}").status == 200
    page = client.get("/").text
    assert 'data-codifier="&#34;&lt;"' in page


def test_healthz_says_how_the_process_is_with_plain_numbers(web, client):
    web.on_batch([reading("A1", 0.5), reading("H1", {"value": 9, "fault": "disk full"})])
    answer = client.get("/healthz")
    assert answer.status == 200
    health = answer.json
    assert health["status"] == "ok"
    assert health["history_fault"] == "disk full"
    assert health["readings"] == 2
    assert health["kernel_drops"] == 3
    assert health["receive_buffer_bytes"] == 212992
    for name in ("uptime_s", "messages_per_minute", "memory_mb", "threads"):
        assert isinstance(health[name], int | float)
    assert health["memory_mb"] > 10
    assert health["messages_per_minute"] > 0


def test_healthz_is_503_while_the_bus_is_not_joined(web, client):
    web.channel.process.bus.data = group_status(joined=False)
    answer = client.get("/healthz")
    assert answer.status == 503
    assert answer.json["status"] == "off the bus"


def test_ntp_tells_the_time_and_echoes_the_asker(client):
    before_ms = time_now_ms()
    answer = client.get("/ntp?t=1234567890123").json
    assert before_ms <= answer["now"] <= time_now_ms()
    assert answer["client"] == 1234567890123
    assert answer["time"] == answer["now"]
    assert client.get("/ntp").json["client"] is None
    for nonsense in ("x", "nan", "inf", "1e300"):
        assert client.get(f"/ntp?t={nonsense}").json["client"] is None


def test_components_load_the_document_in_force(web, client):
    assert client.get("/static/config.json").json == web.config.document


def test_history_comes_as_columns_with_gaps(web, client):
    start_ms = time_now_ms() - 600_000
    times_ms = [start_ms + step * 1000 for step in (0, 1, 2, 100, 101)]
    store(web, [reading("A1", float(n), timestamp_ms=t) for n, t in enumerate(times_ms)])
    answer = client.get(f"/history/A1?from={start_ms}&to={start_ms + 200_000}")
    assert answer.status == 200
    assert answer.json["v"] == [0.0, 1.0, 2.0, None, 3.0, 4.0]
    assert answer.json["t"][:3] == times_ms[:3]
    assert times_ms[2] < answer.json["t"][3] < times_ms[3]
    assert answer.json["bucket_ms"] == 0
    assert "low" not in answer.json


def test_long_history_is_reduced_and_keeps_lowest_and_highest(web, client):
    start_ms = time_now_ms() - 3_000_000
    store(
        web,
        [
            reading("A1", 9.0 if n == 500 else 1.0, timestamp_ms=start_ms + n * 1000, sequence=n)
            for n in range(1000)
        ],
    )
    answer = client.get(f"/history/A1?from={start_ms}&to={start_ms + 1_000_000}&points=50").json
    assert len(answer["t"]) <= 50
    assert answer["bucket_ms"] > 0
    assert max(answer["high"]) == 9.0
    assert min(answer["low"]) == 1.0
    assert len(answer["v"]) == len(answer["low"]) == len(answer["t"])


def test_texts_come_with_the_history_of_a_text_sensor(web, client):
    now_ms = time_now_ms()
    store(web, [reading("A3", "heating", timestamp_ms=now_ms - 1000)])
    assert client.get("/history/A3").json["texts"] == [[now_ms - 1000, "heating"]]


def test_wrong_questions_for_history_get_a_clear_400(client):
    for query, reason in (
        ("from=x", "from must be a whole number"),
        ("from=5&to=5", "from must be before to"),
        ("points=1", "points must be from 2 to"),
        ("points=1000000", "points must be from 2 to"),
        ("to=99999999999999999999", "to must be from 0 to"),
        ("from=-1", "from must be from 0"),
    ):
        answer = client.get(f"/history/A1?{query}")
        assert answer.status == 400
        assert reason in answer.json["error"]


def test_history_without_a_writer_is_a_503_that_says_so(make_web):
    from tests.web.client import Client

    web = make_web(component("A1"))
    answer = Client(web.bound_port).get("/history/A1")
    assert answer.status == 503
    assert "no HistoryWriter" in answer.json["error"]


def times_and_values(answer):
    return list(zip(answer["t"], answer["v"], strict=True))


def test_a_graph_has_at_once_what_no_batch_has_stored_yet(web, client):
    now_ms = time_now_ms()
    points = [(now_ms - 90_000 + n * 1000, float(n)) for n in range(90)]
    whole = [reading("A1", v, timestamp_ms=t, sequence=n) for n, (t, v) in enumerate(points)]
    store(web, whole[:30])
    web.on_batch(whole[20:])  # some of which are stored
    answer = client.get(f"/history/A1?from={now_ms - 95_000}&to={now_ms}").json
    assert times_and_values(answer) == [*points]
    assert answer["bucket_ms"] == 0


def test_what_was_just_heard_is_reduced_as_the_rest(web, client):
    now_ms = time_now_ms()
    start_ms = now_ms - 1_000_000
    whole = [
        reading("A1", 9.0 if n == 970 else 1.0, timestamp_ms=start_ms + n * 1000, sequence=n)
        for n in range(1000)
    ]
    store(web, whole[:940])
    web.on_batch(whole[940:])
    answer = client.get(f"/history/A1?from={start_ms}&to={now_ms}&points=50").json
    assert len(answer["t"]) <= 50
    assert None not in answer["v"]
    assert answer["t"] == sorted(answer["t"])
    assert max(answer["high"]) == 9.0
    assert answer["t"][-1] > start_ms + 960_000


def test_without_any_stored_reading_the_graph_has_what_was_heard(web, client):
    now_ms = time_now_ms()
    store(web, [reading("A2", 1.0)])
    web.on_batch([reading("A1", 3.5, timestamp_ms=now_ms - 10)])
    assert client.get("/history/A1").json["v"] == [3.5]
    long = [reading("A1", float(n), timestamp_ms=now_ms - n) for n in range(1000, 10, -1)]
    web.on_batch(long)
    answer = client.get("/history/A1?points=20").json
    assert 2 <= len(answer["t"]) <= 20


def test_texts_that_were_just_heard_come_with_the_stored_ones(web, client):
    now_ms = time_now_ms()
    long = "heating " * 100
    whole = [
        reading("A3", text, timestamp_ms=now_ms - 9 + n) for n, text in enumerate(("on", long))
    ]
    store(web, whole[:1])
    web.on_batch(whole)
    assert client.get("/history/A3").json["texts"] == [[now_ms - 9, "on"], [now_ms - 8, long]]
