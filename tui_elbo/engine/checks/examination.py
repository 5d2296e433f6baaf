"""What run-time rules need the person's code for: numbers taken in a forked copy of the process.

Nothing here judges; `lens_rules` does. Every number is an expectation under the lens's fixed draws,
in nats, with its standard error from paired differences where two states are compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import numpy as np
import pyro
import torch
from pyro.distributions import TorchDistribution
from pyro.poutine.util import site_is_subsample
from torch import Tensor
from torch.distributions import constraints

from tui_elbo.engine.checks.estimates import Noises, noises
from tui_elbo.engine.checks.parameters import reached_leaves
from tui_elbo.engine.checks.peak import Peak, peak
from tui_elbo.engine.checks.trials import (
    MANY_STEPS,
    Outcome,
    Trial,
    calmed,
    fitted,
    rates_of,
    trial,
)
from tui_elbo.engine.checks.weighing import Weighed, weighed
from tui_elbo.engine.compat.pyro import is_deterministic
from tui_elbo.engine.lens import Lens, State, isolated, snapshot
from tui_elbo.engine.lens.draws import Traces
from tui_elbo.engine.lens.gradients import param_gradients
from tui_elbo.model.attribution import SUM_TERMS
from tui_elbo.model.records import Floats, Role

LOG_Q, ELBO, PRIOR = 1, 2, 4
"""The rows of every reading that hold log q, the ELBO and log p of the latents."""

DETAIL_DRAWS = 64
"""Draws from which the terms of single elements are taken."""

APART = (0.3, 3.0)
"""Distances by which equal rows are moved apart, in unconstrained space."""

NOISY, HELD = 0.3, 1.0
"""It is tried whether less noise gets further where signal over noise of one gradient is below the
first, and more steps gain fewer nats than the second."""

FURTHER = (4.0, 8.0, 16.0)
"""Distances in unconstrained space by which a positive value is taken to its edge."""


class Fit(msgspec.Struct, frozen=True):
    """How an observed site's data lie under its distribution."""

    site: str
    count: int
    """Elements of one draw."""
    z2: float
    """Mean squared standardised residual: 1 where data and distribution agree."""
    scale: float
    """Median standard deviation of the distribution."""
    scatter: float
    """Standard deviation of the data about the distribution's mean."""
    farthest: float = 0.0
    """Largest standardised residual of a normal distribution, mean over the draws; 0 of others."""


class Divergence(msgspec.Struct, frozen=True):
    """KL of a latent site's guide from its prior, by dimension."""

    site: str
    rows: int
    """Elements of its plates, over which the mean is taken."""
    kl: tuple[float, ...]
    """For each dimension of one element, mean over rows and draws: nats."""
    error: tuple[float, ...]
    params: tuple[str, ...] = ()
    """Those that the density of its prior reaches, of the guide's too where it draws by them."""


class EqualRows(msgspec.Struct, frozen=True):
    """Rows of a parameter that hold the same numbers."""

    param: str
    dim: int
    rows: tuple[int, ...]
    gain: float
    """What fitting from a start with them a little apart adds to the ELBO: nats."""
    error: float
    network: bool
    """A matrix, whose rows are the units of a layer."""


class Edge(msgspec.Struct, frozen=True):
    """A parameter that is taken to the edge of its support."""

    param: str
    value: float
    """Where it is now, constrained."""
    gains: tuple[float, ...]
    """What the ELBO gains at each of `FURTHER`, at the better sign."""
    sign: int


class Pull(msgspec.Struct, frozen=True):
    """The gradient of the ELBO at one parameter."""

    norm: float
    snr: float
    """Norm over the standard deviation of one draw's gradient."""
    reason: str = ""


class Examination(msgspec.Struct, frozen=True):
    """What was seen of one state, and of some before it."""

    step: int
    draws: int
    elbo: float
    error: float
    fits: tuple[Fit, ...]
    divergences: tuple[Divergence, ...]
    equal: tuple[EqualRows, ...]
    trial: Trial | None
    """What other learning rates come to; None where that was not tried, or cannot be."""
    edges: tuple[Edge, ...]
    pulls: dict[str, Pull]
    noise: Noises | None
    """Of the estimator's gradient."""
    calm: Outcome | None
    """Where steps by the mean of many gradients come to; None where a step's own is clear."""
    weighed: Weighed | None
    """The guide against importance weights of its draws."""
    peak: Peak | None
    """The guide against the posterior near the peak of log p, where those say nothing."""
    spreads: dict[str, float]
    """Largest standard deviation of each unconstrained latent that the guide draws."""
    divergence: tuple[float, float] | None
    """E[log q - log p] of all latents together, with its standard error: nats; None where a latent
    has no density in the guide, or none in the model."""
    notes: tuple[str, ...]
    """What could not be looked at, in words."""


class Wanted(msgspec.Struct, frozen=True):
    """What the run knows that the copy needs."""

    step: int
    gradients: bool
    """Whether to take them: where single elements are not recorded."""
    positive: Sequence[str]
    """Parameters with an edge to go to."""


def examine(
    lens: Lens,
    roles: dict[str, Role],
    wanted: Wanted,
    optimizer: Any = None,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Examination:
    """Look at the present state. To be called in a forked copy.

    Args:
        lens: how it draws.
        roles: who reads each parameter.
        wanted: what the run knows.
        optimizer: the run's own, to try other rates; None to try none.
        report: called now and then, to show that the copy is alive.
    """
    notes: list[str] = []
    see = _Seer(lens, wanted.step, report)
    now = see.units()
    parts: dict[str, Any] = {
        "fits": (),
        "divergences": (),
        "equal": (),
        "trial": None,
        "edges": (),
        "pulls": {},
        "noise": None,
        "calm": None,
        "weighed": None,
        "peak": None,
        "spreads": {},
        "divergence": None,
    }

    def look(name: str, work: Callable[[], Any]) -> None:
        try:
            parts[name] = work()
        except Exception as error:
            notes.append(f"{name}: {type(error).__name__}: {error}"[:200])

    elbo, error = _mean(now)
    details = _details(lens, notes)
    look("fits", lambda: tuple(_fits(details)))
    look("divergences", lambda: tuple(_divergences(details, lens)))
    look("equal", lambda: tuple(_equal_rows(see)))
    if optimizer is not None:
        look("trial", lambda: trial(lens, optimizer, wanted.step, report))
    look("edges", lambda: tuple(_edges(see, now, wanted)))
    if wanted.gradients:
        look("pulls", lambda: _pulls(lens, roles))
    look("divergence", lambda: _divergence(lens))
    look("spreads", lambda: dict(_spreads(details)))
    look("weighed", lambda: weighed(lens))
    if parts["weighed"] is None:
        look("peak", lambda: peak(lens))
    look("noise", lambda: noises(lens, wanted.step, report))
    if _may_be_held(parts["noise"], parts["trial"], elbo, optimizer):
        look("calm", lambda: calmed(lens, optimizer, wanted.step, report))
    return Examination(
        step=wanted.step,
        draws=len(now),
        elbo=elbo,
        error=error,
        notes=tuple(notes),
        **parts,
    )


class _Seer:
    """The ELBO at a state, draw by draw."""

    def __init__(self, lens: Lens, step: int, report: Callable[[int, int], None]) -> None:
        self.lens, self.step, self.report, self._count = lens, step, report, 0
        self.present = snapshot()

    def units(self, state: State | None = None) -> Floats:
        """The ELBO of each unit; NaN where a state cannot be evaluated."""
        self._count += 1
        self.report(self._count, self._count + 1)
        try:
            return np.asarray(self.lens.see(state).reading.units[ELBO])
        except Exception:
            return np.full(1, np.nan)

    def gain(self, before: Floats, state: State) -> tuple[float, float]:
        """What a state has more, with its standard error; NaN where it cannot be evaluated."""
        after = self.units(state)
        if after.shape != before.shape or not np.isfinite(after).all():
            return math.nan, math.nan
        return _mean(after - before)


def _mean(units: Floats) -> tuple[float, float]:
    error = float(units.std(ddof=1)) / math.sqrt(len(units)) if len(units) > 1 else math.nan
    return float(units.mean()), error


# Single elements.


def _details(lens: Lens, notes: list[str]) -> list[Traces]:
    """A few draws with all that their traces hold."""
    group = lens.groups[0]
    try:
        with isolated(), torch.no_grad():
            if lens.broadcasts and not lens.kind.enumerated:
                return [lens.strategy.many(group.args, DETAIL_DRAWS, group.seed)]
            found = []
            for draw in range(16):
                pyro.set_rng_seed(group.seed + draw)
                found.append(lens.strategy.one(group.args))
            return found
    except Exception as error:
        notes.append(f"draws: {type(error).__name__}: {error}"[:200])
        return []


def _base(fn: Any) -> Any:
    """The distribution of single elements."""
    while type(fn).__name__ in ("Independent", "MaskedDistribution", "ExpandedDistribution"):
        fn = fn.base_dist
    return fn


def _fits(details: Sequence[Traces]) -> Iterator[Fit]:
    found: dict[str, list[tuple[float, float, float, int, float]]] = {}
    for traces in details:
        if _draws_from_prior(traces):
            continue
        for name, node in traces.model.nodes.items():
            if node["type"] != "sample" or not node["is_observed"] or site_is_subsample(node):
                continue
            with suppress(Exception):
                one = _fit(node, traces.draws)
                if one is not None:
                    found.setdefault(name, []).append(one)
    for name, rows in found.items():
        z2, scale, scatter, count, farthest = np.mean(np.array(rows), axis=0).tolist()
        yield Fit(name, int(count), z2, scale, scatter, farthest)


def _draws_from_prior(traces: Traces) -> bool:
    """Whether a latent is not in the guide, as where it is summed out: its draws fit nothing."""
    return any(
        node["type"] == "sample"
        and not (node["is_observed"] or site_is_subsample(node) or is_deterministic(node))
        and name not in traces.guide.nodes
        for name, node in traces.model.nodes.items()
    )


def _fit(node: Any, draws: int) -> tuple[float, float, float, int, float] | None:
    fn: TorchDistribution = node["fn"]
    if type(_base(fn)).__name__ in ("Delta", "Categorical", "OneHotCategorical", "Unit"):
        return None
    value = torch.as_tensor(node["value"]).double()
    mean, variance = fn.mean.double(), fn.variance.double()
    residual = value - mean
    keep = torch.isfinite(residual) & torch.isfinite(variance) & (variance > 0)
    mask = node.get("mask")
    if isinstance(mask, Tensor):
        keep &= mask.bool().reshape(*mask.shape, *[1] * fn.event_dim)
    if not bool(keep.any()):
        return None
    z2 = (residual.square() / variance)[keep]
    scatter = residual[keep].square().mean().sqrt()
    scale = variance.sqrt()[keep].median()
    count = int(keep.sum()) // draws or 1
    farthest = 0.0
    if type(_base(fn)).__name__ == "Normal":
        z = torch.where(keep, residual.square() / variance, 0.0).sqrt()
        each = z.reshape(draws, -1).amax(1) if len(z) == draws and z.dim() > 1 else z.max()
        farthest = float(each.mean())
    return float(z2.mean()), float(scale), float(scatter), count, farthest


def _divergences(details: Sequence[Traces], lens: Lens) -> Iterator[Divergence]:
    if len(details) != 1:
        return
    traces = details[0]
    with isolated(), torch.enable_grad():
        priors = lens.strategy.one(lens.groups[0].args).model.nodes
    names = {id(leaf): name for name, leaf in pyro.get_param_store().named_parameters()}
    for name, node in traces.model.nodes.items():
        latent = node["type"] == "sample" and not node["is_observed"]
        if not latent or site_is_subsample(node) or name not in traces.guide.nodes:
            continue
        with suppress(Exception):
            table = _kl_table(traces, name)
            if table is not None:
                rows, values = table
                error = values.std(0, ddof=1) / math.sqrt(len(values))
                kl = tuple(values.mean(0).tolist())
                term = priors[name]["fn"].log_prob(priors[name]["value"])
                read = [names[id(leaf)] for leaf in reached_leaves([term]) if id(leaf) in names]
                yield Divergence(name, rows, kl, tuple(error.tolist()), tuple(read))


def _kl_table(traces: Traces, name: str) -> tuple[int, Floats] | None:
    """The size of the plates; log q - log p of each dimension, mean over them: (draws, dims)."""
    p, q = traces.model.nodes[name], traces.guide.nodes[name]
    event = p["fn"].event_dim
    log_p = _elementwise(p["fn"], p["value"])
    unconstrained = traces.guide.nodes.get(f"{name}_unconstrained")
    if unconstrained is not None and type(_base(q["fn"])).__name__ == "Delta":
        log_q = _elementwise(unconstrained["fn"], unconstrained["value"])
        if not torch.equal(unconstrained["value"], q["value"]):
            return None
    else:
        if type(_base(q["fn"])).__name__ == "Delta":
            return None
        log_q = _elementwise(q["fn"], q["value"])
    if log_p.shape != log_q.shape:
        log_p, log_q = torch.broadcast_tensors(log_p, log_q)  # type: ignore[no-untyped-call]
    difference = (log_q - log_p).detach().double()
    if p["scale"] != 1.0 and not isinstance(p["scale"], float):
        return None
    # Draws first, then all plates, then the dimensions of one element.
    axis = difference.dim() + (traces.axis or 0) - event
    moved = difference.movedim(axis, 0)
    dims = int(np.prod(moved.shape[moved.dim() - event :])) if event else 1
    table = moved.reshape(traces.draws, -1, dims)
    return table.shape[1], np.asarray(table.mean(1))


def _elementwise(fn: Any, value: Any) -> Tensor:
    own = _base(fn) if type(fn).__name__ == "Independent" else fn
    found: Tensor = own.log_prob(value)
    return found


# Other states.


def _equal_rows(see: _Seer) -> Iterator[EqualRows]:
    found = []
    for name, leaf in see.present.items():
        for dim in range(min(leaf.dim(), 2)):
            rows = _same_rows(leaf, dim)
            if len(rows) > 1:
                found.append((name, dim, rows))
    if not found:
        return
    together = fitted(see.lens, {}, see.step, see.report)
    for name, dim, rows in found[:4]:
        leaf = see.present[name]
        sign = torch.linspace(-1, 1, len(rows), dtype=leaf.dtype)
        index, shape = torch.tensor(rows), [1] * leaf.dim()
        shape[dim] = len(rows)
        best = -math.inf
        for distance in APART:
            moved, part = leaf.clone(), leaf.index_select(dim, index)
            moved.index_copy_(dim, index, part + distance * sign.reshape(shape))
            apart = fitted(see.lens, {name: moved}, see.step, see.report)
            best = max(best, apart if math.isfinite(apart) else best)
        yield EqualRows(name, dim, tuple(rows), best - together, 0.0, network=leaf.dim() >= 2)


def _same_rows(leaf: Tensor, dim: int) -> list[int]:
    """The rows of the largest set of equal ones; empty if all differ, or all numbers are alike."""
    count = leaf.shape[dim]
    if not 2 <= count <= 4096 or leaf.is_complex():
        return []
    rows = leaf.detach().movedim(dim, 0).reshape(count, -1)
    _, inverse, counts = torch.unique(rows, dim=0, return_inverse=True, return_counts=True)
    most = int(counts.argmax())
    if int(counts[most]) < 2:
        return []
    return torch.nonzero(inverse == most).reshape(-1).tolist()


def _edges(see: _Seer, now: Floats, wanted: Wanted) -> Iterator[Edge]:
    store = pyro.get_param_store()
    for name in wanted.positive[:16]:
        leaf = see.present.get(name)
        if leaf is None or leaf.numel() > 64:
            continue
        for sign in (-1, 1):
            if see.gain(now, {name: leaf + sign * FURTHER[-1]})[0] > 1.0:
                break
        else:
            continue
        gains = tuple(see.gain(now, {name: leaf + sign * d})[0] for d in FURTHER)
        with torch.no_grad():
            value = float(torch.as_tensor(store[name]).detach().double().mean())
        yield Edge(name, value, gains, sign)


def _pulls(lens: Lens, roles: dict[str, Role]) -> dict[str, Pull]:
    found = {}
    for name, one in param_gradients(lens, roles).items():
        if one.elbo is None:
            found[name] = Pull(math.nan, math.nan, one.reason)
        else:
            found[name] = Pull(one.elbo.norm, one.elbo.snr)
    return found


def _spreads(details: Sequence[Traces]) -> Iterator[tuple[str, float]]:
    if not details or details[0].draws < DETAIL_DRAWS:
        return
    traces = details[0]
    for name, values in traces.latents(local=True).items():
        support = traces.model.nodes[name]["fn"].support
        while hasattr(support, "base_constraint"):
            support = support.base_constraint
        spread = float(values.double().std(0).max())
        if support is constraints.real and spread > 0:
            yield name, spread


def _may_be_held(noise: Noises | None, tried: Trial | None, elbo: float, optimizer: Any) -> bool:
    """Whether steps without noise could gain what the run does not."""
    if noise is None or tried is None or optimizer is None:
        return False
    if tried.same.elbo - elbo > HELD:
        return False
    rates = rates_of(optimizer)
    leaves = dict(pyro.get_param_store().named_parameters())
    reach = sum(
        one.most(noise.calls) * rates.get(id(leaves[name]), 0.0) * math.sqrt(leaves[name].numel())
        for name, one in noise.params.items()
        if one.sd > 0 and one.snr < NOISY
    )
    return reach * MANY_STEPS > 1.0


def _divergence(lens: Lens) -> tuple[float, float] | None:
    """log q - log p of all latents; None where either is no density."""
    kind = lens.kind
    if kind.unseen or kind.enumerated or kind.points or not kind.latents:
        return None
    group = lens.groups[0]
    with isolated(), torch.no_grad():
        traces = lens.strategy.one(group.args)
    for name, node in traces.model.nodes.items():
        if node["type"] != "sample" or node["is_observed"] or site_is_subsample(node):
            continue
        drawn = traces.guide.nodes.get(name)
        if drawn is None or _is_no_density(node["fn"], spread=False):
            return None
        if _is_no_density(drawn["fn"], spread=_has_auxiliary(traces)):
            return None
    reading = lens.see().reading
    return _mean(np.asarray(reading.units[LOG_Q] - reading.units[PRIOR]))


def _has_auxiliary(traces: Traces) -> bool:
    """Whether the guide draws other sites and transforms them, as an AutoGuide does."""
    return any(
        node["infer"].get("is_auxiliary")
        for node in traces.guide.nodes.values()
        if node["type"] == "sample"
    )


def _is_no_density(fn: Any, *, spread: bool) -> bool:
    base = _base(fn)
    if isinstance(base, pyro.distributions.Delta):
        return not spread
    return isinstance(base, pyro.distributions.ImproperUniform)


assert [SUM_TERMS[at].field for at in (LOG_Q, ELBO)] == ["log_q", "elbo"]
