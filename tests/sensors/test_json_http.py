"""Values from real HTTP servers that answer well, badly, slowly or not at all."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from jph import SensorError
from jph.config import build
from jph.settings import arguments
from sensors.json_http import JsonHttp

NO_NETWORK = build(
    {
        "Multicast": {
            "Control-Channel": {"Address": "239.76.1.1", "Port": 7601},
            "Data-Channel": {"Address": "239.76.1.2", "Port": 7602},
        },
        "Sensors": [],
    }
)


@pytest.fixture
def server():
    """Yield a server whose `answers` maps paths to functions of the request handler."""
    answers = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answers[self.path](self)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = False
        running.answers = answers
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def says(content: bytes, status: int = 200):
    def answer(handler):
        handler.send_response(status)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


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
    server.answers["/"] = lambda handler: release.wait(10)
    try:
        with pytest.raises(SensorError, match=r"within 0\.2 s"):
            reader(server, Timeout=0.2).read()
    finally:
        release.set()


def test_a_server_that_answers_byte_by_byte_costs_no_more_than_the_timeout(server):
    release = threading.Event()

    def trickle(handler):
        handler.send_response(200)
        handler.end_headers()
        while not release.wait(0.05):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    server.answers["/"] = trickle
    try:
        with pytest.raises(SensorError, match=r"within 0\.3 s"):
            reader(server, Timeout=0.3).read()
    finally:
        release.set()


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


def test_an_address_on_a_web_server_that_is_none_is_a_mistake():
    with pytest.raises(ValueError, match="no component is one"):
        JsonHttp(codifier="A1", config=NO_NETWORK, url="/healthz", field="t")
