"""Pauses between tries: they grow, have a limit, and are spread, so that nobody tries in step."""

import random


class Backoff:
    """The pauses of one thing that is tried again until it works."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._pause_s = 0.0

    def next_s(self) -> float:
        """Return how long to wait after one more failure: twice as long as before."""
        self._pause_s = min(max(self._first_s, 2 * self._pause_s), self._longest_s)
        return self._pause_s * random.uniform(0.75, 1.0)

    def reset(self) -> None:
        """Begin with the first pause again: it worked."""
        self._pause_s = 0.0
