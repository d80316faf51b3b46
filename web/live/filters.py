"""Which components are meant: by Codifier, area, label or type. No Flask here."""

from collections.abc import Iterable
from dataclasses import dataclass

from jph.config.model import Component

NAMES = ("codifier", "area", "label", "type")  # of parameters in addresses


@dataclass(frozen=True, slots=True)
class Filter:
    """A choice of components; an empty set means all.

    Args:
        types: present or older names, such as Pipe or TempLinux.
    """

    codifiers: frozenset[str] = frozenset()
    areas: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()

    @classmethod
    def of(
        cls,
        codifiers: Iterable[str] = (),
        areas: Iterable[str] = (),
        labels: Iterable[str] = (),
        types: Iterable[str] = (),
    ) -> "Filter":
        """Return the choice that lists of parameters make, in the order of NAMES."""
        return cls(*map(frozenset, (codifiers, areas, labels, types)))

    def fits(self, component: Component) -> bool:
        """Tell whether a component is meant: it has one of each of the sets."""
        return (
            (not self.codifiers or component.codifier in self.codifiers)
            and (not self.areas or any(_is_in(component.area, area) for area in self.areas))
            and (not self.labels or not self.labels.isdisjoint(component.labels))
            and (not self.types or not self.types.isdisjoint((component.type, component.type_name)))
        )


EVERY_COMPONENT = Filter()


def _is_in(area: str, wider: str) -> bool:
    """Tell whether an area is another one or a part of it."""
    return area == wider or area.startswith(f"{wider}/")
