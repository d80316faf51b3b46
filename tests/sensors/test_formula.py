"""Expressions over other components' last values, from people whom nobody trusts."""

import ast
import math
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jph.config import checks
from jph.errors import NoReading, SensorError
from sensors.expression import MOST_DEPTH, MOST_TEXT, FormulaError, parse
from sensors.formula import Formula
from sensors.inputs import Input
from tests.helpers import naming
from tests.jph.stores.kept import KeptStates
from tests.network import config_of
from tests.sensors.bus_stub import StubChannel

KNOWN = ("A1", "A4", "A5", "#1", "'#", "if", "J1", "S1")


@pytest.fixture
def channel(tmp_path):
    others = [{"Codifier": code, "TimeoutWarning": 20} for code in KNOWN]
    return StubChannel(tmp_path, {"Codifier": "F1", "Type": "Formula"}, *others)


@pytest.fixture
def value(channel):
    """Return a function that computes a formula; A1 is 1, A4 is 4, A5 is 5 and 300 s old."""
    channel.put("A1", 1.0)
    channel.put("A4", 4.0)
    channel.put("A5", 5.0, age_s=300)
    channel.put("#1", 11)
    channel.put("J1", {"value": 2.5, "voltage": 1.0})
    channel.put("S1", "on")
    return lambda text, **more: Formula(channel, text, **more).read()["F1"]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("A1 + A4 * 2", 9.0),
        ("-A4 ** 2", -16.0),
        ("(A1 + A4) / 2", 2.5),
        ("7 // 2 + 7 % 4", 6.0),
        ("max(A4, A1) if age(A4) < 60 else A1", 4.0),
        ("min(A4, A1, 0.5)", 0.5),
        ("abs(A1 - A4)", 3.0),
        ("round(A4 / 3, 2)", 1.33),
        ("round(2.6)", 3.0),
        ("sqrt(A4) + exp(0) + log(8, 2) + log(1)", 6.0),
        ("sin(0) + cos(0) + tan(0)", 1.0),
        ("mean(A1, A4, 1)", 2.0),
        ("median(A1, A4, 9)", 4.0),
        ("median(A1, A4)", 2.5),
        ("A1 < A4 <= 4 and not A4 == 5", True),
        ("A1 > A4 or A4 != 4", False),
        ("True + True", 2.0),
        ("v('#1') + 1", 12.0),
        ('known("A4")', True),
        ("J1 * 2", 5.0),
        ("value(A4, 20)", 4.0),
        ("value(v('if'), 20)", 20.0),
        ("A1\n  + A4", 5.0),
        ("A4 # the loop", 4.0),
        ('A4 # the loop, isn\'t it\n+ A1 # and "the" rest', 5.0),
        ("v('#1') # one\n* 2", 22.0),
        ("value(v('\\'#'), 3) + value(v(\"'#\"), 4)", 7.0),
    ],
)
def test_arithmetic_over_last_values(value, text, result):
    assert value(text) == pytest.approx(result)


def test_a_codifier_that_was_never_heard_is_no_failure(channel):
    with pytest.raises(NoReading, match=naming("A4", "never heard")):
        Formula(channel, "A4 + 1").read()
    channel.put_sign("A4")
    with pytest.raises(NoReading, match=naming("A4", "no value yet")):
        Formula(channel, "A4 + 1").read()
    channel.put("A4", {"value": None, "fault": "x"})
    with pytest.raises(NoReading, match=naming("A4", "null")):
        Formula(channel, "A4 + 1").read()


@pytest.mark.parametrize("ahead_s", [60, 86_400, 300_000_000, -86_400])
def test_a_value_grows_old_though_the_clock_of_its_sender_is_wrong(channel, ahead_s):
    read_ms = int((time.time() + ahead_s) * 1000)
    channel.states.on_readings(
        [("A1", read_ms, 1, 1.0, "f", 4, ("127.0.0.1", 1))], {}, time.monotonic() - 30
    )
    with pytest.raises(NoReading, match=naming("A1", "stale", "30 s", "20 s")):
        Formula(channel, "A1").read()
    assert Formula(channel, "stale(A1)").read() == {"F1": 1.0}
    assert 30 <= Formula(channel, "age(A1)").read()["F1"] < 60


def test_an_old_input_is_not_used(value):
    with pytest.raises(NoReading, match=naming("A5", "stale", "300 s", "20 s")):
        value("A5")
    assert value("A5", max_age_s=1000) == 5.0
    with pytest.raises(NoReading, match=naming("A5", "0.5 s")):
        value("A5", max_age_s=0.5)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("A5 if age(A5) < 1000 else 0", 5.0),
        ("A5 if not stale(A5) else -1", -1.0),
        ("A5 if stale(A5) else -1", 5.0),
        ("value(A5, 7)", 7.0),
        ("known(A5) * 1", 1.0),
        ("known(v('if')) * 1", 0.0),
        ("stale(v('if')) * 1", 1.0),
        ("1 if age(v('if')) > 1e9 else 0", 1.0),
        ("A4 if True else A5", 4.0),
        ("A4 > 3 or A5", True),
    ],
)
def test_a_formula_that_asks_for_ages_decides_itself(value, text, result):
    assert value(text) == result


def test_without_a_limit_of_its_own_an_input_is_old_after_three_intervals(tmp_path):
    sensors = [
        {"Codifier": "F1", "Type": "Formula"},
        {"Codifier": "A1", "SensorInterval": 20, "Sensor": {"Proxy": [{"Codifier": "B1"}]}},
        {"Codifier": "B1", "Type": "Proxy"},
        {"Codifier": "C1", "SensorInterval": 1},
    ]
    channel = StubChannel(tmp_path, *sensors)
    limits = {code: Formula(channel, "1")._inputs.look(code).limit_s for code in ("A1", "B1", "C1")}
    assert limits == {"A1": 60, "B1": 60, "C1": 10}


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("1 / (A1 - 1)", "division by zero"),
        ("1 % (A1 - 1)", "division by zero"),
        ("sqrt(0 - A4)", "math domain error"),
        ("(0 - A4) ** 0.5", "math domain error"),
        ("exp(A4 * 1000)", "math range error"),
        ("9 ** 9 ** 9 ** 9", "math range error"),
        ("1e308 * 10", "inf"),
        ("1e308 * 10 - 1e308 * 10", "nan"),
        ("S1 + 1", "S1.*'on'"),
        ("age(v('if'))", "inf"),
        ("round(1, 1e308 * 10)", "infinity"),
    ],
)
def test_no_result_is_a_failure(value, text, fact):
    with pytest.raises(SensorError, match=fact) as caught:
        value(text)
    assert not isinstance(caught.value, NoReading)


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("", ["empty"]),
        ("A4 +", ["column 5"]),
        ("A4 + (1", ["column"]),
        ("\n  A4 + # one\n\tA9.x", ["column 16", "not allowed"]),
        ("  A1  + ) # one", ["column 9"]),
        ("A4.real", ["column 1", "not allowed"]),
        ("1 + A4[0]", ["column 5", "not allowed"]),
        ("A9", ["column 1", '"A9"']),
        ("1 + foo", ["column 5", "foo", "Codifier", "function"]),
        ("1 + foo(A4)", ["column 5", "foo", "function", "abs, age"]),
        ("max", ["max", "function"]),
        ("max()", ["max", "1 or more"]),
        ("sqrt(1, 2)", ["sqrt", "1 argument"]),
        ("age(1)", ["column 5", "1", "Codifier"]),
        ("age(A4 + 1)", ["Codifier"]),
        ("max(*A4)", ["not allowed"]),
        ("round(1, digits=2)", ["named arguments"]),
        ("'A4'", ["must be a number"]),
        ("'x' * 9", ["must be a number"]),
        ("1j", ["must be a number"]),
        ("None", ["must be a number"]),
        ("9" * 400, ["too large"]),
        ("1 << 9", ["+ - * /"]),
        ("~A4", ["~", "not allowed"]),
        ("A4 in A5", ["compare"]),
        ("A4 is A5", ["compare"]),
        ("lambda: 1", ["not allowed"]),
        ("[1 for A4 in A5]", ["not allowed"]),
        ("(A4 := 1)", ["not allowed"]),
        ("f'{A4}'", ["not allowed"]),
        ("A4; A5", ["column 3"]),
        ("__import__('os').system('true')", ["column 1", "function"]),
        ("open('/etc/passwd')", ["open", "function"]),
        ("A4 + value(A4, é.x)", ["column 16", "not allowed"]),
        ("value('éé', 1)", ["Codifier"]),
        ("max(é, A9.x)", ["é", "Codifier"]),
        ("1" + "+1" * MOST_DEPTH, ["150"]),
        ("-" * 900 + "1", []),
        ("(" * 450 + "1" + ")" * 450, []),
        ("1" * (MOST_TEXT + 1), ["1000"]),
        ("1\0", []),
        ("\ud800", []),
    ],
)
def test_what_is_no_formula_is_a_mistake_with_its_column(channel, text, facts):
    with pytest.raises(ValueError, match=naming(*facts)) as caught:
        Formula(channel, text)
    assert str(caught.value).startswith("Formula: ")
    with pytest.raises(ValueError) as checked:
        Formula.check_settings({"formula": text}, KNOWN)
    assert str(checked.value) == str(caught.value)


def test_the_check_of_a_configuration_finds_it():
    formula = {"Codifier": "F1", "Type": "Formula", "SensorInterval": 1}
    other = {"Codifier": "A4", "Type": "External"}

    def mistakes(text: object) -> list[str]:
        return checks.check(config_of({**formula, "Sensor": {"Formula": text}}, other).document)[0]

    assert mistakes("A4 + 1") == []
    [mistake] = mistakes("A4 + A9")
    assert re.search(naming("Sensors[0].Sensor.Formula: ", "column 6", '"A9"'), mistake)
    assert mistakes(1) == ["Sensors[0].Sensor.Formula: must be text"]


def test_what_redis_knows_from_before_the_start_counts(redis_server, tmp_path):
    now_ms = time.time_ns() // 1_000_000
    store = KeptStates(redis_server.url)
    store.on_readings(
        [(code, now_ms, 1, value, "f", 4, ("", 0)) for code, value in (("A1", 1.0), ("A4", 4.0))],
        {},
    )
    store.close()
    cache = {"Codifier": "R1", "Type": "StateCache", "Sensor": {"URL": redis_server.url}}
    others = [{"Codifier": code, "TimeoutWarning": 600} for code in ("A1", "A4")]
    channel = StubChannel(tmp_path, {"Codifier": "F1", "Type": "Formula"}, *others, cache)
    channel.put("A4", 5.0)
    channel.put_sign("A1")
    assert Formula(channel, "A1 + A4").read() == {"F1": 6.0}
    assert isinstance(Formula(channel, "A1")._inputs.look("A1").fields["ITimestamp"], int)


def test_a_redis_that_is_away_harms_nothing(tmp_path, free_tcp_port):
    url = f"redis://127.0.0.1:{free_tcp_port}"
    cache = {"Codifier": "R1", "Type": "StateCache", "Sensor": {"URL": url}}
    channel = StubChannel(tmp_path, {"Codifier": "F1", "Type": "Formula"}, cache)
    assert Formula(channel, "value(R1, 2)").read() == {"F1": 2.0}


def test_a_state_cache_whose_password_is_in_the_home_of_nobody(tmp_path):
    settings = {"URL": "redis://127.0.0.1:1/7", "PasswordFile": "~no-such-user/secret"}
    cache = {"Codifier": "R1", "Type": "StateCache", "Sensor": settings}
    others = [{"Codifier": "A1"}, cache]
    channel = StubChannel(tmp_path, {"Codifier": "F1", "Type": "Formula"}, *others)
    with pytest.raises(NoReading, match="A1"):
        Formula(channel, "A1").read()


def look(codifier: str) -> Input:
    values = {"A4": 3.7, "A5": 0.0, "B1": True, "S1": "text", "J1": {"value": -(10**20)}}
    if codifier not in values:
        return Input(codifier, None, math.inf, 10.0)
    return Input(codifier, {"Value": values[codifier]}, 1.0, 10.0)


ATOMS = ["A4", "A5", "B1", "S1", "J1", "X9", "0", "1", "2.5", "1e308", "9999999999", "True"]
ATOMS += ["v('#1')", "age(A4)", "known(X9)", "stale(X9)", "value(X9, 2)"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "<", "==", "and", "or"]
FUNCTIONS = ["min", "max", "abs", "round", "sqrt", "exp", "log", "sin", "cos", "mean", "median"]


def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(lambda p: f"({' '.join(p)})"),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
        st.tuples(
            st.sampled_from(FUNCTIONS), st.lists(inner, min_size=1, max_size=3).map(", ".join)
        ).map(lambda p: f"{p[0]}({p[1]})"),
        inner.map(lambda part: f"(-{part})"),
        inner.map(lambda part: f"(not {part})"),
    )


EXPRESSIONS = st.recursive(st.sampled_from(ATOMS), larger, max_leaves=25)


def outcome(text: str) -> float | None:
    """Compute; None for one of the documented errors, and nothing else comes out."""
    began_s = time.process_time()
    try:
        result = parse(text).compute(look)
    except (FormulaError, SensorError):
        result = None
    assert time.process_time() - began_s < 2
    assert result is None or (isinstance(result, float | int) and math.isfinite(result))
    return result


@settings(max_examples=500, deadline=None)
@given(EXPRESSIONS)
def test_every_expression_gives_a_number_or_a_documented_error(text):
    outcome(text)


PIECES = "A4 A5 9 9**9 ** ( ) , . [ ] { } : ' \" if else for in lambda @ ~ << max( age( v( \n # 1e9"


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES.split(" "))).map(" ".join)))
def test_any_text_is_a_formula_or_refused(text):
    outcome(text)


def test_a_parser_that_another_thread_disturbs_is_asked_again(monkeypatch):
    failures = [SystemError("AST constructor recursion depth mismatch")]
    read = ast.parse

    def disturbed(*args, **kwargs):
        if failures:
            raise failures.pop()
        return read(*args, **kwargs)

    monkeypatch.setattr(ast, "parse", disturbed)
    assert parse("1 + 2").compute({}.get) == 3
    assert not failures
