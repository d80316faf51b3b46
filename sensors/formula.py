"""A value that is computed from the last values of other components."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from jph.node.channel import Channel
from jph.settings import setting
from sensors.expression import Expression, FormulaError, parse
from sensors.inputs import Inputs


@dataclass
class Formula:
    """Compute one expression."""

    channel: Channel
    formula: str = setting(
        doc="expression over the last values of other components", title="Formula"
    )
    max_age_s: float | None = setting(
        None, key="MaxAge", gt=0, doc="an older input is not used, s; absent: its TimeoutWarning"
    )
    _expression: Expression = field(init=False)
    _inputs: Inputs = field(init=False)

    def __post_init__(self) -> None:
        """Translate the formula, and begin to listen."""
        self._expression = _expression(self.formula, self.channel.config.components)
        self._inputs = Inputs(self.channel, self.max_age_s)

    @classmethod
    def check_settings(cls, given: Mapping[str, Any], codifiers: Collection[str]) -> None:
        """Refuse settings that contradict each other; see `jph.config.checks`."""
        _expression(given["formula"], codifiers)

    def read(self) -> Mapping[str, float]:
        """Return the value.

        Raises:
            NoReading: an input has no value yet, or an old one.
            SensorError: there is no result, as of a division by zero.
        """
        self._inputs.prepare()
        value = self._expression.compute(self._inputs.look)
        return {self.channel.codifier: value}


def _expression(text: str, codifiers: Collection[str]) -> Expression:
    """Return a formula over these Codifiers.

    Raises:
        ValueError: it is none.
    """
    try:
        expression = parse(text)
    except FormulaError as error:
        raise ValueError(f"Formula: {error}") from None
    for codifier, column in expression.codifiers.items():
        if codifier not in codifiers:
            raise ValueError(f'Formula: column {column}: "{codifier}" is not in Sensors')
    return expression
