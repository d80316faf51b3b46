"""The errors of JPH, as one tree.

    JphError
    ├── ConfigError     the configuration is wrong: names every mistake with its path
    ├── DatagramError   an invalid datagram from the network
    ├── ChannelError    a socket, a multicast group, an interface or a port refuses
    ├── SensorError     no reading this time
    │   └── NoReading   and nothing is broken: an input that is not connected, or not heard yet
    ├── HttpError       a server gives no answer, or not the whole of it
    ├── GatewayError    a gateway does not answer what is asked of its devices, or refuses it
    └── StoreError      a state or history store cannot be read or written now

A caller's mistake stays ValueError or TypeError.
"""

from collections.abc import Sequence


class JphError(Exception):
    """Base of all errors that JPH raises on purpose."""


class ConfigError(JphError):
    """The configuration cannot be used.

    Args:
        mistakes: one line each, in the order of the document, `Sensors[3].SensorInterval: …`.
        source: file or URL it was read from.
    """

    def __init__(self, mistakes: Sequence[str] | str, source: str = "") -> None:
        self.mistakes = [mistakes] if isinstance(mistakes, str) else list(mistakes)
        self.source = source
        super().__init__("\n".join(f"{source}: {m}" if source else m for m in self.mistakes))


class DatagramError(JphError):
    """An invalid datagram; counted and dropped."""


class ChannelError(JphError):
    """A socket, a multicast group, an interface or a port cannot be used."""


class SensorError(JphError):
    """No reading this time; the next interval tries again."""


class NoReading(SensorError):
    """There is nothing to read now, and nothing is broken: a state of its own, not a failure."""


class HttpError(JphError):
    """A server gave no answer, or not the whole of it; the text has the reason, not the address."""


class GatewayError(JphError):
    """A gateway does not answer, or refuses.

    Args:
        status: of its answer, None without one.
        mistakes: of what it was given, one line each.
    """

    def __init__(self, text: str, status: int | None, mistakes: Sequence[str] = ()) -> None:
        self.status = status
        self.mistakes = list(mistakes)
        super().__init__(text)


class StoreError(JphError):
    """A store cannot be read or written now; the caller keeps what it has and tries again."""
