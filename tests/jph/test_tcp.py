"""Where servers listen, and where they are found."""

import errno
import socket

import pytest

from jph.tcp import is_loopback, listening, netloc, where_it_answers


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "127.9.9.9", "::1", "0:0:0:0:0:0:0:1", "localhost"]
)
def test_the_loopback_interface_is_known_by_all_its_names(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "192.0.2.1", "127.example.org", "localhost.example.org", "::12"]
)
def test_what_others_may_reach_is_not_the_loopback_interface(host):
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "host, port, at",
    [("127.0.0.1", 80, "127.0.0.1:80"), ("::1", 80, "[::1]:80"), ("h.example", 1, "h.example:1")],
)
def test_host_and_port_are_written_as_in_a_url(host, port, at):
    assert netloc(host, port) == at


@pytest.mark.parametrize("host, at", [("0.0.0.0", "127.0.0.1"), ("", "127.0.0.1"), ("::", "::1")])
def test_a_server_on_all_addresses_is_found_on_the_loopback_interface(host, at):
    assert where_it_answers(host) == at


def test_a_socket_that_cannot_listen_is_closed():
    with listening("127.0.0.1", 0, 1) as first:
        port = first.getsockname()[1]
        with pytest.raises(OSError) as raised:  # and no ResourceWarning
            listening("127.0.0.1", port, 1)
    assert raised.value.errno == errno.EADDRINUSE
    with listening("127.0.0.1", port, 1, [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]) as again:
        assert again.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
