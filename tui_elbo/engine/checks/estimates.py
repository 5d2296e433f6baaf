"""The noise of the estimator's own gradient, parameter by parameter, in a forked copy.

The estimator is called many times at the present parameters, as steps call it: each time with new
random numbers, with the data of one step or of another each.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import msgspec
import numpy as np
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceGraph_ELBO

from tui_elbo.engine.checks.parameters import reached_leaves
from tui_elbo.engine.lens import Lens
from tui_elbo.engine.lens.draws import seed_draw
from tui_elbo.engine.lens.fork import ForkedCall, LookError
from tui_elbo.engine.noise.gradients import FixedSubsamples, leaves, taken_gradient
from tui_elbo.model.records import Floats
from tui_elbo.protocol.codec import decode

CALLS, LEAST_CALLS = 48, 8
"""Of the estimator, for each kind of noise."""

SECONDS = 0.5
"""Of the processor, for each kind; fewer calls are made where they are slow."""

OTHER_SECONDS = 1.0
"""The same for another estimator, which may be slower."""

SEED = 271_828_182
"""Of the calls; not the lens's, whose draws steer what is compared with them."""

_PATIENCE = 30.0


class Noise(msgspec.Struct, frozen=True):
    """Of one parameter's gradient."""

    norm: float
    """Of the mean gradient, less what noise adds to it: nats a unit."""
    sd: float
    """Of one call: the square root of the variances of all elements together."""
    draws: float = math.nan
    """The same with the same data at each call; NaN where data do not change."""

    @property
    def snr(self) -> float:
        """Signal over noise of one call; infinite where there is no noise."""
        return self.norm / self.sd if self.sd > 0 else math.inf

    def most(self, calls: int) -> float:
        """The largest norm that the mean gradient of so many calls may have in truth, about."""
        return self.norm + 2 * self.sd / math.sqrt(calls)


class Noises(msgspec.Struct, frozen=True):
    """What was seen of the gradients."""

    calls: int
    params: dict[str, Noise]
    scored: tuple[str, ...] = ()
    """Parameters of guide sites that no gradient goes through."""
    sites: tuple[str, ...] = ()
    """Those sites."""
    by_graph: float = math.nan
    """How many times less variance the gradient of `TraceGraph_ELBO` has at `scored`; NaN where
    that cannot be compared."""


def noises(lens: Lens, step: int, report: Callable[[int, int], None]) -> Noises | None:
    """Call the estimator many times; None where that cannot be.

    Args:
        lens: settled.
        step: where the run stands.
        report: called now and then.
    """

    def alive() -> bool:
        report(0, 1)
        return False

    try:
        data = ForkedCall(lambda _: _noises(lens, step)).wait(_PATIENCE, alive)
    except LookError:
        return None
    found: Noises | None = decode(data, Noises | None)
    return found


def _noises(lens: Lens, step: int) -> Noises | None:
    scenario = lens.scenario
    changing = [scenario.batch(step + call) for call in range(1, CALLS + 1)]
    rows = _gradients(lens, scenario.loss, changing)
    if rows is None or len(rows) < LEAST_CALLS:
        return None
    names = _names()
    noisy = {name: _noise(rows[:, at]) for name, at in names.items()}
    if not lens.alike:
        fixed = FixedSubsamples()
        same = _gradients(lens, scenario.loss, changing[:1] * CALLS, fixed)
        if same is not None and len(same) >= LEAST_CALLS:
            noisy = {
                name: Noise(one.norm, one.sd, _noise(same[:, names[name]]).sd)
                for name, one in noisy.items()
            }
    sites, scored = _scored(lens, changing[0])
    ratio = math.nan
    if scored and type(scenario.loss) is Trace_ELBO:
        elbo = TraceGraph_ELBO(num_particles=scenario.loss.num_particles)
        other = _gradients(lens, elbo, changing, seconds=OTHER_SECONDS)
        if other is not None and len(other) >= LEAST_CALLS:
            after = sum(_noise(other[:, names[name]]).sd ** 2 for name in scored)
            ratio = sum(noisy[name].sd ** 2 for name in scored) / max(after, 1e-300)
    return Noises(len(rows), noisy, scored, sites, ratio)


def _scored(lens: Lens, args: tuple[Any, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The guide's sites that no gradient goes through, and the parameters of their densities."""
    if not lens.kind.fixed:
        return (), ()
    seed_draw(SEED)
    nodes = poutine.trace(lens.scenario.guide).get_trace(*args).nodes
    names = {id(leaf): name for name, leaf in leaves()}
    sites, found = list[str](), dict[str, None]()
    for site in lens.kind.fixed:
        if site not in nodes or nodes[site]["infer"].get("enumerate"):
            continue
        term = nodes[site]["fn"].log_prob(nodes[site]["value"])
        own = [names[id(leaf)] for leaf in reached_leaves([term]) if id(leaf) in names]
        sites += [site] if own else []
        found |= dict.fromkeys(own)
    return tuple(sites), tuple(found)


def _names() -> dict[str, slice]:
    """Where each parameter's elements are in a row of gradients."""
    found: dict[str, slice] = {}
    start = 0
    for name, leaf in leaves():
        found[name] = slice(start, start := start + leaf.numel())
    return found


def _gradients(
    lens: Lens,
    loss: Any,
    batches: Sequence[tuple[Any, ...]],
    around: AbstractContextManager[Any] | None = None,
    seconds: float = SECONDS,
) -> Floats | None:
    """The gradients of each call, (calls, elements); None if one raises or is not finite."""
    scenario, began, rows = lens.scenario, time.process_time(), list[Floats]()
    params = [leaf for _, leaf in leaves()]
    if not params or any(leaf.is_complex() for leaf in params):
        return None
    for leaf in params:
        leaf.grad = None
    for call, args in enumerate(batches):
        if time.process_time() - began > seconds:
            break
        seed_draw(SEED + call)
        try:
            with poutine.trace(param_only=True), around or nullcontext():
                loss.loss_and_grads(scenario.model, scenario.guide, *args)
        except Exception:
            return None
        row = torch.cat([taken_gradient(leaf).double() for leaf in params]).cpu().numpy()
        if not np.isfinite(row).all():
            return None
        rows.append(row)
    return np.array(rows)


def _noise(rows: Floats) -> Noise:
    mean, variance = rows.mean(0), float(rows.var(0, ddof=1).sum())
    square = float(mean @ mean) - variance / len(rows)
    return Noise(math.sqrt(max(square, 0.0)), math.sqrt(variance))
