"""The guide against importance weights of its own draws: standard deviations and correlations.

The weights turn the draws into ones of the posterior, where k̂ says that they can.

References:
    Yao, Vehtari, Simpson, Gelman (2018), Yes, but Did It Work?
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import torch
from pyro.poutine.util import site_is_subsample
from torch.distributions import constraints

from tui_elbo.engine.lens import Lens, isolated
from tui_elbo.engine.lens.importance_weights import bound
from tui_elbo.engine.lens.lens import LOOPED_SHARE
from tui_elbo.model.records import Floats

DRAWS, FEW_DRAWS = 8000, 2000
"""Where draws are taken all at once and are small, and elsewhere."""

LEAST_DRAWS = 500
"""With fewer, k̂ says little."""

LEAST_EFFECTIVE = 50
"""Draws of equal weight that would say as much."""

SECONDS = 2.0
"""Of the processor; where draws are slow, fewer are taken."""

SMALL = 1000
"""Numbers of one draw."""

MOST_ELEMENTS = 64
"""Of all latents together: beyond, weights say little, and pairs are many."""


class Spread(msgspec.Struct, frozen=True):
    """Of one element of a latent, as an unconstrained number where it is positive or a share."""

    site: str
    index: int
    guide: float
    """Standard deviation under the guide."""
    ratio: float
    """That under the weights over it."""
    error: float
    """Standard error of the log of the ratio."""


class Pair(msgspec.Struct, frozen=True):
    """The correlation of two elements."""

    one: str
    other: str
    """Sites; of the same site if both are equal."""
    guide: float
    weighted: float
    error: float
    """Standard error of the weighted one."""


class Weighed(msgspec.Struct, frozen=True):
    """What the weights say; only where k̂ is trusted."""

    draws: int
    khat: float
    elbo: float
    bound: float
    """The importance-weighted bound: nats."""
    error: float
    """Standard error of `bound - elbo`."""
    spreads: tuple[Spread, ...]
    pairs: tuple[Pair, ...]
    """Those that differ most."""


def weighed(lens: Lens) -> Weighed | None:
    """Weigh draws of the guide at the present parameters; None where the weights say nothing.

    Args:
        lens: settled; its scenario is drawn from anew.
    """
    if not lens.alike or lens.kind.points or lens.kind.unseen or not lens.kind.latents:
        return None
    draws = DRAWS if not lens.looped and lens.kind.size <= SMALL else FEW_DRAWS
    began = time.process_time()
    taken = lens.see().reading.draws * (LOOPED_SHARE if lens.looped else 1)
    each = (time.process_time() - began) / max(taken, 1)
    draws = min(draws, int(SECONDS / max(each, 1e-9)))
    if draws < LEAST_DRAWS:
        return None
    fresh = Lens(lens.scenario, draws, settled=lens.settled)
    reading, latents = fresh.see_draws()
    log_weights = reading.reading.units[2]
    found = bound(log_weights)
    if found.reason or found.exact or not found.trusted or found.khat_high > 1:
        return None
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    if 1 / np.square(weights).sum() < LEAST_EFFECTIVE:
        return None  # Of weights that one draw has alone, k̂ is of nothing.
    supports = supports_of(fresh)
    columns = [
        column
        for column in columns_of(latents, supports, len(weights))
        if weights @ np.square(column[2] - weights @ column[2]) > 0
    ]
    spreads: tuple[Spread, ...] = ()
    pairs: tuple[Pair, ...] = ()
    if columns and len(columns) <= MOST_ELEMENTS:
        spreads = tuple(spread_of(*column, weights) for column in columns)
        pairs = tuple(pairs_of(columns, weights))
    return Weighed(
        draws=len(weights),
        khat=found.khat,
        elbo=found.elbo,
        bound=found.value,
        error=math.hypot(found.error, found.elbo_error),
        spreads=spreads,
        pairs=pairs,
    )


def supports_of(lens: Lens) -> dict[str, Any]:
    """Of each site of the model."""
    with isolated(), torch.no_grad():
        nodes = lens.strategy.one(lens.groups[0].args).model.nodes
    return {
        name: node["fn"].support
        for name, node in nodes.items()
        if node["type"] == "sample" and not site_is_subsample(node)
    }


def columns_of(
    latents: dict[str, Floats], supports: dict[str, Any], count: int
) -> Iterator[tuple[str, int, Floats]]:
    """Each element that varies: its site, its place, its draws on the whole line."""
    for site, draws in latents.items():
        if len(draws) != count:
            continue  # not at each draw
        values = _on_the_line(draws, supports.get(site))
        for index, column in enumerate(values.T if values is not None else ()):
            if np.isfinite(column).all() and column.std() > 0:
                yield site, index, column


def _on_the_line(draws: Floats, support: Any) -> Floats | None:
    """Draws of a continuous site; None of another."""
    if support is None or support.is_discrete:
        return None
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    with np.errstate(all="ignore"):
        if isinstance(support, type(constraints.positive) | type(constraints.nonnegative)) and (
            float(torch.as_tensor(support.lower_bound).max()) == 0.0
        ):
            return np.asarray(np.log(draws))
        if support is constraints.unit_interval:
            return np.asarray(np.log(draws) - np.log1p(-draws))
    return draws


def spread_of(
    site: str, index: int, draws: Floats, weights: Floats, guide: float | None = None
) -> Spread:
    """The standard deviation of an element by weights, over the guide's.

    Args:
        site: of the element.
        index: of the element.
        draws: of the element.
        weights: of the draws; they sum to 1.
        guide: the standard deviation under the guide; None: that of the draws.
    """
    guide = float(draws.std(ddof=1)) if guide is None else guide
    square = np.square(draws - weights @ draws)
    variance = float(weights @ square)
    error = math.sqrt(float(np.square(weights) @ np.square(square - variance))) / variance
    own = math.sqrt(2 / len(draws))
    return Spread(site, index, guide, math.sqrt(variance) / guide, math.hypot(error, own) / 2)


def pairs_of(
    columns: list[tuple[str, int, Floats]], weights: Floats, guide: Floats | None = None
) -> list[Pair]:
    """The correlations by weights that differ most from the guide's.

    Args:
        columns: site, place and draws of each element.
        weights: of the draws; they sum to 1.
        guide: the correlations under the guide; None: those of the draws.
    """
    table = np.array([draws for _, _, draws in columns])
    guide = np.atleast_2d(np.corrcoef(table)) if guide is None else guide
    away = table - (table @ weights)[:, None]
    unit = away / np.sqrt(np.square(away) @ weights)[:, None]
    weighted = (unit * weights) @ unit.T
    difference = np.abs(np.triu(weighted - guide, 1))
    found = []
    for flat in np.argsort(difference, axis=None)[::-1][:4]:
        i, j = np.unravel_index(flat, difference.shape)
        if i < j:
            rho = float(weighted[i, j])
            # The delta method for a weighted correlation.
            term = unit[i] * unit[j] - rho / 2 * (np.square(unit[i]) + np.square(unit[j]))
            error = math.sqrt(float(np.square(weights) @ np.square(term)))
            found.append(Pair(columns[i][0], columns[j][0], float(guide[i, j]), rho, error))
    return found
