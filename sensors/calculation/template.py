"""The file of a calculation: from text with `{{ A4 }}` in it to code. Used by the worker alone.

The value of `{{ … }}` never becomes part of the code. The code gets a name in its place, and the
value is bound to that name when the code runs; inside quotes it is put into the text. So a text
that somebody sends on the bus stays text, whatever is in it, `-3` squared is 9, and the code of two
readings is the same and is compiled once.

Jinja does not tell which line of the file a line of its result came from, so each is marked.
"""

import ast
import io
import os
import re
import tokenize
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from types import CodeType
from typing import Any

from jinja2 import Template, Undefined, meta, nodes, pass_context
from jinja2.exceptions import TemplateRuntimeError
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from sensors.calculation.evaluation import QUESTIONS, Evaluation

_RUN = "_jph"  # in the context: the reading for which the file is rendered
_VALUES = "_jph_values"  # in the context: the values that stand in braces, in their order
_PLACE = re.compile(r"_jph_(\d+)_")
_SIGN = f"\0{os.urandom(4).hex()}:"  # begins a mark; no text from outside can have it
_MARK = re.compile(f"{_SIGN}(\\d+)\0")


class TemplateFile:
    """One state of the file.

    Args:
        path: name of the file, for errors.
        fields: names of the fields of a last state.

    Raises:
        TemplateSyntaxError: an expression in braces is wrong; has lineno.
    """

    def __init__(self, text: str, path: str, fields: Collection[str]) -> None:
        self.path = path
        self._rendered = ""
        self._code: CodeType | None = None
        environment = SandboxedEnvironment(finalize=_bind, keep_trailing_newline=True)
        own = [*fields, *QUESTIONS, "redis"]
        environment.filters |= {"default": _default, "d": _default, "redis": _redis}
        environment.filters |= {name: _question(name) for name in QUESTIONS}
        environment.filters |= {name: _field(name) for name in fields}
        tree = environment.parse(_without_comments(text))
        filters = list(tree.find_all(nodes.Filter))
        for found in filters:
            if _is_element(found) and (
                found.name in fields or found.name not in environment.filters
            ):
                name, found.name = found.name, f".{found.name}"
                environment.filters[found.name] = _element(name)
            elif found.name not in environment.filters:
                raise _unknown(found, [*own, "default"])
        names = {name for name in meta.find_undeclared_variables(tree) if len(name) == 2}
        self.codifiers = sorted(names)
        for found in filters:
            if (
                found.name in own
                and isinstance(found.node, nodes.Name)
                and found.node.name in names
            ):
                # It gets the Codifier, where Jinja would give it the value.
                found.node = nodes.Const(found.node.name, lineno=found.lineno)
        _mark_lines(tree)
        tree.set_environment(environment)
        compiled = environment.compile(tree, path, path)
        self._template = Template.from_code(environment, compiled, environment.make_globals(None))

    def code(self, evaluation: Evaluation) -> tuple[CodeType, dict[str, object]]:
        """Render and compile; return the code, and the values by the names that it has for them.

        Raises:
            TemplateError, SyntaxError: the file is wrong; has lineno, or a traceback that tells it.
        """
        context = {name: evaluation.value(name) for name in self.codifiers}
        values: list[object] = []
        rendered = self._template.render(context, **{_RUN: evaluation, _VALUES: values})
        if self._code is None or rendered != self._rendered:
            self._code, self._rendered = _compile(rendered, self.path), rendered
        return self._code, {f"_jph_{place}_": value for place, value in enumerate(values)}


def _without_comments(text: str) -> str:
    """Drop Python's comments, so that Jinja leaves the braces in them alone."""
    lines = text.split("\n")
    try:
        for token in tokenize.generate_tokens(io.StringIO(text, newline="\n").readline):
            row, column = token.start
            if token.type == tokenize.COMMENT:
                line = lines[row - 1]
                if line[column - 1 : column] != "{":  # one of Jinja's
                    lines[row - 1] = line[:column]
    except (tokenize.TokenError, SyntaxError):  # only with the values in braces it is Python
        lines = ["" if line.lstrip().startswith("#") else line for line in lines]
    return "\n".join(lines)


def _is_element(found: nodes.Filter) -> bool:
    """Tell whether a filter stands behind `|config` or another element."""
    inner = found.node
    while isinstance(inner, nodes.Filter):
        if inner.name in ("config", "object"):
            return True
        inner = inner.node
    return False


def _unknown(found: nodes.Filter, known: Collection[str]) -> TemplateRuntimeError:
    close = get_close_matches(found.name, known, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]}?" if close else ""
    error = TemplateRuntimeError(f'there is no "{found.name}"{hint}')
    error.lineno = found.lineno  # type: ignore[attr-defined]
    return error


def _mark_lines(tree: nodes.Template) -> None:
    for data in tree.find_all(nodes.TemplateData):
        lines = data.data.split("\n")
        data.data = "\n".join(f"{_SIGN}{data.lineno + i}\0{line}" for i, line in enumerate(lines))


@pass_context
def _bind(context: Context, value: object) -> str:
    """Return the name that stands for a value; Jinja calls this for each value that it prints."""
    if isinstance(value, Undefined):
        raise TemplateRuntimeError(f"{value._undefined_name} is no Codifier")
    values = context[_VALUES]
    values.append(_MARK.sub("", value) if isinstance(value, str) else value)
    return f"_jph_{len(values) - 1}_"


def _field(name: str) -> Callable[..., object]:
    @pass_context
    def field(context: Context, subject: object) -> object:
        if isinstance(subject, Mapping):
            return _element(name)(subject)
        return context[_RUN].field(_codifier(subject, name), name)

    return field


def _element(name: str) -> Callable[[object], object]:
    def element(subject: object) -> object:
        if subject is None:  # of which input, the reading knows
            raise TypeError(f"'NoneType' has no {name}")
        if not isinstance(subject, Mapping):
            raise TemplateRuntimeError(f'there is no "{name}" in {subject!r:.40}')
        if name not in subject:
            there = ", ".join(map(str, subject)) or "nothing"
            raise TemplateRuntimeError(f'there is no "{name}" in it, only {there}')
        return subject[name]

    return element


def _question(name: str) -> Callable[..., object]:
    @pass_context
    def question(context: Context, subject: object, *arguments: object) -> object:
        return QUESTIONS[name](context[_RUN], _codifier(subject, name), *arguments)

    return question


def _redis(subject: object) -> str:
    return _codifier(subject, "redis")


def _default(value: object, default: object = None, boolean: bool = False) -> object:
    absent = value is None or isinstance(value, Undefined) or (boolean and not value)
    return default if absent else value


def _codifier(subject: object, name: str) -> str:
    if isinstance(subject, str) and len(subject) == 2:
        return subject
    raise TemplateRuntimeError(f"|{name} needs a Codifier before it")


def _compile(rendered: str, path: str) -> CodeType:
    """Compile a rendered file, with the line numbers of the file."""
    text, lines = _unmarked(rendered)
    try:
        tree = ast.parse(text, path)
        tree = ast.fix_missing_locations(_Placed().visit(tree))
    except SyntaxError as error:
        error.lineno = lines.get(error.lineno or 1, error.lineno)
        raise
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt | ast.expr | ast.excepthandler | ast.arg | ast.keyword):
            node.lineno = lines.get(node.lineno, node.lineno)
            last = node.end_lineno or node.lineno
            node.end_lineno = max(node.lineno, lines.get(last, last))
    return compile(tree, path, "exec")


def _unmarked(rendered: str) -> tuple[str, dict[int, int]]:
    """Return the text without its marks, and of each line of it which line of the file it is."""
    parts = _MARK.split(rendered)
    text, lines, row = [parts[0]], {1: 1}, 1 + parts[0].count("\n")
    for mark, part in zip(parts[1::2], parts[2::2], strict=True):
        lines.setdefault(row, int(mark))
        text.append(part)
        row += part.count("\n")
    return "".join(text), lines


class _Placed(ast.NodeTransformer):
    """Puts values into the quoted texts that name them, and refuses names in impossible places."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, bytes) and _PLACE.search(node.value.decode("latin-1")):
            raise _misplaced(node, "cannot stand inside bytes")
        if isinstance(node.value, str) and _PLACE.search(node.value):
            return ast.copy_location(ast.JoinedStr(_pieces(node)), node)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        values: list[ast.expr] = []
        for value in node.values:
            if isinstance(value, ast.Constant):
                values += _pieces(value)
            else:
                values.append(self.visit(value))
        node.values = values
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if _PLACE.search(node.id):
            if not _PLACE.fullmatch(node.id):
                raise _misplaced(node, "is a value and cannot be part of a name")
            if not isinstance(node.ctx, ast.Load):
                raise _misplaced(node, "is a value and cannot be assigned to")
        return node


def _pieces(node: ast.Constant) -> list[ast.expr]:
    pieces: list[ast.expr] = []
    for at, part in enumerate(_PLACE.split(str(node.value))):
        if at % 2:
            name = ast.Name(f"_jph_{part}_", ast.Load())
            pieces.append(ast.FormattedValue(name, conversion=115))  # as !s does
        elif part:
            pieces.append(ast.Constant(part))
    return [ast.copy_location(piece, node) for piece in pieces]


def _misplaced(node: Any, what: str) -> SyntaxError:
    return SyntaxError(f"{{{{ }}}} {what}", ("", node.lineno, None, None))
