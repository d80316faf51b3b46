"""Addresses: who may read without signing in, and whose word about a request is taken.

No Flask here.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
UNNAMED_PROXY = "jph.unnamed_proxy"  # in the environment of a request: it seems to come by one
HOPS = ("HTTP_VIA", "HTTP_FORWARDED", "HTTP_X_REAL_IP")
FORWARDED = ("FOR", "PREFIX", "PROTO", "HOST", "PORT", "BY", "SERVER")
PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


class Networks:
    """Addresses and networks.

    Raises:
        ValueError: one of them is no address and no network.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._networks: list[Network] = [ipaddress.ip_network(n, strict=False) for n in names]

    def __contains__(self, address: object) -> bool:
        try:
            found = ipaddress.ip_address(str(address))
        except ValueError:
            return False
        found = getattr(found, "ipv4_mapped", None) or found  # of a socket for both versions
        return any(found in network for network in self._networks)


LOOPBACK = Networks(("127.0.0.0/8", "::1"))
EVERYWHERE = Networks(("0.0.0.0/0", "::/0"))


class Proxies(Networks):
    """The reverse proxies that are believed what they say about a request."""

    def apply(self, environ: "WSGIEnvironment") -> None:
        """Take address, scheme and path of a request from its headers, if a proxy set them.

        Those of others are dropped: anybody can send them. But whoever comes by an unnamed proxy
        must not be taken for somebody at this machine only because the proxy is there.
        """
        said = {name: environ.pop(f"HTTP_X_FORWARDED_{name}", "").strip() for name in FORWARDED}
        if environ.get("REMOTE_ADDR", "") not in self:
            environ[UNNAMED_PROXY] = any(said.values()) or any(name in environ for name in HOPS)
            return
        # Each hop adds the address that it saw, so only those to the right of strangers are true.
        for hop in reversed([hop.strip() for hop in said["FOR"].split(",")]):
            try:
                environ["REMOTE_ADDR"] = str(ipaddress.ip_address(hop))
            except ValueError:
                break
            if hop not in self:
                break
        if said["PROTO"] in ("http", "https"):
            environ["wsgi.url_scheme"] = said["PROTO"]
        prefix = said["PREFIX"].rstrip("/")
        if PREFIX.fullmatch(prefix):
            environ["SCRIPT_NAME"] = prefix
            path: str = environ["PATH_INFO"]  # with the prefix, if the proxy left it there
            if path == prefix or path.startswith(f"{prefix}/"):
                environ["PATH_INFO"] = path[len(prefix) :] or "/"
