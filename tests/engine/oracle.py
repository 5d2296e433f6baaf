"""The numbers of a step, found again without an ELBO and without a watch.

Before each step of a plain loop, guide and model are traced and replayed from the random state
that the step is about to use; during it, the optimiser's call is wrapped.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer import SVI
from pyro.poutine.guide import GuideMessenger
from pyro.poutine.util import prune_subsample_sites

from tests.engine.plain import executed


@dataclass(eq=False)
class Seen:
    """What one step of the plain loop was."""

    loss: Any = None
    log_p: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By site: nats, mean over particles."""
    log_q: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    observed: dict[str, bool] = field(default_factory=dict)
    """By site of the model."""
    weights: list[float] = field(default_factory=list)
    """log p - log q of each looped particle."""
    draws: list[dict[str, torch.Tensor]] = field(default_factory=list)
    """The guide's values, trace by trace."""
    before: dict[str, torch.Tensor] = field(default_factory=dict)
    """Unconstrained."""
    after: dict[str, torch.Tensor] = field(default_factory=dict)
    values: dict[str, torch.Tensor] = field(default_factory=dict)
    """What `pyro.param` returns after the update."""
    grads: dict[str, torch.Tensor] = field(default_factory=dict)
    """As the optimiser received them; only of those that had one."""


@dataclass(frozen=True)
class Particles:
    """How a step draws: so many, in a loop or in one plate to the left of all others."""

    count: int = 1
    dim: int | None = None
    """The plate's; None for a loop."""

    @property
    def keywords(self) -> str:
        """The same as an estimator's keyword arguments."""
        if self.dim is None:
            return f"num_particles={self.count}"
        nesting = -1 - self.dim
        return f"num_particles={self.count}, vectorize_particles=True, max_plate_nesting={nesting}"


def plain_steps(path: str, steps: int, particles: Particles, lazy: bool = False) -> list[Seen]:
    """Train the scenario with plain Pyro and tell what each step was.

    Args:
        path: the scenario's file.
        steps: how many.
        particles: as the scenario's estimator has them.
        lazy: whether guide or model make something in the first step, which then has no terms.
    """
    seen: list[Seen] = []
    with executed(Path(path)) as scenario:
        pyro.set_rng_seed(getattr(scenario, "seed", 0))
        optimizer = scenario.optimizer
        svi = SVI(scenario.model, scenario.guide, optimizer, scenario.loss)
        svi.optim = lambda params: _update(optimizer, params, seen[-1])
        for step in range(1, steps + 1):
            args = scenario.batch(step) if hasattr(scenario, "batch") else ()
            seen.append(Seen())
            if step > 1 or not lazy:
                state = pyro.util.get_rng_state()
                _terms(scenario.model, scenario.guide, args, particles, seen[-1])
                pyro.util.set_rng_state(state)
            seen[-1].loss = svi.step(*args)
            store = pyro.get_param_store()
            seen[-1].values = {name: store[name].detach().clone() for name in store}
    return seen


def _update(optimizer: Callable[..., None], params: Any, seen: Seen) -> None:
    leaves = dict(pyro.get_param_store().named_parameters())
    seen.before = {name: leaf.detach().clone() for name, leaf in leaves.items()}
    seen.grads = {n: leaf.grad.clone() for n, leaf in leaves.items() if leaf.grad is not None}
    optimizer(params)
    seen.after = {name: leaf.detach().clone() for name, leaf in leaves.items()}


def _terms(model: Any, guide: Any, args: Any, particles: Particles, seen: Seen) -> None:
    if particles.dim is not None:
        plate = pyro.plate("every_particle", particles.count, dim=particles.dim)
        model, guide = plate(model), plate(guide)
    for _ in range(particles.count if particles.dim is None else 1):
        model_trace, guide_trace = map(prune_subsample_sites, _traces(model, guide, args))
        log_q = _add(guide_trace, seen.log_q, particles.count)
        log_p = _add(model_trace, seen.log_p, particles.count)
        seen.weights.append(log_p - log_q)
        seen.observed |= {n: site["is_observed"] for n, site in _sites(model_trace).items()}
        seen.draws.append({n: s["value"].detach() for n, s in _sites(guide_trace).items()})


def _traces(model: Any, guide: Any, args: Any) -> tuple[Any, Any]:
    messenger = poutine.unwrap(guide)
    if isinstance(messenger, GuideMessenger):
        with poutine.block():
            guide(*args)
        return messenger.get_traces()
    guide_trace = poutine.trace(guide).get_trace(*args)
    return poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args), guide_trace


def _sites(trace: Any) -> dict[str, Any]:
    return {
        name: node
        for name, node in trace.nodes.items()
        if node["type"] == "sample" and not node["infer"].get("_deterministic")
    }


def _add(trace: Any, terms: dict[str, float], count: int) -> float:
    """Add each site's log probability to `terms`; return their sum. By hand, not by the trace."""
    total = 0.0
    for name, site in _sites(trace).items():
        log_prob = site["fn"].log_prob(site["value"]).detach().double() * site["scale"]
        if site["mask"] is not None:
            log_prob = torch.where(torch.as_tensor(site["mask"]), log_prob, 0.0)
        number = math.fsum(log_prob.reshape(-1).tolist())
        terms[name] += number / count
        total += number
    return total
