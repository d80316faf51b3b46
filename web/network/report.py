"""What the page of the network shows, fit for JSON; no Flask here.

Losses, duplicates and restarts are counted by this process, for what should have reached it.
"""

import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from jph.bus.sequence import SequenceTracker
from jph.clock import time_now_ms
from jph.config.status import PROGRAMS
from jph.errors import ConfigError
from jph.node.process_file import ProcessReport, processes, waiting
from jph.stores.address import writer_waits
from web.formatting import display
from web.live.nodes import UNKNOWN, died_ms
from web.live.record import Record
from web.live.records import NetworkFault, Overview
from web.live.strangers import DATA_TYPES, Stranger
from web.network.pings import best, round_trip_ms
from web.programs.api import memory_mb
from web.site import Site

MANY_LOST = 0.01  # of all messages of a node
MANY_DROPPED = 0.001  # of all messages, by the kernel
FEW_LOST = 10  # messages, of which nothing is said
CLOCK_OFF_MS = 1000.0
MOST_NAMES = 3

STORES = ("StateCache", "HistoryWriter", "Statistics")


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """One process of a node, as far as its control messages tell.

    Args:
        address: where its control messages come from; empty for what never sent one.
    """

    address: str
    is_here: bool
    codifiers: list[str]


def report(here: Site) -> dict[str, Any]:
    """Return all of it."""
    records = here.records
    overview = records.overview()
    nodes = [
        _node(here, name, there)
        for name, members in records.by_node().items()
        if (there := [record for record in members if not _is_absent_program(record)])
    ]
    stores = [
        _store(here, record, overview.faults.get(record.component.codifier))
        for record in records.all()
        if _is_store(record)
    ]
    server = _server(here)
    told = processes(here.home)
    others = [it for it in told or () if it.pid != os.getpid()]
    complaints = list(_complaints(overview, nodes, stores, server))
    return {
        "now": time_now_ms(),
        "layout": overview.layout,
        "sentence": complaints[0] if complaints else _all_is_well(nodes),
        "is_well": not complaints,
        "complaints": complaints,
        "measured": [text for node in nodes for text in _node_complaints(node)],
        "nodes": nodes,
        "stores": stores,
        "server": server,
        "standby": _standby(here, others),
        "processes": None if told is None else [_process(here, it) for it in others],
        "strangers": [_stranger(it) for it in records.strangers.lately()],
        "faults": overview.faults,
        "troubles": [asdict(trouble) for trouble in overview.troubles],
        "summary": overview.summary,
    }


def speakers(here: Site) -> list[str]:
    """Return one component for each process that was heard, and of each node that was not."""
    found = []
    for members in here.records.by_node().values():
        for process in _processes(here, members):
            if process.codifiers:
                found.append(process.codifiers[0])
    return found


def everybody(here: Site) -> list[str]:
    """Return all components that can answer a ping."""
    own = here.channel.codifier
    return [
        record.component.codifier
        for record in here.records.all()
        if record.component.server is None
        and record.component.codifier != own
        and record.component.type not in PROGRAMS
    ]


def _is_absent_program(record: Record) -> bool:
    return record.status == "unseen" and record.component.type in PROGRAMS


def _node(here: Site, name: str, members: Collection[Record]) -> dict[str, Any]:
    records = here.records
    codifiers = [record.component.codifier for record in members]
    answers = here.pings.answers(codifiers)
    clock = best(answers)
    gone_ms = died_ms(members, records.server_of, time.monotonic()) if name != UNKNOWN else None
    statuses = {record.status for record in members}
    state = "active"
    if gone_ms is not None:
        state = "silent"
    elif statuses == {"unseen"}:
        state = "unseen"
    elif statuses & {"silent", "failing"}:
        state = "failing"
    return {
        "name": name,
        "state": state,
        "since": gone_ms,
        "heard": max((it.last_ms for it in members if it.last_ms is not None), default=None),
        "components": [
            {
                "codifier": record.component.codifier,
                "name": record.component.name,
                "state": record.status,
            }
            for record in members
        ],
        "processes": [asdict(process) for process in _processes(here, members)],
        "round_trip_ms": round_trip_ms(answers),
        "offset_ms": clock.offset_ms if clock else None,
        "offset_error_ms": clock.error_ms if clock else None,
        "answered": max((answer.arrived_ms for answer in answers), default=None),
        **_counts(here.channel.process.bus.sources().values(), codifiers),
    }


def _processes(here: Site, members: Iterable[Record]) -> list[NodeProcess]:
    own = here.channel.process.bus.own_addresses()
    found: dict[str, NodeProcess] = {}
    for record in members:
        if record.component.server is None and record.component.type not in PROGRAMS:
            at = f"{record.ip}:{record.port}" if record.port else ""
            is_here = (record.ip, record.port) in own
            process = found.setdefault(at, NodeProcess(at, is_here, []))
            if record.component.codifier != here.channel.codifier:  # which answers no own ping
                process.codifiers.append(record.component.codifier)
    return list(found.values())


def _counts(
    channels: Iterable[Mapping[str, SequenceTracker]], codifiers: Iterable[str]
) -> dict[str, int]:
    counts = dict.fromkeys(("received", "lost", "duplicates", "restarts"), 0)
    names = list(codifiers)
    for sources in channels:
        for codifier in names:
            if (source := sources.get(codifier)) is not None:
                counts["received"] += source.received
                counts["lost"] += source.lost + source.lost_before
                counts["duplicates"] += source.duplicates
                counts["restarts"] += source.restarts
    return counts


def _is_store(record: Record) -> bool:
    return record.component.type in STORES


def _store(here: Site, record: Record, fault: NetworkFault | None) -> dict[str, Any]:
    component = record.component
    fields = here.records.states.get(component.codifier) or {}
    told = fields.get("Value")
    said: Mapping[str, Any] = told if isinstance(told, dict) else {"value": told}
    return {
        "codifier": component.codifier,
        "name": component.name,
        "type": component.type,
        "state": record.status,
        "fault": fault.text if fault else None,
        "meaning": fault.meaning if fault else None,
        "since": fault.since_ms if fault else None,
        "per_minute": said.get("value"),
        "waiting": said.get("waiting"),
        "spooled": said.get("spooled"),
        "quarantined": said.get("quarantined"),
        "dropped": said.get("dropped"),
        "power_cut_s": said.get("power_cut_s", _batch_s(record)),
    }


def _batch_s(record: Record) -> float | None:
    if record.component.type != "HistoryWriter":
        return None
    try:
        return writer_waits(record.component).batch_s
    except ConfigError:
        return None


def _server(here: Site) -> dict[str, Any]:
    status = here.channel.process.bus.status()
    components = here.channel.process.components()
    return {
        "codifier": here.channel.codifier,
        "joined": status.joined,
        "interface": status.interface,
        "uptime_s": here.records.uptime_s(),
        "messages_per_minute": here.records.messages_per_minute(),
        "received": status.total("received"),
        "kernel_drops": status.total("kernel_drops"),
        "refused": status.total("refused"),
        "unsent": status.total("unsent"),
        "receive_buffer_bytes": min(it.receive_buffer_bytes for it in status.channels.values()),
        "overruns": sum(component.overruns for component in components.values()),
        "memory_mb": memory_mb(),
        "pages_open": here.readers.count,
        "written_per_day": here.written.per_day(),
        "watched_s": here.written.watched_s,
    }


def _standby(here: Site, others: Iterable[ProcessReport]) -> list[dict[str, Any]]:
    waits = waiting(here.channel.process)
    waits += [it for process in others for it in process.standby]
    return [
        {
            "codifier": it.codifier,
            "name": _name(here, it.codifier),
            "address": it.address,
            "since": it.since_ms,
        }
        for it in waits
    ]


def _process(here: Site, process: ProcessReport) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "components": [{"codifier": it, "name": _name(here, it)} for it in process.codifiers],
        "began": process.began_ms,
        "written_per_day": process.written_per_day,
        "watched_s": process.watched_s,
    }


def _name(here: Site, codifier: str) -> str:
    component = here.config.components.get(codifier)
    return component.name if component else codifier


def _stranger(stranger: Stranger) -> dict[str, Any]:
    text, _ = display(stranger.value, "", DATA_TYPES.get(stranger.flag, "float"))
    seconds = (stranger.heard_ms - stranger.since_ms) / 1000
    return {
        "codifier": stranger.codifier,
        "kind": DATA_TYPES.get(stranger.flag),
        "text": text if stranger.flag else "",
        "readings": stranger.readings,
        "every_s": seconds / (stranger.readings - 1) if stranger.readings > 1 else None,
        "ip": stranger.ip,
        "since": stranger.since_ms,
        "heard": stranger.heard_ms,
    }


def _all_is_well(nodes: Collection[Mapping[str, Any]]) -> str:
    seen = [node for node in nodes if node["state"] != "unseen"]
    count = sum(len(node["components"]) for node in seen)
    return f"All is well: {_many(len(seen), 'node')} with {_many(count, 'component')}."


def _complaints(
    overview: Overview,
    nodes: Collection[Mapping[str, Any]],
    stores: Iterable[Mapping[str, Any]],
    server: Mapping[str, Any],
) -> Iterable[str]:
    """Yield what is not well, the worst first, each in a sentence."""
    troubles = overview.troubles
    for fault in overview.faults.values():
        yield f"{fault.meaning} {fault.text}".strip()
    dead = [trouble.name for trouble in troubles if trouble.kind == "node"]
    if dead:
        yield f"{_names(dead)} {'is' if len(dead) == 1 else 'are'} dead."
    for part in troubles:
        if part.kind == "part":
            yield f"{len(part.codifiers)} components of {part.name} fell silent together."
    for state in ("silent", "failing"):
        bad = [it.name for it in troubles if it.kind == "component" and it.state == state]
        if bad:
            yield f"{_names(bad)} {'is' if len(bad) == 1 else 'are'} {state}."
    unseen = [code for it in troubles if it.kind == "unseen" for code in it.codifiers]
    if unseen:
        yield f"{_names(unseen)} {'was' if len(unseen) == 1 else 'were'} never heard."
    for store in stores:
        if store["spooled"]:
            yield f"{store['spooled']} readings wait in the spool of {store['name']}."
        if store["dropped"]:
            yield f"{store['name']} lost {store['dropped']} readings, since too many waited."
    for node in nodes:
        yield from _node_complaints(node)
    if server["kernel_drops"] > MANY_DROPPED * server["received"]:
        yield (
            f"The kernel dropped {server['kernel_drops']} messages before this server read them: "
            "raise ReceiveBuffer, and net.core.rmem_max."
        )


def _node_complaints(node: Mapping[str, Any]) -> Iterable[str]:
    name, lost = node["name"], node["lost"]
    share = lost / max(1, lost + node["received"])
    if lost > FEW_LOST and share > MANY_LOST:
        yield f"{share:.1%} of the messages of {name} are lost on the way here."
    offset_ms = node["offset_ms"]
    if offset_ms is not None and abs(offset_ms) - node["offset_error_ms"] > CLOCK_OFF_MS:
        way = "ahead of" if offset_ms > 0 else "behind"
        yield f"The clock of {name} is {abs(offset_ms) / 1000:.1f} s {way} ours."


def _names(names: Collection[str]) -> str:
    shown = list(names)[:MOST_NAMES]
    if more := len(names) - len(shown):
        return f"{', '.join(shown)} and {more} more"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"
