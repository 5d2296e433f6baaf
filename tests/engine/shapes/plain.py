"""Those without: regressions, mixtures, topics, schedules, compiled estimators."""

from __future__ import annotations

from typing import Any

import pyro
import pyro.distributions as dist
import pyro.optim
import torch
from pyro import poutine
from pyro.infer import (
    SVI,
    JitTrace_ELBO,
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceMeanField_ELBO,
    config_enumerate,
)
from pyro.infer.autoguide import AutoDelta, AutoDiagonalNormal, init_to_feasible
from pyro.nn import PyroModule, PyroSample
from torch import Tensor, nn
from torch.distributions import constraints

from tests.engine.shapes.registry import Begin, shape


@shape
def bayesian_regression(begin: Begin) -> list[Any]:
    """A PyroModule with priors on its weights, an AutoGuide, all the data in each step."""

    class Regression(PyroModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.linear = PyroModule[nn.Linear](2, 1)
            self.linear.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, 2]).to_event(2))
            self.linear.bias = PyroSample(dist.Normal(0.0, 10.0).expand([1]).to_event(1))

        def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
            sigma = pyro.sample("sigma", dist.Uniform(0.0, 10.0))
            mean = self.linear(x).squeeze(-1)
            with pyro.plate("data", x.shape[0]):
                pyro.sample("obs", dist.Normal(mean, sigma), obs=y)
            return mean

    x = torch.randn(20, 2)
    y = x @ torch.tensor([1.0, -2.0]) + 0.1 * torch.randn(20)
    model = Regression()
    guide = AutoDiagonalNormal(model)
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.03}), loss=Trace_ELBO())
    begin(svi)
    return [svi.step(x, y) for _ in range(12)]


@shape
def gmm(begin: Begin) -> list[Any]:
    """Assignments summed out, a blocked Delta guide, gradients looked at by hooks of its own."""
    data = torch.tensor([0.0, 1.0, 10.0, 11.0, 12.0])

    @config_enumerate
    def model(data: Tensor) -> None:
        weights = pyro.sample("weights", dist.Dirichlet(0.5 * torch.ones(2)))
        scale = pyro.sample("scale", dist.LogNormal(0.0, 2.0))
        with pyro.plate("components", 2):
            locs = pyro.sample("locs", dist.Normal(0.0, 10.0))
        with pyro.plate("data", len(data)):
            which = pyro.sample("assignment", dist.Categorical(weights))
            pyro.sample("obs", dist.Normal(locs[which], scale), obs=data)

    hidden = poutine.block(model, expose=["weights", "locs", "scale"])
    guide = AutoDelta(hidden, init_loc_fn=init_to_feasible)
    optim = pyro.optim.Adam({"lr": 0.1, "betas": [0.8, 0.99]})
    svi = SVI(model, guide, optim, loss=TraceEnum_ELBO(max_plate_nesting=1))
    begin(svi)
    losses = [svi.loss(model, guide, data)]
    norms: list[float] = []
    for _, leaf in pyro.get_param_store().named_parameters():
        leaf.register_hook(lambda grad: norms.append(grad.norm().item()))
    losses += [svi.step(data) for _ in range(10)]
    return losses + norms


@shape
def lda(begin: Begin) -> list[Any]:
    """Words summed out under two plates, documents subsampled, a predictor of the guide's own."""
    words = torch.randint(0, 7, (6, 8))
    predictor = nn.Sequential(nn.Linear(7, 5), nn.Sigmoid(), nn.Linear(5, 2), nn.Softmax(-1))

    @config_enumerate
    def model(words: Tensor, size: int) -> None:
        with pyro.plate("topics", 2):
            topics = pyro.sample("topic_words", dist.Dirichlet(torch.ones(7) / 7))
        with pyro.plate("documents", 8, size, dim=-1) as index:
            mix = pyro.sample("doc_topics", dist.Dirichlet(torch.ones(2)))
            with pyro.plate("words", 6, dim=-2):
                which = pyro.sample("word_topics", dist.Categorical(mix))
                pyro.sample("doc_words", dist.Categorical(topics[which]), obs=words[:, index])

    def guide(words: Tensor, size: int) -> None:
        pyro.module("predictor", predictor)
        above = constraints.greater_than(0.5)
        posterior = pyro.param("topic_words_posterior", lambda: torch.ones(2, 7), above)
        with pyro.plate("topics", 2):
            pyro.sample("topic_words", dist.Dirichlet(posterior))
        with pyro.plate("documents", 8, size, dim=-1) as index:
            counts = torch.zeros(7, size).scatter_add(0, words[:, index], torch.ones(6, size))
            pyro.sample("doc_topics", dist.Delta(predictor(counts.t()), event_dim=1))

    optim = pyro.optim.ClippedAdam({"lr": 0.05})
    svi = SVI(model, guide, optim, loss=TraceEnum_ELBO(max_plate_nesting=2))
    begin(svi)
    return [svi.step(words, size=4) for _ in range(8)]


@shape
def sparse_gamma_def(begin: Begin) -> list[Any]:
    """Parameters that the loop itself clips between steps, and a loss taken aside now and then."""
    x = torch.poisson(torch.ones(5, 3))

    def model(x: Tensor) -> None:
        with pyro.plate("weights", 3):
            w = pyro.sample("w", dist.Gamma(0.3, 0.1))
        with pyro.plate("data", 5):
            z = pyro.sample("z", dist.Gamma(0.3, 0.3))
            pyro.sample("obs", dist.Poisson(z[:, None] * w).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        for name, size in (("w", 3), ("z", 5)):
            loc = pyro.param(f"loc_{name}", lambda size=size: 0.5 * torch.ones(size))
            scale = pyro.param(
                f"scale_{name}", lambda size=size: 0.1 * torch.ones(size), constraints.positive
            )
            with pyro.plate("weights" if name == "w" else "data", size):
                pyro.sample(name, dist.LogNormal(loc, scale))

    svi = SVI(model, guide, pyro.optim.AdagradRMSProp({"eta": 0.5, "t": 0.1}), loss=Trace_ELBO())
    begin(svi)
    losses = []
    for step in range(10):
        losses.append(svi.step(x))
        for name, leaf in pyro.get_param_store().named_parameters():
            if name.startswith("loc"):
                leaf.data.clamp_(min=0.3)
        if step % 4 == 3:
            losses.append(svi.evaluate_loss(x))
    return losses


@shape
def scheduled(begin: Begin) -> list[Any]:
    """As the tutorials do: a scheduler that is stepped at each epoch, an analytic KL."""
    data = torch.randn(6) + 2.0

    def model(data: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(data)):
            pyro.sample("obs", dist.Normal(loc, 1.0), obs=data)

    def guide(data: Tensor) -> None:
        loc = pyro.param("q_loc", torch.tensor(0.0))
        scale = pyro.param("q_scale", torch.tensor(1.0), constraint=constraints.positive)
        pyro.sample("loc", dist.Normal(loc, scale))

    settings = {"optimizer": torch.optim.SGD, "optim_args": {"lr": 0.01}, "gamma": 0.5}
    scheduler = pyro.optim.ExponentialLR(settings)
    svi = SVI(model, guide, scheduler, loss=TraceMeanField_ELBO(num_particles=3))
    begin(svi)
    losses = []
    for _ in range(4):
        losses += [svi.step(data) for _ in range(3)]
        scheduler.step()
    return losses


@shape
def jit(begin: Begin) -> list[Any]:
    """As many examples with `--jit`: compiled at the first step."""
    data = torch.tensor([0.5, 1.5])

    def model(data: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(data)):
            pyro.sample("obs", dist.Normal(loc, 1.0), obs=data)

    def guide(data: Tensor) -> None:
        loc = pyro.param("q_loc", torch.tensor(0.0))
        pyro.sample("loc", dist.Normal(loc, 1.0))

    svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), loss=JitTrace_ELBO())
    begin(svi)
    return [svi.step(data) for _ in range(6)]
