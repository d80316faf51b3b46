"""The pure core, by a clock that the tests move."""

import math
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jph.alerts.conditions import Moment
from jph.alerts.evaluation import Evaluator
from jph.alerts.rules import BLIND, NODE, SILENT, Rule
from jph.alerts.trial import Firing, firings
from jph.bus.wire import Control
from jph.config.model import Component, with_servers
from jph.stores.series import Series

START_MS = 1_780_000_000_000


def utc(time_ms):
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def component(codifier, interval_s=2.0, **given):
    return Component(codifier=codifier, type="Pipe", sensor_interval_s=interval_s, **given)


HERE = (component("A1"), component("A2"))


class Bench:
    """An evaluator, and a network that the test plays."""

    def __init__(self, *rules, components=(), **given):
        components = components or HERE
        self.components = with_servers({it.codifier: it for it in components})
        self.rules, self.given = rules, given
        self.s, self.jump_ms = 1000.0, 0
        self.log = []
        self.evaluator = self.new()

    def new(self, **given):
        return Evaluator(
            self.rules, self.components, self.now, utc, own={"AL"}, **{**self.given, **given}
        )

    @property
    def now(self):
        return Moment(self.s, START_MS + round(self.s * 1000) + self.jump_ms)

    def read(self, codifier="A1", value=1.0, address=("10.0.0.9", 5000)):
        self.evaluator.on_reading(codifier, value, self.now, address)

    def sign(self, codifier, *, active=True, flag="I"):
        self.evaluator.on_control(
            Control(1, self.now.ms, flag, codifier, "@@", 0.0, active), self.now
        )

    def tick(self, failing=None, joined=True):
        found = self.evaluator.tick(self.now, failing, joined=joined)
        self.log += [(it.rule.name, it.subject, it.phase) for it in found]
        return [(it.rule.name, it.subject, it.phase) for it in found]

    def run(self, seconds, speaking=(), *, every_s=2.0, addresses=None, value=1.0, **given):
        """Let time pass, second by second; these components send every other one."""
        found = []
        for second in range(int(seconds)):
            self.s += 1
            self.evaluator.on_reading("AL", 0.0, self.now, ("10.0.0.1", 1))
            for codifier in speaking:
                if second % every_s == 0:
                    self.read(codifier, value, (addresses or {}).get(codifier, ("10.0.0.9", 5000)))
            found += self.tick(**given)
        return found


def test_above_begins_and_ends_with_hysteresis():
    bench = Bench(Rule(name="warm", kind="above", limit=30, hysteresis=2, sensors=("A1",)))
    seen = []
    for value in (29, 30, 31, 29, 28.5, 28, 27):
        bench.read(value=value)
        seen.append(bench.tick())
    assert seen == [[], [], [("warm", "A1", "firing")], [], [], [("warm", "A1", "well")], []]


def test_below_and_outside():
    bench = Bench(
        Rule(name="cold", kind="below", limit=5, sensors=("A1",)),
        Rule(name="odd", kind="outside", low=0, high=10, hysteresis=1, sensors=("A1",)),
    )
    bench.read(value=4.0)
    assert bench.tick() == [("cold", "A1", "firing")]
    bench.read(value=11.0)
    assert bench.tick() == [("cold", "A1", "well"), ("odd", "A1", "firing")]
    bench.read(value=9.5)
    assert bench.tick() == []
    bench.read(value=-0.5)
    assert bench.tick() == [("cold", "A1", "firing")]
    bench.read(value=1.0)
    assert bench.tick() == [("odd", "A1", "well")]


def test_it_must_hold_for_its_time():
    bench = Bench(Rule(name="warm", kind="above", limit=30, for_s=5, sensors=("A1",)))
    bench.read(value=31)
    assert bench.tick() == [("warm", "A1", "pending")]
    assert bench.run(4, ["A1", "A2"], value=31) == []
    bench.read(value=29)
    assert bench.tick() == [("warm", "A1", "well")]
    found = bench.run(9, ["A1", "A2"], value=31)
    assert found == [("warm", "A1", "pending"), ("warm", "A1", "firing")]


def test_a_value_of_a_silent_sensor_tells_nothing():
    bench = Bench(Rule(name="warm", kind="above", limit=30, for_s=30, sensors=("A1",)))
    bench.read(value=31)
    bench.tick()
    found = bench.run(60, ["A2"])
    assert ("warm", "A1", "firing") not in found and (SILENT, "A1", "firing") in found


def test_changes_too_fast():
    rule = Rule(name="jump", kind="changes", limit=5, within_s=60, sensors=("A1",))
    bench = Bench(rule)
    bench.read(value=20)
    bench.s += 8
    bench.read(value=24)
    assert bench.tick() == []
    bench = Bench(rule)
    bench.read(value=20)
    bench.s += 8
    bench.read(value=26)
    assert bench.tick() == [("jump", "A1", "firing")]
    assert ("jump", "A1", "well") in bench.run(70, ["A1", "A2"], value=26)


def test_a_total_counts_from_midnight_and_over_a_new_beginning_of_the_counter():
    bench = Bench(Rule(name="rain", kind="total", limit=10, sensors=("A1",)))
    for value in (100, 104, 3, 5):  # 4, then a new counter: 3, 2
        bench.read(value=value)
    assert bench.tick() == []
    bench.read(value=7)
    assert bench.tick() == [("rain", "A1", "firing")]
    bench.s += 86_400
    bench.read(value=7)
    assert ("rain", "A1", "well") in bench.tick()


def test_a_counter_that_is_corrected_counts_nothing_twice():
    bench = Bench(Rule(name="rain", kind="total", limit=0.5, sensors=("A1",)))
    for value in (5000.2, 5000.1, 5000.2, 5000.1, 5000.2, 5000.1, 5000.2, 5000.6):
        bench.read(value=value)
        assert bench.tick() == []
    bench.read(value=5000.8)
    assert bench.tick() == [("rain", "A1", "firing")]


def test_a_total_goes_on_in_the_next_process():
    bench = Bench(Rule(name="rain", kind="total", limit=10, sensors=("A1",)))
    bench.read(value=100)
    bench.read(value=108)
    totals = bench.evaluator.totals()
    bench.evaluator = bench.new()
    bench.evaluator.recall_totals(totals)
    bench.read(value=111)
    assert bench.tick() == [("rain", "A1", "firing")]


def test_losses():
    bench = Bench(Rule(name="loss", kind="losses", limit=3, within_s=60, sensors=("A1",)))
    for lost in (1000, 1002, 1003):
        bench.evaluator.on_losses({"A1": lost}, bench.now)
    assert bench.tick() == []
    bench.evaluator.on_losses({"A1": 1004}, bench.now)
    assert bench.tick() == [("loss", "A1", "firing")]


def test_failing_tells_the_reason_and_ends():
    bench = Bench(Rule(name="bad", kind="failing"))
    bench.read("A1")
    assert bench.tick({"A1": "no such file"}) == [("bad", "A1", "firing")]
    bench.read("A1")
    assert bench.tick() == [("bad", "A1", "well")]


# Silence


def test_silence_needs_no_rule_and_begins_and_ends_once():
    bench = Bench()
    assert bench.run(30, ["A1", "A2"]) == []
    assert bench.run(60, ["A2"]) == [(SILENT, "A1", "firing")]
    assert bench.run(30, ["A1", "A2"]) == [(SILENT, "A1", "well")]


def test_what_was_never_heard_is_not_silent():
    bench = Bench()
    assert bench.run(300, ["A2"]) == []


def test_a_rule_of_silence_takes_the_place_of_the_one_that_is_there_already():
    bench = Bench(Rule(name="mine", kind="silent", intervals=30, sensors=("A1",)))
    bench.run(30, ["A1", "A2"])
    assert bench.run(50, ["A2"]) == []
    assert bench.run(30, ["A2"]) == [("mine", "A1", "firing")]


def test_a_rule_that_is_not_enabled_switches_silence_off():
    bench = Bench(Rule(name="mine", kind="silent", sensors=("A1",), enabled=False))
    bench.run(30, ["A1", "A2"])
    assert bench.run(60, ["A2"]) == []


def test_a_halted_component_is_not_silent():
    bench = Bench()
    bench.run(30, ["A1", "A2"])
    bench.sign("A1", active=False)
    assert bench.run(60, ["A2"]) == []


FIVE = tuple(component(f"B{n}", 2.0 + n) for n in range(5))
ADDRESSES = {f"B{n}": ("10.0.0.5", 6000) for n in range(5)}


def names(*components):
    return [it.codifier for it in components]


@pytest.mark.parametrize("host", [None, "pi1"])
def test_a_dead_node_is_one_alert(host):
    node = tuple(component(it.codifier, it.sensor_interval_s, host=host) for it in FIVE)
    bench = Bench(components=HERE + node)
    bench.run(60, names(*HERE, *node), addresses=ADDRESSES)
    found = bench.run(300, ["A1", "A2"])
    assert found == [(NODE, host or "10.0.0.5:6000", "firing")]
    found = bench.run(60, names(*HERE, *node), addresses=ADDRESSES)
    assert found == [(NODE, host or "10.0.0.5:6000", "well")]


def test_two_of_a_node_that_lives_are_two_alerts():
    bench = Bench(components=HERE + FIVE)
    bench.run(60, names(*HERE, *FIVE), addresses=ADDRESSES)
    found = bench.run(120, ["A1", "A2", "B2", "B3", "B4"], addresses=ADDRESSES)
    assert sorted(found) == [(SILENT, "B0", "firing"), (SILENT, "B1", "firing")]


def test_a_node_with_another_port_after_its_restart_is_well_again():
    bench = Bench(components=HERE + FIVE)
    bench.run(60, names(*HERE, *FIVE), addresses=ADDRESSES)
    bench.run(60, ["A1", "A2"])
    again = {codifier: ("10.0.0.5", 6001) for codifier in ADDRESSES}
    found = bench.run(60, names(*HERE, *FIVE), addresses=again)
    assert found == [(NODE, "10.0.0.5:6000", "well")]


# Blindness


@pytest.mark.parametrize("count", [1, 2, 5])
def test_who_hears_nothing_at_all_says_that_and_nothing_else(count):
    bench = Bench(components=FIVE[:count])
    everybody = names(*FIVE[:count])
    bench.run(60, everybody)
    assert bench.run(200) == [(BLIND, "", "firing")]
    assert bench.run(60, everybody) == [(BLIND, "", "well")]


def test_a_cut_from_all_other_machines_is_blindness():
    """The components of this machine are heard all the same."""
    far = (*FIVE, component("C1"), component("C2"))
    where = {**ADDRESSES, "C1": ("10.0.0.6", 1), "C2": ("10.0.0.6", 1)}
    where |= {"A1": ("10.0.0.1", 9), "A2": ("10.0.0.1", 9)}
    bench = Bench(components=HERE + far)
    bench.run(60, names(*HERE, *far), addresses=where)
    assert bench.run(200, ["A1", "A2"], addresses=where) == [(BLIND, "", "firing")]
    assert bench.run(100, names(*HERE, *far), addresses=where) == [(BLIND, "", "well")]


def test_off_the_bus_is_blindness():
    bench = Bench()
    bench.run(30, ["A1", "A2"])
    assert bench.run(60, joined=False) == [(BLIND, "", "firing")]
    assert bench.run(30, ["A1", "A2"]) == [(BLIND, "", "well")]


def test_a_bus_that_is_joined_soon_is_no_news_as_at_every_start():
    bench = Bench()
    bench.run(30, ["A1", "A2"])
    assert bench.run(9, joined=False) == []
    assert bench.run(30, ["A1", "A2"]) == []


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000])
def test_a_clock_that_was_set_is_one_alert_and_nobody_is_silent(jump_ms):
    bench = Bench()
    bench.run(30, ["A1", "A2"])
    bench.jump_ms = jump_ms
    found = bench.run(60, ["A1", "A2"])
    assert found == [(BLIND, "", "firing"), (BLIND, "", "well")]


def test_a_process_that_stood_still_judges_nobody():
    bench = Bench()
    bench.run(30, ["A1", "A2"])
    bench.s += 600
    found = bench.run(60, ["A1", "A2"])
    assert found == [(BLIND, "", "firing"), (BLIND, "", "well")]


def test_silence_is_found_again_after_blindness():
    bench = Bench()
    bench.run(30, ["A1", "A2"])
    bench.run(60, joined=False)
    assert bench.run(60, ["A2"]) == [(BLIND, "", "well"), (SILENT, "A1", "firing")]


# From one process to the next


def test_a_restart_repeats_nothing_and_forgets_nothing():
    bench = Bench(Rule(name="warm", kind="above", limit=30, sensors=("A2",)))
    bench.run(30, ["A1", "A2"])
    bench.run(60, ["A2"], value=31)
    assert set(bench.log) == {(SILENT, "A1", "firing"), ("warm", "A2", "firing")}
    since_ms = bench.now.ms
    bench.evaluator = bench.new(seen=bench.evaluator.seen())
    assert bench.evaluator.restore(SILENT, "A1", "firing", since_ms, (), bench.now)
    assert bench.evaluator.restore("warm", "A2", "firing", since_ms, (), bench.now)
    assert not bench.evaluator.restore("gone", "A2", "firing", since_ms, (), bench.now)
    assert bench.run(60, ["A2"], value=31) == []
    assert bench.run(20, ["A1", "A2"], value=1) == [("warm", "A2", "well"), (SILENT, "A1", "well")]


def test_what_fell_silent_meanwhile_is_found_after_a_restart():
    bench = Bench()
    bench.run(30, ["A1", "A2"])
    bench.evaluator = bench.new(seen=bench.evaluator.seen())
    assert bench.run(60, ["A2"]) == [(SILENT, "A1", "firing")]


def test_a_node_that_died_while_nobody_looked_is_one_alert():
    bench = Bench(components=HERE + FIVE)
    bench.run(60, names(*HERE, *FIVE), addresses=ADDRESSES)
    bench.evaluator = bench.new(seen=bench.evaluator.seen())
    assert bench.run(60, ["A1", "A2"]) == [(NODE, "10.0.0.5:6000", "firing")]


def test_a_dead_node_stays_one_alert_over_a_restart():
    bench = Bench(components=HERE + FIVE)
    bench.run(60, names(*HERE, *FIVE), addresses=ADDRESSES)
    bench.run(60, ["A1", "A2"])
    bench.evaluator = bench.new(seen=bench.evaluator.seen())
    restored = bench.evaluator.restore(
        NODE, "10.0.0.5:6000", "firing", bench.now.ms, names(*FIVE), bench.now
    )
    assert restored
    assert bench.run(60, ["A1", "A2"]) == []


# Properties


@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=60),
    st.floats(-50, 50),
    st.floats(0, 20),
    st.integers(0, 20),
)
def test_transitions_alternate_and_never_repeat(values, limit, hysteresis, for_s):
    bench = Bench(
        Rule(
            name="x", kind="above", limit=limit, hysteresis=hysteresis, for_s=for_s, sensors=("A1",)
        )
    )
    phases = ["well"]
    for value in values:
        bench.s += 1
        bench.read(value=value)
        bench.read("A2")
        phases += [phase for name, _, phase in bench.tick() if name == "x"]
    allowed = {("well", "pending"), ("pending", "firing"), ("pending", "well"), ("firing", "well")}
    if not for_s:
        allowed = {("well", "firing"), ("firing", "well")}
    assert {*pairwise(phases)} <= allowed
    if phases[-1] == "firing":
        assert values[-1] > limit - hysteresis


@given(
    st.lists(st.tuples(st.integers(1, 4), st.floats(-100, 100)), min_size=1, max_size=60),
    st.floats(-50, 50),
    st.integers(0, 9),
)
def test_a_trial_finds_what_the_live_code_finds(readings, limit, for_s):
    """Looked at every second, the live code finds the same begins and ends, to the second."""
    rule = Rule(name="x", kind="above", limit=limit, for_s=for_s, sensors=("A1",))
    bench = Bench(rule)
    times, values, live = [], [], []
    for gap_s, value in readings:
        for _ in range(gap_s - 1):
            bench.s += 1
            live += [(bench.now.ms, phase) for name, _, phase in bench.tick() if name == "x"]
        bench.s += 1
        times.append(bench.now.ms)
        values.append(value)
        bench.read(value=value)
        live += [(bench.now.ms, phase) for name, _, phase in bench.tick() if name == "x"]
    series = Series(times, values, values, values)
    tried = firings(rule, bench.components, "A1", series, times[-1], utc)
    begins = [at_ms for at_ms, phase in live if phase == "firing"]
    assert [round(it.begin_ms / 1000) for it in tried] == [round(ms / 1000) for ms in begins]
    ends = [it.end_ms for it in tried if it.end_ms is not None]
    assert len(ends) == len(begins) - (bool(tried) and tried[-1].end_ms is None)


@given(st.lists(st.sampled_from(["A1", "A2", "B0", "B1", "", "joined"]), max_size=80), st.randoms())
def test_nothing_that_is_heard_stops_it(events, chance):
    bench = Bench(Rule(name="x", kind="changes", limit=1, within_s=9), components=HERE + FIVE)
    joined = True
    for event in events:
        bench.s += chance.choice([0.1, 1, 5, 40])
        if event == "joined":
            joined = not joined
        elif event:
            value = chance.choice([1.0, 1e300, -1e300, None, math.nan, math.inf])
            bench.read(event, value, chance.choice([("10.0.0.5", 6), ("10.0.0.6", 7)]))
            bench.sign(event, active=chance.random() < 0.8)
        bench.tick(joined=joined)
    state = {}
    for name, subject, phase in bench.log:
        assert state.get((name, subject), "well") != phase
        state[name, subject] = phase


# Trials


def series(values, step_ms=2000):
    times = [START_MS + place * step_ms for place in range(len(values))]
    return Series(times, values, values, values)


def test_a_trial_tells_when_a_rule_would_have_fired():
    known = {"A1": component("A1")}
    rule = Rule(name="x", kind="above", limit=30, for_s=4, sensors=("A1",))
    values = [20, 31, 31, 31, 31, 20, 31, 20, 31, 31, 31, 31]
    tried = firings(rule, known, "A1", series(values), START_MS + 24_000, utc)
    assert tried == [
        Firing(START_MS + 6000, START_MS + 10_000),
        Firing(START_MS + 20_000, None),
    ]


def test_a_trial_of_silence_finds_the_gaps():
    known = {"A1": component("A1")}
    data = series([1.0] * 10)
    for place in range(5, 10):
        data.times_ms[place] += 60_000
    tried = firings(Rule(name="x", kind="silent"), known, "A1", data, START_MS + 85_000, utc)
    assert tried == [Firing(START_MS + 8000 + 10_001, START_MS + 70_000)]


def test_a_trial_looks_at_the_peaks_of_points_that_stand_for_many_readings():
    known = {"A1": component("A1")}
    times = [START_MS, START_MS + 600_000]
    data = Series(times, [20.0, 20.0], [10.0, 10.0], [20.0, 40.0], 600_000)
    end_ms = START_MS + 1_200_000
    short = Rule(name="x", kind="above", limit=30, sensors=("A1",))
    assert len(firings(short, known, "A1", data, end_ms, utc)) == 1
    long = Rule(name="x", kind="above", limit=30, for_s=3600, sensors=("A1",))
    assert firings(long, known, "A1", data, end_ms, utc) == []


def test_a_trial_of_losses_begins_and_ends_with_the_time_that_is_looked_at():
    known = {"A1": component("A1")}
    rule = Rule(name="x", kind="losses", limit=9, within_s=300, sensors=("A1",))
    data = series([1000.0, 1006.0, 1012.0, 1012.0, 1018.0], 60_000)
    found = firings(rule, known, "A1", data, START_MS + 3_600_000, utc)
    (fired,) = found
    assert fired.begin_ms == START_MS + 120_000
    # Until then the twelve that came last are enough.
    assert fired.end_ms == START_MS + 120_000 + 300_001
    assert firings(rule, known, "A1", data, START_MS + 200_000, utc)[0].end_ms is None


def test_a_trial_says_what_history_cannot_tell():
    with pytest.raises(ValueError, match="fails"):
        firings(Rule(name="x", kind="failing"), {"A1": component("A1")}, "A1", series([1]), 1, utc)
