"""Which values of which features are on the bus, and under which Codifier."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateways.iottalk.dataflow.model import Feature
from gateways.iottalk.devices import Device
from jph.settings import setting


@dataclass(frozen=True, slots=True)
class AttributeOf:
    """One value of a feature, and the Codifier it has on the bus."""

    codifier: str = setting(doc="the Codifier of the value")
    device: str = setting(doc="the device: its UUID, or its name")
    attribute: str = setting(doc="the name of the feature")
    index: int = setting(0, ge=0, doc="which of the feature's values, the first is 0")


class Proxies:
    """Finds the features of the entries among the devices that there are."""

    def __init__(self, entries: Sequence[AttributeOf]) -> None:
        self.entries = tuple(entries)
        self._by_device: dict[str, list[AttributeOf]] = {}
        for entry in entries:
            self._by_device.setdefault(entry.device, []).append(entry)

    def features(self, device: Device) -> frozenset[Feature]:
        """Return the features of a device that have a Codifier."""
        return frozenset(feature for feature, _ in self._found(device))

    def codifiers(self, device: Device) -> dict[tuple[str, str], list[tuple[str, int]]]:
        """Return Codifier and index for the features of a device, by its identifier and theirs."""
        found: dict[tuple[str, str], list[tuple[str, int]]] = {}
        for feature, entry in self._found(device):
            key = (device.id, feature.name)
            found.setdefault(key, []).append((entry.codifier, entry.index))
        return found

    def output(self, codifier: str, devices: Iterable[Device]) -> tuple[Feature, int, int] | None:
        """Return the output feature with a Codifier, the index, and how many values it has.

        Of several devices of one name it is one that is online.
        """
        for device in sorted(devices, key=lambda it: not it.online):
            for feature, entry in self._found(device):
                if entry.codifier == codifier and feature.kind == "odf":
                    return feature, entry.index, device.dimension(feature) or 1
        return None

    def _found(self, device: Device) -> list[tuple[Feature, AttributeOf]]:
        if device.is_internal:
            return []
        some = [*self._by_device.get(device.id, ()), *self._by_device.get(device.name, ())]
        # Of an input and an output of one name, the input is meant.
        known = {feature.name: feature for feature, _ in reversed(list(device.features))}
        return [(known[it.attribute], it) for it in some if it.attribute in known]
