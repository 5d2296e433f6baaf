"""The search for a better place near an iterate: L-BFGS on the lens's fixed draws.

References:
    Liu, Nocedal (1989), On the limited memory BFGS method for large scale optimization.
    torch/optim/lbfgs.py, `LBFGS` with `strong_wolfe`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch

from tui_elbo.model.records import Floats

FIRST = 0.05
"""The unit in which the search measures: its first step is at most so long."""

MEMORY = 16
"""Pairs of steps and changes of the gradient."""

FAR, NEAR = 0.1, 0.02
"""Adam's rates in the first and the second half, where the objective jumps."""

Objective = Callable[[Floats], tuple[float, Floats]]
"""The value to be made small, and its gradient; may raise, and may be not finite."""


@dataclass(frozen=True, eq=False)
class Found:
    """The best place that was met."""

    place: Floats
    gains: Floats
    """What had been gained by each evaluation, shape (evaluations,)."""
    rising: float
    """What the last quarter of the evaluations has gained."""
    error: str = ""
    """What the objective raised where the search began; empty if it did not."""


class _EnoughError(Exception):
    """The evaluations are used up, or the search is good enough."""


def search(
    objective: Objective,
    start: Floats,
    evaluations: int,
    enough: Callable[[Floats], bool] = lambda _: False,
) -> Found:
    """Look for the least value.

    What raises or is not finite counts as infinite: the line search turns back from it.

    Args:
        objective: what is made small.
        start: where to begin.
        evaluations: how many there may be.
        enough: asked after each evaluation, with the gains so far, whether that is enough.
    """
    values: list[float] = []
    best, place = math.inf, start
    error = ""

    def evaluate(where: Floats) -> tuple[float, Floats]:
        nonlocal best, place, error
        try:
            value, gradient = objective(where)
        except KeyboardInterrupt:
            raise
        except BaseException as raised:
            value, gradient = math.inf, np.zeros_like(where)
            error = error or (f"{type(raised).__name__}: {raised}" if not values else "")
        if not (math.isfinite(value) and np.isfinite(gradient).all()):
            value, gradient = math.inf, np.zeros_like(where)
        if value < best:
            best, place = value, where
        values.append(best)
        return value, gradient

    scaled = torch.zeros(len(start), dtype=torch.float64, requires_grad=True)
    # The library's line search interpolates, which it cannot do with an infinite value.
    wall = math.inf

    def closure() -> torch.Tensor:
        nonlocal wall
        if len(values) >= evaluations or (values and enough(values[0] - np.array(values))):
            raise _EnoughError
        value, gradient = evaluate(start + FIRST * scaled.detach().numpy())
        if math.isinf(wall):
            if math.isinf(value):
                raise _EnoughError
            wall = value + 1e6 * (1.0 + abs(value))
        scaled.grad = torch.from_numpy(FIRST * gradient)
        return torch.tensor(min(value, wall), dtype=torch.float64)

    optimizer = torch.optim.LBFGS(
        [scaled],
        max_iter=evaluations,
        max_eval=evaluations,
        history_size=MEMORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-9,
        tolerance_change=1e-12,
    )
    with suppress(_EnoughError):
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    gains = values[0] - np.array(values) if math.isfinite(values[0]) else np.zeros(1)
    rising = float(gains[-1] - gains[(3 * len(gains)) // 4])
    return Found(place, gains, rising, error)


def follow_gradient(
    objective: Objective,
    start: Floats,
    evaluations: int,
    enough: Callable[[Floats], bool] = lambda _: False,
) -> Found:
    """The same for an objective that jumps, so that no line search can go by its values.

    Adam goes far at first and then slowly; the place is the mean of its last quarter.
    """
    values: list[float] = []
    places: list[Floats] = []
    where = torch.tensor(start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([where], lr=FAR, betas=(0.8, 0.99))
    for count in range(evaluations):
        if count == evaluations // 2:
            optimizer.param_groups[0]["lr"] = NEAR
        place = where.detach().numpy().copy()
        try:
            value, gradient = objective(place)
        except (Exception, SystemExit) as raised:
            if not values:
                return Found(start, np.zeros(1), 0.0, f"{type(raised).__name__}: {raised}")
            break
        if not (math.isfinite(value) and np.isfinite(gradient).all()):
            break
        values.append(value)
        places.append(place)
        enough(values[0] - np.array(values))
        where.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
    gains = values[0] - np.array(values) if values else np.zeros(1)
    quarter = len(gains) // 4
    if len(gains) < evaluations:
        return Found(places[-1] if places else start, gains, math.inf)
    rising = float(gains[-quarter:].mean() - gains[-2 * quarter : -quarter].mean())
    return Found(np.mean(places[-quarter:], axis=0), gains, rising)
