"""Made-up values: within their range, and as cheap as they look."""

import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensors import simulated
from sensors.simulated import Simulated


def values(sensor: Simulated, count: int) -> list[float]:
    return [sensor.read()[sensor.codifier] for _ in range(count)]


@given(
    st.sampled_from(["walk", "sine"]),
    st.floats(-1000, 1000),
    st.floats(0, 100),
    st.floats(0, 1000),
)
def test_values_stay_within_their_range(kind, mean, amplitude, step):
    sensor = Simulated("A1", kind, mean, amplitude, step)
    for value in values(sensor, 20):
        assert mean - amplitude - 1e-6 <= value <= mean + amplitude + 1e-6


def test_a_walk_goes_on_in_small_steps():
    walked = values(Simulated("A1", step=0.1), 1000)
    steps = [abs(b - a) for a, b in itertools.pairwise(walked)]
    assert 0.05 < statistics.mean(steps) < 0.12
    assert len(set(walked)) > 900


def test_with_a_seed_the_values_are_the_same_in_every_run():
    one, again, other = (values(Simulated("A1", seed=seed), 5) for seed in (1, 1, 2))
    assert one == again != other
    assert one != values(Simulated("B1", seed=1), 5)


def test_a_sine_follows_the_clock(monkeypatch):
    now_s = 1_000_000.0
    monkeypatch.setattr(simulated.time, "time", lambda: now_s)
    sensor = Simulated("A1", "sine", mean=10.0, amplitude=2.0, period_s=100.0)
    (first,) = values(sensor, 1)
    assert values(Simulated("A1", "sine", 10.0, 2.0, period_s=100.0), 1) == [first]
    assert values(Simulated("B1", "sine", 10.0, 2.0, period_s=100.0), 1) != [first]
    now_s += 50
    assert values(sensor, 1) == [pytest.approx(20.0 - first)]
    now_s += 50
    assert values(sensor, 1) == [pytest.approx(first)]


def test_noise_is_added():
    sensor = Simulated("A1", mean=0.0, amplitude=0.0, noise=3.0)
    assert 2.5 < statistics.stdev(values(sensor, 2000)) < 3.5
