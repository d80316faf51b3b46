"""Sockets of one multicast group: opening, joining, and noticing that the network changed.

A receiving socket is bound to the group's own address, so that another group on the same port is
not heard, and it never changes: after an address or a link changed a new one takes its place.
Linux; elsewhere the options that only Linux has are left out.
"""

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator

from jph.bus.group import Group

# Numbers from the Linux headers that the socket module does not name in Python 3.11.
_IP_MULTICAST_ALL = 49
_SO_RXQ_OVFL = 40
_NETLINK_GROUPS = 0x1 | 0x10  # RTMGRP_LINK | RTMGRP_IPV4_IFADDR, rtnetlink(7)


def open_receiver(group: Group) -> socket.socket:
    """Return a non-blocking socket that has joined the group.

    Raises:
        OSError: the address cannot be bound, or the interface is not there (yet).
    """
    with _opening() as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, group.receive_buffer)
        with contextlib.suppress(OSError):
            receiver.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            receiver.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
        receiver.bind((group.address, group.port))
        receiver.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _membership(group))
        receiver.setblocking(False)
    return receiver


def open_sender(group: Group) -> socket.socket:
    """Return a socket whose `send` goes to the group.

    It is connected: the kernel looks the route up once, and `send` parses no address.

    Raises:
        OSError: the interface is not there (yet), or there is no route.
    """
    with _opening() as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, group.ttl)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, group.loop)
        if group.interface:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, _membership(group))
        sender.connect((group.address, group.port))
    return sender


def granted_buffer(receiver: socket.socket) -> int:
    """Return the receive buffer that the kernel granted, bytes.

    Linux reports twice what may be asked for, to have room for its own bookkeeping.
    """
    return receiver.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def path_of(group: Group) -> tuple[int, str] | None:
    """Return interface number and source address of a group's sockets; None if it is down."""
    try:
        with open_sender(group) as sender:
            address: str = sender.getsockname()[0]
        by_name = group.interface and not _is_address(group.interface)
        return (socket.if_nametoindex(str(group.interface)) if by_name else 0), address
    except OSError:
        return None


def explain(error: OSError, group: Group) -> str:
    """Return the meaning of a failure to join, and what to do."""
    where = f"interface {group.interface}" if group.interface else "the default interface"
    # No errno: if_nametoindex found no such name.
    if error.errno in (None, errno.ENODEV, errno.EADDRNOTAVAIL, errno.ENXIO):
        there = ", ".join(name for _, name in socket.if_nameindex())
        return f"{where} is not there (interfaces: {there}; or set Multicast.…Interface)"
    if error.errno == errno.ENETUNREACH:
        return f"no route for multicast through {where}; is the network up?"
    return f"{where}: {error.strerror or error}"


def _membership(group: Group) -> bytes:
    """Return a struct ip_mreqn: group, address of the interface, number of the interface."""
    address, index = "0.0.0.0", 0
    if group.interface and _is_address(group.interface):
        address = group.interface
    elif group.interface:
        index = socket.if_nametoindex(group.interface)
    return struct.pack("=4s4si", socket.inet_aton(group.address), socket.inet_aton(address), index)


def _is_address(interface: str) -> bool:
    try:
        socket.inet_pton(socket.AF_INET, interface)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _opening() -> Iterator[socket.socket]:
    """Yield a new UDP socket, closed again if anything fails."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        yield opened
    except BaseException:
        opened.close()
        raise


class LinkWatch:
    """Tells when a link or an IPv4 address of this machine changed, from the kernel's rtnetlink.

    Where the kernel does not offer it, `fileno` is -1 and the caller's periodic look must do.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        with contextlib.suppress(OSError, AttributeError):
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0
            )
            self._socket.bind((0, _NETLINK_GROUPS))

    def fileno(self) -> int:
        return self._socket.fileno() if self._socket else -1

    def drain(self) -> None:
        """Empty the socket; the content of the messages does not matter."""
        if self._socket is None:
            return
        for _ in range(1000):
            try:
                self._socket.recv(65536)
            except BlockingIOError:
                return
            except OSError:  # ENOBUFS: some were dropped, so there was a change
                continue

    def close(self) -> None:
        if self._socket:
            self._socket.close()
