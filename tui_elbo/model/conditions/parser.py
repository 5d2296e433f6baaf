"""From the text of a condition to an expression; what is not listed here is refused."""

from __future__ import annotations

import ast
import math
import re
import warnings
from typing import Literal

from tui_elbo.model.conditions.expressions import (
    ARITHMETIC,
    CHECKS,
    COMPARISONS,
    All,
    AnyOf,
    Apply,
    Check,
    Compare,
    Constant,
    Not,
    Number,
    Read,
    Truth,
)
from tui_elbo.model.conditions.quantities import (
    PARAM_FIELDS,
    SITE_FIELDS,
    STEP_FIELDS,
    Quantity,
    nearest,
)
from tui_elbo.model.errors import UsageError

MAX_LENGTH, MAX_DEPTH = 1000, 60
"""A condition that is longer, or nested deeper, is refused."""

SHOWN = 60
"""So many characters of a long condition are shown with an error."""

EXAMPLES = 'a step number, or such as: elbo > -1.2, params["phi"] > 1, grad_norm > 100'


class ConditionError(UsageError):
    """A condition that does not parse, or that names what the run has not.

    Args:
        what, todo: as those of `ElboError`.
        text: the condition.
        at: where in it: how many characters come before.
    """

    def __init__(self, what: str, todo: str, text: str, at: int) -> None:
        begin = max(0, min(at - 20, len(text) - SHOWN))
        shown = text[begin : begin + SHOWN]
        shown = "…" * (begin > 0) + shown + "…" * (begin + SHOWN < len(text))
        where = f"column {at + 1} of `{shown}`" if text else "the condition"
        super().__init__(what, where=where, todo=todo)
        self.at = at


def tree_of(text: str) -> ast.expr:
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


class Reader:
    """Turns the syntax tree of a condition into an expression.

    Args:
        text: the condition.
    """

    def __init__(self, text: str) -> None:
        self._text, self._depth = text, 0
        self.reads: dict[Quantity, int] = {}
        """Each quantity that is named, and where first."""

    def truth(self, node: ast.expr) -> Truth:
        """Something that holds or does not.

        Raises:
            ConditionError: if it is no such thing.
        """
        self._enter(node)
        found = self._truth(node)
        self._depth -= 1
        return found

    def number(self, node: ast.expr) -> Number:
        """Something with a value.

        Raises:
            ConditionError: if it is no such thing.
        """
        self._enter(node)
        found = self._number(node)
        self._depth -= 1
        return found

    def error(self, node: ast.expr, what: str, todo: str = "") -> ConditionError:
        """An error at that place of the text."""
        return ConditionError(what, todo or f"write {EXAMPLES}", self._text, self._place(node))

    def _enter(self, node: ast.expr) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.error(node, f"nested deeper than {MAX_DEPTH}", "say it more simply")

    def _truth(self, node: ast.expr) -> Truth:
        if isinstance(node, ast.BoolOp):
            parts = tuple(self.truth(part) for part in node.values)
            return All(parts) if isinstance(node.op, ast.And) else AnyOf(parts)
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
            self.reads.setdefault(quantity, self._place(node))
            return Read(text, quantity)
        operation = type(getattr(node, "op", None)).__name__
        if isinstance(node, ast.UnaryOp) and operation in ARITHMETIC:
            return Apply(text, operation, (self.number(node.operand),))
        if isinstance(node, ast.BinOp) and operation in ARITHMETIC:
            return Apply(text, operation, (self.number(node.left), self.number(node.right)))
        if isinstance(node, ast.Call) and _function(node) == "abs":
            return Apply(text, "abs", (self.number(self._argument(node)),))
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
            todo = nearest(name, ("abs", *CHECKS))
            return self.error(node, f"there is no function {name or 'of this kind'}", todo)
        return self.error(node, "a number belongs here")

    def _finite(self, node: ast.Constant) -> float:
        try:
            value = float(node.value)  # type: ignore[arg-type]
        except OverflowError:
            value = math.inf
        if math.isinf(value):
            todo = "inf(elbo) says that a number is infinite"
            raise self.error(node, "this number is too large", todo)
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
            todo = 'parameters are params["name"], sites are sites["name"].log_p'
            raise self.error(node, "only `params`, `sites` and `loss` have parts", todo)
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
        todo = f'a parameter is params["{name}"]; {nearest(name, STEP_FIELDS)}'
        return self.error(node, f"there is no number {name}", todo)

    def _source(self, node: ast.expr) -> str:
        return ast.get_source_segment(self._text, node) or ""

    def _place(self, node: ast.expr) -> int:
        before = self._text.encode("utf-8", "replace")[: node.col_offset]
        return len(before.decode("utf-8", "replace"))


def _function(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else ""
