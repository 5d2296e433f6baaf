"""Single numbers of the newest step, before its columns are made.

A condition is asked after each step and reads a few numbers; making all columns of a single step
costs more than a tenth of a small one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tui_elbo.engine.record.numbers import Kept, numbers_of
from tui_elbo.engine.record.params import constrained
from tui_elbo.model.records import Column

if TYPE_CHECKING:
    from tui_elbo.engine.record.collector import Observation


class Peek:
    """Gives the number of a column that the step's layout has.

    It is what the batch will say, up to the rounding of sums of many terms.

    Args:
        seen: the step.
    """

    def __init__(self, seen: Observation) -> None:
        self._seen, self._terms, self._plan = seen, seen.terms.plan, seen.params.plan
        self._loss = math.nan if seen.loss is None else seen.loss

    def __call__(self, column: Column) -> float:
        """The column's number at this step."""
        if column.kind == "site":
            return self._site(column)
        if column.kind in ("param", "module"):
            return self._param(column)
        if column.field == "loss":
            return self._loss
        if column.field == "seconds":
            return self._seen.seconds
        if column.field.startswith("loss["):
            return self._seen.parts[int(column.field[5:-1])]
        return self._term(column.field)

    def _site(self, column: Column) -> float:
        row, places = self._seen.terms.row, self._terms.terms[column]
        return sum(_single(row[i]) for i in places) / self._terms.particles

    def _term(self, field: str) -> float:
        if self._terms.log_p_by_loss and field == "elbo":
            return -self._loss
        if field == "elbo":
            return self._sum("log_p") - self._sum("log_q")
        if self._terms.log_p_by_loss and field == "log_p":
            return self._sum("log_q") - self._loss
        return self._sum(field)

    def _sum(self, term: str) -> float:
        return sum((self._site(c) for c in self._terms.terms if c.field == term), 0.0)

    def _param(self, column: Column) -> float:
        place = self._plan.places.get(column)
        if place is not None:
            return _single(self._seen.params.sums[place])
        at, field = self._plan.order[column.name], column.field
        if field == "grad_norm":
            return _norm(self._seen.params.grads[sum(self._plan.has_grad[:at])])
        after = numbers_of(self._seen.params.after[at])
        if field == "update_norm":
            before = numbers_of(self._seen.params.before[at])
            return _norm([new - old for new, old in zip(after, before, strict=True)])
        values = constrained(self._plan.small[at], np.array([after]))
        return float(values[0, int(field[len("value[") : -1])])


def _single(number: Kept) -> float:
    return numbers_of(number)[0]


def _norm(elements: Kept) -> float:
    return math.sqrt(sum(x * x for x in numbers_of(elements)))
