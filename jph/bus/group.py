"""Where a bus is: its two multicast groups, and how their sockets are set up."""

from dataclasses import dataclass

from jph.settings import setting


@dataclass(frozen=True, slots=True)
class Group:
    """A multicast group, and how its sockets are set up."""

    address: str = setting(doc="IPv4 address of the group, 224.0.0.0 to 239.255.255.255")
    port: int = setting(ge=1, le=65535, doc="UDP port")
    interface: str | None = setting(
        None, doc="network interface, its name or IPv4 address; absent: the kernel's choice"
    )
    ttl: int = setting(1, ge=0, le=255, doc="routers a datagram passes; 0: stays on this host")
    loop: bool = setting(True, doc="whether this host hears what it sends itself")
    receive_buffer: int = setting(4 << 20, gt=0, doc="buffer to ask of the kernel, bytes")


@dataclass(frozen=True, slots=True)
class Multicast:
    """The two channels of a bus."""

    control: Group = setting(key="Control-Channel", doc="every component talks and listens here")
    data: Group = setting(key="Data-Channel", doc="sensors send, collectors listen")
