"""Connections to servers until a deadline, and texts about servers that are fit for a message."""

import functools
import socket
import ssl
import time
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit


def connect(host: str, port: int, until_s: float) -> socket.socket:
    """Return a connected socket; its time-out is the time that is left.

    Each address of a host gets an equal share of it, so that one which never answers, such as IPv6
    on a line without it, does not hide the others. (socket.create_connection gives each the whole
    time.) Only the look-up of the name takes as long as the system's resolver.

    Raises:
        OSError: there is no answer. TimeoutError: not in time.
    """
    failure: OSError | None = None
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for number, (family, kind, protocol, _, place) in enumerate(places):
        tried = socket.socket(family, kind, protocol)
        try:
            tried.settimeout(left_s(until_s) / (len(places) - number))
            tried.connect(place)
            tried.settimeout(left_s(until_s))
        except OSError as error:
            tried.close()
            failure = error
        else:
            return tried
    raise failure or OSError("the host has no address")


def listening(
    host: str, port: int, backlog: int, options: Iterable[tuple[int, int, int]] = ()
) -> socket.socket:
    """Return a socket that listens on the first address of a host.

    Args:
        port: 0 for any free one.
        options: further ones of the socket: level, name and value.

    Raises:
        OSError: the port is taken, not allowed, or the address is not of this machine.
    """
    places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, kind, protocol, _, place = places[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option in options:
            listener.setsockopt(*option)
        listener.bind(place)
        listener.listen(backlog)
    except OSError:
        listener.close()
        raise
    return listener


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on is reached from this machine alone."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    with suppress(OSError):
        return socket.inet_aton(host)[0] == 127  # such as 127.1
    return host == "localhost"


def netloc(host: str, port: int) -> str:
    """Return host and port as a URL has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def where_it_answers(host: str) -> str:
    """Return the address at which this machine finds a server that listens on a host."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)


def left_s(until_s: float) -> float:
    """Return the seconds until a time of the monotonic clock; TimeoutError if none are left."""
    left = until_s - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


@functools.lru_cache(maxsize=8)
def trust(ca_file: str = "") -> ssl.SSLContext:
    """Return the certificates of this system; to read them takes longer than most requests.

    Args:
        ca_file: path of the only certificates to be accepted, in their place.

    Raises:
        OSError: the file cannot be read, or has no certificate.
    """
    return ssl.create_default_context(cafile=ca_file or None)


def shown(url: str) -> str:
    """Return an address for a message: without user, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def plain(text: object, most: int = 80) -> str:
    """Return the beginning of a foreign text, on one line."""
    return "".join(c if c.isprintable() else " " for c in str(text)[:most]).strip()
