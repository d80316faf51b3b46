"""When to believe that a newer instance of a component is at work elsewhere.

One datagram proves nothing: it may be forged, or late. An instance is believed after three signs
from one address within some seconds: N and I with a later configuration time than our own, and then
also its answers to our pings, since an older node gives its next I only after its
KeepAliveInterval. A configuration time that lies ahead of our clock is no sign.

Pure: times are arguments.
"""

SIGNS = 3
WITHIN_S = 10.0
MOST_AHEAD_MS = 60_000  # of a configuration time; clocks of one network differ by less
_MOST_HOSTS = 8  # remembered, so that forged addresses fill no memory


class Claims:
    """The signs of other instances of one component, by the host that they come from.

    Not by port: an instance that joins again after a change of the network sends from another one.
    """

    def __init__(self) -> None:
        self._signs: dict[str, list[float]] = {}

    def hear(self, host: str, now_s: float, *, claims: bool) -> bool:
        """Count a sign, and tell whether the instance at that host is believed now.

        Args:
            claims: it is an N or I with a later configuration time; otherwise an answer to a ping,
                which counts only beside such a claim.
        """
        self._forget(now_s)
        signs = self._signs.get(host)
        if signs is None:
            if not claims:
                return False
            if len(self._signs) >= _MOST_HOSTS:
                del self._signs[next(iter(self._signs))]
            signs = self._signs[host] = []
        signs.append(now_s)
        return len(signs) >= SIGNS

    def are_open(self, now_s: float) -> bool:
        """Tell whether there are signs that do not suffice yet."""
        self._forget(now_s)
        return bool(self._signs)

    def clear(self) -> None:
        """Forget all signs."""
        self._signs.clear()

    def _forget(self, now_s: float) -> None:
        for host, signs in list(self._signs.items()):
            signs[:] = [sign_s for sign_s in signs if now_s - sign_s <= WITHIN_S]
            if not signs:
                del self._signs[host]
