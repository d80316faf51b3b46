"""Which values of which boards go on the bus, and under which Codifier."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateways.esp32.boards import Board
from gateways.esp32.protocol import Kind, is_mac
from jph.settings import setting

Key = tuple[str, str]  # MAC address or name, and kind of value


@dataclass(frozen=True, slots=True)
class ValueOf:
    """One value of a board, and the Codifier it has on the bus."""

    codifier: str = setting(doc="the Codifier of the value")
    device: str = setting(doc="the board: its MAC address, or its name")
    attribute: Kind = setting(doc="led, button or photoresistor")


class Proxies:
    """Finds Codifiers of boards' values, and the other way."""

    def __init__(self, entries: Sequence[ValueOf]) -> None:
        self.codifiers: Mapping[Key, str] = {
            (_device(entry), entry.attribute): entry.codifier for entry in entries
        }
        self._values: Mapping[str, Key] = {
            codifier: key for key, codifier in self.codifiers.items()
        }

    def codifier(self, board: Board, kind: Kind) -> str | None:
        """Return the Codifier of a value; the MAC address comes before the name."""
        found = self.codifiers.get((board.mac, kind))
        return found or self.codifiers.get((board.name, kind))

    def key(self, codifier: str) -> Key | None:
        """Return the value that has a Codifier."""
        return self._values.get(codifier)

    def __iter__(self) -> Iterator[tuple[Key, str]]:
        return iter(self.codifiers.items())


def _device(entry: ValueOf) -> str:
    return entry.device.upper() if is_mac(entry.device) else entry.device
