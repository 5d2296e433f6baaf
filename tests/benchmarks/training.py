"""Trainings that take turns in one process: each owns its param store while it is its turn."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from pathlib import Path

import pyro
import torch
from pyro.infer import SVI

from tui_elbo.engine.scenario import load
from tui_elbo.model.scenarios import find_scenario

MODEL = """
import torch, pyro, pyro.distributions as dist
from pyro.infer import Trace_ELBO
from torch.distributions import constraints

x = torch.tensor([1.0, 2.0, 0.5, 1.5])

def model():
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", 4):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)

def guide():
    loc = pyro.param("loc", torch.tensor(-3.0))
    scale = pyro.param("scale", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(loc, scale))

loss = Trace_ELBO(num_particles={particles})
"""

BURST = 0.05
"""Seconds; as long as a burst of the engine that runs for a terminal."""


def one_latent(folder: Path, particles: int = 1) -> str:
    """The path of a file with the smallest model."""
    path = folder / "one_latent.py"
    path.write_text(MODEL.format(particles=particles))
    return str(path)


class Plain:
    """The plain loop on a scenario's file."""

    def __init__(self, path: str, warm: int = 20) -> None:
        torch.set_num_threads(1)
        scenario = load(find_scenario(path))
        pyro.set_rng_seed(0)
        self.svi = SVI(scenario.model, scenario.guide, scenario.optimizer, scenario.loss)
        self.advance(warm)

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.svi.step()


def seconds(act: Callable[[], object]) -> float:
    """Processor seconds of this thread."""
    begin = time.thread_time()
    act()
    return time.thread_time() - begin


def side(advance: Callable[[int], object], steps: int) -> Callable[[], float]:
    """One side of a pair: takes so many steps on the param store of now, and says how long."""
    state = _keep()

    def take() -> float:
        nonlocal state
        _restore(state)
        took = seconds(lambda: advance(steps))
        state = _keep()
        return took

    return take


def steps_of_a_burst(advance: Callable[[int], object]) -> int:
    """How many steps fill a burst."""
    return max(5, int(BURST / (seconds(lambda: advance(50)) / 50)))


def settle_heap() -> None:
    """The engine's heap is smaller than a test run's: what lives already is not looked through."""
    gc.collect()
    gc.freeze()


def _keep() -> object:
    store = pyro.get_param_store()
    return dict(store._params), dict(store._param_to_name), dict(store._constraints)


def _restore(state: object) -> None:
    store = pyro.get_param_store()
    store._params, store._param_to_name, store._constraints = map(dict, state)  # type: ignore[call-overload]
