"""How far the guide is from the posterior, from importance weights of its draws.

References:
    Burda, Grosse, Salakhutdinov (2016), Importance Weighted Autoencoders, eq. 8.
    Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto Smoothed Importance Sampling.
    Yao, Vehtari, Simpson, Gelman (2018), Yes, but Did It Work?
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import cache

import numpy as np

from tui_elbo.engine.lens import Lens, State
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.lens.subject import Subject
from tui_elbo.model.bound import EXACT, ImportanceBound, no_bound
from tui_elbo.model.records import Floats

DRAWS = 2000

WIDTH = 2.58
"""Standard errors to each side of k̂: 99 % of a normal's, and 95 % of k̂'s, which is skewed."""


def importance_bound(
    scenario: Subject,
    state: State | None = None,
    *,
    draws: int = DRAWS,
    seed: int = SEED,
    report: Callable[[int, int], None] | None = None,
) -> ImportanceBound:
    """DrawPosterior from the guide and weigh the draws.

    Args:
        scenario: set up by a first step.
        state: unconstrained parameter values; None: the present ones.
        draws: how many, where they can be taken all at once.
        seed: of the draws.
        report: called with how many draws are done of how many.
    """
    lens = Lens(scenario, draws, seed)
    if report is not None:
        lens.report = report
    reading = lens.see(state).reading
    if not lens.alike:
        return no_bound(reading.draws, "a draw sees a part of the data (full_batch() gives all)")
    if lens.kind.points:
        site = lens.kind.points[0]
        return no_bound(reading.draws, f'the guide of "{site}" is a point, without a density')
    if lens.kind.unseen:
        return no_bound(reading.draws, lens.kind.unseen)
    return bound(reading.units[2])


def bound(log_weights: Floats) -> ImportanceBound:
    """What these weights say.

    Args:
        log_weights: log p − log q of independent draws; shape (draws,). −inf is a weight of 0.
    """
    draws = len(log_weights)
    if draws < 25:
        return no_bound(draws, "too few draws")
    if not np.isfinite(log_weights[log_weights != -np.inf]).all() or log_weights.max() == -np.inf:
        return no_bound(draws, "a draw has no finite weight")
    top = log_weights.max()
    weights = np.exp(log_weights - top)
    finite = bool(np.isfinite(log_weights).all())
    spread = float(log_weights.std(ddof=1)) if finite else math.inf
    khat, error = (math.nan, math.nan) if spread < EXACT else _khat(log_weights)
    return ImportanceBound(
        draws=draws,
        elbo=float(log_weights.mean()),
        elbo_error=spread / math.sqrt(draws),
        spread=spread,
        value=float(top + np.log(weights.mean())),
        error=float(weights.std(ddof=1) / weights.mean()) / math.sqrt(draws),
        khat=khat,
        khat_low=khat - WIDTH * error,
        khat_high=khat + WIDTH * error,
        limit=min(0.7, 1 - 1 / math.log10(draws)),
    )


@cache
def prepare() -> None:
    """Import what weighing takes, so that copies of this process need not, each by itself."""
    _khat(np.linspace(0.0, 1.0, 100))


def _khat(log_weights: Floats) -> tuple[float, float]:
    """k̂ and its standard error, that of a Pareto tail's shape (1 + k)/√n in large samples."""
    from arviz_stats.base import array_stats  # noqa: PLC0415 - scipy takes its time

    draws = len(log_weights)
    least = log_weights[np.isfinite(log_weights)].min()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # It expects the log of one over the weight, as leave-one-out needs it.
        _, khat = array_stats.psislw(-np.maximum(log_weights, least - 100.0))
    tail = min(0.2 * draws, 3 * math.sqrt(draws))
    return float(khat), (1 + max(float(khat), 0.0)) / math.sqrt(tail)
