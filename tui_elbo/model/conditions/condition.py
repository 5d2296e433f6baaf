"""A condition that has been parsed, and what it can be asked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tui_elbo.model.conditions.expressions import Compare, Constant, Read, Scope, Truth
from tui_elbo.model.conditions.parser import (
    EXAMPLES,
    MAX_LENGTH,
    ConditionError,
    Reader,
    is_number,
    tree_of,
)
from tui_elbo.model.conditions.quantities import LARGEST, Found, Quantity, Values
from tui_elbo.model.history import History
from tui_elbo.model.records import Batch, Column, Layout

Numbers: TypeAlias = Callable[[Column], float]
"""Gives one step's number of a column that its layout has."""

Bools: TypeAlias = npt.NDArray[np.bool_]

LAYOUTS = 64
"""So many layouts are remembered, each with where the condition's quantities are in it."""


class Condition:
    """A condition, made by `parse`.

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
        self._known: dict[int, tuple[Layout, dict[Quantity, Found | None]]] = {}

    @property
    def reads_params(self) -> bool:
        """Whether it reads parameters; their sums are then wanted at every step."""
        return any(q.kind == "param" or q.field in LARGEST for q in self._reads)

    @property
    def params(self) -> frozenset[str]:
        """The names of the parameters that it reads."""
        return frozenset(q.name for q in self._reads if q.kind == "param")

    def check(self, *layouts: Layout) -> None:
        """See that each of its names is found in one of the layouts.

        Columns are known from the first step on; before it, any name may turn out to be right. So
        may that of a parameter beyond the budget of columns, once it is watched.

        Raises:
            ConditionError: with the names that are nearest.
        """
        for quantity, at in self._reads.items():
            if any(quantity.unwatched(layout) for layout in layouts):
                continue
            if layouts and all(self._places(layout)[quantity] is None for layout in layouts):
                what, todo = quantity.problem(layouts[-1])
                raise ConditionError(what, todo, self.text, at)

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
            return bool(self._truth.judge(self._at(layout, step, numbers))[0])

    def describe(self, layout: Layout, step: int, numbers: Numbers) -> str:
        """What made it hold at one step, such as `elbo = -1.19 > -1.2`."""
        if self.step is not None:
            return f"step {step}"
        with np.errstate(all="ignore"):
            return self._truth.tell(self._at(layout, step, numbers))

    def _at(self, layout: Layout, step: int, numbers: Numbers) -> Scope:
        # float64 and not float: it divides by zero as an array does.
        return self._scope(layout, np.float64(step), lambda column: np.float64(numbers(column)))

    def _evaluate(self, layout: Layout, steps: Values, get: Callable[[Column], Values]) -> Bools:
        with np.errstate(all="ignore"):
            yes, _ = self._truth.judge(self._scope(layout, steps, get))
        return np.array(np.broadcast_to(yes, np.shape(steps)), dtype=np.bool_)

    def _scope(self, layout: Layout, steps: Values, get: Callable[[Column], Values]) -> Scope:
        places = self._places(layout)

        def read(quantity: Quantity) -> Values | None:
            found = places[quantity]
            if found is None:
                return None
            return found.reduce([get(column) for column in found.columns], steps)

        return read

    def _places(self, layout: Layout) -> dict[Quantity, Found | None]:
        known = self._known.get(id(layout))
        if known is None:
            if len(self._known) >= LAYOUTS:
                self._known.clear()
            # The layout is kept with it, so that no other comes to have the same id.
            known = (layout, {quantity: quantity.find(layout) for quantity in self._reads})
            self._known[id(layout)] = known
        return known[1]


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        ConditionError: if it is none; with where, and what would do.
    """
    text = re.sub(r"\s", " ", text).strip()
    if not text:
        raise ConditionError("there is no condition", f"write {EXAMPLES}", text, 0)
    if len(text) > MAX_LENGTH:
        what = f"a condition has at most {MAX_LENGTH} characters, and this has {len(text)}"
        raise ConditionError(what, "say it more simply", text[:20] + "…", 0)
    tree, reader = tree_of(text), Reader(text)
    if is_number(tree):
        number = reader.number(tree)
        step = float(number.get(lambda _: None) or 0.0)
        if step < 1 or not step.is_integer():
            raise reader.error(tree, "a step is a whole number, at least 1")
        quantity = Quantity("step", "", "step")
        same = Compare((Read("step", quantity), Constant(text, step)), ("Eq",))
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
