"""A formula: text from anywhere, made into a function that does arithmetic and nothing else.

Python's own parser parses the text, and it is translated node by node; a node that is not listed
here is refused. Numbers are floats, so that no formula computes long, whatever its exponents.
"""

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf

from jph.bus.wire import is_codifier, number_of
from jph.errors import NoReading, SensorError
from sensors.inputs import Input

MOST_TEXT = 1000  # characters
MOST_DEPTH = 150  # operations inside each other; as many as a sum may have terms

# Behind a text in quotes, which stays: a comment, which ends with its line.
_COMMENT = re.compile(r"""('(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")|#.*""")

Look = Callable[[str], Input]
Step = Callable[[Look], float]  # computes a part of the formula
Asked = Callable[[Input], float]


class FormulaError(ValueError):
    """The text is no formula; the message names the column."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A formula that can be computed.

    Args:
        compute: returns its value; look returns the input of a Codifier.
        codifiers: those it names, each with the column where it does first.
    """

    compute: Callable[[Look], float]
    codifiers: Mapping[str, int]


def parse(text: str) -> Expression:
    """Make a function of a formula.

    Raises:
        FormulaError: it is none.
    """
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
            warnings.simplefilter("ignore")  # of the parser; the cases are refused below
            tree = ast.parse(line, mode="eval")
    except SyntaxError as error:
        column = error.offset or len(line) + 1  # 0: it ends too early
        raise FormulaError(f"column {before + column}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError):  # NUL, half a surrogate; too deep
        raise FormulaError("cannot be read") from None
    translation = _Translation(line, before)
    return Expression(_finite(translation.step(tree.body)), translation.codifiers)


def _finite(step: Step) -> Callable[[Look], float]:
    def compute(look: Look) -> float:
        known: dict[str, Input] = {}

        def look_once(codifier: str) -> Input:
            if codifier not in known:
                known[codifier] = look(codifier)
            return known[codifier]

        try:
            result = step(look_once)
        except ZeroDivisionError:
            raise SensorError("division by zero") from None
        except (ArithmeticError, ValueError) as error:  # too large, or outside of what log takes
            raise SensorError(str(error)) from None
        if not math.isfinite(result):
            raise SensorError(f"the result is {result}, which cannot be sent")
        return result

    return compute


_UNARY: Mapping[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Not: operator.not_,
}
_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: math.pow,  # unlike **, neither of long integers nor complex
}
_COMPARE: Mapping[type[ast.cmpop], Callable[[float, float], bool]] = {
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


# Function, and with how many arguments it is called.
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

# Functions of a Codifier itself, not of its value.
_QUESTIONS: Mapping[str, Asked] = {
    "age": lambda seen: seen.age_s,
    "known": lambda seen: seen.is_known,
    "stale": lambda seen: seen.is_stale,
}
_AGE_QUESTIONS = ("age", "stale")  # who asks them decides himself how old a value may be
_NAMES = sorted([*_FUNCTIONS, *_QUESTIONS, "v", "value"])


class _Translation:
    """Translates the nodes of one formula."""

    def __init__(self, line: str, before: int) -> None:
        self._line = line
        self._before = before
        self._depth = 0
        self._aged: set[str] = set()  # Codifiers whose age the formula asks
        self.codifiers: dict[str, int] = {}

    def step(self, node: ast.AST) -> Step:
        """Return the function of a node."""
        translations: Mapping[type[ast.AST], Callable[..., Step]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.UnaryOp: self._unary,
            ast.BinOp: self._binary,
            ast.Compare: self._compare,
            ast.BoolOp: self._logic,
            ast.IfExp: self._choice,
            ast.Call: self._call,
        }
        translate = translations.get(type(node))
        if translate is None:
            raise self._error(node, "this is not allowed in a formula")
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise FormulaError(f"has more than {MOST_DEPTH} operations inside each other")
        try:
            return translate(node)
        finally:
            self._depth -= 1

    def _error(self, node: ast.AST, what: str) -> FormulaError:
        return FormulaError(f"column {self._column(node)}: {what}")

    def _column(self, node: ast.AST) -> int:
        offset = getattr(node, "col_offset", 0)  # in bytes
        return self._before + len(self._line.encode()[:offset].decode(errors="replace")) + 1

    def _constant(self, node: ast.Constant) -> Step:
        if type(node.value) not in (bool, int, float):
            raise self._error(node, "must be a number")
        try:
            number = float(node.value)  # type: ignore[arg-type]
        except OverflowError:
            number = inf
        if not math.isfinite(number):
            raise self._error(node, "this number is too large")
        return lambda look: number

    def _name(self, node: ast.Name) -> Step:
        if node.id in _NAMES:
            raise self._error(node, f"{node.id} is a function: {node.id}(…)")
        codifier = self._codifier(node)
        return lambda look: _number(look(codifier), codifier in self._aged)

    def _codifier(self, node: ast.AST) -> str:
        """Return the Codifier that a node names: A4, "#1" or v("#1")."""
        found: object = None
        if isinstance(node, ast.Call) and _called(node) == "v" and len(node.args) == 1:
            node = node.args[0]
        if isinstance(node, ast.Name):
            found = node.id
        elif isinstance(node, ast.Constant):
            found = node.value
        if not isinstance(found, str) or not is_codifier(found):
            what = ast.unparse(node) if isinstance(node, ast.Name | ast.Constant) else "this"
            raise self._error(node, f"{what[:30]} is no Codifier and no function")
        self.codifiers.setdefault(found, self._column(node))
        return found

    def _unary(self, node: ast.UnaryOp) -> Step:
        operate = _UNARY.get(type(node.op))
        if operate is None:
            raise self._error(node, "~ is not allowed in a formula")
        operand = self.step(node.operand)
        return lambda look: operate(operand(look))

    def _binary(self, node: ast.BinOp) -> Step:
        operate = _BINARY.get(type(node.op))
        if operate is None:
            raise self._error(node, "only + - * / // % ** are allowed in a formula")
        left, right = self.step(node.left), self.step(node.right)
        return lambda look: operate(left(look), right(look))

    def _compare(self, node: ast.Compare) -> Step:
        operations = [_COMPARE.get(type(op)) for op in node.ops]
        tests = [operation for operation in operations if operation is not None]
        if len(tests) != len(operations):
            raise self._error(node, "only == != < <= > >= compare in a formula")
        operands = [self.step(operand) for operand in (node.left, *node.comparators)]

        def compare(look: Look) -> bool:
            left = operands[0](look)
            for test, operand in zip(tests, operands[1:], strict=True):
                right = operand(look)
                if not test(left, right):
                    return False
                left = right
            return True

        return compare

    def _logic(self, node: ast.BoolOp) -> Step:
        steps = [self.step(value) for value in node.values]
        if isinstance(node.op, ast.And):
            return lambda look: all(step(look) for step in steps)
        return lambda look: any(step(look) for step in steps)

    def _choice(self, node: ast.IfExp) -> Step:
        test, yes, no = self.step(node.test), self.step(node.body), self.step(node.orelse)
        return lambda look: yes(look) if test(look) else no(look)

    def _call(self, node: ast.Call) -> Step:
        name = _called(node)
        if name not in _NAMES:
            given = name or "this"
            raise self._error(node, f"{given[:30]} is no function; there are {', '.join(_NAMES)}")
        if node.keywords:
            raise self._error(node, f"{name} takes no named arguments")
        if name == "v":
            codifier = self._codifier(node)
            return lambda look: _number(look(codifier), codifier in self._aged)
        if name in _QUESTIONS:
            return self._question(node, name)
        if name == "value":
            return self._value(node)
        function, least, most = _FUNCTIONS[name]
        self._count(node, name, least, most)
        steps = [self.step(argument) for argument in node.args]
        return lambda look: function(*[step(look) for step in steps])

    def _question(self, node: ast.Call, name: str) -> Step:
        self._count(node, name, 1, 1)
        codifier = self._codifier(node.args[0])
        if name in _AGE_QUESTIONS:
            self._aged.add(codifier)
        ask = _QUESTIONS[name]
        return lambda look: ask(look(codifier))

    def _value(self, node: ast.Call) -> Step:
        self._count(node, "value", 2, 2)
        codifier, default = self._codifier(node.args[0]), self.step(node.args[1])

        def value(look: Look) -> float:
            try:
                return _number(look(codifier), codifier in self._aged)
            except NoReading:
                return default(look)

        return value

    def _count(self, node: ast.Call, name: str, least: int, most: float) -> None:
        if not least <= len(node.args) <= most:
            wanted = f"{least}" if most == least else f"{least} or more"
            raise self._error(node, f"{name} takes {wanted} argument{'s' * (wanted != '1')}")


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _number(seen: Input, at_any_age: bool) -> float:
    """Return the number that an input has.

    Raises:
        NoReading: it has none yet, or an old one.
        SensorError: it is none.
    """
    why_not = seen.absence() or ("" if at_any_age else seen.staleness())
    if why_not:
        raise NoReading(why_not)
    number = number_of(seen.raw)
    if number is None:
        raise SensorError(f"{seen.codifier} is no number: {str(seen.value)[:40]!r}")
    return number
