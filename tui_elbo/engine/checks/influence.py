"""Which latents reach which sites of a model: found by changing one at a time.

A walk of the autograd graph misses discrete sites, replayed priors and what goes through NumPy or
an assignment in place; a changed value is seen through all of these.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import pyro
import torch
from pyro.poutine import Trace
from torch import Tensor

from tui_elbo.engine.checks.look import Look, Pass, Site, log_prob
from tui_elbo.engine.lens.batches import SEED

MOST_LATENTS = 40
"""Beyond so many, nothing is said."""

SECONDS = 0.7
"""For running the model with other values."""

MOVED = 0.01
"""By so much, about, unconstrained parameters are moved."""

CHANGES = 3
"""Other values that are tried of each latent."""


class Influence:
    """What each latent of the model acts on.

    Args:
        look: with a main pass that came to its end.
        side: `model`, or `guide`: what each latent acts on there.
    """

    def __init__(self, look: Look, side: str = "model") -> None:
        self.edges: dict[str, set[str]] = {}
        """By latent: the sites whose log probability changes with it, its own left out."""
        self.known = False
        """Whether all of them were tried."""
        latents = [n for n in look.latents if side == "model" or n in look.guide_sites]
        if look.main.error is not None or not 0 < len(latents) <= MOST_LATENTS or look.by_messenger:
            return
        _ = look.passes  # Taken where the parameters start.
        with _parameters_moved():
            self._find(look, side, latents)

    def _find(self, look: Look, side: str, latents: list[str]) -> None:
        fixed = look.main.model if side == "model" else look.main.guide
        run = look.run_model if side == "model" else look.run_guide
        usual = _terms(run(SEED, fixed), side)
        if usual is None or usual != _terms(run(SEED, fixed), side):
            return  # it is random beyond its sites
        began = time.process_time()
        for name in latents:
            if time.process_time() - began > SECONDS:
                return
            reached: set[str] = set()
            for other in _others(look, name)[:CHANGES]:
                terms = _terms(run(SEED, _with(fixed, name, other)), side)
                if terms is None:
                    return
                sites = terms.keys() | usual.keys()
                reached |= {site for site in sites if terms.get(site) != usual.get(site)}
            self.edges[name] = reached - {name}
        self.known = True

    def reaches(self, name: str, targets: set[str]) -> bool:
        """Whether a latent acts on one of the sites, through others or not."""
        seen, left = {name}, [name]
        while left:
            for other in self.edges.get(left.pop(), ()):
                if other in targets:
                    return True
                if other not in seen:
                    seen.add(other)
                    left.append(other)
        return False

    def reached(self, target: str) -> bool:
        """Whether any latent acts on a site, directly."""
        return any(target in sites for sites in self.edges.values())


@contextmanager
def _parameters_moved() -> Iterator[None]:
    """All parameters a little away from where they start: components that start alike hide what
    chooses among them, and weights of 0 what goes through them.
    """
    leaves = [leaf for _, leaf in pyro.get_param_store().named_parameters()]
    before = [leaf.detach().clone() for leaf in leaves]
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for leaf in leaves:
            if leaf.is_floating_point():
                leaf.add_(MOVED * torch.randn(leaf.shape, generator=generator).to(leaf))
    try:
        yield
    finally:
        with torch.no_grad():
            for leaf, value in zip(leaves, before, strict=True):
                leaf.copy_(value)


def _others(look: Look, name: str) -> list[Tensor]:
    """Values that the latent has in other passes, other than that of the main one."""
    usual = look.latents[name].value
    found: list[Tensor] = []
    for one in look.passes[1:]:
        site = one.sites("model").get(name)
        value = usual if site is None else site.value.detach()
        if value.shape == usual.shape and not torch.equal(value, usual):
            found.append(value)
    if not found and usual.is_floating_point():
        # A point estimate has the same value each time.
        found = [usual.detach() * 1.1 + 0.01]
    return found


def _with(fixed: Trace, name: str, value: Tensor) -> Trace:
    changed = fixed.copy()
    changed.nodes[name] = {**fixed.nodes[name], "value": value}
    return changed


def _terms(found: Pass, side: str) -> dict[str, float] | None:
    """The log probability of each site at its value; None where that cannot be had."""
    if found.error is not None:
        return None
    try:
        return {name: _term(site) for name, site in found.sites(side).items()}
    except Exception:
        return None


def _term(site: Site) -> float:
    # Weighted by place, so that changes that cancel in the sum are seen.
    terms = torch.nan_to_num(log_prob(site).detach().double().reshape(-1), nan=0.123)
    weights = torch.linspace(1.0, 2.0, max(len(terms), 1), dtype=torch.float64)[: len(terms)]
    return float((terms * weights).sum())


_known: WeakKeyDictionary[Look, dict[str, Influence]] = WeakKeyDictionary()
"""By side; a look holds on to its scenario's modules, so it is not kept alive here."""


def influence(look: Look, side: str = "model") -> Influence:
    """What each latent acts on in the `model` or the `guide`, found once for a look."""
    found = _known.setdefault(look, {})
    if side not in found:
        found[side] = Influence(look, side)
    return found[side]
