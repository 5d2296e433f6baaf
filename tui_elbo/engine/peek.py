"""Single numbers of the newest step, before its columns are made.

A condition is asked after each step and reads a few numbers; making all columns of a single step
costs more than a tenth of a small one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tui_elbo.engine.params import ParamPlan
from tui_elbo.engine.terms import TermPlan
from tui_elbo.records import SUMMARY, Column

if TYPE_CHECKING:
    from tui_elbo.engine.collector import Observation

_SUMMED = (*SUMMARY, "grad_norm", "update_norm")


class Peek:
    """Gives the number of a column that the step's layout has.

    It is what the batch will say, up to the rounding of sums of many terms.

    Args:
        seen: the step.
        terms: how its terms become columns.
        params: how its parameters do.
    """

    def __init__(self, seen: Observation, terms: TermPlan, params: ParamPlan) -> None:
        self._seen, self._terms, self._params = seen, terms, params
        self._loss = math.nan if seen.loss is None else seen.loss
        self._small: dict[str, int] | None = None

    def __call__(self, column: Column) -> float:
        """The column's number at this step."""
        if column.kind == "site":
            return self._site(column)
        if column.kind == "param":
            return self._param(column.name, column.field)
        if column.field == "loss":
            return self._loss
        if column.field == "seconds":
            return self._seen.seconds
        if column.field.startswith("loss["):
            return self._seen.parts[int(column.field[5:-1])]
        return self._term(column.field)

    def _site(self, column: Column) -> float:
        tensors, places = self._seen.terms.tensors, self._terms.terms[column]
        return sum(tensors[i].item() for i in places) / self._terms.particles

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

    def _param(self, name: str, field: str) -> float:
        if self._small is None:
            self._small = {param.name: i for i, param in enumerate(self._params.small)}
        at = self._small.get(name)
        if at is None:
            names = [param.name for param in self._params.large]
            place = names.index(name) * len(_SUMMED) + _SUMMED.index(field)
            return self._seen.params.sums[place].item()
        if field == "grad_norm":
            return _norm(self._seen.params.grads[sum(self._params.has_grad[:at])])
        after = self._seen.params.after[at]
        if field == "update_norm":
            before = self._seen.params.before[at]
            return _norm(after.to(torch.float64) - before.to(torch.float64))
        to_constrained = self._params.small[at].to_constrained
        if to_constrained is not None:
            with torch.no_grad():
                after = to_constrained(after)
        element = after.reshape(-1)[int(field[len("value[") : -1])]
        return float(element.item())


def _norm(tensor: Tensor) -> float:
    numbers: list[float] = tensor.reshape(-1).tolist()
    return math.sqrt(sum(x * x for x in numbers))
