"""The posterior near the guide, where weights of the guide's own draws say nothing.

Draws of a normal at the peak of log p(x, z) are weighed instead (Laplace's approximation, corrected
by importance weights), and the guide is held against what comes of them.

References:
    Tierney, Kadane (1986), Accurate Approximations for Posterior Moments and Marginal Densities.
    Vehtari, Simpson, Gelman, Yao, Gabry (2024), Pareto Smoothed Importance Sampling.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import torch
from pyro import distributions as dist
from pyro import poutine
from pyro.distributions import ExpandedDistribution, Independent, MaskedDistribution
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import (
    AutoDiagonalNormal,
    AutoGuide,
    AutoLaplaceApproximation,
    AutoMultivariateNormal,
    AutoNormal,
    init_to_value,
)
from pyro.ops.hessian import hessian
from torch import Tensor
from torch.distributions import constraints

from tui_elbo.engine.checks.weighing import (
    LEAST_EFFECTIVE,
    Weighed,
    columns_of,
    pairs_of,
    spread_of,
    supports_of,
)
from tui_elbo.engine.lens import Lens, isolated
from tui_elbo.engine.lens.importance_weights import bound
from tui_elbo.model.records import Floats

MOST_ELEMENTS = 32
"""Of all latents together: the curvature takes a gradient for each, at each step to the peak."""

ITERATIONS = 40
"""Of Newton's method."""

FLAT = 1e-2
"""Nats that another of its steps would gain, at the peak."""

ONE_BY_ONE = (dist.Normal, dist.LogNormal, dist.Gamma, dist.Beta)
"""Distributions that draw each element by itself."""

SECONDS = 1.5
"""Of the processor, to find the peak; and for the draws."""

DRAWS = 2000
"""Where they are taken all at once."""

LINES = (
    constraints.real,
    constraints.positive,
    constraints.nonnegative,
    constraints.unit_interval,
)
"""Supports on which Pyro's unconstrained numbers are those of `columns_of`."""

ELBO = 2
"""The row of every reading that holds log p - log q."""


class Place(msgspec.Struct, frozen=True):
    """Where an element of a latent is under the guide, and where near the peak."""

    site: str
    index: int
    guide: float
    """Mean under the guide."""
    mean: float
    """And in the posterior near the peak."""
    sd: float
    """There."""
    alone: float
    """The standard deviation there, where all other elements are held."""
    own: float
    """That under the guide."""


class Peak(msgspec.Struct, frozen=True):
    """The posterior near the peak of log p(x, z) beside the guide."""

    weighed: Weighed
    """Of draws of a normal at the peak; its ELBO is the guide's."""
    places: tuple[Place, ...]
    """As unconstrained numbers, where a latent is positive or a share."""
    real: tuple[str, ...]
    """The sites that are unconstrained as they are."""
    independent: bool
    """Whether the guide draws its latents independently, whatever its parameters."""


@dataclass(frozen=True)
class _WithGuide:
    """The scenario with another guide."""

    model: Callable[..., Any]
    guide: Callable[..., Any]
    loss: Any
    batch: Callable[[int], Any]
    full_batch: Callable[[], Any] | None
    steps: int
    own: Mapping[str, Tensor]


class _PointOfPeak(AutoLaplaceApproximation):  # type: ignore[misc]
    """Its class names its parameter, which is not to meet one of the person's."""


class _NormalAtPeak(AutoMultivariateNormal):  # type: ignore[misc]
    """Likewise."""


def peak(lens: Lens) -> Peak | None:
    """Look at the posterior near the guide; None where that says nothing.

    Args:
        lens: settled; its scenario is drawn from anew.
    """
    kind = lens.kind
    if not lens.alike or not kind.latents or kind.points or kind.fixed or kind.unseen:
        return None
    if kind.enumerated:
        return None
    fresh = Lens(lens.scenario, DRAWS, settled=lens.settled)
    reading, latents = fresh.see_draws()
    size = sum(draws.shape[1] for draws in latents.values())
    if set(latents) != set(kind.latents) or not 0 < size <= MOST_ELEMENTS:
        return None
    args = lens.groups[0].args
    with isolated():
        point = _started(lens, args)
        curvature = _climb(point, lens.scenario.model, args)
        if curvature is None:
            return None
        normal = _normal(lens.scenario.model, point, curvature, args)
        return _beside(lens, normal, curvature, reading.reading.units[ELBO], latents)


def _started(lens: Lens, args: tuple[Any, ...]) -> _PointOfPeak:
    """A point at a draw of the guide."""
    with torch.no_grad():
        nodes = lens.strategy.one(args).model.nodes
        values = {name: nodes[name]["value"].detach().clone() for name in lens.kind.latents}
        point = _PointOfPeak(lens.scenario.model, init_loc_fn=init_to_value(values=values))
        point(*args)
    return point


def _climb(point: _PointOfPeak, model: Callable[..., Any], args: tuple[Any, ...]) -> Tensor | None:
    """Go to the peak by Newton's method; minus the curvature there, None if none is found."""
    began, leaf = time.process_time(), point.loc

    def loss() -> Tensor:
        guide = poutine.trace(point).get_trace(*args)
        trace = poutine.trace(poutine.replay(model, trace=guide)).get_trace(*args)
        found: Tensor = guide.log_prob_sum() - trace.log_prob_sum()
        return found

    def tried(place: Tensor) -> float:
        with torch.no_grad():
            leaf.copy_(place)
            try:
                return float(loss())
            except (ValueError, RuntimeError):
                return math.inf

    value = tried(leaf.detach().clone())
    for _ in range(ITERATIONS):
        if time.process_time() - began > SECONDS or not math.isfinite(value):
            return None
        here = loss()
        slope = torch.autograd.grad(here, leaf, retain_graph=True)[0].double()
        curvature = hessian(here, leaf).detach().double()
        if not (slope.isfinite().all() and curvature.isfinite().all()):
            return None
        # In units in which each curvature is 1, so that those of the data do not matter.
        unit = curvature.diagonal().abs().clamp_min(1e-30).rsqrt()
        values, vectors = torch.linalg.eigh(unit[:, None] * curvature * unit)
        sizes = values.abs().clamp_min(1e-6)
        along = vectors.T @ (unit * slope)
        step = -unit * (vectors @ (along / sizes))
        gain = 0.5 * float((along.square() / sizes).sum())
        if gain < FLAT:
            return curvature if float(values.min()) > 1e-6 else None
        before, value = leaf.detach().clone(), math.inf
        start, factor = float(here.detach()), 1.0
        while factor > 1e-3 and not value < start:
            value, factor = tried(before + (factor * step).to(before)), factor / 2
        if not value < start:
            return None
    return None


def _normal(
    model: Callable[..., Any], point: _PointOfPeak, curvature: Tensor, args: tuple[Any, ...]
) -> AutoMultivariateNormal:
    """The normal guide of that curvature; without parameters."""
    covariance = torch.linalg.inv(curvature)
    sd = covariance.diagonal().sqrt()
    tril = torch.linalg.cholesky(covariance / sd[:, None] / sd)
    normal = _NormalAtPeak(model)
    with torch.no_grad():
        normal(*args)
    loc = point.loc.detach().clone()
    for name, value in (("loc", loc), ("scale", sd.to(loc)), ("scale_tril", tril.to(loc))):
        delattr(normal, name)
        normal.register_buffer(name, value)
    return normal


def _beside(
    lens: Lens,
    normal: AutoMultivariateNormal,
    curvature: Tensor,
    elbo: Floats,
    latents: dict[str, Floats],
) -> Peak | None:
    """Weigh the normal's draws, and hold the guide's against them."""
    scenario, supports = lens.scenario, supports_of(lens)
    if not all(_base(supports[name]) in LINES for name in latents):
        return None
    other = _WithGuide(
        scenario.model,
        normal,
        Trace_ELBO(max_plate_nesting=lens.kind.nesting),
        scenario.batch,
        scenario.full_batch,
        scenario.steps,
        scenario.own,
    )
    there = Lens(other, DRAWS)
    reading, drawn = there.see_draws()
    log_weights = reading.reading.units[ELBO]
    found = bound(log_weights)
    if found.reason or not (found.exact or (found.trusted and found.khat_high < 1)):
        return None
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    if 1 / np.square(weights).sum() < LEAST_EFFECTIVE:
        return None
    columns = list(columns_of(drawn, supports, len(weights)))
    own = {(site, at): draws for site, at, draws in columns_of(latents, supports, len(elbo))}
    if len(columns) != len(curvature) or any((site, at) not in own for site, at, _ in columns):
        return None  # An element that does not vary.
    alone = curvature.diagonal().rsqrt().tolist()
    under = np.array([own[site, at] for site, at, _ in columns])
    places, spreads = [], []
    for (site, at, draws), guide, held in zip(columns, under, alone, strict=True):
        sd = float(guide.std(ddof=1))
        spreads.append(spread_of(site, at, draws, weights, sd))
        mean = float(weights @ draws)
        spread = sd * spreads[-1].ratio
        places.append(Place(site, at, float(guide.mean()), mean, spread, held, sd))
    return Peak(
        Weighed(
            draws=len(weights),
            khat=found.khat,
            elbo=float(elbo.mean()),
            bound=found.value,
            error=math.hypot(found.error, float(elbo.std(ddof=1)) / math.sqrt(len(elbo))),
            spreads=tuple(spreads),
            pairs=tuple(pairs_of(columns, weights, np.atleast_2d(np.corrcoef(under)))),
        ),
        tuple(places),
        tuple(name for name in latents if _base(supports[name]) is constraints.real),
        independent=_is_independent(scenario.guide, lens.groups[0].args, lens.kind.latents),
    )


def _is_independent(guide: Any, args: tuple[Any, ...], latents: tuple[str, ...]) -> bool:
    """Whether no latent's distribution, nor one of its elements', hangs on another's draw."""
    if isinstance(guide, AutoGuide):
        return isinstance(guide, AutoNormal | AutoDiagonalNormal)
    nodes = poutine.trace(guide).get_trace(*args).nodes
    leaves = {name: nodes[name]["value"].detach().clone().requires_grad_() for name in latents}
    trace = poutine.trace(poutine.condition(guide, data=leaves)).get_trace(*args)
    trace.compute_log_prob()
    for name in latents:
        fn = trace.nodes[name]["fn"]
        while isinstance(fn, Independent | ExpandedDistribution | MaskedDistribution):
            fn = fn.base_dist
        others = [leaf for other, leaf in leaves.items() if other != name]
        term = trace.nodes[name]["log_prob"].sum()
        if type(fn) not in ONE_BY_ONE or not term.requires_grad:
            return False
        reached = torch.autograd.grad(term, others, allow_unused=True) if others else ()
        if any(one is not None for one in reached):
            return False
    return True


def _base(support: Any) -> Any:
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support
