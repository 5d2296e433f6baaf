"""The posterior of a run, in a form in which it can be compared with that of another run.

Whether labels can be permuted is not guessed from the model's text: they are, at draws of the
guide, and log p(x, z) must not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.infer import TraceEnum_ELBO
from pyro.poutine.util import prune_subsample_sites, site_is_subsample
from torch import Tensor
from torch.distributions import constraints

from tui_elbo.engine.compat.pyro import enumerate_dim
from tui_elbo.engine.forked import users_code
from tui_elbo.engine.lens.batched import Batched, batched
from tui_elbo.engine.lens.batches import SEED
from tui_elbo.engine.lens.draws import PLATE, Traces, seed_draw
from tui_elbo.engine.lens.isolation import isolated
from tui_elbo.engine.lens.lens import Lens
from tui_elbo.model.modes import ExchangeableLabels, Posterior, SitePosterior

DRAWS, LEAST_DRAWS = 64, 32
"""At once, and one by one: of means that are compared in units of standard deviations."""

MOST_ELEMENTS = 4096
"""Larger sites are left out."""

MOST_LABELS = 64
"""Plates of more elements are not looked at."""

MOST_EXTRA = 4
"""Up to so many further axes of a plate's size, each subset of them is tried."""

TRIES = 2
"""Draws whose labels are permuted."""


class _Site(NamedTuple):
    node: Any
    """Of the model's trace."""
    draws: Tensor
    """As drawn, (draws, *shape)."""


def posterior(lens: Lens) -> Posterior:
    """What the guide says at the present state.

    Args:
        lens: that has looked.

    Raises:
        Exception: whatever the person's own code raises.
    """
    with isolated(), torch.no_grad():
        sites = _sites(lens)
        moments = {name: _moments(site) for name, site in sites.items()}
        return Posterior(moments, tuple(_labels(lens, sites)))


def _sites(lens: Lens) -> dict[str, _Site]:
    if not lens.looped:
        many = lens.strategy.many(lens.data.batches[0], DRAWS, SEED)
        return dict(_drawn([many], local=lens.alike))
    singles = []
    for draw in range(LEAST_DRAWS):
        seed_draw(SEED + draw)
        singles.append(lens.strategy.one(lens.data.batches[0]))
    return dict(_drawn(singles, local=lens.alike))


def _drawn(traces: list[Traces], *, local: bool) -> Iterator[tuple[str, _Site]]:
    """The continuous sites that all draws have in one shape.

    Args:
        traces: of the draws.
        local: also those in plates, which minibatches fill with other data each.
    """
    for name, node in traces[0].model.nodes.items():
        if node["type"] != "sample" or node["is_observed"] or site_is_subsample(node):
            continue
        if (
            enumerate_dim(node) is not None
            or not torch.as_tensor(node["value"]).is_floating_point()
        ):
            continue
        if not local and any(frame.name != PLATE for frame in node["cond_indep_stack"]):
            continue
        values = [value for trace in traces if (value := trace.values(name)) is not None]
        alike = len(values) == len(traces) and len({value.shape[1:] for value in values}) == 1
        if alike and values[0][0].numel() <= MOST_ELEMENTS:
            yield name, _Site(node, torch.cat([value.detach() for value in values]))


def _moments(site: _Site) -> SitePosterior:
    values = _unbounded(site.draws, site.node["fn"].support).to("cpu", torch.float64).numpy()
    with np.errstate(invalid="ignore", over="ignore"):
        mean, sd = values.mean(axis=0), values.std(axis=0, ddof=1)
    return SitePosterior(np.asarray(mean), np.asarray(sd))


def _unbounded(values: Tensor, support: Any) -> Tensor:
    """On the whole line, element by element, so that a permutation stays one."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support is constraints.simplex:
        return values.log()
    if support in (constraints.positive, constraints.nonnegative) or isinstance(
        support, constraints.greater_than | constraints.greater_than_eq | constraints.interval
    ):
        bounds = (getattr(support, name, None) for name in ("lower_bound", "upper_bound"))
        of_draws = any(isinstance(bound, Batched) for bound in bounds)
        inverse = torch.distributions.biject_to(support).inv
        real: Tensor = inverse(batched(values)).draws if of_draws else inverse(values)
        return real
    return values


def _labels(lens: Lens, sites: dict[str, _Site]) -> Iterator[ExchangeableLabels]:
    plates: dict[str, tuple[int, dict[str, int]]] = {}
    for name, site in sites.items():
        for frame in site.node["cond_indep_stack"]:
            axis = frame.dim - site.node["fn"].event_dim if frame.vectorized else 0
            if frame.name == PLATE or not axis or -axis >= site.draws.dim():
                continue
            size = site.draws.shape[axis]
            if 2 <= size <= MOST_LABELS:
                plates.setdefault(frame.name, (size, {}))[1][name] = axis
    for plate, (size, own) in plates.items():
        found = _first_without_effect(lens, sites, own, size)
        if found is not None:
            yield ExchangeableLabels(plate, found)


def _first_without_effect(
    lens: Lens, sites: dict[str, _Site], own: dict[str, int], size: int
) -> dict[str, tuple[int, ...]] | None:
    """The axes that go with the plate's: as many of the same size as leave log p as it is."""
    extra = [
        (name, axis)
        for name, site in sites.items()
        for axis in range(1 - site.draws.dim(), 0)
        if site.draws.shape[axis] == size and own.get(name) != axis
    ]
    kept = [{name: site.draws[draw] for name, site in sites.items()} for draw in range(TRIES)]
    before = [_log_joint(lens, values) for values in kept]
    for chosen in _subsets(extra):
        axes: dict[str, tuple[int, ...]] = {name: (axis,) for name, axis in own.items()}
        for name, axis in chosen:
            axes[name] = (*axes.get(name, ()), axis)
        if all(
            _same(log_p, _log_joint(lens, _permuted(values, axes, order)))
            for order in _orders(size)
            for values, log_p in zip(kept, before, strict=True)
        ):
            return axes
    return None


def _subsets(extra: list[tuple[str, int]]) -> Iterable[tuple[tuple[str, int], ...]]:
    if len(extra) > MOST_EXTRA:
        return (tuple(extra), ())
    return (some for count in range(len(extra), -1, -1) for some in combinations(extra, count))


def _orders(size: int) -> list[list[int]]:
    """Two permutations of which every other is made."""
    turned = [*range(1, size), 0]
    return [turned] if size == 2 else [turned, [1, 0, *range(2, size)]]


def _permuted(
    values: dict[str, Tensor], axes: dict[str, tuple[int, ...]], order: list[int]
) -> dict[str, Tensor]:
    found = dict(values)
    for name, some in axes.items():
        for axis in some:
            index = torch.tensor(order, device=found[name].device)
            found[name] = found[name].index_select(axis, index)
    return found


def _same(one: float, other: float) -> bool:
    # Sums of floats in another order; whatever tells labels apart changes log p by far more.
    return abs(one - other) <= 1e-4 + 1e-5 * abs(one)


def _log_joint(lens: Lens, values: dict[str, Tensor]) -> float:
    """log p(x, z) at these values, what is enumerated summed out."""
    args, model = lens.data.batches[0], lens.scenario.model
    pyro.set_rng_seed(SEED)
    given = poutine.condition(model, data=values)
    with users_code():
        if lens.kind.enumerated:
            elbo = TraceEnum_ELBO(
                max_plate_nesting=lens.kind.nesting, strict_enumeration_warning=False
            )
            return -float(elbo.loss(given, _nothing, *args))
        trace = prune_subsample_sites(poutine.trace(given).get_trace(*args))
    return float(torch.as_tensor(trace.log_prob_sum()))


def _nothing(*_: Any) -> None:
    """A guide that draws nothing."""
