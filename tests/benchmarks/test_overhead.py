"""What watching costs: recorded stepping against the plain loop, interleaved in one process."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pyro
import pytest
import torch
from pyro.infer import SVI

from tui_elbo.engine.record.budget import Budget
from tui_elbo.engine.scenario import load
from tui_elbo.engine.session import Session
from tui_elbo.model.scenarios import find_scenario

pytestmark = pytest.mark.benchmark

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

BURSTS, SECONDS = 301, 0.05
"""As long as those of the engine that runs for a terminal."""


def ratio(path: Path) -> float:
    """Watched over plain processor seconds a step: the median over pairs of interleaved bursts.

    Each side owns its run: the param store and the random state are swapped in and out.
    """
    torch.set_num_threads(1)
    plain, plain_state = Plain(path), None
    plain_state = keep()
    session = Session(str(path))
    session.due = Budget()
    watched_state = keep()
    steps = max(5, int(SECONDS / plain.seconds_a_step(plain_state)))
    # The engine's heap is smaller than a test run's: what lives already is not looked through.
    gc.collect()
    gc.freeze()
    times: dict[str, list[float]] = {"plain": [], "watched": []}
    for burst in range(BURSTS):
        sides: list[tuple[str, Callable[[], object]]] = [
            ("plain", lambda: plain.advance(steps)),
            ("watched", lambda: session.advance(steps)),
        ]
        took = {}
        for name, advance in sides if burst % 2 else reversed(sides):
            restore(plain_state if name == "plain" else watched_state)
            begin = time.thread_time()
            advance()
            took[name] = time.thread_time() - begin
            if name == "plain":
                plain_state = keep()
            else:
                watched_state = keep()
        for name, seconds in took.items():
            times[name].append(seconds)
    pairs = zip(times["watched"], times["plain"], strict=True)
    return statistics.median(watched / plain for watched, plain in pairs)


class Plain:
    """The plain loop on a scenario's file."""

    def __init__(self, path: Path, warm: int = 20) -> None:
        scenario = load(find_scenario(str(path)))
        pyro.set_rng_seed(0)
        self.svi = SVI(scenario.model, scenario.guide, scenario.optimizer, scenario.loss)
        self.advance(warm)

    def advance(self, steps: int) -> None:
        for _ in range(steps):
            self.svi.step()

    def seconds_a_step(self, state: object) -> float:
        restore(state)
        begin = time.thread_time()
        self.advance(50)
        return (time.thread_time() - begin) / 50


def keep() -> object:
    store = pyro.get_param_store()
    return dict(store._params), dict(store._param_to_name), dict(store._constraints)


def restore(state: object) -> None:
    store = pyro.get_param_store()
    store._params, store._param_to_name, store._constraints = map(dict, state)  # type: ignore[call-overload]


@pytest.mark.parametrize(("particles", "most"), [(1, 1.10), (10, 1.03)])
def test_watching_a_one_latent_model_costs_little(
    tmp_path: Path, particles: int, most: float, record_property: Callable[[str, object], None]
) -> None:
    path = tmp_path / "one_latent.py"
    path.write_text(MODEL.format(particles=particles))
    found = ratio(path)
    record_property("ratio", found)
    print(f"\n{particles} particles: watched / plain = {found:.3f} (at most {most})")
    assert found <= most
