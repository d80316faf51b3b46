"""The protocol of Redis, to a real server and to programs that are none."""

import socket
import threading
import time
from contextlib import closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.errors import ConfigError
from jph.stores.redis import resp
from jph.stores.redis.resp import (
    Connection,
    Refusal,
    Refused,
    Server,
    Unreachable,
    command,
    server_of,
)
from tests.helpers import LOOPBACK, free_tcp_port
from tests.servers import RedisServer, running_redis


@pytest.fixture
def server(redis_server: RedisServer) -> Server:
    return Server(LOOPBACK, redis_server.port)


@pytest.mark.parametrize(
    "url, server, text",
    [
        ("redis://", Server("127.0.0.1"), "redis://127.0.0.1:6379/0"),
        ("redis://host", Server("host"), "redis://host:6379/0"),
        ("redis://host:1/", Server("host", 1), "redis://host:1/0"),
        ("redis://[::1]:7/3", Server("::1", 7, 3), "redis://[::1]:7/3"),
        ("redis://me%20too@host/2", Server("host", 6379, 2, "me too"), "redis://host:6379/2"),
        ("rediss://host", Server("host", tls=True), "rediss://host:6379/0"),
    ],
)
def test_a_url_names_a_server(url, server, text):
    assert server_of(url) == server
    assert str(server) == text


@pytest.mark.parametrize(
    "url", ["redis:", "redis:6379", "redis://host/one", "redis://host:x", "redis://host/0?db=1"]
)
def test_another_form_of_url_is_a_mistake(url):
    with pytest.raises(ConfigError, match="redis://host:port/database"):
        server_of(url)


def test_a_command_is_its_words_with_their_sizes_in_bytes():
    assert command("SET", "A1", "grün") == b"*3\r\n$3\r\nSET\r\n$2\r\nA1\r\n$5\r\ngr\xc3\xbcn\r\n"


def test_replies_of_every_kind(server):
    with closing(Connection(server, None)) as connection:
        assert connection.call("SET", "a", b"\x00\r\n\xff") == b"OK"
        assert connection.call("GET", "a") == b"\x00\r\n\xff"
        assert connection.call("GET", "b") is None
        assert connection.call("STRLEN", "a") == 4
        assert connection.call("MGET", "a", "b") == [b"\x00\r\n\xff", None]
        nested = connection.call("EVAL", "return {1, {'x', {}}}", "0")
        assert nested == [1, [b"x", []]]


def test_a_refusal_is_a_reply_among_others(server):
    commands = command("SET", "a", "1") + command("HSET", "a", "f", "1") + command("GET", "a")
    with closing(Connection(server, None)) as connection:
        stored, refused, found = connection.exchange(commands, 3)
        assert (stored, found) == (b"OK", b"1")
        assert isinstance(refused, Refusal) and refused.code == "WRONGTYPE"
        with pytest.raises(Refused, match="unknown command"):
            connection.call("NOSUCH")
        assert connection.call("PING") == b"PONG"


def test_large_replies_and_many_come_whole(server):
    large = b"x" * 3_000_000
    with closing(Connection(server, None)) as connection:
        connection.call("SET", "a", large)
        assert connection.call("GET", "a") == large
        assert connection.exchange(command("PING") * 20_000, 20_000) == [b"PONG"] * 20_000


def test_the_database_of_the_url_is_used(redis_server):
    with closing(Connection(Server(LOOPBACK, redis_server.port, 3), None)) as connection:
        connection.call("SET", "a", "1")
    with redis_server.client(db=3) as client:
        assert client.get("a") == "1"
    with pytest.raises(Refused, match="DB index"):
        Connection(Server(LOOPBACK, redis_server.port, 99), None)


def test_signing_in_with_a_password_and_as_a_user():
    with running_redis("--requirepass", "open sesame") as guarded:
        server = Server(LOOPBACK, guarded.port)
        with closing(Connection(server, "open sesame")) as connection:
            assert connection.call("PING") == b"PONG"
            connection.call("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all")
        with closing(Connection(Server(LOOPBACK, guarded.port, 0, "reader"), "secret")) as reader:
            assert reader.call("ACL", "WHOAMI") == b"reader"
        with pytest.raises(Refused) as caught:
            Connection(server, "wrong")
        assert caught.value.code == "WRONGPASS"


def test_nobody_there_is_said_in_words():
    with pytest.raises(Unreachable, match="is redis-server running"):
        Connection(Server(LOOPBACK, free_tcp_port()), None)


def test_a_server_that_goes_away_breaks_the_connection(server, redis_server):
    with closing(Connection(server, None)) as connection:
        redis_server.kill()
        with pytest.raises(Unreachable):
            connection.call("PING")


def test_a_server_that_does_not_answer_is_given_up(server, redis_server, monkeypatch):
    monkeypatch.setattr(resp, "TIMEOUT_S", 0.2)
    with closing(Connection(server, None)) as connection, redis_server.frozen():
        began_s = time.monotonic()
        with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
            connection.call("PING")
        assert time.monotonic() - began_s < 10
        with pytest.raises(Unreachable, match="no answer"):  # it takes more than its buffer
            connection.exchange(command("SET", "a", b"x" * 20_000_000), 1)


def answered(answer: bytes) -> object:
    """Connect to a program that says this, whatever it hears, and call it."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(100)
                peer.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            with closing(Connection(Server(*listener.getsockname()), None)) as connection:
                return connection.call("PING")
        finally:
            serving.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\r\n",
        b"?",
        b"$5\r\nab",
        b"$abc\r\n",
        b"$99999999999\r\n",
        b":1",
        b"*2\r\n:1\r\n",
        b"",
    ],
)
def test_what_is_no_redis_is_told_apart(answer):
    with pytest.raises(Unreachable, match=r"no Redis|closed|reset"):
        answered(answer)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_refused(answer):
    with suppress(Refused, Unreachable):  # and nothing else
        answered(answer)
