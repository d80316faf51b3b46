"""Values from real HTTP servers that answer well, badly, slowly or not at all."""

import json
import logging
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jph import SensorError, registry
from jph.config import checks
from jph.config.model import build
from jph.http import Answer
from jph.settings import arguments
from sensors import json_api, json_text
from sensors.json_http import JsonHttp
from tests.helpers import logged, naming, new_bus
from tests.http_server import endless, says, trickles

NO_NETWORK = build(
    {
        "Multicast": {
            "Control-Channel": {"Address": "239.76.1.1", "Port": 7601},
            "Data-Channel": {"Address": "239.76.1.2", "Port": 7602},
        },
        "Sensors": [],
    }
)


def reader(server, path="/", **settings) -> JsonHttp:
    settings = {"URL": server.url + path, "Field": "t", **settings}
    given = arguments(JsonHttp, settings, "Sensors[0].Sensor")
    return JsonHttp(codifier="A1", config=NO_NETWORK, **given)


def test_one_field_for_itself_and_one_for_each_proxy(server):
    content = b'{"main": {"temp": 21.5, "ok": true}, "list": [{"h": 40}], "name": "north"}'
    server.answers["/weather?x=1"] = says(content)
    proxies = [
        {"Codifier": "H1", "Field": "list.0.h"},
        {"Codifier": "O1", "Field": "main.ok"},
        {"Codifier": "N1", "Field": "name"},
    ]
    values = reader(server, "/weather?x=1", Field="main.temp", Proxy=proxies).read()
    assert values == {"A1": 21.5, "H1": 40, "O1": 1, "N1": "north"}


def test_fields_that_are_missing_leave_the_others(server):
    server.answers["/"] = says(b'{"t": 5}')
    sensor = reader(server, Proxy=[{"Codifier": "H1", "Field": "h.i"}])
    assert sensor.read() == {"A1": 5}


@pytest.mark.parametrize(
    "answer, reason",
    [
        (says(b"{", 200), "no JSON"),
        (says(b"", 200), "no JSON"),
        (says(b"\xff\xfe\x00", 200), "no JSON"),
        (says(b'{"u": 1}'), "no value at t"),
        (says(b'{"t": null}'), "no value at t"),
        (says(b'{"t": NaN}'), "no value at t"),
        (says(b'{"t": {"x": 1}}'), "no value at t"),
        (says(b"[" * 100_000), "no JSON"),
        (says(b"oh dear", 503), "answered 503"),
        (says(b" " * 3000 + b'{"t": 1}'), "more than 2000 bytes"),
    ],
)
def test_bad_answers_are_errors_that_name_the_address(server, answer, reason):
    server.answers["/"] = answer
    with pytest.raises(SensorError, match=reason) as caught:
        reader(server, MostBytes=2000 if "2000" in reason else 1 << 20).read()
    assert server.url in str(caught.value)


def test_nobody_there_is_an_error(server, free_tcp_port):
    sensor = reader(server, URL=f"http://127.0.0.1:{free_tcp_port}/")
    with pytest.raises(SensorError, match="refused"):
        sensor.read()


def test_a_server_that_does_not_answer_costs_no_more_than_the_timeout(server):
    release = threading.Event()
    server.answers["/"] = lambda handler: release.wait(30)
    try:
        with pytest.raises(SensorError, match=r"within 0\.2 s"):
            reader(server, Timeout=0.2).read()
    finally:
        release.set()


def test_a_server_that_answers_byte_by_byte_costs_no_more_than_the_timeout(server):
    server.answers["/"] = trickles(b"HTTP/1.1 200 OK\r\n\r\n")
    with pytest.raises(SensorError, match=r"within 0\.3 s"):
        reader(server, Timeout=0.3).read()


def test_an_answer_of_100_mb_is_refused(server):
    server.answers["/"] = endless(b"HTTP/1.1 200 OK\r\n\r\n")
    with pytest.raises(SensorError, match="1048576 bytes"):
        reader(server).read()


def test_half_an_answer_is_refused(server):
    server.answers["/"] = says(b'{"t": 1}', length=100)
    with pytest.raises(SensorError, match="92 bytes"):
        reader(server).read()


def test_a_key_with_dots_is_found_as_a_whole(server):
    server.answers["/"] = says(b'{"loop.t": 5, "loop": {"t": 6, "u": 7}}')
    proxies = [{"Codifier": "B1", "Field": "loop.u"}]
    assert reader(server, Field="loop.t", Proxy=proxies).read() == {"A1": 5, "B1": 7}


# What such a device sends, and what is understood of it; None where it stays no JSON.
BROKEN = [
    (b'{"t": 5,}', {"t": 5}),
    (b'{"t": [1, 2, ] , \r\n\t}', {"t": [1, 2]}),
    (b'{"t":[{"Flow":1.5,},{"Flow":2,},]}', {"t": [{"Flow": 1.5}, {"Flow": 2}]}),
    (b'{"t": inf, "u": -inf, "v": [inf,inf]}', {"t": 1e999, "u": -1e999, "v": [1e999, 1e999]}),
    (
        b'{"t": "a,]", "u": "inf", "v": "\\",}", "w": 1,}',
        {"t": "a,]", "u": "inf", "v": '",}', "w": 1},
    ),
    (b'{"inf": "-inf ,}", "t": inf}', {"inf": "-inf ,}", "t": 1e999}),
    (b'{"\\\\": inf}', {"\\": 1e999}),
    (b'{"t": 5,,}', None),
    (b'{"t": 5, , }', None),
    (b'{"t": "[ ,]", "u": "{,}", "v": [[],],}', {"t": "[ ,]", "u": "{,}", "v": [[]]}),
    (b'{,"t": 5}', None),
    (b'{"t": [ ,]}', None),
    (b'{"t": [[,],]}', None),
    (b"{\n,}", None),
    (b'{"t": 5 "u": 6}', None),
    (b"{'t': 5}", None),
    (b"{t: 5}", None),
    (b'{"t": +inf, "u": INF, "v": -infinity}', {"t": 1e999, "u": 1e999, "v": -1e999}),
    (b'{"t": ovf, "u": -ovf}', {"t": 1e999, "u": -1e999}),
    (b'{"t": nano}', None),
    (b"{nan: 5}", None),
    (b'{"t": nan(x}', None),
    (b'{"t": nan 5}', None),
    (b'{"t": 1inf}', None),
    (b'{"t": --inf}', None),
    (b'{"t": - inf}', None),
    (b"{inf: 1}", None),
    (b'{"t": 5,', None),
    (b'{"t": "5,}', None),
    (b'{"t": 5,} x', None),
    (b'{"t": 05}', None),
    (b'{"t": 0x5,}', None),
]


@pytest.mark.parametrize(("text", "document"), BROKEN)
def test_a_comma_before_a_bracket_and_a_bare_inf_are_mended_and_nothing_else(text, document):
    if document is None:
        with pytest.raises(ValueError, match="JSON"):
            json_text.parse(text, mend=True)
    else:
        assert json_text.parse(text, mend=True) == document
        with pytest.raises(ValueError, match="JSON"):
            json_text.parse(text)


@pytest.mark.parametrize(
    "word", ["nan", "-nan", "NAN", "NaN", "+nan", "nan(ind)", "-nan(0x80000)", "inf", "ovf", "-INF"]
)
def test_a_bare_word_of_c_leaves_the_other_values(server, word, caplog):
    answer = f'{{"t": {word}, "list": [{word}, {word}], "name": "nan, {word}", "h": 45.5}}'
    server.answers["/"] = says(answer.encode())
    proxies = [{"Codifier": "H1", "Field": "h"}, {"Codifier": "N1", "Field": "name"}]
    assert reader(server, Proxy=proxies).read() == {"H1": 45.5, "N1": f"nan, {word}"}
    assert logged(caplog, "A1", "at t") == 1


@pytest.mark.parametrize("word", ["inf", "-inf", "Infinity", "1e999", "ovf"])
def test_the_older_type_sends_0_for_infinity_and_the_present_one_nothing(server, word):
    server.answers["/"] = says(f'{{"t": {word}, "h": nan, "u": "inf"}}'.encode())
    proxies = [{"Codifier": code, "Field": field} for code, field in (("H1", "h"), ("U1", "u"))]
    older = registry.preset("failsafeReader")
    assert reader(server, Proxy=proxies, **older).read() == {"A1": 0, "U1": "inf"}
    assert reader(server, Proxy=proxies).read() == {"U1": "inf"}


def test_an_infinite_number_is_no_value(server, caplog):
    caplog.set_level(logging.INFO)
    server.answers["/"] = says(b'{"t": inf, "h": 40, "u": -inf,}')
    proxies = [{"Codifier": "H1", "Field": "h"}, {"Codifier": "U1", "Field": "u"}]
    sensor = reader(server, Proxy=proxies)
    assert sensor.read() == {"H1": 40}
    assert sensor.read() == {"H1": 40}
    assert logged(caplog, "A1", f"{server.url}/", "at t") == 1
    assert logged(caplog, "A1", "U1", f"{server.url}/", "at u") == 1
    assert len(caplog.records) == 2
    server.answers["/"] = says(b'{"t": 1.5, "h": 41, "u": Infinity}')
    assert sensor.read() == {"A1": 1.5, "H1": 41}
    assert logged(caplog, "A1", "again") == 1
    assert len(caplog.records) == 3


@pytest.mark.parametrize(
    "number",
    [b"inf", b"-inf", b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1" + b"0" * 309],
    ids=lambda number: number[:9].decode(),
)
def test_a_field_that_is_no_finite_number_is_missing(server, number):
    server.answers["/"] = says(b'{"t": ' + number + b"}")
    with pytest.raises(SensorError, match=naming(f"{server.url}/", "at t")):
        reader(server).read()


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        ('{"t": "5 °C"}'.encode(), "application/json"),
        ('{"t": "5 °C"}'.encode(), "application/json; charset=iso-8859-1"),  # UTF-8 all the same
        ('{"t": "5 °C"}'.encode("utf-8-sig"), ""),
        ('{"t": "5 °C"}'.encode("utf-16"), "application/json"),
        ('{"t": "5 °C"}'.encode("utf-16-le"), ""),
        ('{"t": "5 °C",}'.encode("utf-32-be"), ""),
        ('{"t": "5 °C"}'.encode("latin-1"), "application/json; charset=ISO-8859-1"),
        ('{"t": "5 °C",}'.encode("cp1252"), 'text/json; charset="Windows-1252"'),
    ],
)
def test_encodings_that_can_be_told(server, content, content_type):
    server.answers["/"] = says(content, content_type=content_type)
    assert reader(server).read() == {"A1": "5 °C"}


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", "; charset=zip", "; charset=x-klingon"])
def test_latin_1_is_read_though_nothing_or_something_else_is_named(server, charset):
    content = '{"t": "5 °C", "h": 40}'.encode("latin-1")
    server.answers["/"] = says(content, content_type="application/json" + charset)
    proxies = [{"Codifier": "H1", "Field": "h"}]
    assert reader(server, Proxy=proxies).read() == {"A1": "5 °C", "H1": 40}


@settings(deadline=None)
@given(st.binary(max_size=200) | st.text('[]{},:"\\infNa1 -', max_size=60).map(str.encode))
def test_any_bytes_are_a_document_or_no_json(content):
    try:
        json_text.parse(content, mend=True)
    except ValueError as error:
        assert "JSON" in str(error)


@settings(deadline=None)
@given(
    st.recursive(
        st.integers() | st.text('a,]}"\\inf- ') | st.booleans() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('a,]}"\\inf- '), inner),
        max_leaves=12,
    )
)
def test_mending_leaves_what_is_in_order(document):
    text = json.dumps({"": document, "t": [1]})
    assert json_text.parse(text[:-1].encode() + b",}", mend=True) == json.loads(text)
    assert json_text.parse(text[:-2].encode() + b",inf]}", mend=True) == {
        "": document,
        "t": [1, float("inf")],
    }


@pytest.mark.parametrize(
    "piece", [b'"', b'\\"', b",", b", ", b"inf", b"-", b"[", b"[ ", b" ", b'{"a":']
)
def test_a_megabyte_of_signs_takes_no_time(piece):
    began_s = time.monotonic()
    with pytest.raises(ValueError, match="JSON"):
        json_text.parse(b"{" + piece * (1_000_000 // len(piece)), mend=True)
    assert time.monotonic() - began_s < 10


def only_for(authorization: str):
    """Return an answer for who signs in by basic authentication as this."""

    def answer(handler) -> None:
        if handler.headers.get("Authorization") == authorization:
            says(b'{"t": 5}')(handler)
            return
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", 'Basic realm="meter"')
        handler.end_headers()

    return answer


def test_a_user_signs_in_with_the_password_of_a_file_that_may_change(server, tmp_path):
    server.answers["/"] = only_for("Basic cmVhZGVyOm9uZQ==")  # reader:one
    file = tmp_path / "password"
    file.write_text("one\n")
    sensor = reader(server, User="reader", PasswordFile=str(file))
    assert [sensor.read() for _ in range(2)] == [{"A1": 5}] * 2
    assert len(server.asked) == 3  # only the first time it has to ask
    server.answers["/"] = only_for("Basic cmVhZGVyOnR3bw==")  # reader:two
    with pytest.raises(SensorError, match=naming(server.url, "401", "refuses reader")):
        sensor.read()
    file.write_text("two\n")
    assert sensor.read() == {"A1": 5}
    file.unlink()
    with pytest.raises(SensorError, match=naming(str(file), "No such file")):
        sensor.read()


def test_a_device_that_asks_who_reads_says_which_setting_is_missing(server):
    server.answers["/"] = only_for("Basic x")
    with pytest.raises(SensorError, match=naming("401", "User")):
        reader(server).read()


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({"User": "a"}, "PasswordFile: is required with User"),
        ({"PasswordFile": "/x"}, "User: is required with PasswordFile"),
        ({"User": "a:b", "PasswordFile": "/x"}, "User: must have no colon"),
    ],
)
def test_a_user_and_a_password_file_belong_together(server, given, mistake):
    with pytest.raises(ValueError, match=mistake):
        reader(server, **given)
    entry = {"Codifier": "A1", "Type": "JSON", "SensorInterval": 5}
    entry["Sensor"] = {"URL": "http://192.0.2.1/", "Field": "t", **given}
    mistakes, _ = checks.check(new_bus().document(entry))
    assert mistakes == [f"Sensors[0].Sensor.{mistake}"]


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "file:///etc/passwd", "nonsense", ""])
def test_other_addresses_are_mistakes(server, url):
    with pytest.raises(ValueError, match="must begin with"):
        reader(server, URL=url)


def test_an_address_on_the_own_web_server(server):
    server.answers["/healthz"] = says(b'{"t": 7}')
    document = dict(NO_NETWORK.document)
    document["Sensors"] = [
        {"Codifier": "WB", "Type": "Web", "Sensor": {"Port": server.server_port}}
    ]
    sensor = JsonHttp(codifier="A1", config=build(document), url="/healthz", field="t")
    assert sensor.read() == {"A1": 7}


@pytest.mark.parametrize(
    ("machine", "listens", "address"),
    [
        (None, "0.0.0.0", "http://127.0.0.1:8080/t"),
        ("pi1", "0.0.0.0", "http://127.0.0.1:8080/t"),
        ("pi2.lan", "0.0.0.0", "http://pi2.lan:8080/t"),
        ("pi2", "::", "http://pi2:8080/t"),
        ("pi2", "192.0.2.7", "http://192.0.2.7:8080/t"),
        ("pi1", "::1", "http://[::1]:8080/t"),
    ],
)
def test_the_web_server_may_run_on_another_machine(monkeypatch, machine, listens, address):
    monkeypatch.setenv("JPH_HOST", "pi1")
    document = dict(NO_NETWORK.document)
    document["Sensors"] = [
        {"Codifier": "WB", "Type": "Web", "Host": machine, "Sensor": {"Host": listens}}
    ]
    asked = []

    def ask(url, **_):
        asked.append(url)
        return Answer(url, 200, "OK", "", b'{"t": 7}')

    monkeypatch.setattr(json_api, "ask", ask)
    sensor = JsonHttp(codifier="A1", config=build(document), url="/t", field="t")
    assert sensor.read() == {"A1": 7}
    assert asked == [address]


def test_an_address_on_a_web_server_that_is_none_is_a_mistake():
    with pytest.raises(ValueError, match="URL"):
        JsonHttp(codifier="A1", config=NO_NETWORK, url="/healthz", field="t")
