"""Runs of the gallery by plain Pyro, and when a number of theirs agrees with a known answer.

An estimate agrees when it is within 3 standard errors or 0.01 of the answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyro
import torch
from pyro import poutine

from tests.engine.plain import PlainRun, executed, plain_run

SCENARIOS = Path(__file__).resolve().parents[2] / "scenarios"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Draws:
    """Independent draws from the guide, in nats: shape (draws,)."""

    log_p: Floats
    log_q: Floats

    @property
    def elbo(self) -> Floats:
        return self.log_p - self.log_q


@dataclass(frozen=True, eq=False)
class Trained:
    """A run, with its parameters at every step and draws at the start and at the end."""

    run: PlainRun
    elbo: Floats
    """-loss, shape (steps,)."""
    params: dict[str, Floats]
    """Those watched, constrained, after each step: shape (steps, ...)."""
    start: Draws
    end: Draws


def draw(scenario: Any, args: tuple[Any, ...], count: int) -> Draws:
    """Independent draws, with a seed that training has not seen."""
    pyro.set_rng_seed(20)
    terms = []
    with torch.no_grad():
        for _ in range(count):
            guide = poutine.trace(scenario.guide).get_trace(*args)
            model = poutine.trace(poutine.replay(scenario.model, trace=guide)).get_trace(*args)
            terms.append((float(model.log_prob_sum()), float(guide.log_prob_sum())))
    return Draws(*np.array(terms).T)


def train(
    path: Path,
    steps: int | None = None,
    *,
    draws: int = 300,
    at: tuple[Any, ...] = (),
    watch: tuple[str, ...] = (),
) -> Trained:
    """Run a scenario.

    Args:
        path: the scenario's file.
        steps: None for as many as the scenario says.
        draws: how many independent draws to take at the start, and at the end.
        at: the arguments of model and guide for those draws.
        watch: the parameters to keep at every step.
    """
    with executed(path) as scenario:
        steps = steps or scenario.steps
        start = draw(scenario, at, draws)
    history: dict[str, list[Any]] = {name: [] for name in watch}

    def keep(step: int, loss: Any) -> None:
        for name, values in history.items():
            values.append(pyro.param(name).tolist())

    run = plain_run(path, steps, on_step=keep)
    return Trained(
        run=run,
        elbo=-np.array(run.losses, dtype=np.float64),
        params={name: np.array(values) for name, values in history.items()},
        start=start,
        end=draw(run.scenario, at, draws),
    )


def gallery(name: str, steps: int | None = None, **options: Any) -> Trained:
    """Run a scenario of the gallery."""
    return train(SCENARIOS / f"{name}.py", steps, **options)


def edited(name: str, folder: Path, old: str, new: str) -> Path:
    """A copy of a scenario with one edit, as its notes propose it."""
    text = (SCENARIOS / f"{name}.py").read_text(encoding="utf-8")
    assert text.count(old) == 1
    path = folder / f"{name}.py"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def error(values: Floats) -> float:
    """Standard error of the mean of independent values."""
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def agrees(values: Floats, truth: float, *, widest: float = 0.1) -> bool:
    """Whether independent estimates have the known answer as their mean.

    `widest` keeps the tolerance from growing with the noise until nothing can fail.
    """
    assert 3 * error(values) < widest
    return bool(abs(values.mean() - truth) <= max(3 * error(values), 0.01))


def settled(path: Floats, truth: float, *, tail: int, widest: float = 0.1) -> bool:
    """Whether what wanders has the known answer as its mean over the last `tail` steps.

    Neighbouring steps are alike, so the standard error is that of the means of ten stretches.
    """
    return agrees(path[-tail:].reshape(10, -1).mean(1), truth, widest=widest)


def roles(scenario: Any, *args: Any) -> tuple[set[str], set[str]]:
    """The names of the parameters that the model reads, and of those that the guide reads."""
    guide = poutine.trace(scenario.guide).get_trace(*args)
    model = poutine.trace(poutine.replay(scenario.model, trace=guide)).get_trace(*args)
    return set(model.param_nodes), set(guide.param_nodes)
