"""The mean of a run's newest iterates, as a place to go on from.

References:
    Polyak, Juditsky (1992), Acceleration of stochastic approximation by averaging.
"""

from __future__ import annotations

import math

import pyro
import torch
from torch import Tensor

from tui_elbo.engine.lens import Lens, State
from tui_elbo.engine.verdict.iterates import Iterates
from tui_elbo.model.errors import UsageError
from tui_elbo.model.tuning import Mean
from tui_elbo.model.verdict import Estimate

LEAST_STEPS = 16
"""A shorter run, or a shorter time since a change of settings, has no mean worth going to."""


def newest_mean(iterates: Iterates, step: int) -> Mean:
    """The mean over the last quarter of the steps, counted from the last change of settings.

    Args:
        iterates: of the run.
        step: at which it stands.

    Raises:
        UsageError: if there is none.
    """
    if iterates.why_none:
        raise UsageError(f"there is no mean of the iterates: {iterates.why_none}")
    taken, begin = step - iterates.begin, iterates.begin
    if taken < LEAST_STEPS:
        since = f" since step {begin}" if begin else ""
        what = f"a mean of the iterates takes {LEAST_STEPS} steps, and there are {taken}{since}"
        hint = "iterates are counted from the last change of settings, or the last switch"
        raise UsageError(what, hint=hint if begin else "take more steps first")
    edge = begin + 3 * taken // 4
    state = iterates.mean(edge, step)
    if not state:
        raise UsageError("none of the newest iterates was kept", hint="take more steps first")
    bad = next((name for name, value in state.items() if not value.isfinite().all()), None)
    if bad is not None:
        raise UsageError(f'iterates of "{bad}" are not finite', hint="rewind to before that")
    first, last = iterates.averaged(edge, step)
    return Mean(first, last, {name: _packed(value) for name, value in state.items()})


def stand_at_mean(mean: Mean) -> None:
    """Give the parameters of the store the values of a mean; those not born yet are let be."""
    with torch.no_grad():
        for name, leaf in pyro.get_param_store().named_parameters():
            if name in mean.values:
                values = torch.frombuffer(bytearray(mean.values[name]), dtype=leaf.dtype)
                leaf.copy_(values.reshape(leaf.shape))


def gained(lens: Lens, before: State, after: State) -> Estimate:
    """The ELBO at one state less that at another, in nats, at the same draws of the lens.

    To be called in a copy of the run's process.
    """
    lens.see(after)  # The first look settles how the lens draws.
    units = lens.see(after).reading.units[2] - lens.see(before).reading.units[2]
    error = float(units.std(ddof=1)) / math.sqrt(len(units)) if len(units) > 1 else math.nan
    return Estimate(float(units.mean()), error)


def _packed(value: Tensor) -> bytes:
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
