"""The nodes of the network: on which machine each component is, and what is wrong there.

The bus does not tell which machine a message is from. So a component is where its entry says
(`Host`), else on this machine if its address is ours, else where others of its address are, else at
its address. A proxy is where its server is.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from jph.bus.wire import Address
from jph.config.host import is_same_host, this_host
from jph.config.silence import MISSED, SHORTEST_TIMEOUT_S, interval_s, timeout_s
from jph.config.status import PROGRAMS
from web.live.record import Record

UNKNOWN = ""  # the name of the node of components that were never heard and have no Host
LATE = 1.5  # intervals without a sign after which it is late; not yet silent
LEAST_LATE_S = 3.0
PART = 3  # components that fell silent at one time are one thing
AT_ONCE_S = 5.0

ServerOf = Callable[[Record], Record | None]


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong, fit for JSON.

    Args:
        kind: "node" for all that runs on a machine, "part" for what fell silent there at one time,
            "unseen" for all that was never heard.
        name: of the machine or the component, for people; empty for what was never heard.
        codifier: of the component; empty for the others.
        state: the worst status.
        since_ms: when its last sign, or its last reading, was heard; None: never.
        codifiers: all that this is about.
        reason: why, where that is known.
    """

    kind: Literal["node", "part", "component", "unseen"]
    name: str
    codifier: str
    state: str
    since_ms: int | None
    codifiers: tuple[str, ...]
    reason: str = ""


class NodeNames:
    """Tells on which node each record is.

    Args:
        server_of: returns the record of the server of a proxy.
        own: our own addresses on the network.
    """

    def __init__(
        self, records: Collection[Record], server_of: ServerOf, own: Iterable[Address]
    ) -> None:
        self._server_of = server_of
        self._own = {address[0] for address in own}
        self._here = this_host()
        named: dict[str, set[str]] = {}  # address -> the hosts that components there name
        self._names = {self._here: self._here}  # of each spelling, the one of its machine
        for record in records:
            if record.component.host:
                name = self._spelling(record.component.host)
                if record.ip:
                    named.setdefault(record.ip, set()).add(name)
        self._named = {ip: next(iter(hosts)) for ip, hosts in named.items() if len(hosts) == 1}

    def node_of(self, record: Record) -> str:
        """Return the name of a record's node."""
        speaker = self._server_of(record) or record
        host = record.component.host or speaker.component.host
        if host:
            return self._spelling(host)
        ip = speaker.ip or record.ip
        if not ip:
            return UNKNOWN
        if ip in self._own or ip.startswith("127."):
            return self._here
        return self._named.get(ip, ip)

    def _spelling(self, host: str) -> str:
        if host not in self._names:
            known = next((name for name in self._names if is_same_host(name, host)), None)
            self._names[host] = host if known is None else self._names[known]
        return self._names[host]


def by_node(
    records: Collection[Record], server_of: ServerOf, own: Iterable[Address] = ()
) -> dict[str, list[Record]]:
    """Return the records of each node, in the order of the configuration."""
    names = NodeNames(records, server_of, own)
    nodes: dict[str, list[Record]] = {}
    for record in records:
        nodes.setdefault(names.node_of(record), []).append(record)
    return nodes


def died_ms(members: Iterable[Record], server_of: ServerOf, now_s: float) -> int | None:
    """Return when a node was heard last if it is dead; None if it lives or cannot be judged.

    It is dead when some of its components count as silent and no other one is on time: components
    with longer intervals are late by then, but not silent yet.
    """
    seen = [record for record in members if record.status != "unseen"]
    silent = [record for record in seen if record.status == "silent"]
    if len(seen) < 2 or not silent:
        return None
    if any(record.status != "silent" and _is_on_time(record, server_of, now_s) for record in seen):
        return None
    return max((record.last_ms for record in seen if record.last_ms is not None), default=None)


def _is_on_time(record: Record, server_of: ServerOf, now_s: float) -> bool:
    heard = record.heard
    last_s = max((it for it in (heard.data_s, heard.control_s) if it is not None), default=None)
    if last_s is None:
        return False
    server = server_of(record)
    speaker = (server or record).component
    reading_s = interval_s(record.component, server.component if server else None)
    every_s = speaker.keep_alive_interval_s
    if reading_s is not None and heard.data_s is not None and record.status != "halted":
        every_s = min(every_s, reading_s)
    longest_s = max(LATE * every_s, LEAST_LATE_S)
    if every_s < SHORTEST_TIMEOUT_S / MISSED:
        longest_s = SHORTEST_TIMEOUT_S
    return now_s - last_s <= longest_s


def troubles(
    nodes: Mapping[str, Collection[Record]],
    server_of: ServerOf,
    now_s: float,
    started_s: float,
) -> list[Trouble]:
    """Return what is wrong, the worst first; a dead node, or a dead server, is one thing.

    Args:
        started_s: since when we listen; who has not been heard since then may still come.
    """
    found: list[Trouble] = []
    unseen: list[str] = []
    for name, members in nodes.items():
        since_ms = died_ms(members, server_of, now_s) if name != UNKNOWN else None
        if since_ms is not None:
            codifiers = tuple(record.component.codifier for record in members)
            found.append(Trouble("node", name, "", "silent", since_ms, codifiers))
        else:
            found += _of_part(name, members, server_of)
            unseen += [
                record.component.codifier
                for record in members
                if _is_missing(record, server_of, now_s - started_s)
            ]
    found.sort(
        key=lambda it: (
            it.kind != "node",
            it.kind != "part",
            it.state != "silent",
            -(it.since_ms or 0),
            it.codifier,
        )
    )
    if unseen:
        found.append(Trouble("unseen", "", "", "unseen", None, tuple(unseen)))
    return found


def _of_part(name: str, members: Collection[Record], server_of: ServerOf) -> Iterable[Trouble]:
    """Yield what is wrong with a part of a node; what fell silent there at one time is one thing.

    A process that ends is such a part, and so is a dead node while its slowest component may yet
    be heard.
    """
    silent = [it for it in members if it.status == "silent" and it.last_ms is not None]
    silent.sort(key=lambda it: -(it.last_ms or 0))
    told: set[str] = set()
    while silent and name != UNKNOWN:
        end_ms = silent[0].last_ms or 0
        part = [it for it in silent if end_ms - (it.last_ms or 0) <= _spread_ms(it, server_of)]
        silent = [it for it in silent if it not in part]
        if len(part) >= PART:
            codifiers = tuple(it.component.codifier for it in members if it in part)
            told.update(codifiers)
            yield Trouble("part", name, "", "silent", end_ms, codifiers)
    yield from _of_components([it for it in members if it.component.codifier not in told])


def _spread_ms(record: Record, server_of: ServerOf) -> float:
    """Return how long before the end of all its last sign may have been."""
    server = server_of(record)
    reading_s = interval_s(record.component, server.component if server else None)
    longest_s = (server or record).component.keep_alive_interval_s
    return (LATE * min(reading_s or longest_s, longest_s) + AT_ONCE_S) * 1000


def _is_missing(record: Record, server_of: ServerOf, listened_s: float) -> bool:
    """Tell whether a component should have been heard by now, and was not."""
    if record.status != "unseen" or record.component.type in PROGRAMS:
        return False
    server = server_of(record)
    return listened_s > timeout_s(record.component, server.component if server else None)


def _of_components(members: Iterable[Record]) -> Iterable[Trouble]:
    bad = {
        record.component.codifier: record
        for record in members
        if record.status in ("silent", "failing")
    }
    for codifier, record in bad.items():
        server = bad.get(record.component.server or "")
        if server is not None and server.status == record.status:
            continue  # it is told of with its server
        served = [
            proxy
            for proxy in record.component.serves
            if proxy in bad and bad[proxy].status == record.status
        ]
        reads = record.status == "failing" or record.data_ms is not None
        yield Trouble(
            "component",
            record.component.name,
            codifier,
            record.status,
            record.data_ms if reads else record.last_ms,
            (codifier, *served),
            record.reason,
        )
