"""What a condition is made of: numbers and truths, evaluated for one step or for many at once.

A truth is judged as a pair: whether it holds, and whether its opposite holds. Where a step lacks
a number, neither does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np

from tui_elbo.model.conditions.quantities import Quantity, Values

Scope: TypeAlias = Callable[[Quantity], Values | None]
"""Gives a quantity's numbers; None where the steps lack it."""

Judged: TypeAlias = tuple[Any, Any]
"""Whether it holds, and whether its opposite does: bools, or arrays of them, one a step."""

ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mult": np.multiply,
    "Div": np.divide,
    "USub": np.negative,
    "UAdd": np.positive,
    "abs": np.abs,
}
COMPARISONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "Lt": ("<", np.less),
    "LtE": ("<=", np.less_equal),
    "Gt": (">", np.greater),
    "GtE": (">=", np.greater_equal),
    "Eq": ("==", np.equal),
    "NotEq": ("!=", np.not_equal),
}
"""NaN is not equal to anything, and not unequal either: such a comparison is false."""

CHECKS: dict[str, Callable[..., Any]] = {"nan": np.isnan, "inf": np.isinf, "finite": np.isfinite}


class Number(Protocol):
    """Something with a value at each step."""

    @property
    def text(self) -> str:
        """As it was written."""

    def get(self, scope: Scope) -> Values | None:
        """Its values; None where the steps lack it."""

    def tell(self, scope: Scope) -> str:
        """Its text and its value at one step."""


class Truth(Protocol):
    """Something that holds at a step, or does not."""

    def judge(self, scope: Scope) -> Judged:
        """Whether it holds, and whether its opposite does."""

    def tell(self, scope: Scope) -> str:
        """Its text with the values at one step; for `or`, of the parts that hold."""


@dataclass(frozen=True)
class Constant:
    """A number as written."""

    text: str
    value: float

    def get(self, scope: Scope) -> Values | None:  # noqa: ARG002
        """The number."""
        return np.float64(self.value)

    def tell(self, scope: Scope) -> str:  # noqa: ARG002
        """The number, as written."""
        return self.text


@dataclass(frozen=True)
class Read:
    """A quantity of the step."""

    text: str
    quantity: Quantity

    def get(self, scope: Scope) -> Values | None:
        """What the step has."""
        return scope(self.quantity)

    def tell(self, scope: Scope) -> str:
        """Such as `elbo = -1.19`."""
        return _told(self, scope)


@dataclass(frozen=True)
class Apply:
    """An operation on numbers."""

    text: str
    operation: str
    """A key of `ARITHMETIC`."""
    operands: tuple[Number, ...]

    def get(self, scope: Scope) -> Values | None:
        """The result; None if a step lacks an operand."""
        values = [operand.get(scope) for operand in self.operands]
        if any(value is None for value in values):
            return None
        result: Values = ARITHMETIC[self.operation](*values)
        return result

    def tell(self, scope: Scope) -> str:
        """Such as `log_p - log_q = -1.19`; a number as written is itself."""
        constant = all(isinstance(operand, Constant) for operand in self.operands)
        return self.text if constant else _told(self, scope)


@dataclass(frozen=True)
class Compare:
    """A chain of comparisons."""

    operands: tuple[Number, ...]
    names: tuple[str, ...]
    """Between the operands: keys of `COMPARISONS`."""

    def judge(self, scope: Scope) -> Judged:
        """As a chain of `and`."""
        values = [operand.get(scope) for operand in self.operands]
        yes: Any = True
        no: Any = False
        for name, left, right in zip(self.names, values, values[1:], strict=False):
            if left is None or right is None:
                yes = False
                continue
            holds = COMPARISONS[name][1](left, right)
            if name == "NotEq":
                holds = holds & ~(np.isnan(left) | np.isnan(right))
            yes, no = np.logical_and(yes, holds), np.logical_or(no, np.logical_not(holds))
        return yes, no

    def tell(self, scope: Scope) -> str:
        """Such as `elbo = -1.19 > -1.2`."""
        parts = [self.operands[0].tell(scope)]
        for name, operand in zip(self.names, self.operands[1:], strict=True):
            parts += [COMPARISONS[name][0], operand.tell(scope)]
        return " ".join(parts)


@dataclass(frozen=True)
class Check:
    """`nan(…)`, `inf(…)`, `finite(…)`."""

    name: str
    """A key of `CHECKS`."""
    operand: Number

    def judge(self, scope: Scope) -> Judged:
        """Neither where the step lacks the number."""
        value = self.operand.get(scope)
        if value is None:
            return False, False
        holds = CHECKS[self.name](value)
        return holds, np.logical_not(holds)

    def tell(self, scope: Scope) -> str:
        """Such as `nan(elbo = nan)`."""
        return f"{self.name}({self.operand.tell(scope)})"


@dataclass(frozen=True)
class Not:
    """The opposite."""

    operand: Truth

    def judge(self, scope: Scope) -> Judged:
        """The pair the other way round."""
        yes, no = self.operand.judge(scope)
        return no, yes

    def tell(self, scope: Scope) -> str:
        """With `not` before it."""
        if isinstance(self.operand, Check):
            return f"not {self.operand.tell(scope)}"
        return f"not ({self.operand.tell(scope)})"


@dataclass(frozen=True)
class All:
    """Joined by `and`."""

    operands: tuple[Truth, ...]

    def judge(self, scope: Scope) -> Judged:
        """It fails as soon as one part does."""
        yes, no = zip(*(operand.judge(scope) for operand in self.operands), strict=True)
        return _joined(np.logical_and, yes), _joined(np.logical_or, no)

    def tell(self, scope: Scope) -> str:
        """Each part."""
        told = (
            f"({part.tell(scope)})" if isinstance(part, AnyOf) else part.tell(scope)
            for part in self.operands
        )
        return " and ".join(told)


@dataclass(frozen=True)
class AnyOf:
    """Joined by `or`."""

    operands: tuple[Truth, ...]

    def judge(self, scope: Scope) -> Judged:
        """It holds as soon as one part does."""
        yes, no = zip(*(operand.judge(scope) for operand in self.operands), strict=True)
        return _joined(np.logical_or, yes), _joined(np.logical_and, no)

    def tell(self, scope: Scope) -> str:
        """The parts that hold; all of them where none does."""
        holding = [part for part in self.operands if np.all(part.judge(scope)[0])]
        return " or ".join(part.tell(scope) for part in holding or self.operands)


def _joined(by: Callable[..., Any], parts: tuple[Any, ...]) -> Any:
    result = parts[0]
    for part in parts[1:]:
        result = by(result, part)
    return result


def _told(number: Number, scope: Scope) -> str:
    value = number.get(scope)
    return f"{number.text} = {'missing' if value is None else format(float(value), '.6g')}"
