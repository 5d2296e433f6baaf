"""The sums taken of a large parameter, or of all parameters of a module together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tui_elbo.engine.compat.torch import foreach_norm
from tui_elbo.engine.record.numbers import Kept, dense, joined, kept, real
from tui_elbo.engine.record.roles import Tracked
from tui_elbo.model.records import Column


@dataclass(eq=False)
class Group:
    """Parameters whose elements are summed up together."""

    kind: Literal["param", "module"]
    name: str
    params: list[Tracked]
    """At least one."""

    def column(self, field: str) -> Column:
        """The column of one of its sums."""
        return Column(self.kind, self.name, field)

    def before(self) -> Before:
        """What has to be known before the update."""
        leaves = [real(param.tensor) for param in self.params]
        grads = [real(dense(p.tensor.grad)) for p in self.params if p.tensor.grad is not None]
        with torch.no_grad():
            values = leaves[0].clone() if len(leaves) == 1 else joined(leaves)
            return Before(values, _norm(grads) if grads else None)

    def sums(self, before: Before) -> list[Kept]:
        """The columns of `SUMMED`, after the update."""
        with torch.no_grad():
            if len(self.params) == 1:
                now = real(self.params[0].tensor.detach())
                values = real(self.params[0].constrained())
            else:
                now = joined([real(param.tensor.detach()) for param in self.params])
                values = now
                if any(param.to_constrained is not None for param in self.params):
                    values = joined([real(param.constrained()) for param in self.params])
            update = torch.linalg.vector_norm(now - before.values)
            grad = torch.nan if before.grad_norm is None else before.grad_norm
            return [*_summary(values), grad, kept(update)]


@dataclass(eq=False)
class Before:
    """A group before its update."""

    values: Tensor
    """A copy of the unconstrained elements."""
    grad_norm: Kept | None
    """None if no gradient has reached it."""


def _norm(tensors: list[Tensor]) -> Kept:
    """The Euclidean norm of all elements together."""
    if len(tensors) == 1:
        return kept(torch.linalg.vector_norm(tensors[0]))
    return kept(torch.linalg.vector_norm(joined(foreach_norm(tensors))))


def _summary(values: Tensor) -> list[Kept]:
    """Mean, standard deviation with n - 1, minimum and maximum."""
    if values.numel() == 0:
        return [torch.nan] * 4
    low, high = torch.aminmax(values)
    if values.numel() == 1:
        return [kept(low), torch.nan, kept(low), kept(low)]
    sd, mean = torch.std_mean(values)
    return [kept(mean), kept(sd), kept(low), kept(high)]
