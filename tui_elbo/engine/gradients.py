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
import pyro
import torch
from torch import Tensor

from tui_elbo.engine.lens import Lens, untouched
from tui_elbo.engine.lens.draws import Traces
from tui_elbo.engine.numbers import table
from tui_elbo.records import Floats, Role

BLOCKS = 16
"""Draws are differentiated in so many blocks, from which the noise of one draw is told."""


ROUNDING = 1e-5
"""Noise below this share of a gradient is that of single precision."""


@dataclass(frozen=True)
class Pull:
    """The gradient of one expectation with respect to one unconstrained parameter."""

    norm: float
    """Euclidean norm of the mean gradient: nats a unit."""
    snr: float
    """The norm, less what noise adds to it, over the standard deviation of one draw's gradient;
    infinite where there is no noise, 0 where there is nothing else."""


@dataclass(frozen=True)
class Pulls:
    """What pulls at one parameter."""

    log_p: Pull | None
    log_q: Pull | None
    elbo: Pull | None
    reason: str = ""
    """Why there are none, in words; empty when there are."""


def pulls(lens: Lens, roles: dict[str, Role]) -> dict[str, Pulls]:
    """The gradients at the present parameters.

    Args:
        lens: which has looked already.
        roles: who reads each parameter.
    """
    leaves = {n: p for n, p in pyro.get_param_store().named_parameters() if p.requires_grad}
    absent = {name: _absent(lens, roles.get(name, "none")) for name in leaves}
    wanted = {name: leaf for name, leaf in leaves.items() if not absent[name]}
    found = {name: Pulls(None, None, None, absent[name]) for name in leaves}
    if not wanted:
        return found
    with untouched(), torch.enable_grad():
        blocks = [_blocks(traces, list(wanted.values())) for traces in _traces(lens)]
    sizes = np.concatenate([size for size, _ in blocks])
    gradients = np.concatenate([rows for _, rows in blocks])
    start = 0
    for name, leaf in wanted.items():
        own = gradients[:, :, start : start + leaf.numel()]
        start += leaf.numel()
        log_p, log_q = own[:, 0], own[:, 1]
        found[name] = Pulls(
            log_p=_pull(log_p, sizes), log_q=_pull(log_q, sizes), elbo=_pull(log_p - log_q, sizes)
        )
    return found


def _absent(lens: Lens, role: Role) -> str:
    if lens.kind.enumerated:
        return "discrete sites are enumerated"
    if lens.kind.fixed and role != "model":
        return f'no gradient goes through the draws of site "{lens.kind.fixed[0]}"'
    return "read by neither model nor guide" if role == "none" else ""


def _traces(lens: Lens) -> Iterator[Traces]:
    for group in lens.groups:
        if not lens.looped:
            yield lens.way.many(group.args, group.draws, group.seed)
            continue
        for draw in range(group.first, group.first + group.draws):
            pyro.set_rng_seed(lens.groups[0].seed + draw)
            yield lens.way.one(group.args)


def _blocks(traces: Traces, leaves: Sequence[Tensor]) -> tuple[Floats, Floats]:
    """Sizes (blocks,), and mean gradients of log p and log q, (blocks, 2, elements)."""
    zero = torch.zeros(traces.draws, dtype=torch.float64)
    sums = {"log_p": zero, "log_q": zero}
    for part, row in traces.parts().items():
        sums[part.field] = sums[part.field] + row
    splits = [value.tensor_split(min(BLOCKS, traces.draws)) for value in sums.values()]
    rows = [[_gradient(term.mean(), leaves) for term in pair] for pair in zip(*splits, strict=True)]
    sizes = np.array([len(part) for part in splits[0]], dtype=np.float64)
    return sizes, np.array(rows)


def _gradient(value: Tensor, leaves: Sequence[Tensor]) -> Floats:
    if not value.requires_grad:
        return np.zeros(sum(leaf.numel() for leaf in leaves))
    found = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
    pairs = zip(found, leaves, strict=True)
    row: Floats = table([[torch.zeros_like(p) if g is None else g for g, p in pairs]])[0]
    return row


def _pull(gradients: Floats, sizes: Floats) -> Pull:
    """From the mean gradients of blocks of draws, (blocks, elements)."""
    draws, blocks = sizes.sum(), len(sizes)
    mean = sizes @ gradients / draws
    square = float(mean @ mean)
    if blocks < 2:
        return Pull(math.sqrt(square), math.nan)
    # A block's mean scatters by the variance of a draw over the block's size.
    variance = float((sizes @ np.square(gradients - mean)).sum() / (blocks - 1))
    signal = max(square - variance / draws, 0.0)
    if variance <= ROUNDING**2 * square:
        return Pull(math.sqrt(square), math.inf if square > 0 else 0.0)
    snr = math.sqrt(signal / variance)
    return Pull(math.sqrt(square), snr)
