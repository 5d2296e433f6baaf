"""One definition a column: a formula over consecutive steps, for a batch and for a single step.

The plan of a step's terms and that of its parameters define their columns, `Observation` the
rest; `Steps` evaluates them. A condition that is asked after each step reads a few columns of one
step, so a column and the tables that it reads are made when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from tui_elbo.engine.record.numbers import kept_table, numbers_table
from tui_elbo.model.records import Column, Floats, UnknownColumnError

if TYPE_CHECKING:
    from tui_elbo.engine.record.params import StepParams
    from tui_elbo.engine.record.roles import Tracked
    from tui_elbo.engine.record.terms import StepTerms

Formula: TypeAlias = "Callable[[Steps], Floats]"
"""Gives a column of consecutive steps; shape (steps,)."""

Formulas: TypeAlias = dict[Column, Formula]


@dataclass(eq=False, slots=True)
class Observation:
    """One step as it was seen: numbers that are not columns yet."""

    step: int
    loss: float | Tensor | None
    """None where the estimator reports none."""
    parts: tuple[float, ...]
    """Of a loss that is a sum; empty otherwise."""
    seconds: float
    watching: float
    """Seconds that it took to read the step, after it."""
    terms: StepTerms
    params: StepParams
    reading: float = 0.0
    """Seconds of the step itself that went into reading it."""
    eval_loss: float | Tensor | None = None
    """Mean over the evaluations since the step before that no update followed; None without."""

    @property
    def key(self) -> tuple[object, ...]:
        """Steps of equal keys have the same columns."""
        without = self.loss is None, self.eval_loss is None
        return (self.terms.plan, self.params.plan, len(self.parts), *without)

    def formulas(self) -> Formulas:
        """Every column of such a step, in the order of its layout."""
        own: Formulas = {} if self.loss is None else {Column("step", "", "loss"): _loss}
        own[Column("step", "", "seconds")] = _seconds
        for index in range(len(self.parts)):
            own[Column("step", "", f"loss[{index}]")] = _part(index)
        if self.eval_loss is not None:
            own[Column("step", "", "eval_loss")] = _eval_loss
        return own | self.terms.plan.formulas() | self.params.plan.formulas()


class Steps:
    """Consecutive steps with the same columns.

    Args:
        seen: the steps, at least one.
        formulas: their columns.
    """

    def __init__(self, seen: Sequence[Observation], formulas: Formulas) -> None:
        self._seen, self._formulas = seen, formulas
        self._columns: dict[Column, Floats] = {}
        self._values: dict[int, Floats] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def column(self, column: Column) -> Floats:
        """A column; shape (steps,).

        Raises:
            UnknownColumnError: if the steps have no such column.
        """
        values = self._columns.get(column)
        if values is None:
            formula = self._formulas.get(column)
            if formula is None:
                raise UnknownColumnError(column)
            self._columns[column] = values = formula(self)
        return values

    def first(self, column: Column) -> float:
        """The number of a column at the first step, which may be the only one."""
        return float(self.column(column)[0])

    @cached_property
    def loss(self) -> Floats:
        """What the steps returned; NaN where the estimator reports none."""
        return numbers_table([np.nan if one.loss is None else one.loss for one in self._seen])

    @cached_property
    def eval_loss(self) -> Floats:
        """The mean loss of evaluations that no update followed."""
        found = [one.eval_loss for one in self._seen]
        return numbers_table([np.nan if one is None else one for one in found])

    @cached_property
    def seconds(self) -> Floats:
        """What the steps took."""
        return np.array([one.seconds for one in self._seen])

    def loss_part(self, index: int) -> Floats:
        """One part of a loss that is a sum."""
        return np.array([one.parts[index] for one in self._seen])

    @cached_property
    def terms(self) -> Floats:
        """The log probabilities read off the traces; shape (steps, numbers of the plan)."""
        return kept_table([one.terms.row for one in self._seen])

    @cached_property
    def after(self) -> Floats:
        """The unconstrained small parameters, after the update; shape (steps, elements)."""
        return kept_table([one.params.after for one in self._seen])

    @cached_property
    def before(self) -> Floats:
        """The same before it."""
        params = [one.params for one in self._seen]
        if all(step.before is last.after for last, step in pairwise(params)):
            return np.vstack([kept_table([params[0].before]), self.after[:-1]])
        return kept_table([step.before for step in params])

    @cached_property
    def grads(self) -> Floats:
        """The gradients of those small parameters that have one; shape (steps, elements)."""
        return kept_table([one.params.grads for one in self._seen])

    @cached_property
    def sums(self) -> Floats:
        """The sums taken of groups of parameters; shape (steps, sums)."""
        return kept_table([one.params.sums for one in self._seen])

    def constrained(self, param: Tracked, start: int, end: int) -> Floats:
        """The constrained elements of a small parameter that is at `after[:, start:end]`."""
        values = self._values.get(start)
        if values is None:
            self._values[start] = values = _constrained(param, self.after[:, start:end])
        return values


def _loss(steps: Steps) -> Floats:
    return steps.loss


def _seconds(steps: Steps) -> Floats:
    return steps.seconds


def _eval_loss(steps: Steps) -> Floats:
    return steps.eval_loss


def _part(index: int) -> Formula:
    return lambda steps: steps.loss_part(index)


def _constrained(param: Tracked, values: Floats) -> Floats:
    """The constrained elements for each row of unconstrained ones.

    Each row by itself: a tensor of several is rounded otherwise than the one that the model reads.
    """
    if param.to_constrained is None:
        return values
    leaf = param.tensor
    rows = torch.tensor(values, dtype=leaf.dtype, device=leaf.device)
    with torch.no_grad():
        steps = rows.reshape(-1, *leaf.shape).unbind(0)
        found = torch.stack([param.to_constrained(step) for step in steps])
    numbers: Floats = found.reshape(len(values), -1).to("cpu", torch.float64).numpy()
    return numbers


K = TypeVar("K")
V = TypeVar("V")

MOST = 256
"""So many things are remembered; a run that alternates among fewer works each out once."""


def put_bounded(known: dict[K, V], key: K, value: V) -> None:
    """Add what is known; everything is forgotten first when it is too much."""
    if len(known) >= MOST:
        known.clear()
    known[key] = value
