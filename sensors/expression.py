"""A formula: text from anywhere, made into a function that does arithmetic and nothing else.

Python's own parser reads the text, which is then translated node by node; a node that is not listed
here is refused. Numbers are floats, so that no formula computes long, whatever its exponents.
"""

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import inf

from jph.bus.wire import is_codifier, number_of
from jph.errors import NoReading, SensorError
from sensors.inputs import Input

MOST_TEXT = 1000  # characters
MOST_DEPTH = 150  # operations inside each other; as many as a sum may have terms

# After a text in quotes, which is kept: a comment, which ends with its line.
_COMMENT = re.compile(r"""('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")|#.*""")

Look = Callable[[str], Input]
Step = Callable[[Look], float]  # computes a part of the formula


class FormulaError(ValueError):
    """The text is not a formula; the message names the column."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula that can be computed.

    Args:
        codifiers: those that it names, each with the column of its first place.
    """

    step: Step
    codifiers: Mapping[str, int]

    def compute(self, look: Look) -> float:
        """Return the value; `look` returns the last state of a Codifier.

        Raises:
            NoReading: an input has no value yet, or an old one.
            SensorError: there is no result.
        """
        try:
            result = self.step(cache(look))
        except ZeroDivisionError:
            raise SensorError("division by zero") from None
        except (ArithmeticError, ValueError) as error:  # too large, or outside of what log takes
            raise SensorError(str(error)) from None
        if not math.isfinite(result):
            raise SensorError(f"comes to {result}, which is no number to send")
        return result


def parse(text: str) -> Expression:
    """Return the formula in a text; FormulaError if it is none."""
    if len(text) > MOST_TEXT:
        raise FormulaError(f"must not be longer than {MOST_TEXT} characters")
    # One line of the same length, so that a column in it is one in the text.
    spaced = _COMMENT.sub(lambda found: found[1] or " " * len(found[0]), text)
    padded = "".join(" " if letter.isspace() else letter for letter in spaced).rstrip()
    line = padded.lstrip()
    before = len(padded) - len(line)
    if not line:
        raise FormulaError("is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, about nodes that are refused below
            tree = _tree(line)
    except SyntaxError as error:
        column = error.offset or len(line) + 1  # 0: it ends too early
        raise FormulaError(f"column {before + column}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError):  # NUL, half a surrogate; too deep
        raise FormulaError("cannot be read") from None
    translation = _Translation(line, before)
    return Expression(translation.step(tree.body), translation.codifiers)


def _tree(line: str) -> ast.Expression:
    """Parse; Python 3.11 may raise SystemError while another thread does (CPython issue 106905)."""
    with suppress(SystemError):
        return ast.parse(line, mode="eval")
    return ast.parse(line, mode="eval")


_OPERATIONS: Mapping[type[ast.AST], Callable[..., float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,  # unlike **, neither of long integers nor complex
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _mean(*numbers: float) -> float:
    return math.fsum(numbers) / len(numbers)


def _median(*numbers: float) -> float:
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else _mean(*ordered[middle - 1 : middle + 1])


def _round(number: float, digits: float = 0.0) -> float:
    return round(float(number), max(-400, min(400, int(digits))))


# Functions, with their least and most numbers of arguments.
_FUNCTIONS: Mapping[str, tuple[Callable[..., float], int, float]] = {
    "abs": (abs, 1, 1),
    "cos": (math.cos, 1, 1),
    "exp": (math.exp, 1, 1),
    "log": (math.log, 1, 2),
    "max": (lambda *numbers: max(numbers), 1, inf),
    "mean": (_mean, 1, inf),
    "median": (_median, 1, inf),
    "min": (lambda *numbers: min(numbers), 1, inf),
    "round": (_round, 1, 2),
    "sin": (math.sin, 1, 1),
    "sqrt": (math.sqrt, 1, 1),
    "tan": (math.tan, 1, 1),
}
# Functions of the last state of a Codifier.
_QUESTIONS: Mapping[str, Callable[[Input], float]] = {
    "age": lambda seen: seen.age_s,
    "known": lambda seen: seen.is_known,
    "stale": lambda seen: seen.is_stale,
}
_NAMES = sorted([*_FUNCTIONS, *_QUESTIONS, "v", "value"])


class _Translation:
    """Translates the nodes of one formula."""

    def __init__(self, line: str, before: int) -> None:
        self._line = line
        self._before = before
        self._depth = 0
        # A formula that asks the age of a Codifier decides itself how old its value may be.
        self._aged: set[str] = set()
        self.codifiers: dict[str, int] = {}

    def step(self, node: ast.expr) -> Step:
        """Return the function of a node."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise FormulaError(f"has more than {MOST_DEPTH} operations inside each other")
        try:
            return self._step(node)
        finally:
            self._depth -= 1

    def _step(self, node: ast.expr) -> Step:
        match node:
            case ast.Constant():
                return self._constant(node)
            case ast.Name():
                if node.id in _NAMES:
                    raise self._error(node, f"{node.id} is a function: {node.id}(…)")
                return self._value_of(self._codifier(node))
            case ast.UnaryOp():
                unary = self._operation(node, node.op, "~ is not allowed in a formula")
                operand = self.step(node.operand)
                return lambda look: unary(operand(look))
            case ast.BinOp():
                problem = "only + - * / // % ** are allowed in a formula"
                binary = self._operation(node, node.op, problem)
                left, right = self.step(node.left), self.step(node.right)
                return lambda look: binary(left(look), right(look))
            case ast.Compare():
                return self._comparison(node)
            case ast.BoolOp():
                steps = [self.step(value) for value in node.values]
                combine = all if isinstance(node.op, ast.And) else any
                return lambda look: combine(step(look) for step in steps)
            case ast.IfExp():
                test, yes, no = map(self.step, (node.test, node.body, node.orelse))
                return lambda look: yes(look) if test(look) else no(look)
            case ast.Call():
                return self._call(node)
        raise self._error(node, "this is not allowed in a formula")

    def _error(self, node: ast.expr, problem: str) -> FormulaError:
        return FormulaError(f"column {self._column(node)}: {problem}")

    def _column(self, node: ast.expr) -> int:
        start = self._line.encode()[: node.col_offset]  # it counts bytes
        return self._before + len(start.decode(errors="replace")) + 1

    def _operation(self, node: ast.expr, sign: ast.AST, problem: str) -> Callable[..., float]:
        operate = _OPERATIONS.get(type(sign))
        if operate is None:
            raise self._error(node, problem)
        return operate

    def _constant(self, node: ast.Constant) -> Step:
        if type(node.value) not in (bool, int, float):
            raise self._error(node, "must be a number")
        number = number_of(node.value)
        if number is None:
            raise self._error(node, "this number is too large")
        return lambda look: number

    def _value_of(self, codifier: str) -> Step:
        return lambda look: _number(look(codifier), codifier in self._aged)

    def _codifier(self, node: ast.expr) -> str:
        """Return the Codifier that a node names: A4, "#1" or v("#1")."""
        found: object = None
        if isinstance(node, ast.Call) and _called(node) == "v" and len(node.args) == 1:
            node = node.args[0]
        if isinstance(node, ast.Name):
            found = node.id
        elif isinstance(node, ast.Constant):
            found = node.value
        if not isinstance(found, str) or not is_codifier(found):
            text = ast.unparse(node) if isinstance(node, ast.Name | ast.Constant) else "this"
            raise self._error(node, f"{text[:30]} is no Codifier and no function")
        self.codifiers.setdefault(found, self._column(node))
        return found

    def _comparison(self, node: ast.Compare) -> Step:
        problem = "only == != < <= > >= compare in a formula"
        tests = [self._operation(node, sign, problem) for sign in node.ops]
        first, *others = [self.step(operand) for operand in (node.left, *node.comparators)]

        def compare(look: Look) -> bool:
            left = first(look)
            for test, operand in zip(tests, others, strict=True):
                right = operand(look)
                if not test(left, right):
                    return False
                left = right
            return True

        return compare

    def _call(self, node: ast.Call) -> Step:
        name = _called(node)
        if name not in _NAMES:
            given = name or "this"
            raise self._error(node, f"{given[:30]} is no function; there are {', '.join(_NAMES)}")
        if node.keywords:
            raise self._error(node, f"{name} takes no named arguments")
        if name == "v":
            return self._value_of(self._codifier(node))
        if name in _QUESTIONS:
            self._count(node, name, 1, 1)
            codifier = self._codifier(node.args[0])
            if name in ("age", "stale"):
                self._aged.add(codifier)
            ask = _QUESTIONS[name]
            return lambda look: ask(look(codifier))
        if name == "value":
            return self._value_or_default(node)
        function, least, most = _FUNCTIONS[name]
        self._count(node, name, least, most)
        steps = [self.step(argument) for argument in node.args]
        return lambda look: function(*[step(look) for step in steps])

    def _value_or_default(self, node: ast.Call) -> Step:
        self._count(node, "value", 2, 2)
        value, default = self._value_of(self._codifier(node.args[0])), self.step(node.args[1])

        def compute(look: Look) -> float:
            try:
                return value(look)
            except NoReading:
                return default(look)

        return compute

    def _count(self, node: ast.Call, name: str, least: int, most: float) -> None:
        if not least <= len(node.args) <= most:
            wanted = f"{least}" if most == least else f"{least} or more"
            raise self._error(node, f"{name} takes {wanted} argument{'s' * (wanted != '1')}")


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _number(seen: Input, at_any_age: bool) -> float:
    """Return the number of an input.

    Raises:
        NoReading: it has no value yet, or an old one.
        SensorError: its value is no number.
    """
    reason = seen.absence() or ("" if at_any_age else seen.staleness())
    if reason:
        raise NoReading(reason)
    number = number_of(seen.raw)
    if number is None:
        raise SensorError(f"{seen.codifier} is no number: {str(seen.value)[:40]!r}")
    return number
