"""/metrics for Prometheus: values, ages and states of components, losses, the bus, this process.

prometheus_client is loaded when somebody first asks.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from flask import Blueprint, Response, request

from jph.bus.wire import number_of
from jph.config.status import Status
from web.context import behind, site
from web.live.records import Records
from web.site import Site
from web.views import last_state

if TYPE_CHECKING:
    from prometheus_client.core import Metric

blueprint = Blueprint("metrics", __name__)

WHO = ("codifier", "name", "area")
STATUSES = get_args(Status)
# Of each channel of the bus, as the fields of GroupStatus are named.
BUS_COUNTERS = {
    "sent": ("messages_sent", "Messages that were sent."),
    "unsent": ("messages_unsent", "Messages that could not be sent."),
    "received": ("messages_received", "Messages that were received."),
    "refused": ("messages_refused", "Datagrams that were no valid message."),
    "lost": ("messages_lost", "Messages that were lost on their way, by sequence numbers."),
    "kernel_drops": ("kernel_drops", "Datagrams that the kernel dropped, its buffer being full."),
}


@blueprint.get("/metrics")
@behind(lambda site: site.page_gate)
def metrics() -> Response:
    """Return all metrics in the text format that the asker prefers."""
    from prometheus_client import CollectorRegistry, ProcessCollector
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(NetworkCollector(site()))
    ProcessCollector(registry=registry)
    encode, kind = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=kind)


class NetworkCollector:
    """Gives the metrics of one site, as they are now."""

    def __init__(self, here: Site) -> None:
        self._site = here

    def collect(self) -> "Iterator[Metric]":
        """Yield all metrics."""
        yield from _components(self._site.records)
        yield from _bus(self._site)


def _components(records: Records) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    value = GaugeMetricFamily(
        "jph_sensor_value", "The last value of a component.", labels=(*WHO, "unit")
    )
    field = GaugeMetricFamily(
        "jph_sensor_field",
        "Numbers beside the value, such as what waits in a history writer.",
        labels=(*WHO, "field"),
    )
    age = GaugeMetricFamily(
        "jph_sensor_value_age_seconds", "How long ago the last value was heard.", labels=WHO
    )
    status = GaugeMetricFamily(
        "jph_component_status", "1 for the status of a component.", labels=(*WHO, "status")
    )
    up = GaugeMetricFamily("jph_component_up", "1 for a component that is active.", labels=WHO)
    trip = GaugeMetricFamily(
        "jph_component_round_trip_seconds", "How long its last answer to a ping took.", labels=WHO
    )
    lost = CounterMetricFamily(
        "jph_component_readings_lost", "Readings that were lost on their way.", labels=WHO
    )
    unheard = CounterMetricFamily(
        "jph_component_control_messages_lost",
        "Control messages of a component that were lost on their way.",
        labels=WHO,
    )
    for record in records.all():
        entry = record.component
        who = [entry.codifier, _clean(entry.name), _clean(entry.area)]
        fields = last_state(records.states, entry.codifier)
        number = number_of(fields["Value"])
        if number is not None and math.isfinite(number):
            value.add_metric([*who, _clean(entry.symbol)], number)
        for name, more in _beside(fields["Value"]):
            field.add_metric([*who, _clean(name)], more)
        age_s = records.states.age_s(entry.codifier)
        if math.isfinite(age_s):
            age.add_metric(who, round(age_s, 3))
        for each in STATUSES:
            status.add_metric([*who, each], float(record.status == each))
        up.add_metric(who, float(record.status == "active"))
        if isinstance(ms := fields["TDuration"], int | float):
            trip.add_metric(who, ms / 1000)
        for counter, key in ((lost, "DPacketsLost"), (unheard, "CPacketsLost")):
            if isinstance(count := fields[key], int):
                counter.add_metric(who, count)
    yield from (value, field, age, status, up, trip, lost, unheard)


def _beside(value: object) -> Iterator[tuple[str, float]]:
    """Yield the finite numbers of an object beside its value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "value" or isinstance(inner, bool) or not isinstance(inner, int | float):
                continue
            if math.isfinite(number := float(inner) if abs(inner) < 1e300 else math.inf):
                yield str(name), number


def _bus(here: Site) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    status = here.channel.process.bus.status()
    joined = GaugeMetricFamily("jph_bus_joined", "1 for a joined channel.", labels=["channel"])
    buffer = GaugeMetricFamily(
        "jph_bus_receive_buffer_bytes", "What the kernel granted.", labels=["channel"]
    )
    for name, channel in status.channels.items():
        joined.add_metric([name], float(channel.joined))
        buffer.add_metric([name], channel.receive_buffer_bytes)
    yield from (joined, buffer)
    for attribute, (name, words) in BUS_COUNTERS.items():
        counter = CounterMetricFamily(f"jph_bus_{name}", words, labels=["channel"])
        for channel_name, channel in status.channels.items():
            counter.add_metric([channel_name], getattr(channel, attribute))
        yield counter
    overview = here.records.overview()
    fault = GaugeMetricFamily(
        "jph_fault", "1 for what hinders the network as a whole.", labels=["codifier", "meaning"]
    )
    for codifier, found in overview.faults.items():
        fault.add_metric([codifier, found.meaning], 1)
    yield fault
    yield CounterMetricFamily(
        "jph_readings", "Readings that this server heard.", value=here.records.readings
    )
    yield GaugeMetricFamily("jph_live_readers", "Open live streams.", value=here.readers.count)
    components = here.channel.process.components()
    overruns = sum(component.overruns for component in components.values())
    yield CounterMetricFamily(
        "jph_timer_overruns", "Timers of this process that came too late.", value=overruns
    )


def _clean(text: str) -> str:
    """Return text without half surrogate pairs, which no encoding has."""
    return text.encode("utf-8", "replace").decode()
