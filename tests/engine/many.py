"""A scenario with thousands of parameters and hundreds of sites, as the text of its file."""

from __future__ import annotations

MANY = """
import torch, pyro, pyro.optim
import pyro.distributions as dist
from pyro.infer import Trace_ELBO
from torch.distributions import constraints

PARAMS, SITES = {params}, {sites}
positive, simplex = constraints.positive, constraints.simplex
optimizer, loss = pyro.optim.Adam(dict(lr=0.01)), Trace_ELBO()

def weight(i):
    layer = i * 16 // PARAMS
    start = torch.linspace(-0.1, 0.1, 1 + i % 3) + 1e-3 * i
    return pyro.param(f"net$$$layer{{layer}}.weight_{{i}}", lambda: start)

def scale(i):
    return pyro.param(f"AutoNormal.scales.z.{{i}}", lambda: torch.tensor(1.0), constraint=positive)

def model():
    total = sum(pyro.sample(f"z.{{i}}", dist.Normal(0.0, 1.0)) for i in range(SITES))
    gain = pyro.param("prior.gain", lambda: torch.linspace(0.5, 1.0, 20))
    pyro.sample("x", dist.Normal(total + gain.mean(), 1.0), obs=torch.tensor(0.5))

def guide():
    pyro.param("net$$$unused.a", lambda: torch.zeros(3))
    pyro.param("net$$$unused.b", lambda: torch.zeros(2))
    odds = pyro.param("odds", lambda: torch.tensor([0.2, 0.8]), constraint=simplex)
    parts = [weight(i).reshape(-1) for i in range(PARAMS // 2)] + [odds]
    scales = torch.stack([scale(i) for i in range(PARAMS // 2)])
    shift = torch.tanh(torch.cat(parts)).sum() / PARAMS
    for i in range(SITES):
        pyro.sample(f"z.{{i}}", dist.Normal(shift, scales[i::SITES].mean()))
"""


def many(params: int = 5_000, sites: int = 20) -> str:
    """About so many parameters: half of a network of eight layers, half scales."""
    return MANY.format(params=params, sites=sites)
