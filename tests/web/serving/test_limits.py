import http.client
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest

from tests.helpers import eventually
from tests.web.bus import both_servers, component
from tests.web.client import Client, LiveReader
from web import site
from web.serving import gevent_server, waitress_server
from web.serving.limits import Busy, Gate, Places


def test_one_address_has_its_share_and_the_others_theirs():
    places = Places("pages", most=3, most_of_address=2)
    places.take("a")
    places.take("a")
    with pytest.raises(Busy, match="Too many pages from a") as caught:
        places.take("a")
    assert caught.value.code == 429
    places.take("b")
    with pytest.raises(Busy, match="Too many pages now") as caught:
        places.take("b")
    assert caught.value.code == 503
    assert caught.value.retry_after_s > 0
    places.give_back("a")
    places.take("b")
    assert places.count == 3


def asking(gate):
    """Return what asks for an address and holds its turn, who had one so far, and what ends it."""
    works, order = threading.Event(), []

    def ask(name):
        with gate.turn(name):
            order.append(name)
            works.wait(20)

    return ask, order, works


def test_a_gate_lets_few_work_and_some_wait_and_sends_the_others_away():
    gate = Gate("questions", at_once=1, most=2, most_of_address=2)
    ask, order, works = asking(gate)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, "a")
        eventually(lambda: order == ["a"])
        second = pool.submit(ask, "b")
        eventually(lambda: gate.count == 2)
        with pytest.raises(Busy) as caught, gate.turn("c"):
            pass
        assert caught.value.code == 503
        assert order == ["a"], "the second waits"
        works.set()
        first.result(), second.result()
    with gate.turn("c"):
        pass
    assert gate.count == 0


def test_addresses_take_turns():
    gate = Gate("questions", at_once=1, most=9, most_of_address=4)
    ask, order, works = asking(gate)
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(ask, "a")]
        eventually(lambda: order == ["a"])
        asked += [pool.submit(ask, "a") for _ in range(3)]
        eventually(lambda: gate.count == 4)
        asked.append(pool.submit(ask, "b"))
        eventually(lambda: gate.count == 5)
        works.set()
        for one in asked:
            one.result()
    assert order == ["a", "b", "a", "a", "a"]
    assert gate.count == 0
    assert not gate._working


def test_nobody_waits_at_a_gate_for_ever():
    gate = Gate("questions", at_once=1, most=2, most_of_address=2, wait_s=0.01)
    with gate.turn("a"), pytest.raises(Busy), gate.turn("b"):
        pass


@pytest.mark.parametrize(
    ("gate", "path"),
    [
        ("page_gate", "/"),
        ("page_gate", "/component/A1"),
        ("page_gate", "/sensor/"),
        ("history_gate", "/history/A1"),
        ("history_gate", "/sensorts/[]"),
    ],
)
def test_what_is_beyond_the_bound_is_told_when_to_come_back(web, gate, path):
    gate = getattr(web._site, gate)
    with ExitStack() as stack:
        while gate.count < gate.most:  # as strangers would who ask for long histories
            address = f"10.0.0.{gate.count}"
            gate.places.take(address)
            stack.callback(gate.places.give_back, address)
        answer = Client(web.bound_port).get(path)
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "try again" in answer.text
        assert Client(web.bound_port).get("/healthz").status == 200
    assert Client(web.bound_port).get(path).status == 200


@both_servers
def test_questions_that_take_long_keep_no_page_waiting(web):
    gate = web._site.history_gate
    with ExitStack() as stack, ThreadPoolExecutor(12) as pool:
        stack.enter_context(gate.turn("10.0.0.1"))
        stack.enter_context(gate.turn("10.0.0.2"))
        asked = [pool.submit(Client(web.bound_port).get, "/history/A1") for _ in range(12)]
        eventually(lambda: gate.count == gate.most)
        for path in ("/", "/healthz", "/component/A1"):
            assert Client(web.bound_port).get(path).status == 200
        stack.close()
        statuses = {one.result().status for one in asked}
    assert statuses <= {200, 429, 503}
    assert 200 in statuses


@both_servers
def test_connections_beyond_the_bound_of_an_address_are_refused_in_words(make_web, monkeypatch):
    monkeypatch.setattr(site, "MOST_CONNECTIONS_OF_ADDRESS", 3)
    web = make_web()
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(slow_connection(web.bound_port, "127.0.0.2"))
        eventually(lambda: web._site.connections.count == 3)
        with closing(
            http.client.HTTPConnection("127.0.0.1", web.bound_port, 10, ("127.0.0.2", 0))
        ) as one:
            one.request("GET", "/healthz")
            answer = one.getresponse()
            assert answer.status == 429
            assert int(answer.headers["Retry-After"]) > 0
            assert b"127.0.0.2" in answer.read()
        assert Client(web.bound_port).get("/healthz").status == 200
    eventually(lambda: Client(web.bound_port).get("/healthz") and web._site.connections.count <= 1)


@both_servers
def test_the_connection_that_waits_longest_makes_room(make_web, monkeypatch):
    monkeypatch.setattr(site, "MOST_CONNECTIONS", 2)
    web = make_web()
    with (
        slow_connection(web.bound_port, "127.0.0.2") as first,
        slow_connection(web.bound_port, "127.0.0.3"),
    ):
        eventually(lambda: web._site.connections.count == 2)
        assert Client(web.bound_port).get("/healthz").status == 200
        assert first.recv(1) == b""


@both_servers
def test_a_connection_that_never_finishes_its_request_is_closed(make_web, monkeypatch):
    monkeypatch.setattr(waitress_server, "IDLE_S", 0.5)
    monkeypatch.setattr(gevent_server, "IDLE_S", 0.5)
    web = make_web()
    with slow_connection(web.bound_port) as slow:
        slow.settimeout(0.05)

        def is_closed():
            try:
                slow.sendall(b"a")  # a byte now and then keeps it busy, but not open
                return slow.recv(1) == b""
            except TimeoutError:
                return False
            except OSError:
                return True

        eventually(is_closed)


@both_servers
def test_a_live_page_is_no_connection_of_the_server_any_more(web):
    with LiveReader(web.bound_port) as reader:
        reader.event()
        eventually(lambda: web._site.connections.count == 0)
        assert web._site.readers.count == 1


@both_servers
def test_who_asks_for_pages_and_reads_none_takes_no_thread(make_web):
    web = make_web(component("A1", name="x" * 2_000_000))
    request = b"GET /static/config.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with ExitStack() as stack:
        for number in range(60):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.bind((f"127.0.0.{2 + number % 20}", 0))
            connection.connect(("127.0.0.1", web.bound_port))
            connection.sendall(20 * request)
        for _ in range(20):
            assert Client(web.bound_port).get("/healthz").status == 200
    eventually(lambda: web._site.connections.count <= 1)


def slow_connection(port, source="127.0.0.1"):
    connection = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
    connection.sendall(b"GET / HTTP/1.1\r\nHost: ")
    return connection
