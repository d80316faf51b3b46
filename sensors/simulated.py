"""A sensor that is none: for trying a network, a page, or a thousand sensors."""

import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from zlib import crc32

from jph.settings import setting


@dataclass
class Simulated:
    """Make up values.

    Args:
        kind: "walk" goes a random step at each reading, and turns back at `mean` ± `amplitude`;
            "sine" follows the clock, so that it goes on where it was after a restart, and every
            Codifier is at another place of its period.
    """

    codifier: str
    kind: Literal["walk", "sine"] = setting("walk", doc="walk: random steps; sine: by the clock")
    mean: float = setting(20.0, doc="middle of the range")
    amplitude: float = setting(5.0, ge=0, doc="half of the range")
    step: float = setting(0.1, ge=0, doc="standard deviation of a step of the walk")
    period_s: float = setting(3600.0, gt=0, doc="of the sine, s")
    noise: float = setting(0.0, ge=0, doc="standard deviation of the noise that is added")
    seed: int | None = setting(None, doc="for the same random numbers in every run")
    _place: float = field(default=0.0, init=False)  # of the walk, from the middle

    def __post_init__(self) -> None:
        """Choose where the walk begins, and the phase of the sine."""
        # The generator that all share, unless it has to be another one: each has 2.5 kB of state.
        own = None if self.seed is None else random.Random(f"{self.seed} {self.codifier}")
        self._gauss = own.gauss if own else random.gauss
        self._place = (own.uniform if own else random.uniform)(-self.amplitude, self.amplitude)
        self._phase = crc32(self.codifier.encode()) / 2**32

    def read(self) -> Mapping[str, float]:
        """Return the next value."""
        if self.kind == "sine":
            turns = time.time() / self.period_s + self._phase
            value = self.amplitude * math.sin(2 * math.pi * (turns % 1))
        else:
            value = self._place = self._turned_back(self._place + self._gauss(0.0, self.step))
        if self.noise:
            value += self._gauss(0.0, self.noise)
        return {self.codifier: self.mean + value}

    def _turned_back(self, place: float) -> float:
        """Reflect a place that is beyond an end of the range back into it."""
        most = self.amplitude
        if abs(place) <= most:
            return place
        return max(-most, min(most, math.copysign(2 * most, place) - place))
