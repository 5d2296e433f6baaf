"""Trainings in the shapes of Pyro's own example programs, small and on made-up data.

They are shapes and not the files: each drives `svi.step` the way its namesake does. A training
calls `begin(svi)` where a script would have its one more line, and returns its losses.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
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
    TraceGraph_ELBO,
    TraceMeanField_ELBO,
    config_enumerate,
)
from pyro.infer.autoguide import AutoDelta, AutoDiagonalNormal, init_to_feasible
from pyro.nn import PyroModule, PyroSample
from torch import Tensor, nn
from torch.distributions import constraints
from torch.utils.data import DataLoader, TensorDataset

Begin = Callable[[SVI], object]
Training = Callable[[Begin], list[Any]]

SHAPES: dict[str, Training] = {}


def shape(train: Training) -> Training:
    SHAPES[train.__name__] = train
    return train


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
def vae(begin: Begin) -> list[Any]:
    """Networks in `pyro.module`, a data loader that shuffles, a test loss after each epoch."""
    encoder, decoder = nn.Linear(6, 4), nn.Linear(2, 6)

    def model(x: Tensor) -> None:
        pyro.module("decoder", decoder)
        with pyro.plate("data", x.shape[0]):
            z = pyro.sample("latent", dist.Normal(x.new_zeros(x.shape[0], 2), 1.0).to_event(1))
            pyro.sample("obs", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x)

    def guide(x: Tensor) -> None:
        pyro.module("encoder", encoder)
        with pyro.plate("data", x.shape[0]):
            loc, scale = encoder(x).chunk(2, -1)
            pyro.sample("latent", dist.Normal(loc, scale.exp()).to_event(1))

    data = torch.randint(0, 2, (20, 6)).float()
    svi = SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss=Trace_ELBO())
    begin(svi)
    losses = []
    for _ in range(2):
        for (x,) in DataLoader(TensorDataset(data), batch_size=8, shuffle=True):
            losses.append(svi.step(x))
        losses.append(svi.evaluate_loss(data))
    return losses


@shape
def ss_vae(begin: Begin) -> list[Any]:
    """Two SVIs of one optimiser and one store, the second with an empty guide; both are stepped."""
    classify, style, paint = nn.Linear(6, 3), nn.Linear(9, 4), nn.Linear(5, 6)
    nets = nn.ModuleList([classify, style, paint])

    def model(x: Tensor, y: Tensor | None = None) -> None:
        pyro.module("nets", nets)
        with pyro.plate("data", x.shape[0]):
            z = pyro.sample("z", dist.Normal(x.new_zeros(x.shape[0], 2), 1.0).to_event(1))
            y = pyro.sample("y", dist.OneHotCategorical(torch.ones(x.shape[0], 3) / 3), obs=y)
            z = z.expand(*y.shape[:-1], 2)
            logits = paint(torch.cat([z, y], -1))
            pyro.sample("x", dist.Bernoulli(logits=logits).to_event(1), obs=x)

    def guide(x: Tensor, y: Tensor | None = None) -> None:
        with pyro.plate("data", x.shape[0]):
            if y is None:
                y = pyro.sample("y", dist.OneHotCategorical(logits=classify(x)))
            both = torch.cat([x.expand(*y.shape[:-1], 6), y], -1)
            loc, scale = style(both).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, scale.exp()).to_event(1))

    def model_classify(x: Tensor, y: Tensor | None = None) -> None:
        pyro.module("nets", nets)
        with pyro.plate("data", x.shape[0]), poutine.scale(scale=3.0):
            if y is not None:
                pyro.sample("y_aux", dist.OneHotCategorical(logits=classify(x)), obs=y)

    def guide_classify(x: Tensor, y: Tensor | None = None) -> None:
        pass

    optimizer = pyro.optim.Adam({"lr": 3e-3, "betas": (0.9, 0.999)})
    enumerated = config_enumerate(guide, "parallel", expand=True)
    basic = SVI(model, enumerated, optimizer, loss=TraceEnum_ELBO(max_plate_nesting=1))
    auxiliary = SVI(model_classify, guide_classify, optimizer, loss=Trace_ELBO())
    begin(basic)
    begin(auxiliary)
    x = torch.randint(0, 2, (5, 6)).float()
    y = torch.eye(3)[torch.randint(0, 3, (5,))]
    losses = []
    for step in range(8):
        args = (x, y) if step % 3 == 1 else (x,)
        losses += [basic.step(*args), auxiliary.step(*args)]
    return losses


@shape
def air(begin: Begin) -> list[Any]:
    """Learning rates by parameter, a baseline network, arguments by name, one of them a partial."""
    baseline, predict = nn.Linear(4, 1), nn.Linear(4, 1)

    def model(x: Tensor, *, batch_size: int, prior: Callable[[], float]) -> None:
        with pyro.plate("data", x.shape[0], subsample_size=batch_size) as index:
            there = pyro.sample("there", dist.Bernoulli(torch.full((batch_size,), prior())))
            loc = there[..., None].expand(batch_size, 4)
            pyro.sample("obs", dist.Normal(loc, 0.5).to_event(1), obs=x[index])

    def guide(x: Tensor, *, batch_size: int, prior: Callable[[], float]) -> None:
        pyro.module("predict", predict)
        pyro.module("bl_predict", baseline)
        with pyro.plate("data", x.shape[0], subsample_size=batch_size) as index:
            logits = predict(x[index]).squeeze(-1)
            infer = {"baseline": {"baseline_value": baseline(x[index].detach()).squeeze(-1)}}
            pyro.sample("there", dist.Bernoulli(logits=logits), infer=infer)

    def rates(name: str) -> dict[str, float]:
        return {"lr": 1e-1 if "bl_" in name else 1e-2}

    svi = SVI(model, guide, pyro.optim.Adam(rates), loss=TraceGraph_ELBO())
    begin(svi)
    x = torch.randn(12, 4)
    return [
        svi.step(x, batch_size=4, prior=partial(max, 0.9 - 0.05 * step, 0.1)) for step in range(10)
    ]


@shape
def dmm(begin: Begin) -> list[Any]:
    """A sequence with a network for each step in time, annealed, clipped and decayed gradients."""
    emit, move, combine = nn.Linear(2, 3), nn.Linear(2, 4), nn.Linear(5, 4)

    def model(x: Tensor, annealing: float = 1.0) -> None:
        pyro.module("dmm", nn.ModuleList([emit, move]))
        z = x.new_zeros(x.shape[0], 2)
        with pyro.plate("minibatch", x.shape[0]):
            for t in pyro.markov(range(x.shape[1])):
                loc, scale = move(z).chunk(2, -1)
                with poutine.scale(None, annealing):
                    z = pyro.sample(f"z_{t}", dist.Normal(loc, scale.exp()).to_event(1))
                logits = emit(z)
                pyro.sample(f"x_{t}", dist.Bernoulli(logits=logits).to_event(1), obs=x[:, t])

    def guide(x: Tensor, annealing: float = 1.0) -> None:
        pyro.module("combine", combine)
        z = x.new_zeros(x.shape[0], 2)
        with pyro.plate("minibatch", x.shape[0]):
            for t in pyro.markov(range(x.shape[1])):
                loc, scale = combine(torch.cat([z, x[:, t]], -1)).chunk(2, -1)
                with poutine.scale(None, annealing):
                    z = pyro.sample(f"z_{t}", dist.Normal(loc, scale.exp()).to_event(1))

    data = torch.randint(0, 2, (9, 3, 3)).float()
    optim = pyro.optim.ClippedAdam({"lr": 1e-2, "clip_norm": 1.0, "lrd": 0.99})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    begin(svi)
    return [
        svi.step(data[which], annealing=0.2 + 0.4 * epoch)
        for epoch in range(3)
        for which in torch.randperm(9).split(3)
    ]


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
