"""What `tui_elbo.watch` costs a script that nobody looks at: interleaved bursts in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch import Tensor, nn

import tui_elbo
from tests.benchmarks.pairs import Interval, bootstrap, interleaved, judge
from tests.benchmarks.training import Plain, one_latent, settle_heap, side, steps_of_a_burst
from tests.runtime import runtime_folder

pytestmark = pytest.mark.benchmark

PAIRS, VAE_PAIRS = 80, 500

READ_AHEAD = 400
"""Steps after which a run has used up what it may read beyond its share at the beginning."""


@pytest.mark.parametrize(("particles", "most"), [(1, 1.03), (10, 1.03)])
def test_watching_a_script_costs_little(tmp_path: Path, particles: int, most: float) -> None:
    path = one_latent(tmp_path, particles)
    plain = Plain(path)
    steps = steps_of_a_burst(plain.advance)
    plain_side = side(plain.advance, steps)
    watched = Plain(path)
    with runtime_folder(), tui_elbo.watch(watched.svi, "benchmark"):
        watched.advance(READ_AHEAD)
        watched_side = side(watched.advance, steps)
        settle_heap()
        pairs = interleaved(watched_side, plain_side, PAIRS)
    judge(f"watched / plain step of a script, {particles} particles", _mean_ratio(pairs), most)


def test_watching_a_script_with_networks_costs_little() -> None:
    """A VAE; both sides step the same parameters, so that they meet the same caches."""
    pyro.clear_param_store()
    model, guide, optimizer = _vae()
    watched, plain = (SVI(model, guide, optimizer, Trace_ELBO()) for _ in range(2))
    data = (torch.rand(128, 784) < 0.3).float()

    def steps(svi: SVI) -> Callable[[int], None]:
        def advance(count: int) -> None:
            for _ in range(count):
                svi.step(data)

        return advance

    steps(plain)(20)
    with runtime_folder(), tui_elbo.watch(watched, "benchmark"):
        steps(watched)(READ_AHEAD)
        sides = side(steps(watched), 1), side(steps(plain), 1)
        settle_heap()
        pairs = interleaved(*sides, VAE_PAIRS)
    judge("watched / plain step of a script, VAE 784-400", _mean_ratio(pairs), 1.01)


def _mean_ratio(pairs: Iterable[tuple[float, float]]) -> Interval:
    """Steps are read in turns, which most bursts do not meet: a median would leave them out."""
    return bootstrap((one / other for one, other in pairs), np.mean)


def _vae() -> tuple[Callable[..., None], Callable[..., None], Adam]:
    hidden = nn.Sequential(nn.Linear(784, 400), nn.Softplus())
    encoder = nn.ModuleList([hidden, nn.Linear(400, 20), nn.Linear(400, 20)])
    decoder = nn.Sequential(nn.Linear(20, 400), nn.Softplus(), nn.Linear(400, 784))

    def model(x: Tensor) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("images", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 20), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        pyro.module("encoder", encoder)
        inner, loc, log_scale = encoder
        with pyro.plate("images", len(x)):
            seen = inner(x)
            pyro.sample("z", dist.Normal(loc(seen), log_scale(seen).exp()).to_event(1))

    return model, guide, Adam({"lr": 1e-3})
