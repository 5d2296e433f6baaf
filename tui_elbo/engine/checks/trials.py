"""Trying another learning rate, or another start, in copies of the process that go on by itself.

Each trial is a fork of the run that takes the same number of steps with the same random numbers;
what is compared is the ELBO by the lens, over the second half of those steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pyro
import torch
from pyro import poutine
from pyro.infer import SVI
from pyro.infer.util import zero_grads
from torch.optim import Optimizer

from tui_elbo.engine.lens import Lens, State
from tui_elbo.engine.lens.fork import ForkedCall, LookError
from tui_elbo.model.records import Floats
from tui_elbo.protocol.codec import decode

STEPS, LEAST_STEPS = 100, 24
"""So many steps are tried, at least."""

SECONDS = 0.8
"""Of the processor, for a trial; where steps are slow, fewer are taken."""

MANY, MANY_STEPS, MANY_SECONDS = 32, 32, 2.0
"""Gradients that each of so many steps is the mean of, in the trial without noise."""

LOOKS = 10
"""Of the second half of a trial's steps."""

RATE = 0.05
"""Of the Adam that fits from another start."""

_PATIENCE = 30.0


class Outcome(msgspec.Struct, frozen=True):
    """Where a trial ended."""

    elbo: float
    """Mean over the looks at its second half: nats."""
    error: float
    """Its standard error, as far as the trial itself scatters."""
    steps: int
    means: dict[str, tuple[float, ...]] = {}
    """Of each element of each small latent under the guide, at the end."""


class Trial(msgspec.Struct, frozen=True):
    """What other rates come to, from the present state."""

    steps: int
    same: Outcome
    lower: Outcome | None
    """At a tenth of the rate; None if it broke."""
    higher: Outcome | None
    """At a hundred times the rate."""


def rates_of(optimizer: Any) -> dict[int, float]:
    """The learning rate of each tensor that the optimiser has been given, by identity.

    Args:
        optimizer: of Pyro's, or of torch's.
    """
    found = {}
    if isinstance(optimizer, Optimizer):
        held = [(leaf, group) for group in optimizer.param_groups for leaf in group["params"]]
        return {id(leaf): float(group.get("lr", math.nan)) for leaf, group in held}
    for leaf, thing in optimizer.optim_objs.items():
        for group in getattr(thing, "optimizer", thing).param_groups:
            rate = group.get("lr", group.get("eta"))
            if isinstance(rate, int | float):
                found[id(leaf)] = float(rate)
    return found


def trial(
    lens: Lens, optimizer: Any, step: int, report: Callable[[int, int], None]
) -> Trial | None:
    """Go on at the present rate, a lower and a higher one; None if that cannot be.

    Args:
        lens: how it draws.
        optimizer: the run's own.
        step: where the run stands.
        report: called now and then.
    """
    same = _forked(lambda: _go_on(lens, optimizer, step, 1.0, STEPS), report)
    if same is None or same.steps < LEAST_STEPS or not math.isfinite(same.elbo):
        return None
    steps = same.steps
    lower = _forked(lambda: _go_on(lens, optimizer, step, 0.1, steps), report)
    higher = _forked(lambda: _go_on(lens, optimizer, step, 100.0, steps), report)
    return Trial(same.steps, same, _whole(lower, same), _whole(higher, same))


def calmed(
    lens: Lens, optimizer: Any, step: int, report: Callable[[int, int], None]
) -> Outcome | None:
    """Go on at the present rate, each step by the mean of many gradients; None if it breaks."""
    found = _forked(lambda: _go_on_calmly(lens, optimizer, step), report)
    return found if found is not None and math.isfinite(found.elbo) else None


def fitted(lens: Lens, state: State, step: int, report: Callable[[int, int], None]) -> float:
    """The ELBO after fitting from another state; NaN if it breaks."""

    def fit() -> Outcome:
        leaves = dict(pyro.get_param_store().named_parameters())
        with torch.no_grad():
            for name, value in state.items():
                leaves[name].copy_(value)
        optimizer = pyro.optim.ClippedAdam({"lr": RATE, "lrd": 0.03 ** (1 / STEPS)})
        return _go_on(lens, optimizer, step, 1.0, 2 * STEPS)

    found = _forked(fit, report)
    return math.nan if found is None else found.elbo


def _whole(found: Outcome | None, same: Outcome) -> Outcome | None:
    usable = found is not None and found.steps == same.steps and math.isfinite(found.elbo)
    return found if usable else None


def _forked(work: Callable[[], Outcome], report: Callable[[int, int], None]) -> Outcome | None:
    def alive() -> bool:
        report(0, 1)
        return False

    try:
        data = ForkedCall(lambda _: work()).wait(_PATIENCE, alive)
    except LookError:
        return None
    outcome: Outcome = decode(data, Outcome)
    return outcome


def _go_on(lens: Lens, optimizer: Any, step: int, factor: float, steps: int) -> Outcome:
    """Take steps, in a copy that may be changed."""
    for thing in optimizer.optim_objs.values():
        for group in getattr(thing, "optimizer", thing).param_groups:
            for name in ("lr", "eta"):
                if isinstance(group.get(name), int | float):
                    group[name] *= factor
    scenario = lens.scenario
    svi = SVI(scenario.model, scenario.guide, optimizer, scenario.loss)
    began, taken, looks = time.process_time(), 0, list[Floats]()
    every, means = max(1, steps // (2 * LOOKS)), dict[str, tuple[float, ...]]()
    for taken in range(1, steps + 1):
        svi.step(*scenario.batch(step + taken))
        if 2 * taken > steps and taken % every == 0:
            seen = lens.see()
            looks.append(seen.reading.units[2])
            means = {name: tuple(one.mean.tolist()) for name, one in seen.posterior.items()}
        if time.process_time() - began > SECONDS and len(looks) >= LOOKS // 2:
            break
        if time.process_time() - began > SECONDS and not looks:
            # Too slow: as many as it has taken will do.
            return Outcome(math.nan, math.nan, taken)
    return _outcome(looks, taken, means)


def _outcome(
    looks: Sequence[Floats], taken: int, ends: dict[str, tuple[float, ...]] | None = None
) -> Outcome:
    means = np.array([float(units.mean()) for units in looks])
    # Draws are the same at each look, so they cancel in what is compared; the path does not.
    error = float(means.std(ddof=1)) / math.sqrt(len(means) / 2) if len(means) > 1 else math.nan
    return Outcome(float(means.mean()), error, taken, ends or {})


def _go_on_calmly(lens: Lens, optimizer: Any, step: int) -> Outcome:
    """Take steps by means of many gradients, with other data each."""
    scenario, began, looks = lens.scenario, time.process_time(), list[Floats]()
    every = max(1, MANY_STEPS // (2 * LOOKS))
    for taken in range(1, MANY_STEPS + 1):
        with poutine.trace(param_only=True) as seen:
            for call in range(MANY):
                args = scenario.batch(step + (taken - 1) * MANY + call + 1)
                scenario.loss.loss_and_grads(scenario.model, scenario.guide, *args)
        leaves = {node["value"].unconstrained() for node in seen.trace.nodes.values()}
        for leaf in leaves:
            if leaf.grad is not None:
                leaf.grad /= MANY
        optimizer(leaves)
        zero_grads(leaves)
        if 2 * taken > MANY_STEPS and taken % every == 0:
            looks.append(lens.see().reading.units[2])
        if time.process_time() - began > MANY_SECONDS:
            return Outcome(math.nan, math.nan, taken)
    return _outcome(looks, MANY_STEPS)
