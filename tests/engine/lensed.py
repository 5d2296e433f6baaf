"""Scripts to look at through the lens, and what is asked of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from torch import Tensor

from tests.engine.client import Speaker
from tests.engine.scripts import Script
from tui_elbo.model.attribution import LensPoint
from tui_elbo.protocol import (
    LensPointAdded,
    Pause,
    RunStatus,
    Step,
)


class Called(Script):
    """A loop that calls `step` with something.

    Args:
        svi: what it drives.
        args: makes the arguments of the next step.
    """

    def __init__(self, svi: SVI, args: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]):
        class Wrapped:
            @staticmethod
            def step() -> float:
                given, named = args()
                return svi.step(*given, **named)

        super().__init__(Wrapped())  # type: ignore[arg-type]


def normal() -> SVI:
    """Some points, and their location."""

    def model(x: Tensor, scale: float = 1.0) -> None:
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(z, scale), obs=x)

    def guide(x: Tensor, scale: float = 1.0) -> None:
        loc = pyro.param("loc", torch.tensor(-3.0))
        pyro.sample("z", dist.Normal(loc, 0.7))

    return SVI(model, guide, pyro.optim.Adam({"lr": 0.05}), Trace_ELBO())


def held(terminal: Speaker) -> int:
    """Hold it; the step at which it stands."""
    terminal.send(Pause())
    terminal.until(RunStatus, lambda level: level.state == "paused")
    # From two steps on it is known whether they are called with the same.
    return terminal.ask(Step(count=2)).step


def looked(terminal: Speaker, state: int = 0) -> list[LensPoint]:
    """All that the lens has seen, up to a state."""
    if not any(
        isinstance(event, LensPointAdded) and event.point.state >= state for event in terminal.seen
    ):
        terminal.until(LensPointAdded, lambda event: event.point.state >= state)
    return [event.point for event in terminal.seen if isinstance(event, LensPointAdded)]


def expected_log_p(loc: float) -> float:
    """Of `simple`, whose guide is a normal of standard deviation 0.7."""
    far = (loc**2 + 0.49) + ((loc - 0.5) ** 2 + 0.49)
    return -far / 2 - math.log(2 * math.pi)
