"""The client of redis-py, to a real server and to programs that are none."""

import socket
import threading
import time
from contextlib import closing, contextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jph.stores.redis import client
from jph.stores.redis.client import RedisClient
from jph.stores.redis.refusals import RedisFault
from jph.stores.redis.url import address_of
from tests.helpers import LOOPBACK, free_tcp_port
from tests.servers import running_redis


@contextmanager
def connected(url, password_file=None):
    with closing(RedisClient(address_of(url), password_file)) as it:
        yield it


def call(client, *command):
    (reply,) = client.exchange([command])
    return reply


def test_a_refusal_is_a_reply_among_others(redis_server):
    commands = [("SET", "a", "1"), ("HSET", "a", "f", "1"), ("GET", "a"), ("NOSUCH", "a")]
    with connected(redis_server.url) as it:
        stored, refused, found, unknown = it.exchange(commands)
        assert (stored, found) == (True, b"1")
        assert isinstance(refused, RedisFault) and refused.code == "WRONGTYPE"
        assert isinstance(unknown, RedisFault) and unknown.code == "ERR"
        assert "unknown command" in str(unknown)
        assert call(it, "GET", "a") == b"1"


def test_many_commands_and_large_ones_come_whole(redis_server):
    large = b"x" * 3_000_000
    with connected(redis_server.url) as it:
        call(it, "SET", "a", large)
        assert call(it, "GET", "a") == large
        assert it.exchange([("STRLEN", "a")] * 20_000) == [len(large)] * 20_000


def test_the_database_of_the_url_is_used_and_the_connection_named(redis_server):
    with connected(redis_server.url.removesuffix("0") + "3") as it:
        call(it, "SET", "a", "1")
        with redis_server.client(db=3) as other:
            assert other.get("a") == "1"
            assert "jph" in {each["name"] for each in other.client_list()}


def test_signing_in_with_a_password_and_as_a_user(tmp_path):
    file = tmp_path / "password"
    with running_redis("--requirepass", "open sesame") as guarded:
        file.write_text("open sesame\n")
        with connected(guarded.url, file) as it:
            call(it, "ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all")
        file.write_text("secret")
        with connected(guarded.url.replace("//", "//reader@"), file) as it:
            assert call(it, "ACL", "WHOAMI") == b"reader"
        file.write_text("wrong")
        with connected(guarded.url, file) as it, pytest.raises(RedisFault) as caught:
            call(it, "GET", "a")
        assert caught.value.code == "WRONGPASS"
        with connected(guarded.url) as it, pytest.raises(RedisFault) as caught:
            call(it, "GET", "a")
        assert caught.value.code == "NOAUTH"


def test_a_file_that_is_no_text_is_no_password(tmp_path):
    file = tmp_path / "password"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(RedisFault, match="is no text"), connected("redis://", file):
        pass


def test_nobody_there_is_said_in_words(tmp_path):
    for url, words in (
        (f"redis://{LOOPBACK}:{free_tcp_port()}", "is redis-server running"),
        (f"redis+cluster://{LOOPBACK}:{free_tcp_port()}", "is redis-server running"),
        (f"unix://{tmp_path}/nothing", "is redis-server running"),
        (f"redis+sentinel://{LOOPBACK}:{free_tcp_port()}/main", "no sentinel answers .* main"),
        ("redis://nobody.invalid", "no such host"),
    ):
        with pytest.raises(RedisFault, match=words) as caught, connected(url) as it:
            call(it, "GET", "a")
        assert caught.value.code == ""


def test_a_connection_that_breaks_is_not_replaced(redis_server):
    """Whatever the server lost with it is to be written again."""
    with connected(redis_server.url) as it:
        call(it, "SET", "a", "1")
        redis_server.kill()
        redis_server.start()
        with pytest.raises(RedisFault, match="closed the connection"):
            call(it, "GET", "a")


def test_a_server_that_does_not_answer_is_given_up(redis_server, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT_S", 0.2)
    with connected(redis_server.url) as it:
        call(it, "SET", "a", "1")
        with redis_server.frozen():
            began_s = time.monotonic()
            with pytest.raises(RedisFault, match="no answer within"):
                call(it, "GET", "a")
            assert time.monotonic() - began_s < 10


def test_a_server_that_takes_no_more_is_given_up(redis_server, monkeypatch):
    monkeypatch.setattr(client, "TIMEOUT_S", 0.2)
    with connected(redis_server.url) as it:
        call(it, "SET", "a", "1")
        with redis_server.frozen(), pytest.raises(RedisFault, match="no answer within"):
            call(it, "SET", "a", b"x" * 20_000_000)  # more than its buffer


def answered(answer: bytes) -> object:
    """Call a program that says this, whatever it hears."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def serve() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(100)
                peer.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            with connected(f"redis://{LOOPBACK}:{listener.getsockname()[1]}") as it:
                return it.keys("??"), call(it, "GET", "a")
        finally:
            listener.close()
            with suppress(OSError):  # whoever was not connected to
                socket.create_connection(listener.getsockname()).close()
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
        b"-ERR \xff\r\n",
        b"",
    ],
)
def test_what_is_no_redis_is_told_apart(answer):
    with pytest.raises(RedisFault):
        answered(answer)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_refused(answer):
    with suppress(RedisFault):  # and nothing else
        answered(answer)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_after_the_greeting_are_a_reply_or_refused(answer):
    with suppress(RedisFault):
        answered(b"+OK\r\n" * 3 + answer)
