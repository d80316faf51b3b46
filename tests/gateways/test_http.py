"""The HTTP server of gateways: JSON whatever happens, limits, tokens, ports."""

import json
import socket
import stat
import threading
from contextlib import closing

import pytest

from gateways.endpoints import Endpoints, make_app
from gateways.http import MOST_BODY, JsonServer, home_token, listen
from gateways.limits import Attempts, Gate, TooMany
from jph.errors import ChannelError, StoreError
from tests.gateways.tenta.client import Client

TOTAL_S = 30


@pytest.fixture
def endpoints():
    open_ones = Endpoints({"word": str})

    @open_ones.add("GET", "/echo/{word}")
    def echo(service, word):
        return {"word": word, "service": service}

    @open_ones.add("POST", "/length", body=dict[str, str])
    def length(service, body):
        return {"length": sum(map(len, body.values()))}

    @open_ones.add("GET", "/bug")
    def bug(service):
        raise ZeroDivisionError

    @open_ones.add("GET", "/away")
    def away(service):
        raise StoreError("the disk is full")

    return open_ones


@pytest.fixture
def client(endpoints):
    hidden = Endpoints({}, prefix="/jph", for_browsers=False)

    @hidden.add("GET", "/state")
    def state(service):
        return {}

    @hidden.add("GET", "/away")
    def away(service):
        raise StoreError("the disk is full")

    app = make_app("me", endpoints, hidden)
    with (
        closing(JsonServer(listen("127.0.0.1", 0), app)) as server,
        closing(Client(server.port)) as client,
    ):
        yield client


def test_every_error_is_json(client, caplog):
    assert client.get("/echo/x").json == {"word": "x", "service": "me"}
    for path, status, details in [
        ("/nothing", 404, "Not Found"),
        ("/echo/", 404, "Not Found"),
        ("/length", 405, "Method Not Allowed"),
        ("/echo/x?more=1", 400, "Bad Request"),
        ("/bug", 500, "Internal Server Error"),
        ("/away", 503, "Service Unavailable"),
    ]:
        answer = client.get(path)
        assert (answer.status, answer.json) == (status, {"details": details}), path
    assert client.get("/jph/away").json == {"details": "the disk is full"}  # to those of the home
    assert client.get("/length").headers["allow"] == "POST"
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    "data",
    [b"{", b"\xff", b"[]", b"null", b'{"a": NaN}', b'{"a": 1}', b"[" * 100_000, b" "],
)
def test_a_body_that_is_not_as_declared_is_a_bad_request(client, data):
    assert client.post("/length", raw=data).status == 400


def test_a_body_is_limited(client):
    fits = json.dumps({"a": "x" * (MOST_BODY - 20)}).encode()
    assert client.post("/length", raw=fits).json == {"length": MOST_BODY - 20}
    with closing(socket.create_connection(("127.0.0.1", client.port), timeout=TOTAL_S)) as raw:
        raw.sendall(b"POST /length HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n")
        answer = read_all(raw)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.endswith(b'{"details": "Request Entity Too Large"}')


def test_a_request_that_cannot_be_read_is_answered_with_json(client):
    with closing(socket.create_connection(("127.0.0.1", client.port), timeout=TOTAL_S)) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n")
        head, _, body = read_all(raw).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"details": "Bad Request"}


def read_all(connection):
    found = b""
    while data := connection.recv(65536):
        found += data
    return found


def test_pages_of_other_servers_may_ask_what_is_public(client):
    answer = client.ask("OPTIONS", "/length")
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"  # once, or browsers refuse it
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    for path in ("/echo/x", "/nothing", "/bug"):
        assert client.get(path).headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in client.get("/jph/state").headers
    assert client.ask("OPTIONS", "/jph/state").status == 405


def test_it_stops_in_time_with_clients_that_say_nothing(endpoints):
    server = JsonServer(listen("127.0.0.1", 0), make_app(None, endpoints))
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
    silent[0].sendall(b"POST /length HTTP/1.1\r\nContent-Length: 10\r\n\r\n{")
    with closing(Client(server.port)) as client:
        assert client.get("/echo/x").status == 200
    server.close()
    assert not [it for it in threading.enumerate() if it.name == f"http-{server.port}"]
    for connection in silent:
        connection.close()
    with pytest.raises(ConnectionRefusedError), closing(Client(server.port)) as client:
        client.get("/echo/x")


def test_it_stops_while_a_store_says_nothing():
    frozen, asked, answer = Endpoints({}), threading.Event(), threading.Event()

    @frozen.add("GET", "/frozen")
    def wait(service):
        asked.set()
        answer.wait(TOTAL_S)
        return {}

    server = JsonServer(listen("127.0.0.1", 0), make_app(None, frozen))
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=TOTAL_S)) as raw:
        raw.sendall(b"GET /frozen HTTP/1.1\r\n\r\n")
        assert asked.wait(TOTAL_S)
        server.close()
        assert read_all(raw) == b""  # closed before the view came back
    assert not [it for it in threading.enumerate() if it.name == f"http-{server.port}"]
    answer.set()


def test_a_port_that_is_taken_is_said_in_words():
    with closing(listen("127.0.0.1", 0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(ChannelError, match=f"127.0.0.1 port {port}: another program listens"):
            listen("127.0.0.1", port)
    with pytest.raises(ChannelError, match="no address of this machine"):
        listen("192.0.2.1", 0)
    with pytest.raises(ChannelError, match="Host nowhere"):
        listen("nowhere.invalid", 0)


def test_all_who_want_the_token_of_a_home_get_the_same(tmp_path):
    found = []
    threads = [threading.Thread(target=lambda: found.append(home_token(tmp_path))) for _ in "12345"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    path = tmp_path / "gateways" / "token"
    assert {*found} == {path.read_text().strip()}
    assert len(found) == 5
    assert len(found[0]) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["token"]


def test_a_damaged_token_is_made_anew(tmp_path):
    (tmp_path / "gateways").mkdir()
    (tmp_path / "gateways" / "token").write_text("\n")
    assert len(home_token(tmp_path)) == 64


def test_attempts_are_counted_for_a_minute():
    attempts = Attempts(3)
    for _ in range(3):
        attempts.check("a", now_s=1000)
        attempts.failed("a", now_s=1000)
    with pytest.raises(TooMany):
        attempts.check("a", now_s=1059)
    attempts.check("b", now_s=1000)
    attempts.check("a", now_s=1061)


def test_a_gate_sends_away_who_would_wait_too_long():
    gate, leave, sent_away = Gate(1, 2), threading.Event(), threading.Event()
    worked = []

    def work(number):
        try:
            with gate.turn():
                leave.wait(TOTAL_S)
                worked.append(number)
        except TooMany:
            sent_away.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    assert sent_away.wait(TOTAL_S)
    leave.set()
    for thread in threads:
        thread.join()
    assert len(worked) == 2
    with gate.turn():
        pass
