"""Those with neural networks: amortised guides, minibatches, baselines, sequences."""

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
    Trace_ELBO,
    TraceEnum_ELBO,
    TraceGraph_ELBO,
    config_enumerate,
)
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.engine.shapes.registry import Begin, shape


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
