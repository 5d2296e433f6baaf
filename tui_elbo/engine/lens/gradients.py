"""Which way each parameter is pulled by E_q[log p] and by E_q[log q], and how clearly.

The gradients are taken through the draws (reparameterised), at the lens's fixed noise; no `.grad`
is touched. Where a guide's draws let no gradient through, its parameters have none.

References:
    Kingma, Welling (2014), Auto-Encoding Variational Bayes, eq. 6.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tui_elbo.engine.compat.torch import has_backward_hooks
from tui_elbo.engine.lens import Lens, isolated
from tui_elbo.engine.lens.draws import Traces, seed_draw
from tui_elbo.engine.lens.isolation import leaves
from tui_elbo.engine.record.numbers import table
from tui_elbo.model.records import Floats, Role

BLOCKS = 16
"""Draws are differentiated in so many blocks, from which the noise of one draw is estimated."""


ROUNDING = 1e-5
"""Noise below this share of a gradient is that of single precision."""


@dataclass(frozen=True)
class TermGradient:
    """The gradient of one expectation with respect to one unconstrained parameter."""

    norm: float
    """Euclidean norm of the mean gradient: nats a unit."""
    snr: float
    """The norm, less what noise adds to it, over the standard deviation of one draw's gradient;
    infinite where there is no noise, 0 where there is nothing else."""


@dataclass(frozen=True)
class ParamGradients:
    """What pulls at one parameter."""

    log_p: TermGradient | None
    log_q: TermGradient | None
    elbo: TermGradient | None
    reason: str = ""
    """Why there are none, in words; empty when there are."""


def param_gradients(lens: Lens, roles: dict[str, Role]) -> dict[str, ParamGradients]:
    """The gradients at the present parameters.

    Args:
        lens: settled by an earlier look.
        roles: who reads each parameter.
    """
    lens.prepare()
    params = {n: p for n, p in leaves(lens.scenario.own).items() if p.requires_grad}
    absent = {name: _absent(lens, roles.get(name, "none"), leaf) for name, leaf in params.items()}
    wanted = {name: leaf for name, leaf in params.items() if not absent[name]}
    found = {name: ParamGradients(None, None, None, absent[name]) for name in params}
    if not wanted:
        return found
    sums = _Sums([leaf.numel() for leaf in wanted.values()])
    with isolated(), torch.enable_grad():
        for traces in _traces(lens):
            for size, gradients in _blocks(traces, list(wanted.values())):
                sums.add(size, gradients)
    for index, name in enumerate(wanted):
        log_p, log_q, elbo = (sums.pull(term, index) for term in range(3))
        found[name] = ParamGradients(log_p, log_q, elbo)
    return found


class _Sums:
    """Adds up the gradients of blocks of draws; of each block no more is kept than a norm."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self._edges = np.cumsum([0, *sizes])
        self._blocks, self._draws = 0, 0
        self._sum = np.zeros((3, self._edges[-1]))
        self._squares = np.zeros((3, len(sizes)))

    def add(self, size: int, gradients: Floats) -> None:
        """Take in a block of so many draws: mean gradients of log p and log q, (2, elements)."""
        three = np.concatenate([gradients, gradients[:1] - gradients[1:]])
        self._blocks, self._draws = self._blocks + 1, self._draws + size
        self._sum += size * three
        self._squares += size * np.add.reduceat(np.square(three), self._edges[:-1], axis=1)

    def pull(self, term: int, index: int) -> TermGradient:
        """That of log p, log q or the ELBO at one parameter."""
        total = self._sum[term, self._edges[index] : self._edges[index + 1]]
        mean = total / self._draws
        square = float(mean @ mean)
        norm = math.sqrt(square)
        if self._blocks < 2:
            return TermGradient(norm, math.nan)
        # A block's mean scatters by the variance of a draw over the block's size.
        scatter = float(self._squares[term, index]) - self._draws * square
        variance = max(scatter, 0.0) / (self._blocks - 1)
        if variance <= ROUNDING**2 * square:
            return TermGradient(norm, math.inf if square > 0 else 0.0)
        signal = max(square - variance / self._draws, 0.0)
        return TermGradient(norm, math.sqrt(signal / variance))


def _absent(lens: Lens, role: Role, leaf: Tensor) -> str:
    if not leaf.numel():
        return "it has no element"
    if leaf.is_complex():
        return "it is complex"
    if has_backward_hooks(leaf):
        return "a hook of the script listens to its gradient, and hears only of steps"
    if lens.kind.enumerated:
        return "discrete sites are enumerated"
    if lens.kind.fixed and role != "model":
        return f'no gradient goes through the draws of site "{lens.kind.fixed[0]}"'
    return "read by neither model nor guide" if role == "none" else ""


def _traces(lens: Lens) -> Iterator[Traces]:
    for group in lens.groups:
        if not lens.looped:
            yield lens.strategy.many(group.args, group.draws, group.seed)
            continue
        for draw in range(group.first, group.first + group.draws):
            seed_draw(lens.groups[0].seed + draw)
            yield lens.strategy.one(group.args)


def _blocks(traces: Traces, leaves: Sequence[Tensor]) -> Iterator[tuple[int, Floats]]:
    """The size of each block, and the mean gradients of log p and log q, (2, elements)."""
    zero = torch.zeros(traces.draws, dtype=torch.float64)
    sums = {"log_p": zero, "log_q": zero}
    for part, row in traces.parts().items():
        sums[part.field] = sums[part.field] + row
    splits = [value.tensor_split(min(BLOCKS, traces.draws)) for value in sums.values()]
    for pair in zip(*splits, strict=True):
        yield len(pair[0]), np.array([_gradient(term.mean(), leaves) for term in pair])


def _gradient(value: Tensor, leaves: Sequence[Tensor]) -> Floats:
    if not value.requires_grad:
        return np.zeros(sum(leaf.numel() for leaf in leaves))
    found = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
    pairs = zip(found, leaves, strict=True)
    row: Floats = table([[torch.zeros_like(p) if g is None else g for g, p in pairs]])[0]
    return row
