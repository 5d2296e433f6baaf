"""Conditions such as `elbo > -1.2`: parsed, checked against the columns of a run, evaluated.

A condition is a step number (`500`), or comparisons of a step's numbers:

    elbo > -1.2                                 also loss, log_p, log_q, seconds, step, loss[0]
    params["AutoNormal.locs.z"].mean > 0.9      also .sd, .min, .max, .grad_norm, .update_norm
    params["phi"] > 1                           the only element; params["w"][3], params["w"][0, 1]
    sites["x"].log_p < -100                     also .log_q
    grad_norm > 100                             the largest of any parameter; also update_norm
    not finite(elbo)                            also nan(…), inf(…)

joined by `and`, `or`, `not` and parentheses, with chains (`-2 < elbo < -1`), `+ - * /` and `abs`.

A step that lacks a number meets neither a comparison of it nor that comparison's opposite. NaN
compares false, as everywhere. The text is read as Python's syntax; only what is listed here is
taken from it, and none of it is ever executed.
"""

from __future__ import annotations

import ast
import difflib
import json
import math
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from tui_elbo.model.errors import UsageError
from tui_elbo.model.history import History
from tui_elbo.model.records import (
    FIELDS,
    MAX_ELEMENTS,
    NORMS,
    SUMMARY,
    Batch,
    Column,
    Floats,
    Layout,
    ParamInfo,
)

LARGEST = NORMS
"""Of a parameter; on their own, the largest of any parameter, or of any module where there are too
many parameters."""
STEP_FIELDS = ("step", *FIELDS["step"], *LARGEST)
SITE_FIELDS = tuple(FIELDS["site"])
PARAM_FIELDS = tuple(name for name, field in FIELDS["param"].items() if not field.indexed)

Values: TypeAlias = Floats | np.float64
"""One number a step: shape (steps,), or a scalar for a single step."""


class ColumnSource(NamedTuple):
    """The columns of a quantity, and how their numbers become one."""

    columns: tuple[Column, ...]
    reduce: Callable[[list[Values], Values], Values]
    """Takes the columns' numbers, in that order, and the steps' own."""


@dataclass(frozen=True)
class Quantity:
    """A number that a step may have."""

    kind: Literal["step", "site", "param"]
    name: str
    """The site's or the parameter's name; empty for the step's own."""
    field: str
    """One of `STEP_FIELDS`, `loss[0]`…; of `SITE_FIELDS`; of `PARAM_FIELDS`, or `value`."""
    index: tuple[int, ...] = ()
    """Which element of a parameter's `value`; empty for the only one."""

    def __str__(self) -> str:
        if self.kind == "step":
            return self.field
        named = _named(self.kind, self.name)
        if self.field != "value":
            return f"{named}.{self.field}"
        return f"{named}[{', '.join(map(str, self.index))}]" if self.index else named

    def find(self, layout: Layout) -> ColumnSource | None:
        """Its columns in this layout; None if the layout lacks it."""
        if self.field == "step":
            return ColumnSource((), lambda _, steps: steps)
        if self.kind == "param":
            return self._find_param(layout)
        if self.kind == "step" and self.field in LARGEST:
            return _find_largest(self.field, layout)
        return _single(Column(self.kind, self.name, self.field), layout)

    def problem(self, layout: Layout) -> tuple[str, str]:
        """Why this layout lacks it, and a hint."""
        if self.kind == "step":
            return self._step_problem(layout)
        names = [info.name for info in (layout.sites if self.kind == "site" else layout.params)]
        if self.name not in names:
            return _unknown(self.kind, self.name, names)
        if self.kind == "site":
            return self._site_problem(layout)
        info = next(info for info in layout.params if info.name == self.name)
        if self.field == "value":
            return _element_problem(info, self.index)
        if self.field == "grad_norm":
            return f'no gradient reaches parameter "{self.name}"', ""
        return f'parameter "{self.name}" has no {self.field} at this step', ""

    def unwatched(self, layout: Layout) -> bool:
        """Whether it is of a parameter that is recorded only while it is watched."""
        if self.kind != "param" or not layout.modules:
            return False
        recorded = any(info.name == self.name for info in layout.recorded)
        return not recorded and any(info.name == self.name for info in layout.params)

    def _find_param(self, layout: Layout) -> ColumnSource | None:
        info = next((info for info in layout.params if info.name == self.name), None)
        if info is None:
            return None
        if self.field != "value":
            found = _single(Column("param", self.name, self.field), layout)
            if found is not None or self.field not in SUMMARY:
                return found
            columns = [Column("param", self.name, f"value[{i}]") for i in range(_size(info))]
            if not columns or any(column not in layout.index for column in columns):
                return None
            return ColumnSource(tuple(columns), _SUMS[self.field])
        element = _element(info.shape, self.index)
        if element is None:
            return None
        return _single(Column("param", self.name, f"value[{element}]"), layout)

    def _step_problem(self, layout: Layout) -> tuple[str, str]:
        if self.field.startswith("loss["):
            parts = sum(c.kind == "step" and c.field.startswith("loss[") for c in layout.columns)
            return f"the loss has {parts or 'no'} parts, so there is no {self.field}", "use `loss`"
        if self.field in LARGEST:
            return f"no parameter has a {self.field} at this step", ""
        return f"the steps of this run have no {self.field}", layout.note

    def _site_problem(self, layout: Layout) -> tuple[str, str]:
        info = next(info for info in layout.sites if info.name == self.name)
        reason = info.note or layout.note
        if not reason and self.field == "log_q":
            reason = "it is observed" if info.observed else "the guide does not draw it"
        elif not reason:
            reason = "the model does not draw it"
        return f'site "{self.name}" has no {self.field}', reason


def _named(kind: str, name: str) -> str:
    return f"{kind}s[{json.dumps(name, ensure_ascii=False)}]"


def _first(values: list[Values], _: Values) -> Values:
    return values[0]


def _single(column: Column, layout: Layout) -> ColumnSource | None:
    return ColumnSource((column,), _first) if column in layout.index else None


def _size(info: ParamInfo) -> int:
    return math.prod(info.shape)


def _element(shape: tuple[int, ...], index: tuple[int, ...]) -> int | None:
    """The place of an element in the flattened tensor; None if there is no such element."""
    if not index:
        return 0 if math.prod(shape) == 1 else None
    if len(index) != len(shape):
        return None
    place = 0
    for at, size in zip(index, shape, strict=True):
        if not -size <= at < size:
            return None
        place = place * size + at % size
    return place


def _element_problem(info: ParamInfo, index: tuple[int, ...]) -> tuple[str, str]:
    named, shape = _named("param", info.name), tuple(info.shape)
    if _size(info) > MAX_ELEMENTS:
        what = f'parameter "{info.name}" has {_size(info)} elements and is recorded in sums'
        return what, f"use {named}.mean, .sd, .min, .max, .grad_norm or .update_norm"
    what = f'parameter "{info.name}" has shape {shape}'
    if index:
        what += f", so no element [{', '.join(map(str, index))}]"
    example = f"[{', '.join('0' * len(shape))}]" if shape else ""
    return what, f"name one element, such as {named}{example}, or {named}.mean"


def _unknown(kind: str, name: str, names: list[str]) -> tuple[str, str]:
    what = f'there is no {"parameter" if kind == "param" else "site"} "{name}"'
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if close:
        return what, f"did you mean {' or '.join(_named(kind, one) for one in close)}?"
    if not names:
        return what, "the run has none"
    listed = ", ".join(_named(kind, one) for one in names[:5])
    return what, f"there {'are' if len(names) > 1 else 'is'} {listed}" + ", …" * (len(names) > 5)


def _find_largest(field: str, layout: Layout) -> ColumnSource | None:
    parts = [c for c in layout.columns if c.kind in ("param", "module")]
    summed = {(c.kind, c.name) for c in parts if c.field == "mean"}
    columns = [c for c in parts if c.field == field]
    if not columns:
        return None
    columns.sort(key=lambda column: (column.kind, column.name) in summed)
    small = sum((column.kind, column.name) not in summed for column in columns)

    def largest(values: list[Values], _: Values) -> Values:
        # A NaN among the sums of large parameters may stand for a gradient that never came.
        parts = [np.maximum.reduce(values[:small])] if small else []
        if values[small:]:
            parts.append(np.fmax.reduce(values[small:]))
        if len(parts) == 1:
            return _plain(parts[0])
        return _plain(np.where(np.isnan(parts[1]), parts[0], np.maximum(*parts)))

    return ColumnSource(tuple(columns), largest)


def _plain(values: Floats) -> Values:
    return values[()] if values.ndim == 0 else values


def _sd(values: list[Values], _: Values) -> Values:
    if len(values) == 1:
        return values[0] * np.nan
    return _plain(np.asarray(np.std(values, axis=0, ddof=1)))


def _over(function: Callable[..., Floats]) -> Callable[[list[Values], Values], Values]:
    def reduce(values: list[Values], _: Values) -> Values:
        return values[0] if len(values) == 1 else _plain(np.asarray(function(values, axis=0)))

    return reduce


_SUMS: dict[str, Callable[[list[Values], Values], Values]] = {
    "mean": _over(np.mean),
    "sd": _sd,
    "min": _over(np.min),
    "max": _over(np.max),
}
"""As those of a large parameter are taken: the standard deviation with n - 1."""


def nearest(name: str, names: Iterable[str]) -> str:
    """A few words that name what is nearest; all of them if nothing is near."""
    names = list(names)
    close = difflib.get_close_matches(name, names, n=2, cutoff=0.6)
    return f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(names)}"


Scope: TypeAlias = Callable[[Quantity], Values | None]
"""Gives a quantity's numbers; None where the steps lack it."""

TruthPair: TypeAlias = tuple[Any, Any]
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

    def describe(self, scope: Scope) -> str:
        """Its text and its value at one step."""


class Truth(Protocol):
    """Something that holds at a step, or does not."""

    def evaluate(self, scope: Scope) -> TruthPair:
        """Whether it holds, and whether its opposite does."""

    def describe(self, scope: Scope) -> str:
        """Its text with the values at one step; for `or`, of the parts that hold."""


@dataclass(frozen=True)
class Constant:
    """A number as written."""

    text: str
    value: float

    def get(self, scope: Scope) -> Values | None:  # noqa: ARG002
        """The number."""
        return np.float64(self.value)

    def describe(self, scope: Scope) -> str:  # noqa: ARG002
        """The number, as written."""
        return self.text


@dataclass(frozen=True)
class QuantityValue:
    """A quantity of the step."""

    text: str
    quantity: Quantity

    def get(self, scope: Scope) -> Values | None:
        """What the step has."""
        return scope(self.quantity)

    def describe(self, scope: Scope) -> str:
        """Such as `elbo = -1.19`."""
        return _with_value(self, scope)


@dataclass(frozen=True)
class Operation:
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

    def describe(self, scope: Scope) -> str:
        """Such as `log_p - log_q = -1.19`; a number as written is itself."""
        constant = all(isinstance(operand, Constant) for operand in self.operands)
        return self.text if constant else _with_value(self, scope)


@dataclass(frozen=True)
class Compare:
    """A chain of comparisons."""

    operands: tuple[Number, ...]
    names: tuple[str, ...]
    """Between the operands: keys of `COMPARISONS`."""

    def evaluate(self, scope: Scope) -> TruthPair:
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

    def describe(self, scope: Scope) -> str:
        """Such as `elbo = -1.19 > -1.2`."""
        parts = [self.operands[0].describe(scope)]
        for name, operand in zip(self.names, self.operands[1:], strict=True):
            parts += [COMPARISONS[name][0], operand.describe(scope)]
        return " ".join(parts)


@dataclass(frozen=True)
class Check:
    """`nan(…)`, `inf(…)`, `finite(…)`."""

    name: str
    """A key of `CHECKS`."""
    operand: Number

    def evaluate(self, scope: Scope) -> TruthPair:
        """Neither where the step lacks the number."""
        value = self.operand.get(scope)
        if value is None:
            return False, False
        holds = CHECKS[self.name](value)
        return holds, np.logical_not(holds)

    def describe(self, scope: Scope) -> str:
        """Such as `nan(elbo = nan)`."""
        return f"{self.name}({self.operand.describe(scope)})"


@dataclass(frozen=True)
class Not:
    """The opposite."""

    operand: Truth

    def evaluate(self, scope: Scope) -> TruthPair:
        """The pair the other way round."""
        yes, no = self.operand.evaluate(scope)
        return no, yes

    def describe(self, scope: Scope) -> str:
        """With `not` before it."""
        if isinstance(self.operand, Check):
            return f"not {self.operand.describe(scope)}"
        return f"not ({self.operand.describe(scope)})"


@dataclass(frozen=True)
class And:
    """Joined by `and`."""

    operands: tuple[Truth, ...]

    def evaluate(self, scope: Scope) -> TruthPair:
        """It fails as soon as one part does."""
        yes, no = zip(*(operand.evaluate(scope) for operand in self.operands), strict=True)
        return _joined(np.logical_and, yes), _joined(np.logical_or, no)

    def describe(self, scope: Scope) -> str:
        """Each part."""
        parts = (
            f"({part.describe(scope)})" if isinstance(part, Or) else part.describe(scope)
            for part in self.operands
        )
        return " and ".join(parts)


@dataclass(frozen=True)
class Or:
    """Joined by `or`."""

    operands: tuple[Truth, ...]

    def evaluate(self, scope: Scope) -> TruthPair:
        """It holds as soon as one part does."""
        yes, no = zip(*(operand.evaluate(scope) for operand in self.operands), strict=True)
        return _joined(np.logical_or, yes), _joined(np.logical_and, no)

    def describe(self, scope: Scope) -> str:
        """The parts that hold; all of them where none does."""
        holding = [part for part in self.operands if np.all(part.evaluate(scope)[0])]
        return " or ".join(part.describe(scope) for part in holding or self.operands)


def _joined(by: Callable[..., Any], parts: tuple[Any, ...]) -> Any:
    result = parts[0]
    for part in parts[1:]:
        result = by(result, part)
    return result


def _with_value(number: Number, scope: Scope) -> str:
    value = number.get(scope)
    return f"{number.text} = {'missing' if value is None else format(float(value), '.6g')}"


MAX_LENGTH, MAX_DEPTH = 1000, 60
"""A condition that is longer, or nested deeper, is refused."""

SHOWN_LENGTH = 60
"""So many characters of a long condition are shown with an error."""

EXAMPLES = 'a step number, or such as: elbo > -1.2, params["phi"] > 1, grad_norm > 100'


class ConditionError(UsageError):
    """A condition that does not parse, or that names what the run does not have.

    Args:
        what, hint: as those of `ElboError`.
        text: the condition.
        at: where in it: how many characters come before.
    """

    def __init__(self, what: str, hint: str, text: str, at: int) -> None:
        begin = max(0, min(at - 20, len(text) - SHOWN_LENGTH))
        shown = text[begin : begin + SHOWN_LENGTH]
        shown = "…" * (begin > 0) + shown + "…" * (begin + SHOWN_LENGTH < len(text))
        where = f"column {at + 1} of `{shown}`" if text else "the condition"
        super().__init__(what, where=where, hint=hint)
        self.at = at


def syntax_tree(text: str) -> ast.expr:
    """The syntax tree of a condition.

    Raises:
        ConditionError: if it has none.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        at = min((error.offset or len(text) + 1) - 1, len(text))
        raise ConditionError("this does not parse", _advice(text), text, at) from None
    except (ValueError, MemoryError, RecursionError):
        raise ConditionError("this does not parse", f"write {EXAMPLES}", text, 0) from None


def _advice(text: str) -> str:
    if re.search(r"&&|\|\||!(?!=)", text):
        return "write `and`, `or`, `not`"
    if re.search(r"(?<![<>=!])=(?!=)", text):
        return "`==` compares; so do `<`, `<=`, `>`, `>=`, `!=`"
    if re.search("[≥≤≠]", text):
        return "write `>=`, `<=`, `!=`"
    return f"write {EXAMPLES}"


def is_number(node: ast.expr) -> bool:
    """Whether it is a number as written, perhaps with a sign."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in {int, float}


class ExpressionParser:
    """Turns the syntax tree of a condition into expressions.

    Args:
        text: the condition.
    """

    def __init__(self, text: str) -> None:
        self._text, self._depth = text, 0
        self.reads: dict[Quantity, int] = {}
        """Each quantity that is named, and where first."""

    def truth(self, node: ast.expr) -> Truth:
        """Parse something that is true or false.

        Raises:
            ConditionError: if it is something else.
        """
        self._enter(node)
        found = self._truth(node)
        self._depth -= 1
        return found

    def number(self, node: ast.expr) -> Number:
        """Parse a number.

        Raises:
            ConditionError: if it is something else.
        """
        self._enter(node)
        found = self._number(node)
        self._depth -= 1
        return found

    def error(self, node: ast.expr, what: str, hint: str = "") -> ConditionError:
        """An error at that place of the text."""
        return ConditionError(what, hint or f"write {EXAMPLES}", self._text, self._offset(node))

    def _enter(self, node: ast.expr) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error(node, f"nested deeper than {MAX_DEPTH}", "say it more simply")

    def _truth(self, node: ast.expr) -> Truth:
        if isinstance(node, ast.BoolOp):
            parts = tuple(self.truth(part) for part in node.values)
            return And(parts) if isinstance(node.op, ast.And) else Or(parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return Not(self.truth(node.operand))
        if isinstance(node, ast.Compare):
            names = tuple(type(op).__name__ for op in node.ops)
            if not COMPARISONS.keys() >= set(names):
                raise self.error(node, "`is` and `in` compare no numbers", "write == or !=")
            operands = (node.left, *node.comparators)
            return Compare(tuple(self.number(operand) for operand in operands), names)
        if isinstance(node, ast.Call) and (name := _function(node)) in CHECKS:
            return Check(name, self.number(self._argument(node)))
        number = self.number(node)
        raise self.error(node, "this is a number", f"compare it, as in {number.text} > 0")

    def _number(self, node: ast.expr) -> Number:
        text = self._source(node)
        if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
            return Constant(text, self._finite(node))
        if isinstance(node, ast.Name | ast.Attribute | ast.Subscript):
            quantity = self._quantity(node)
            self.reads.setdefault(quantity, self._offset(node))
            return QuantityValue(text, quantity)
        operation = type(getattr(node, "op", None)).__name__
        if isinstance(node, ast.UnaryOp) and operation in ARITHMETIC:
            return Operation(text, operation, (self.number(node.operand),))
        if isinstance(node, ast.BinOp) and operation in ARITHMETIC:
            return Operation(text, operation, (self.number(node.left), self.number(node.right)))
        if isinstance(node, ast.Call) and _function(node) == "abs":
            return Operation(text, "abs", (self.number(self._argument(node)),))
        raise self._no_number(node)

    def _no_number(self, node: ast.expr) -> ConditionError:
        if isinstance(node, ast.BoolOp | ast.Compare):
            return self.error(node, "a number belongs here, and this is a condition")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
            return self.error(node, "`&` and `|` are none of these", "write `and`, `or`, `not`")
        if isinstance(node, ast.Call):
            name = _function(node)
            if name in CHECKS:
                return self.error(node, f"{name}() holds or fails, and has no value")
            hint = nearest(name, ("abs", *CHECKS))
            return self.error(node, f"there is no function {name or 'of this kind'}", hint)
        return self.error(node, "a number belongs here")

    def _finite(self, node: ast.Constant) -> float:
        try:
            value = float(node.value)  # type: ignore[arg-type]
        except OverflowError:
            value = math.inf
        if math.isinf(value):
            hint = "inf(elbo) says that a number is infinite"
            raise self.error(node, "this number is too large", hint)
        return value

    def _argument(self, node: ast.Call) -> ast.expr:
        if len(node.args) != 1 or node.keywords:
            raise self.error(node, "this takes one number", f"as in {_function(node)}(elbo)")
        return node.args[0]

    def _quantity(self, node: ast.Name | ast.Attribute | ast.Subscript) -> Quantity:
        if isinstance(node, ast.Name):
            if node.id not in STEP_FIELDS:
                raise self._unknown_name(node)
            return Quantity("step", "", node.id)
        if isinstance(node, ast.Attribute):
            return self._field(node)
        if isinstance(node.value, ast.Name) and node.value.id == "loss":
            (part, *more) = self._index(node.slice)
            if more or part < 0:
                raise self.error(node, "a part of the loss has one number", "as in loss[0]")
            return Quantity("step", "", f"loss[{part}]")
        kind, name, index = self._item(node)
        if kind == "site":
            raise self.error(node, "a site is no number", f"write {self._source(node)}.log_p")
        return Quantity("param", name, "value", index)

    def _field(self, node: ast.Attribute) -> Quantity:
        if isinstance(node.value, ast.Name):
            kind = node.value.id
            if kind in {"params", "sites"}:
                raise self.error(node, "a name goes in quotes", f'write {kind}["{node.attr}"]')
        if not isinstance(node.value, ast.Subscript):
            raise self.error(node, f"nothing here has a .{node.attr}")
        kind, name, index = self._item(node.value)
        fields = PARAM_FIELDS if kind == "param" else SITE_FIELDS
        if node.attr not in fields:
            raise self.error(node, f"a {kind} has no .{node.attr}", nearest(node.attr, fields))
        if index:
            whole = self._source(node.value.value)
            raise self.error(node, f"an element has no .{node.attr}", f"{whole}.{node.attr} is it")
        return Quantity(kind, name, node.attr)

    def _item(self, node: ast.Subscript) -> tuple[Literal["site", "param"], str, tuple[int, ...]]:
        """What `params["w"]`, `params["w"][3]` and `sites["z"]` name."""
        index: tuple[int, ...] = ()
        while isinstance(node.value, ast.Subscript):
            index = self._index(node.slice) + index
            node = node.value
        kind = node.value.id if isinstance(node.value, ast.Name) else ""
        if kind not in {"params", "sites"}:
            hint = 'parameters are params["name"], sites are sites["name"].log_p'
            raise self.error(node, "only `params`, `sites` and `loss` have parts", hint)
        if not isinstance(node.slice, ast.Constant) or not isinstance(node.slice.value, str):
            name = self._source(node.slice)
            raise self.error(node, "a name goes in quotes", f'write {kind}["{name}"]')
        if index and kind == "sites":
            raise self.error(node, "a site has no elements", f"{self._source(node)}.log_p is a sum")
        return ("param" if kind == "params" else "site"), node.slice.value, index

    def _index(self, node: ast.expr) -> tuple[int, ...]:
        parts = node.elts if isinstance(node, ast.Tuple) else [node]
        index = []
        for part in parts:
            negative = isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub)
            inner = part.operand if isinstance(part, ast.UnaryOp) and negative else part
            if not isinstance(inner, ast.Constant) or type(inner.value) is not int:
                raise self.error(node, "an element has a whole number", "as in [3], or [0, 1]")
            index.append(-inner.value if negative else inner.value)
        if not index:
            raise self.error(node, "an element has a whole number", "as in [3], or [0, 1]")
        return tuple(index)

    def _unknown_name(self, node: ast.Name) -> ConditionError:
        name = node.id
        if name in {"params", "sites"}:
            return self.error(node, f"`{name}` alone is no number", f'write {name}["name"]')
        if name in CHECKS:
            return self.error(node, f"`{name}` is a function", f"write {name}(elbo)")
        hint = f'a parameter is params["{name}"]; {nearest(name, STEP_FIELDS)}'
        return self.error(node, f"there is no number {name}", hint)

    def _source(self, node: ast.expr) -> str:
        return ast.get_source_segment(self._text, node) or ""

    def _offset(self, node: ast.expr) -> int:
        before = self._text.encode("utf-8", "replace")[: node.col_offset]
        return len(before.decode("utf-8", "replace"))


def _function(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""


Numbers: TypeAlias = Callable[[Column], float]
"""Gives one step's number of a column that its layout has."""

Bools: TypeAlias = npt.NDArray[np.bool_]

MAX_LAYOUTS = 64
"""The columns of the quantities are cached for so many layouts."""


class Condition:
    """A parsed condition; `parse` makes it.

    Args:
        text: as it was written.
        truth: the expression.
        reads: the quantities in it, and where each is named first.
        step: the step, if it is a step number and nothing else; otherwise None.
    """

    def __init__(
        self, text: str, truth: Truth, reads: dict[Quantity, int], step: int | None = None
    ) -> None:
        self.text, self.step = text, step
        self._truth, self._reads = truth, reads
        self._known: dict[int, tuple[Layout, dict[Quantity, ColumnSource | None]]] = {}

    @property
    def reads_params(self) -> bool:
        """Whether it reads parameters; their summaries are then computed at every step."""
        return any(q.kind == "param" or q.field in LARGEST for q in self._reads)

    @property
    def params(self) -> frozenset[str]:
        """The names of the parameters that it reads."""
        return frozenset(q.name for q in self._reads if q.kind == "param")

    def check(self, *layouts: Layout) -> None:
        """Check that one of the layouts has each of its names.

        Columns are known from the first step on; before it, any name may turn out to be right. So
        may that of a parameter beyond the budget of columns, once it is watched.

        Raises:
            ConditionError: with the nearest names.
        """
        for quantity, at in self._reads.items():
            if any(quantity.unwatched(layout) for layout in layouts):
                continue
            if layouts and all(self._sources(layout)[quantity] is None for layout in layouts):
                what, hint = quantity.problem(layouts[-1])
                raise ConditionError(what, hint, self.text, at)

    def holds(self, batch: Batch) -> Bools:
        """Whether it holds, for each step of the batch; shape (steps,)."""
        index, values = batch.layout.index, batch.values
        steps = np.arange(batch.first, batch.first + batch.steps, dtype=np.float64)
        return self._evaluate(batch.layout, steps, lambda column: values[index[column]])

    def holds_in(self, history: History) -> Bools:
        """Whether it holds, for each step of a history; shape (steps,), index `step - 1`."""
        stretches: dict[int, tuple[Layout, list[npt.NDArray[np.int64]]]] = {}
        for first, last, layout in history.stretches():
            _, parts = stretches.setdefault(id(layout), (layout, []))
            parts.append(np.arange(first - 1, last))
        result = np.zeros(history.last, dtype=np.bool_)
        for layout, parts in stretches.values():
            at = np.concatenate(parts)
            steps = (at + 1).astype(np.float64)
            result[at] = self._evaluate(layout, steps, _picker(history, at))
        return result

    def met(self, layout: Layout, step: int, numbers: Numbers) -> bool:
        """Whether it holds at one step."""
        with np.errstate(all="ignore"):
            return bool(self._truth.evaluate(self._at(layout, step, numbers))[0])

    def describe(self, layout: Layout, step: int, numbers: Numbers) -> str:
        """What made it hold at one step, such as `elbo = -1.19 > -1.2`."""
        if self.step is not None:
            return f"step {step}"
        with np.errstate(all="ignore"):
            return self._truth.describe(self._at(layout, step, numbers))

    def _at(self, layout: Layout, step: int, numbers: Numbers) -> Scope:
        # float64 and not float: it divides by zero as an array does.
        return self._scope(layout, np.float64(step), lambda column: np.float64(numbers(column)))

    def _evaluate(self, layout: Layout, steps: Values, get: Callable[[Column], Values]) -> Bools:
        with np.errstate(all="ignore"):
            yes, _ = self._truth.evaluate(self._scope(layout, steps, get))
        return np.array(np.broadcast_to(yes, np.shape(steps)), dtype=np.bool_)

    def _scope(self, layout: Layout, steps: Values, get: Callable[[Column], Values]) -> Scope:
        sources = self._sources(layout)

        def read(quantity: Quantity) -> Values | None:
            found = sources[quantity]
            if found is None:
                return None
            return found.reduce([get(column) for column in found.columns], steps)

        return read

    def _sources(self, layout: Layout) -> dict[Quantity, ColumnSource | None]:
        known = self._known.get(id(layout))
        if known is None:
            if len(self._known) >= MAX_LAYOUTS:
                self._known.clear()
            # The layout is kept with it, so that no other comes to have the same id.
            known = (layout, {quantity: quantity.find(layout) for quantity in self._reads})
            self._known[id(layout)] = known
        return known[1]


def parse(text: str) -> Condition:
    """Parse a condition.

    Raises:
        ConditionError: if it is not a condition; with the position and a hint.
    """
    text = re.sub(r"\s", " ", text).strip()
    if not text:
        raise ConditionError("there is no condition", f"write {EXAMPLES}", text, 0)
    if len(text) > MAX_LENGTH:
        what = f"a condition has at most {MAX_LENGTH} characters, and this has {len(text)}"
        raise ConditionError(what, "say it more simply", text[:20] + "…", 0)
    tree, reader = syntax_tree(text), ExpressionParser(text)
    if is_number(tree):
        number = reader.number(tree)
        step = float(number.get(lambda _: None) or 0.0)
        if step < 1 or not step.is_integer():
            raise reader.error(tree, "a step is a whole number, at least 1")
        quantity = Quantity("step", "", "step")
        same = Compare((QuantityValue("step", quantity), Constant(text, step)), ("Eq",))
        return Condition(text, same, {quantity: 0}, int(step))
    truth = reader.truth(tree)
    if not reader.reads:
        raise reader.error(tree, "this is the same at every step")
    return Condition(text, truth, reader.reads)


def _picker(history: History, at: npt.NDArray[np.int64]) -> Callable[[Column], Values]:
    def get(column: Column) -> Values:
        picked: Values = history.values(column)[at]
        return picked

    return get
