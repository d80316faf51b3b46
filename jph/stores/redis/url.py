"""The address of a state store on Redis: a server, a primary that sentinels name, or a cluster.

    redis://[user@]host[:port][/database]             one server; rediss: with TLS
    unix://[user@]/path/of/its/socket[?db=database]   one on this machine
    redis+sentinel://[user@]host[:port][,...]/name[/database]
                                                      the primary that these sentinels know by name
    redis+cluster://[user@]host[:port][,...]          a cluster, by some of its servers

`rediss+sentinel` and `rediss+cluster` are with TLS, too. URLs with TLS take the options of redis-py
in `TLS_OPTIONS`, such as `?ssl_ca_certs=FILE`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from redis.connection import parse_url

from jph.errors import ConfigError

PORT = 6379
SENTINEL_PORT = 26379
FORMS = {
    "": "redis://host:port/database",
    "unix": "unix:///path/of/its/socket?db=database",
    "sentinel": "redis+sentinel://host:port,host:port/name/database",
    "cluster": "redis+cluster://host:port,host:port",
}
TLS_OPTIONS = {
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_cert_reqs",
    "ssl_certfile",
    "ssl_check_hostname",
    "ssl_keyfile",
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The address of a Redis, and of one of its databases.

    Args:
        kind: of FORMS.
        hosts: with their ports; of the sentinels, or of some servers of the cluster.
        path: of the socket, of kind unix.
        primary: the name by which sentinels know it.
        database: which is 0 in a cluster.
        user: "" for the default one.
    """

    kind: str = ""
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    primary: str = ""
    database: int = 0
    user: str = ""
    tls: bool = False
    options: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.kind == "unix":
            return f"unix://{self.path}?db={self.database}"
        names = [(f"[{host}]" if ":" in host else host, port) for host, port in self.hosts]
        hosts = ",".join(f"{host}:{port}" for host, port in names)
        scheme = "rediss" if self.tls else "redis"
        if self.kind == "cluster":
            return f"{scheme}+cluster://{hosts}"
        if self.kind == "sentinel":
            return f"{scheme}+sentinel://{hosts}/{self.primary}/{self.database}"
        return f"{scheme}://{hosts}/{self.database}"


def address_of(url: str) -> RedisAddress:
    """Return the address in a URL.

    Raises:
        ConfigError: another form, or an unknown option.
    """
    scheme = url.partition(":")[0].lower()
    kind = "unix" if scheme == "unix" else scheme.partition("+")[2]
    try:
        parts = _split(url)
        options = parse_url(f"rediss://?{parts.query}")
        del options["connection_class"]
        return _address(kind, parts, options)
    except ValueError as error:
        raise ConfigError(f"the URL of the state store must be {FORMS[kind]}: {error}") from None


def _split(url: str) -> SplitResult:
    """Split a URL; some versions of `urlsplit` refuse an IPv6 address among several hosts."""
    found = re.fullmatch(r"([^:]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", url)
    if found is None:
        raise ValueError("// is missing")
    scheme, hosts, path, query = found.groups(default="")
    return SplitResult(scheme.lower(), hosts, path, query, "")


def _address(kind: str, parts: SplitResult, options: dict[str, object]) -> RedisAddress:
    """Return the address; raise ValueError for another form."""
    user, _, hosts = parts.netloc.rpartition("@")
    tls = parts.scheme.startswith("rediss")
    segments = [unquote(segment) for segment in parts.path.split("/") if segment]
    primary = path = ""
    if kind == "unix":
        path = unquote(parts.path)
        segments = [str(options.pop("db", 0))]
        if hosts or path.strip("/") == "":
            raise ValueError("the path is missing")
    elif kind == "sentinel":
        if not segments:
            raise ValueError("the name of the primary is missing")
        primary = segments.pop(0)
    if unknown := sorted(options.keys() - (TLS_OPTIONS if tls else set())):
        raise ValueError(f"there is no option {unknown[0]}")
    if len(segments) > 1 or (segments and kind == "cluster"):
        raise ValueError("its path is too long")
    database = "".join(segments) or "0"
    if not (database.isascii() and database.isdigit()):
        raise ValueError("the database is a number")
    places = () if kind == "unix" else tuple(_host(it, kind) for it in hosts.split(","))
    if len(places) > 1 and not kind:
        raise ValueError("it names one host")
    return RedisAddress(kind, places, path, primary, int(database), unquote(user), tls, options)


def _host(text: str, kind: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    port = SENTINEL_PORT if kind == "sentinel" else PORT
    return parts.hostname or "127.0.0.1", parts.port or port
